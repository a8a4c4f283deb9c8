"""Filters: registered with a credential of their own, recognised by it, revoked."""

import hmac
import secrets
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from fleet.actors import ActorKind, become
from fleet.errors import Conflict, Invalid, NotFound, Unauthenticated
from fleet.filtering.models import FilterNode
from fleet.filtering.policy import policies
from fleet.schools.models import School
from fleet.stored_secrets import digest

NOBODY = digest("")
"""Compared with when no filter has the id, so that both answers take the same time."""


def register_filter(
    session: Session, name: str, school: School | None, now: datetime, *, replace: bool = False
) -> tuple[FilterNode, str]:
    """A filter and its credential ``<id>.<secret>``, which is shown this once.

    A name that was revoked, or ``replace``, keeps its row and gets a new secret; the old one is worth nothing then.
    Raise Conflict for a name in use, Invalid for none.
    """
    name = " ".join(name.split())
    if not name or len(name) > 80 or not name.isprintable():
        raise Invalid("filtering.bad_filter_name", "Donnez au filtre un nom de 1 à 80 caractères.")
    node = session.scalar(select(FilterNode).where(FilterNode.name == name).with_for_update())
    if node is not None and node.revoked_at is None and not replace:
        raise Conflict("filtering.filter_name_taken", f"Un filtre s’appelle déjà « {name} ». Révoquez-le d’abord.")
    secret = secrets.token_hex(32)
    if node is None:
        node = FilterNode(name=name, secret_hash="")
        session.add(node)
    node.school_id = school.id if school else None
    node.secret_hash, node.registered_at, node.revoked_at = digest(secret), now, None
    session.flush()
    policies.republish(session, f"Filtre {node.name} enregistré", now)  # the networks of its school are its own now
    return node, f"{node.id}.{secret}"


def list_filters(session: Session) -> list[FilterNode]:
    """Every filter by name, the revoked ones too."""
    return list(session.scalars(select(FilterNode).order_by(FilterNode.name)))


def revoke_filter(session: Session, name: str, now: datetime) -> FilterNode:
    """Its credential opens nothing any more; it goes on filtering with what it has. Raise NotFound."""
    node = session.scalar(select(FilterNode).where(FilterNode.name == name).with_for_update())
    if node is None:
        raise NotFound("filtering.filter_not_found", f"Aucun filtre ne s’appelle « {name} ».")
    node.revoked_at = node.revoked_at or now
    session.flush()
    policies.republish(session, f"Filtre {node.name} révoqué", now)
    return node


def authenticate(session: Session, authorization: str | None) -> FilterNode:
    """The filter behind ``Bearer <id>.<secret>``; raise Unauthenticated for anything else, in constant time."""
    scheme, _, credential = (authorization or "").partition(" ")
    identifier, _, secret = credential.strip().partition(".")
    try:
        node = session.get(FilterNode, UUID(identifier), options=[undefer(FilterNode.secret_hash)])
    except ValueError:
        node = None
    expected = NOBODY if node is None else node.secret_hash
    is_right = hmac.compare_digest(digest(secret), expected)
    if node is None or not is_right or scheme.lower() != "bearer" or node.revoked_at is not None:
        raise Unauthenticated("credential.refused", "Ce filtre n’est pas connu, ou a été révoqué.")
    become(ActorKind.FILTER, node.id, node.name)
    return node
