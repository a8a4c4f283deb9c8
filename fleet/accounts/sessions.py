"""Signed-in browsers: opened, found again by their cookie, renewed, listed and ended. All of it is on the server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, and_, delete, exists, select, update
from sqlalchemy.orm import Session, joinedload, undefer

from fleet.accounts import sight
from fleet.accounts.models import PendingSignIn, SecondFactor, User, WebSession
from fleet.actors import ActorKind, become, note
from fleet.doors import Door, for_a_while
from fleet.errors import NotFound
from fleet.guesser import network_of
from fleet.scope import Grant, Viewer
from fleet.stored_secrets import digest, new_secret

SESSION_LENGTH = timedelta(hours=12)
IDLE_LENGTH = timedelta(hours=2)
"""Both ends as OWASP's Session Management Cheat Sheet asks for; a working day, and a long lunch."""
CONFIRMED_FOR = timedelta(minutes=10)
"""How long somebody who just proved who they are is believed for dangerous acts."""
NOTED_EVERY = timedelta(minutes=1)
"""The last use is written this often at most: reading a page must not cost a write."""
LONGEST_BROWSER = 200


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request says of where it comes from."""

    address: str
    browser: str = ""
    """As it calls itself (User-Agent): shown to the person, never believed."""
    browser_token: str | None = None
    """Of a browser in which somebody signed in before."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A signed-in browser: the secret for its cookie, the one for its forms, and who it is."""

    token: str
    csrf_token: str
    viewer: Viewer
    session_id: UUID
    confirmed_at: datetime | None
    is_proven: bool
    """A second factor was part of this sign-in."""
    has_second_factor: bool
    """The account has one that is on."""
    browser_token: str = ""
    """For the cookie of a known browser, at sign-in only."""

    def was_confirmed(self, now: datetime) -> bool:
        """Whether the person proved who they are a moment ago."""
        return self.confirmed_at is not None and now - self.confirmed_at < CONFIRMED_FOR


def as_viewer(session: Session, user: User, now: datetime) -> Viewer:
    """Reduce a user (grants loaded) to what rights need: the roles that hold now, and what was granted to them."""
    held = [g for g in user.grants if g.is_held_at(now)]
    grants = tuple(Grant(g.role, g.collectivity_id, g.school_id) for g in held)
    return Viewer(user.id, user.name, user.email, grants, sight.sights_of(session, grants, now))


HAS_SECOND_FACTOR = exists().where(SecondFactor.user_id == User.id, SecondFactor.confirmed_at.is_not(None))


def open_session(session: Session, user: User, visit: Visit, now: datetime, *, is_proven: bool = False) -> SignedIn:
    """A new session with a new secret, whatever the browser held before. The user's grants are loaded."""
    become(ActorKind.PERSON, user.id, user.name)
    note(session, "sign_in", "users", user.id, user.email)
    token, csrf_token = new_secret(), new_secret()
    row = WebSession(
        token_hash=digest(token),
        csrf_token=csrf_token,
        user_id=user.id,
        created_at=now,
        expires_at=now + SESSION_LENGTH,
        last_used_at=now,
        confirmed_at=now,
        is_proven=is_proven,
        address=network_of(visit.address),
        browser="".join(c for c in visit.browser if c.isprintable())[:LONGEST_BROWSER],
    )
    session.add(row)
    session.flush()
    user.last_signed_in_at = now
    has_factor = bool(session.scalar(select(HAS_SECOND_FACTOR).where(User.id == user.id)))
    return SignedIn(token, csrf_token, as_viewer(session, user, now), row.id, now, is_proven, has_factor)


def _alive(now: datetime) -> Select[WebSession]:
    return select(WebSession).where(WebSession.expires_at > now, WebSession.last_used_at > now - IDLE_LENGTH)


def find_signed_in(session: Session, token: str, now: datetime) -> SignedIn | None:
    """The session behind a cookie, or None when it is unknown, over, or its account closed. Its use is noted."""
    query = (
        _alive(now)
        .with_only_columns(WebSession, User, HAS_SECOND_FACTOR)
        .join(User, User.id == WebSession.user_id)
        .where(WebSession.token_hash == digest(token), User.is_active)
        .options(joinedload(User.grants), undefer(WebSession.csrf_token))
    )
    found = session.execute(query).unique().one_or_none()
    if found is None:
        return None
    row, user, has_factor = found
    _note_use(session, row, now)
    viewer = as_viewer(session, user, now)
    return SignedIn(token, row.csrf_token, viewer, row.id, row.confirmed_at, row.is_proven, has_factor)


def _note_use(session: Session, row: WebSession, now: datetime) -> None:
    if now - row.last_used_at < NOTED_EVERY:
        return
    free = select(WebSession.id).where(WebSession.id == row.id).with_for_update(skip_locked=True)
    session.execute(  # a request never waits for another one of the same browser that is noting its own use
        update(WebSession)
        .where(WebSession.id.in_(free.scalar_subquery()))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def renew(session: Session, signed_in: SignedIn, now: datetime, *, is_proven: bool | None = None) -> SignedIn:
    """The same session under a new secret, its person believed anew: whoever knew the old one is left outside.

    ``is_proven``: whether a second factor is part of it from now on; None: as before.
    """
    token, csrf_token = new_secret(), new_secret()
    with for_a_while(session, Door.GATE):
        row = session.get_one(WebSession, signed_in.session_id)
        row.token_hash, row.csrf_token, row.confirmed_at = digest(token), csrf_token, now
        row.is_proven = row.is_proven if is_proven is None else is_proven
        session.flush()
        has_factor = bool(session.scalar(select(HAS_SECOND_FACTOR).where(User.id == signed_in.viewer.user_id)))
    return SignedIn(token, csrf_token, signed_in.viewer, row.id, now, row.is_proven, has_factor)


def confirm(session: Session, signed_in: SignedIn, now: datetime, *, is_proven: bool | None = None) -> SignedIn:
    """The same for somebody who has just proved again who they are."""
    note(session, "confirm", "users", signed_in.viewer.user_id, signed_in.viewer.email)
    return renew(session, signed_in, now, is_proven=is_proven)


def sign_out(session: Session, token: str) -> None:
    """End a session; one that is already over is no error."""
    ended = delete(WebSession).where(WebSession.token_hash == digest(token)).returning(WebSession.user_id)
    with for_a_while(session, Door.GATE):
        user_id = session.scalar(ended)
    if user_id is not None:
        note(session, "sign_out", "users", user_id, "")


def list_sessions(session: Session, user_id: UUID, now: datetime) -> Sequence[WebSession]:
    """A person's browsers, the last used first."""
    return session.scalars(
        _alive(now).where(WebSession.user_id == user_id).order_by(WebSession.last_used_at.desc())
    ).all()


def end_session(session: Session, user_id: UUID, session_id: UUID) -> None:
    """End one of a person's own sessions; raise NotFound for any other."""
    own = and_(WebSession.id == session_id, WebSession.user_id == user_id)
    if session.execute(delete(WebSession).where(own).returning(WebSession.id)).one_or_none() is None:
        raise NotFound("session.not_found", "Cette session est déjà terminée.")
    note(session, "end_sessions", "users", user_id, "", told={"count": 1})


def end_all(session: Session, user_id: UUID, *, but: UUID | None = None) -> int:
    """End every session of a person, also those that await a code; ``but`` stays. How many ended."""
    session.execute(delete(PendingSignIn).where(PendingSignIn.user_id == user_id))
    gone = delete(WebSession).where(WebSession.user_id == user_id).returning(WebSession.id)
    count = len(session.execute(gone if but is None else gone.where(WebSession.id != but)).all())
    if count:
        note(session, "end_sessions", "users", user_id, "", told={"count": count})
    return count


def purge(session: Session, now: datetime) -> int:
    """Forget sessions that are over; how many."""
    session.execute(delete(PendingSignIn).where(PendingSignIn.expires_at <= now))
    over = (WebSession.expires_at <= now) | (WebSession.last_used_at <= now - IDLE_LENGTH)
    return len(session.execute(delete(WebSession).where(over).returning(WebSession.id)).all())
