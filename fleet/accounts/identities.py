"""Sign-ins by an identity provider: on their way, come back, and whose account they open."""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, selectinload

from fleet.accounts.models import OidcFlow, OidcIdentity, User
from fleet.accounts.oidc import LEEWAY, Claims
from fleet.accounts.sessions import SignedIn
from fleet.actors import ActorKind, become
from fleet.errors import NotAllowed
from fleet.oidc_settings import OidcProvider
from fleet.stored_secrets import digest, new_secret

FLOW_LENGTH = timedelta(minutes=10)
LONGEST_PATH = 500


@dataclass(frozen=True, slots=True)
class Started:
    """A sign-in that leaves for a provider."""

    state: str
    browser: str
    """For a cookie: the answer counts in the browser that asked, or another could be signed in as somebody else."""
    nonce: str
    code_verifier: str


def start(session: Session, provider: str, wanted: str, confirms: SignedIn | None, now: datetime) -> Started:
    """Note a sign-in that leaves."""
    started = Started(new_secret(), new_secret(), new_secret(), new_secret())
    session.add(
        OidcFlow(
            state_hash=digest(started.state),
            browser_hash=digest(started.browser),
            provider=provider,
            nonce=started.nonce,
            code_verifier=started.code_verifier,
            wanted=wanted[:LONGEST_PATH],
            confirms=confirms.session_id if confirms else None,
            expires_at=now + FLOW_LENGTH,
        )
    )
    return started


def take(session: Session, provider: str, state: str, browser: str | None, now: datetime) -> OidcFlow:
    """The sign-in that an answer belongs to, taken once; raise NotAllowed for an answer to nothing that was asked."""
    query = select(OidcFlow).where(OidcFlow.state_hash == digest(state), OidcFlow.provider == provider)
    flow = session.scalar(query.with_for_update())
    asked_here = flow is not None and browser and hmac.compare_digest(flow.browser_hash, digest(browser))
    if flow is None or not asked_here or flow.expires_at <= now:
        raise NotAllowed(
            "oidc.not_asked", "Cette connexion n’a pas commencé ici, ou il y a trop longtemps. Recommencez."
        )
    session.delete(flow)
    session.flush()
    return flow


def find_person(session: Session, provider: OidcProvider, claims: Claims, now: datetime) -> User:
    """The account of whom the provider vouches for, grants loaded; the first time, by a verified address.

    Nobody registers themselves: the account, or its invitation, is there before. Raise NotAllowed otherwise.
    """
    users = select(User).where(User.is_active).options(selectinload(User.grants))
    linked = users.join(OidcIdentity, OidcIdentity.user_id == User.id)
    known = session.scalar(linked.where(OidcIdentity.issuer == claims.issuer, OidcIdentity.subject == claims.subject))
    if known is not None:
        return known
    domain = claims.email.rpartition("@")[2]
    if not claims.is_email_verified or not domain or (provider.domains and domain not in provider.domains):
        raise NotAllowed("oidc.no_address", f"« {provider.name} » ne garantit pas votre adresse électronique.")
    user = session.scalar(users.where(User.email == claims.email).with_for_update())
    taken = select(OidcIdentity.id).where(OidcIdentity.issuer == claims.issuer)
    if user is None or session.scalar(taken.where(OidcIdentity.user_id == user.id)) is not None:
        raise NotAllowed(
            "oidc.no_account", "Aucun compte Préau ne vous attend : demandez une invitation à l’équipe technique."
        )
    become(ActorKind.PERSON, user.id, user.name)
    session.add(OidcIdentity(user_id=user.id, issuer=claims.issuer, subject=claims.subject, linked_at=now))
    return user


def has_proven(provider: OidcProvider, claims: Claims) -> bool:
    """Whether the provider says that a second factor was used, and the settings believe it."""
    return bool(provider.second_factor & claims.second_factor)


def check_confirmation(session: Session, flow: OidcFlow, signed_in: SignedIn, claims: Claims) -> None:
    """Raise NotAllowed unless the same person has just proved anew who they are, in the session that asked."""
    query = select(OidcIdentity.user_id).where(
        OidcIdentity.issuer == claims.issuer, OidcIdentity.subject == claims.subject
    )
    same = flow.confirms == signed_in.session_id and session.scalar(query) == signed_in.viewer.user_id
    started = flow.expires_at - FLOW_LENGTH - timedelta(seconds=LEEWAY)
    at = claims.authenticated_at
    if not same or at is None or datetime.fromtimestamp(at, UTC) < started:
        raise NotAllowed("oidc.not_confirmed", "Ce service n’a pas confirmé que c’est bien vous. Recommencez.")


def list_linked(session: Session, user_id: UUID) -> list[str]:
    """Issuers that a person signed in through."""
    return list(session.scalars(select(OidcIdentity.issuer).where(OidcIdentity.user_id == user_id)))


def purge(session: Session, now: datetime) -> int:
    """Forget sign-ins that never came back; how many."""
    return len(session.execute(delete(OidcFlow).where(OidcFlow.expires_at <= now).returning(OidcFlow.id)).all())
