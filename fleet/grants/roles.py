"""Roles of persons on nodes: given for good or for a while, and taken back. An administrator's work."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from fleet.accounts.models import RoleGrant, User
from fleet.errors import Conflict, Invalid, NotFound
from fleet.grants.nodes import Node, check_period
from fleet.grants.service import GRANT_LOCK
from fleet.scope import Action, Role, Viewer

LONGEST = timedelta(days=10 * 366)
ON_NODES = frozenset({Role.OFFICER, Role.SCHOOL_LEAD})
"""Roles that only exist on a node: of everything, they would be the operator's."""


def give_role(
    session: Session, viewer: Viewer, user_id: UUID, role: Role, node: Node | None, *,
    starts: datetime | None = None, ends: datetime | None = None, now: datetime,
) -> RoleGrant:  # fmt: skip
    """Give a person a role on a node (None: the operator's), until ``ends`` (None: for good).

    Raise NotAllowed for who is no administrator of the operator, NotFound for an unknown account, Invalid for a node
    that the role does not go with or a period that is over, Conflict for a role that the person has already.
    """
    viewer.must(Action.MANAGE_GRANT)
    user = session.get(User, user_id)
    if user is None:
        raise NotFound("account.unknown", "Ce compte n’existe pas.")
    check_node(role, node)
    if ends is not None:
        check_period(starts or now, ends, now, LONGEST)
    grant = RoleGrant(
        user_id=user.id, role=role, collectivity_id=node.collectivity_id if node else None,
        school_id=node.school_id if node else None, starts_at=starts, ends_at=ends,
    )  # fmt: skip
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GRANT_LOCK})
    if any((g.role, g.collectivity_id, g.school_id) == _what(grant) for g in list_roles(session, user.id, now)):
        raise Conflict("grant.already_given", f"{user.name} a déjà ce rôle ici.")
    session.add(grant)
    session.flush()
    return grant


def _what(grant: RoleGrant) -> tuple[Role, UUID | None, UUID | None]:
    return grant.role, grant.collectivity_id, grant.school_id


def check_node(role: Role, node: Node | None) -> None:
    """Raise Invalid unless the role goes with that node."""
    if node is None and role in ON_NODES:
        raise Invalid("grant.node_needed", "Dites sur quelle collectivité ou école porte ce rôle.")
    if role is Role.SCHOOL_LEAD and (node is None or node.school is None):
        raise Invalid("grant.school_needed", "Le rôle de référent porte sur une école.")


def list_roles(session: Session, user_id: UUID, now: datetime) -> Sequence[RoleGrant]:
    """The roles of a person that hold or will."""
    query = select(RoleGrant).where(RoleGrant.user_id == user_id)
    query = query.where(RoleGrant.ends_at.is_(None) | (RoleGrant.ends_at > now))
    return session.scalars(query.order_by(RoleGrant.role, RoleGrant.id)).all()


def end_role(session: Session, viewer: Viewer, grant_id: UUID, now: datetime) -> RoleGrant:
    """Take a role back: the person's next request is without it. Raise NotAllowed, NotFound, or Conflict for one that
    is over, and for the last administrator's.
    """
    viewer.must(Action.MANAGE_GRANT)
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": GRANT_LOCK})
    grant = session.get(RoleGrant, grant_id, populate_existing=True)
    if grant is None:
        raise NotFound("grant.not_found", "Ce rôle n’existe pas.")
    if grant.ends_at is not None and grant.ends_at <= now:
        raise Conflict("grant.over", "Ce rôle est déjà terminé.")
    if is_administrators(grant) and count_administrators(session, now) == 1:
        raise Conflict(
            "grant.last_administrator", "C’est le dernier administrateur : donnez d’abord ce rôle à un autre."
        )
    if grant.starts_at is not None and grant.starts_at >= now:
        session.delete(grant)  # it never held
    else:
        grant.ends_at = now
    session.flush()
    return grant


def is_administrators(grant: RoleGrant) -> bool:
    return grant.role is Role.ADMIN and grant.collectivity_id is None and grant.school_id is None


def count_administrators(session: Session, now: datetime) -> int:
    """Active people who administer everything for good."""
    query = select(func.count(RoleGrant.user_id.distinct())).join(User, User.id == RoleGrant.user_id)
    query = query.where(User.is_active, RoleGrant.role == Role.ADMIN, RoleGrant.holds_at(now))
    return session.scalar(query.where(RoleGrant.collectivity_id.is_(None), RoleGrant.school_id.is_(None))) or 0
