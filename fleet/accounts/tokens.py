"""API tokens: what programs present. A role on a node, never more than their maker still has."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload

from fleet.accounts import guesses, sight
from fleet.accounts.guesses import Guesser
from fleet.accounts.models import ApiToken, Guess, User
from fleet.accounts.sessions import as_viewer
from fleet.actors import ActorKind, become
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound, Unauthenticated
from fleet.scope import MAY, Grant, Viewer
from fleet.stored_secrets import digest, new_secret

MARK = "preau_"
"""Begins every token, so that scanners of leaked secrets know one."""
SHOWN = len(MARK) + 6
LONGEST_LIFE = timedelta(days=366)
"""One year, leap or not."""
NOTED_EVERY = timedelta(minutes=1)
MOST_TOKENS = 50
LONGEST_NAME = 80


def covers(held: Grant, wanted: Grant) -> bool:
    """Whether whoever holds one role on a node may hand out another: nothing it does not do itself, nowhere else."""
    same_node = (held.collectivity_id, held.school_id) == (wanted.collectivity_id, wanted.school_id)
    allowed = all(held.role in roles for roles in MAY.values() if wanted.role in roles)
    return allowed and (held.is_operator or same_node)


def is_within(viewer: Viewer, wanted: Grant) -> bool:
    """Whether one of this person's roles covers another."""
    return any(covers(held, wanted) for held in viewer.grants)


def issue(
    session: Session, maker: Viewer, *, name: str, grant: Grant, expires_at: datetime, now: datetime
) -> tuple[ApiToken, str]:
    """A new token and its text, seen this once.

    Raise NotAllowed for more rights than the maker's, Invalid for a bad name or end, Conflict for one too many.
    """
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid("token.bad_name", f"Donnez un nom au jeton, {LONGEST_NAME} caractères au plus : ce qu’il sert.")
    if not now < expires_at <= now + LONGEST_LIFE:
        raise Invalid("token.bad_end", "Un jeton se termine dans l’année qui vient.")
    if not is_within(maker, grant):
        raise NotAllowed("token.too_wide", "Un jeton n’a jamais plus de droits que la personne qui le crée.")
    if len(list_own(session, maker.user_id, now)) >= MOST_TOKENS:
        raise Conflict("token.too_many", f"{MOST_TOKENS} jetons au plus par personne : révoquez-en d’abord.")
    text = MARK + new_secret()
    row = ApiToken(
        user_id=maker.user_id, name=name, prefix=text[:SHOWN], token_hash=digest(text), role=grant.role,
        collectivity_id=grant.collectivity_id, school_id=grant.school_id, created_at=now, expires_at=expires_at,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row, text


def grant_of(row: ApiToken) -> Grant:
    """The role that a token has."""
    return Grant(row.role, row.collectivity_id, row.school_id)


def authenticate(session: Session, header: str, address: str, now: datetime) -> Viewer:
    """Who stands behind ``Bearer <token>``: its maker, with the token's role alone, while they still have it.

    Raise Unauthenticated, the same for every reason, or TooMany for a wrong one after too many from one network; a
    right one passes even then, or one forgotten script would stop every other program of a town hall.
    """
    scheme, _, text = header.partition(" ")
    row = _find(session, text.strip(), now) if scheme.lower() == "bearer" else None
    maker = _maker(session, row, now) if row else None
    if row is None or maker is None or not is_within(maker, grant_of(row)):
        guesser = Guesser(Guess.TOKEN, "", address)
        guesses.refuse_when_guessing(session, guesser, now)
        guesses.note(session, guesser, now)
        raise Unauthenticated(
            "token.refused", "Ce jeton n’est pas (ou n’est plus) valable : demandez-en un autre.", keeps_changes=True
        )
    _note_use(session, row, now)
    name, grants = f"{maker.name} (jeton {row.name})", (grant_of(row),)
    become(ActorKind.TOKEN, row.id, name)
    return Viewer(maker.user_id, name, maker.email, grants, sight.sights_of(session, grants, now))


def _find(session: Session, text: str, now: datetime) -> ApiToken | None:
    if not text.startswith(MARK) or len(text) > 100:
        return None
    query = select(ApiToken).where(ApiToken.token_hash == digest(text))
    return session.scalar(query.where(ApiToken.expires_at > now, ApiToken.revoked_at.is_(None)))


def _maker(session: Session, row: ApiToken, now: datetime) -> Viewer | None:
    query = select(User).where(User.id == row.user_id, User.is_active).options(selectinload(User.grants))
    user = session.scalar(query)
    return as_viewer(session, user, now) if user else None


def _note_use(session: Session, row: ApiToken, now: datetime) -> None:
    if row.last_used_at is not None and now - row.last_used_at < NOTED_EVERY:
        return
    free = select(ApiToken.id).where(ApiToken.id == row.id).with_for_update(skip_locked=True)
    session.execute(  # programs ask side by side: none waits for another that is noting its use
        update(ApiToken)
        .where(ApiToken.id.in_(free.scalar_subquery()))
        .values(last_used_at=now)
        .execution_options(synchronize_session=False)
    )


def list_own(session: Session, user_id: UUID, now: datetime) -> Sequence[ApiToken]:
    """A person's tokens that still open something, the newest first."""
    query = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    return session.scalars(query.where(ApiToken.expires_at > now).order_by(ApiToken.created_at.desc())).all()


def revoke(session: Session, user_id: UUID, token_id: UUID, now: datetime) -> None:
    """End one of a person's own tokens at once; raise NotFound for any other."""
    row = session.get(ApiToken, token_id)
    if row is None or row.user_id != user_id or row.revoked_at is not None:
        raise NotFound("token.not_found", "Ce jeton n’existe pas, ou il est déjà révoqué.")
    row.revoked_at = now


def revoke_all(session: Session, user_id: UUID, now: datetime) -> None:
    """End every token of a person at once."""
    session.execute(
        update(ApiToken)
        .where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now)
        .execution_options(synchronize_session="fetch")
    )
