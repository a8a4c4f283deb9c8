"""Accounts: opened, their passwords changed, found again by their id."""

import re
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from fleet.accounts import guesses, known_browsers, letters, sessions, tasks
from fleet.accounts.guesses import Guesser
from fleet.accounts.letters import OpenedLink
from fleet.accounts.models import Guess, LetterKind, RoleGrant, User
from fleet.accounts.passwords import check_choice, hash_password
from fleet.accounts.sessions import as_viewer
from fleet.accounts.signing_in import read_email
from fleet.actors import ActorKind, become
from fleet.clock import utc_now
from fleet.db import after_commit
from fleet.doors import Door, for_a_while
from fleet.errors import Conflict, Invalid, NotFound
from fleet.scope import STAFF, Grant, Viewer

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
LONGEST_EMAIL = 254
LONGEST_NAME = 120


def get_viewer(session: Session, user_id: UUID, now: datetime | None = None) -> Viewer:
    """The person behind an id, now; raise NotFound when there is none or the account is closed."""
    query = select(User).where(User.id == user_id, User.is_active).options(selectinload(User.grants))
    user = session.scalar(query)
    if user is None:
        raise NotFound("account.unknown", "Ce compte n’existe pas ou n’est plus actif.")
    return as_viewer(session, user, now or utc_now())


def get_own(session: Session, viewer: Viewer) -> User:
    """The viewer's own account."""
    return session.get_one(User, viewer.user_id)


def create_user(
    session: Session, *, email: str, name: str, password: str | None, grants: list[Grant],
    ends_at: datetime | None = None,
) -> User:  # fmt: skip
    """Open an account, its roles until ``ends_at`` (None: for good); without a password, an invitation must follow.

    Raise Invalid for a bad address or password, Conflict when the address is taken.
    """
    email, name = email.strip().lower(), name.strip()
    if not EMAIL.fullmatch(email) or len(email) > LONGEST_EMAIL or not email.isprintable():
        raise Invalid("account.bad_email", f"« {email} » n’est pas une adresse électronique.")
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid("account.no_name", f"Indiquez le nom de la personne, en {LONGEST_NAME} caractères au plus.")
    if not grants:
        raise Invalid("account.no_role", "Donnez au moins un rôle.")
    if session.scalar(select(User.id).where(User.email == email)) is not None:
        raise Conflict("account.email_taken", f"Un compte existe déjà pour {email}.")
    user = User(email=email, name=name, password_hash=None, grants=[as_row(grant, ends_at) for grant in grants])
    if password is not None:
        choose_password(user, password)
    session.add(user)
    session.flush()
    return user


def as_row(grant: Grant, ends_at: datetime | None = None) -> RoleGrant:
    return RoleGrant(
        role=grant.role,
        collectivity_id=grant.collectivity_id,
        school_id=grant.school_id,
        starts_at=None,
        ends_at=ends_at,
    )


def choose_password(user: User, password: str) -> None:
    """Give an account its password; raise Invalid for one that is too short or too easy."""
    hashed = hash_password(password)
    check_choice(password, user.email, user.name)
    user.password_hash = hashed


def find_user(session: Session, email: str) -> User:
    """The account of an address, grants loaded; raise NotFound. For the command line."""
    query = select(User).where(User.email == email.strip().lower()).options(selectinload(User.grants))
    user = session.scalar(query)
    if user is None:
        raise NotFound("account.unknown", f"Aucun compte pour {email}.")
    return user


def set_password(session: Session, email: str, password: str) -> User:
    """Change a password and end that person's sessions; raise NotFound for an unknown address."""
    user = find_user(session, email)
    choose_password(user, password)
    sessions.end_all(session, user.id)
    return user


def change_password(session: Session, user_id: UUID, password: str, *, kept: UUID, now: datetime) -> None:
    """A person changes their own password: their other sessions end, ``kept`` stays, and a mail says so."""
    user = session.get_one(User, user_id)
    with for_a_while(session, Door.GATE):
        choose_password(user, password)
        sessions.end_all(session, user.id, but=kept)
        letters.withdraw(session, user.id, now)
    tell(session, user, "le mot de passe a été changé.", now)


def tell(session: Session, user: User, what: str, now: datetime) -> None:
    """Mail a person that the way they sign in was changed."""
    with for_a_while(session, Door.GATE):  # mails are owed there; their rows are nothing that people see
        owed = letters.owe(session, LetterKind.CHANGED, user.email, user.id, what, now)
    after_commit(session, tasks.send_letter.delay, str(owed))


def ask_reset(session: Session, email: str, address: str, now: datetime) -> None:
    """Somebody forgot a password. What happens is the same for a known address and for any other.

    Raise Invalid for what is no address at all, TooMany for one that asks too often.
    """
    read = read_email(email)
    if read is None or len(read) > LONGEST_EMAIL or not EMAIL.fullmatch(read):
        raise Invalid("account.bad_email", "Ce n’est pas une adresse électronique : vérifiez-la.")
    guesser = Guesser(Guess.MAIL, read, address)
    guesses.refuse_when_guessing(session, guesser, now)
    guesses.note(session, guesser, now)
    owed = letters.owe_reset(session, read, now)
    if owed is not None:
        after_commit(session, tasks.send_letter.delay, str(owed))


def use_link(session: Session, opened: OpenedLink, password: str, now: datetime) -> User:
    """Choose a password through a link: it is used up with every other one, and no old session or browser stays."""
    user = opened.user
    become(ActorKind.PERSON, user.id, user.name)
    choose_password(user, password)
    opened.letter.used_at = now
    session.flush()
    letters.withdraw(session, user.id, now)
    sessions.end_all(session, user.id)
    known_browsers.forget_all(session, user.id)
    if opened.letter.kind is LetterKind.RESET:
        tell(session, user, "un nouveau mot de passe a été choisi avec un lien reçu par courriel.", now)
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
