"""Accounts: who signs in, with which roles on which nodes."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, selectinload, undefer

from fleet.accounts import sight
from fleet.accounts.models import RoleGrant, SignInFailure, User, WebSession
from fleet.accounts.passwords import hash_password, is_password, nobody
from fleet.actors import ActorKind, become, note
from fleet.clock import utc_now
from fleet.doors import Door, for_a_while
from fleet.errors import Conflict, Invalid, NotFound, TooMany, Unauthenticated
from fleet.guesser import network_of
from fleet.scope import STAFF, Grant, Viewer
from fleet.stored_secrets import digest

SESSION_LENGTH = timedelta(hours=12)
FAILURE_WINDOW = timedelta(minutes=15)
FAILURES_PER_PERSON = 10
"""Wrong passwords for one account from one address: a stranger elsewhere locks nobody out."""
FAILURES_PER_ADDRESS = 100
"""Wrong passwords from one address, whatever the account: a whole town hall may share one."""
WRONG_PASSWORD = "Adresse ou mot de passe incorrect."  # noqa: S105 - a sentence
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A signed-in browser: the secret for its cookie, the one for its forms, and who it is."""

    token: str
    csrf_token: str
    viewer: Viewer


def as_viewer(session: Session, user: User, now: datetime) -> Viewer:
    """Reduce a user (grants loaded) to what rights need: the roles that hold now, and what was granted to them."""
    held = [g for g in user.grants if g.is_held_at(now)]
    grants = tuple(Grant(g.role, g.collectivity_id, g.school_id) for g in held)
    return Viewer(user.id, user.name, user.email, grants, sight.sights_of(session, grants, now))


def get_viewer(session: Session, user_id: UUID, now: datetime | None = None) -> Viewer:
    """The person behind an id, now; raise NotFound when there is none or the account is closed."""
    query = select(User).where(User.id == user_id, User.is_active).options(selectinload(User.grants))
    user = session.scalar(query)
    if user is None:
        raise NotFound("account.unknown", "Ce compte n’existe pas ou n’est plus actif.")
    return as_viewer(session, user, now or utc_now())


def sign_in(session: Session, email: str, password: str, address: str, now: datetime) -> SignedIn:
    """Open a session for a right password; raise Unauthenticated for a wrong one, TooMany after too many."""
    email, address = email.strip().lower()[:320], network_of(address)
    if not email.isprintable():  # nobody’s; and PostgreSQL keeps no NUL
        raise Unauthenticated("account.wrong_password", WRONG_PASSWORD)
    _refuse_when_guessing(session, email, address, now)
    wanted = (selectinload(User.grants), undefer(User.password_hash))
    user = session.scalar(select(User).where(User.email == email).options(*wanted))
    right = is_password(password, user.password_hash if user else nobody())
    if user is None or not right or not user.is_active:
        session.add(SignInFailure(email=email, address=address, at=now))
        raise Unauthenticated("account.wrong_password", WRONG_PASSWORD, keeps_changes=True)
    session.execute(delete(SignInFailure).where(SignInFailure.email == email, SignInFailure.address == address))
    become(ActorKind.PERSON, user.id, user.name)
    note(session, "sign_in", "users", user.id, user.email)
    token, csrf_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(
        WebSession(
            token_hash=digest(token),
            csrf_token=csrf_token,
            user_id=user.id,
            created_at=now,
            expires_at=now + SESSION_LENGTH,
        )
    )
    return SignedIn(token, csrf_token, as_viewer(session, user, now))


def _refuse_when_guessing(session: Session, email: str, address: str, now: datetime) -> None:
    recent = select(func.count()).where(SignInFailure.address == address, SignInFailure.at > now - FAILURE_WINDOW)
    of_person = session.scalar(recent.where(SignInFailure.email == email)) or 0
    if of_person >= FAILURES_PER_PERSON or (session.scalar(recent) or 0) >= FAILURES_PER_ADDRESS:
        raise TooMany("account.too_many_failures", "Trop d’essais. Attendez un quart d’heure, puis réessayez.")


def find_signed_in(session: Session, token: str, now: datetime) -> SignedIn | None:
    """The session behind a cookie, or None when it is unknown, over, or its account closed."""
    query = (
        select(WebSession, User)
        .join(User, User.id == WebSession.user_id)
        .where(WebSession.token_hash == digest(token), WebSession.expires_at > now, User.is_active)
        .options(selectinload(User.grants))
    )
    found = session.execute(query).one_or_none()
    return None if found is None else SignedIn(token, found[0].csrf_token, as_viewer(session, found[1], now))


def sign_out(session: Session, token: str) -> None:
    """End a session; one that is already over is no error."""
    ended = delete(WebSession).where(WebSession.token_hash == digest(token)).returning(WebSession.user_id)
    user_id = session.scalar(ended)
    if user_id is not None:
        note(session, "sign_out", "users", user_id, "")


def create_user(session: Session, *, email: str, name: str, password: str, grants: list[Grant]) -> User:
    """Open an account; raise Invalid for a bad address or password, Conflict when the address is taken."""
    email = email.strip().lower()
    if not EMAIL.fullmatch(email) or len(email) > 254:
        raise Invalid("account.bad_email", f"« {email} » n’est pas une adresse électronique.")
    if not name.strip():
        raise Invalid("account.no_name", "Indiquez le nom de la personne.")
    if not grants:
        raise Invalid("account.no_role", "Donnez au moins un rôle.")
    if session.scalar(select(User.id).where(User.email == email)) is not None:
        raise Conflict("account.email_taken", f"Un compte existe déjà pour {email}.")
    rows = [RoleGrant(role=g.role, collectivity_id=g.collectivity_id, school_id=g.school_id) for g in grants]
    user = User(email=email, name=name.strip(), password_hash=hash_password(password), grants=rows)
    session.add(user)
    session.flush()
    return user


def set_password(session: Session, email: str, password: str) -> User:
    """Change a password and end that person's sessions; raise NotFound for an unknown address."""
    user = session.scalar(select(User).where(User.email == email.strip().lower()))
    if user is None:
        raise NotFound("account.unknown", f"Aucun compte pour {email}.")
    user.password_hash = hash_password(password)
    session.execute(delete(WebSession).where(WebSession.user_id == user.id))
    return user


def list_users(session: Session) -> list[User]:
    """Every account by name, grants loaded: for the operator's own use."""
    return list(session.scalars(select(User).options(selectinload(User.grants)).order_by(User.name, User.id)))


def list_staff(session: Session, now: datetime) -> list[User]:
    """The operator's active technicians and administrators, by name: who tickets are assigned to, whoever asks."""
    query = (
        select(User)
        .join(RoleGrant)
        .where(
            User.is_active,
            RoleGrant.role.in_(STAFF),
            RoleGrant.collectivity_id.is_(None),
            RoleGrant.school_id.is_(None),
            RoleGrant.holds_at(now),
        )
        .distinct()
        .order_by(User.name, User.id)
    )
    with for_a_while(session, Door.GATE):
        return list(session.scalars(query))


def purge_expired(session: Session, now: datetime) -> int:
    """Forget sessions that are over and wrong passwords that no longer count; return how many rows went."""
    over = session.execute(delete(WebSession).where(WebSession.expires_at <= now).returning(WebSession.id)).all()
    old = delete(SignInFailure).where(SignInFailure.at <= now - FAILURE_WINDOW).returning(SignInFailure.id)
    return len(over) + len(session.execute(old).all())
