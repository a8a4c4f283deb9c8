"""Signing in: a password, then a second factor where the account has one; and proving again who one is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, selectinload, undefer

from fleet.accounts import guesses, known_browsers, second_factor, sessions
from fleet.accounts.guesses import Guesser
from fleet.accounts.models import Guess, PendingSignIn, User
from fleet.accounts.passwords import is_password, nobody
from fleet.accounts.sessions import SignedIn, Visit
from fleet.actors import ActorKind, become, note
from fleet.doors import Door, for_a_while
from fleet.errors import Unauthenticated
from fleet.stored_secrets import SecretBox, digest, new_secret

WRONG_PASSWORD = "Adresse ou mot de passe incorrect."  # noqa: S105 - a sentence
PENDING_LENGTH = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class AwaitsCode:
    """The password was right; the code comes next. ``token`` is for a cookie."""

    token: str
    user_id: UUID


def read_email(email: str) -> str | None:
    """An address as accounts have it, or None for one that none can have; PostgreSQL keeps no NUL."""
    email = email.strip().lower()[:320]
    return email if email.isprintable() else None


def wrong_password(*, keeps_changes: bool = False) -> Unauthenticated:
    return Unauthenticated("account.wrong_password", WRONG_PASSWORD, keeps_changes=keeps_changes)


def check_password(session: Session, email: str, password: str, visit: Visit, now: datetime) -> User:
    """The account that this password opens; raise Unauthenticated for a wrong one, TooMany after too many."""
    read = read_email(email)
    if read is None:
        raise wrong_password()
    wanted = (selectinload(User.grants), undefer(User.password_hash))
    user = session.scalar(select(User).where(User.email == read).options(*wanted))
    guesser = guesser_of(session, Guess.PASSWORD, user, read, visit, now)
    guesses.refuse_when_guessing(session, guesser, now)
    has_password = user is not None and user.password_hash is not None
    right = is_password(password, user.password_hash if user and user.password_hash else nobody())
    if user is None or not has_password or not right or not user.is_active:
        guesses.note(session, guesser, now)
        raise wrong_password(keeps_changes=True)
    guesses.forgive(session, guesser)
    return user


def guesser_of(session: Session, kind: Guess, user: User | None, email: str, visit: Visit, now: datetime) -> Guesser:
    """Whose guesses this request's are: a known browser's own, or its network's."""
    known = known_browsers.find(session, user.id, visit.browser_token, now) if user else None
    return Guesser(kind, email, visit.address, known.id if known else None)


def sign_in(
    session: Session,
    email: str,
    password: str,
    visit: Visit,
    now: datetime,
    *,
    code: str = "",
    box: SecretBox = SecretBox(()),  # noqa: B008 - frozen
) -> SignedIn:
    """Open a session at once. Raise Unauthenticated for a wrong password or code, and with account.code_needed when
    a code is missing; TooMany after too many wrong ones.
    """
    user = check_password(session, email, password, visit, now)
    if not second_factor.is_on(session, user.id):
        return enter(session, user, visit, now)
    if not code:
        raise Unauthenticated("account.code_needed", "Ajoutez le code de votre second facteur.", keeps_changes=True)
    check_code(session, user, code, visit, box, now)
    return enter(session, user, visit, now, is_proven=True)


def start_sign_in(session: Session, email: str, password: str, visit: Visit, now: datetime) -> SignedIn | AwaitsCode:
    """The same in two steps: a session, or a browser that waits for its code."""
    return go_on(session, check_password(session, email, password, visit, now), visit, now)


def go_on(
    session: Session, user: User, visit: Visit, now: datetime, *, is_proven: bool = False
) -> SignedIn | AwaitsCode:
    """What follows a first proof (a password, a provider's word): a session, or the wait for a code."""
    if is_proven or not second_factor.is_on(session, user.id):
        return enter(session, user, visit, now, is_proven=is_proven)
    token = new_secret()
    session.add(PendingSignIn(token_hash=digest(token), user_id=user.id, expires_at=now + PENDING_LENGTH))
    return AwaitsCode(token, user.id)


def find_pending(session: Session, token: str | None, now: datetime) -> User | None:
    """Whose code is awaited in this browser; grants loaded. None when nobody's."""
    if not token:
        return None
    query = select(User).join(PendingSignIn, PendingSignIn.user_id == User.id).options(selectinload(User.grants))
    alive = (PendingSignIn.token_hash == digest(token)) & (PendingSignIn.expires_at > now)
    return session.scalar(query.where(alive, User.is_active))


def finish_sign_in(
    session: Session, token: str | None, code: str, visit: Visit, box: SecretBox, now: datetime
) -> SignedIn:
    """The second step; raise Unauthenticated when it comes too late or the code is wrong, TooMany."""
    user = find_pending(session, token, now)
    if user is None or token is None:
        raise Unauthenticated(
            "account.pending_over", "Recommencez la connexion : le temps pour saisir le code a passé."
        )
    check_code(session, user, code, visit, box, now)
    session.execute(delete(PendingSignIn).where(PendingSignIn.token_hash == digest(token)))
    return enter(session, user, visit, now, is_proven=True)


def check_code(session: Session, user: User, code: str, visit: Visit, box: SecretBox, now: datetime) -> None:
    """Use up a code of the second factor; raise Unauthenticated for a wrong one, TooMany after too many."""
    guesser = guesser_of(session, Guess.CODE, user, user.email, visit, now)
    guesses.refuse_when_guessing(session, guesser, now)
    used = second_factor.use_code(session, user.id, code[:64], box, now)
    if used is None:
        guesses.note(session, guesser, now)
        raise Unauthenticated("account.wrong_code", second_factor.WRONG_CODE, keeps_changes=True)
    become(ActorKind.PERSON, user.id, user.name)
    if used is second_factor.Code.RECOVERY:
        note(session, "use_recovery_code", "users", user.id, user.email)
    guesses.forgive(session, guesser)


def enter(session: Session, user: User, visit: Visit, now: datetime, *, is_proven: bool = False) -> SignedIn:
    """Open the session and remember the browser."""
    signed_in = sessions.open_session(session, user, visit, now, is_proven=is_proven)
    token = known_browsers.remember(session, user.id, visit.browser_token, now)
    return replace(signed_in, browser_token=token)


def confirm(session: Session, signed_in: SignedIn, typed: str, visit: Visit, box: SecretBox, now: datetime) -> SignedIn:
    """Prove again who one is: with a code where there is a second factor, else with the password.

    The same session goes on under a new secret; raise Unauthenticated for a wrong one, TooMany after too many.
    """
    if not signed_in.has_second_factor:
        check_own_password(session, signed_in, typed, visit, now)
        return sessions.confirm(session, signed_in, now)
    with for_a_while(session, Door.GATE):
        check_code(session, session.get_one(User, signed_in.viewer.user_id), typed, visit, box, now)
    return sessions.confirm(session, signed_in, now, is_proven=True)


def check_own_password(session: Session, signed_in: SignedIn, typed: str, visit: Visit, now: datetime) -> None:
    """The same as at sign-in, of somebody who is signed in."""
    try:
        with for_a_while(session, Door.GATE):
            check_password(session, signed_in.viewer.email, typed, visit, now)
    except Unauthenticated as wrong:
        raise Unauthenticated("account.wrong_password", "Mot de passe incorrect.", keeps_changes=True) from wrong
