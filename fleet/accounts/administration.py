"""What administrators do with accounts: invite, give and take roles, close and reopen."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, selectinload

from fleet.accounts import known_browsers, letters, second_factor, service, sessions, tasks, tokens
from fleet.accounts.models import LetterKind, OidcIdentity, RoleGrant, User
from fleet.actors import note
from fleet.db import after_commit
from fleet.errors import Conflict, Invalid, NotFound
from fleet.paging import Listing, Page, paginate
from fleet.periods import check_period
from fleet.scope import Action, Grant, Role, Viewer, visible_to
from fleet.text import fold, like

SORTABLE = {
    "id": User.id,
    "name": User.search_text,
    "email": User.email,
    "created": User.created_at,
    "last_signed_in": User.last_signed_in_at,
}
LONGEST_ROLE = timedelta(days=10 * 366)
"""Of a role with an end."""


class AccountState(StrEnum):
    """How an account stands."""

    OPEN = "open"
    INVITED = "invited"
    CLOSED = "closed"


STATES: Mapping[AccountState, ColumnElement[bool]] = {
    AccountState.OPEN: User.is_active & (User.has_password | User.last_signed_in_at.is_not(None)),
    AccountState.INVITED: User.is_active & ~User.has_password & User.last_signed_in_at.is_(None),
    AccountState.CLOSED: ~User.is_active,
}


def state_of(user: User) -> AccountState:
    """The same of one account."""
    if not user.is_active:
        return AccountState.CLOSED
    came = user.has_password or user.last_signed_in_at is not None
    return AccountState.OPEN if came else AccountState.INVITED


def _visible(viewer: Viewer) -> Select[User]:
    """Accounts that have a role where this person administers; the operator's administrators see them all."""
    mine = tuple(grant for grant in viewer.grants if grant.role is Role.ADMIN)
    administrator = Viewer(viewer.user_id, viewer.name, viewer.email, mine)
    if administrator.sees_all:
        return select(User)
    theirs = visible_to(
        administrator, select(RoleGrant.user_id), collectivity=RoleGrant.collectivity_id, school=RoleGrant.school_id
    )
    return select(User).where(User.id.in_(theirs))


def must_administer(viewer: Viewer) -> None:
    """Raise NotAllowed for whoever administers nothing."""
    if not viewer.may_somewhere(Action.MANAGE_ACCOUNT):
        viewer.must(Action.MANAGE_ACCOUNT)


def list_accounts(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    now: datetime,
    role: Role | None = None,
    state: AccountState | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[User]:
    """One page of accounts, roles loaded: every word of ``search`` is in the name or the address. ``role``: those who
    hold it now.
    """
    must_administer(viewer)
    query = _visible(viewer).options(selectinload(User.grants))
    for word in fold(search).split():
        query = query.where(User.search_text.like(like(word)))
    if role is not None:
        query = query.where(
            User.id.in_(select(RoleGrant.user_id).where(RoleGrant.role == role, RoleGrant.holds_at(now)))
        )
    if state is not None:
        query = query.where(STATES[state])
    return paginate(session, query, page, SORTABLE, "name")


def get_account(session: Session, viewer: Viewer, user_id: UUID) -> User:
    """An account, roles loaded; raise NotFound when there is none or it is not this person's to see."""
    must_administer(viewer)
    user = session.scalar(_visible(viewer).where(User.id == user_id).options(selectinload(User.grants)))
    if user is None:
        raise NotFound("account.not_found", "Ce compte n’existe pas ou ne vous est pas ouvert.")
    return user


def get_managed(session: Session, viewer: Viewer, user_id: UUID) -> User:
    """The same, locked; raise NotAllowed unless each of its roles is where the viewer administers."""
    locked = select(User).where(User.id == get_account(session, viewer, user_id).id).with_for_update()
    user = session.scalars(locked.options(selectinload(User.grants)).execution_options(populate_existing=True)).one()
    for grant in user.grants:
        viewer.must(Action.MANAGE_ACCOUNT, grant.collectivity_id, grant.school_id)
    return user


def check_grant(viewer: Viewer, grant: Grant) -> None:
    """Raise Invalid for a role that makes no sense on its node, NotAllowed for one that is not the viewer's to give."""
    if grant.role is Role.ADMIN and not grant.is_operator:
        raise Invalid("role.operators_only", "Ce rôle se donne à l’opérateur : ne choisissez ni collectivité ni école.")
    if grant.role is Role.OFFICER and grant.collectivity_id is None:
        raise Invalid("role.needs_collectivity", "Choisissez la collectivité dont cette personne est l’agent.")
    if grant.role is Role.SCHOOL_LEAD and grant.school_id is None:
        raise Invalid("role.needs_school", "Choisissez l’école de cette personne.")
    viewer.must(Action.MANAGE_ACCOUNT, grant.collectivity_id, grant.school_id)


def check_end(ends_at: datetime | None, now: datetime) -> None:
    """Raise Invalid for an end that is over, or too far."""
    if ends_at is not None:
        check_period(now, ends_at, now, LONGEST_ROLE)


def invite(
    session: Session, viewer: Viewer, *, email: str, name: str, grant: Grant, ends_at: datetime | None = None,
    now: datetime,
) -> User:  # fmt: skip
    """An account without a password, its role until ``ends_at`` (None: for good), and a mail with the link to choose
    one.
    """
    check_grant(viewer, grant)
    check_end(ends_at, now)
    user = service.create_user(session, email=email, name=name, password=None, grants=[grant], ends_at=ends_at)
    send_invitation(session, viewer, user, now)
    return user


def send_invitation(session: Session, viewer: Viewer, user: User, now: datetime) -> None:
    """Send a link, in the place of any earlier one; raise Conflict for an account that needs none."""
    if state_of(user) is not AccountState.INVITED:
        raise Conflict(
            "account.not_invited", "Cette personne s’est déjà connectée : elle n’a plus besoin d’invitation."
        )
    letters.withdraw(session, user.id, now)
    owed = letters.owe(session, LetterKind.INVITATION, user.email, user.id, viewer.name, now)
    note(session, "invite", "users", user.id, user.email)
    after_commit(session, tasks.send_letter.delay, str(owed))


def withdraw_invitation(session: Session, user: User) -> None:
    """As if it had never been sent: an account that nobody ever opened goes, its links with it."""
    if state_of(user) is not AccountState.INVITED:
        raise Conflict("account.not_invited", "Cette personne s’est déjà connectée : fermez plutôt son compte.")
    session.delete(user)
    session.flush()


def is_over(row: RoleGrant, now: datetime) -> bool:
    """Whether a role has come to its end by itself."""
    return row.ends_at is not None and row.ends_at <= now


def give_role(
    session: Session, viewer: Viewer, user: User, grant: Grant, *, ends_at: datetime | None = None, now: datetime
) -> None:
    """One more role, until ``ends_at`` (None: for good), in the place of one that is over.

    Raise Conflict for one that the person has, Invalid for an end that is over.
    """
    check_grant(viewer, grant)
    check_end(ends_at, now)
    what = (grant.role, grant.collectivity_id, grant.school_id)
    for row in [g for g in user.grants if (g.role, g.collectivity_id, g.school_id) == what]:
        if not is_over(row, now):
            raise Conflict("role.had", "Cette personne a déjà ce rôle.")
        user.grants.remove(row)
    user.grants.append(service.as_row(grant, ends_at))
    session.flush()


def take_role(session: Session, user: User, grant_id: UUID, now: datetime) -> None:
    """Take a role back; raise NotFound for one it has not, Conflict for the last one or the last administrator's."""
    row = next((g for g in user.grants if g.id == grant_id), None)
    if row is None:
        raise NotFound("role.not_found", "Cette personne n’a pas (ou plus) ce rôle.")
    if not is_over(row, now) and all(is_over(other, now) for other in user.grants if other is not row):
        raise Conflict("role.last", "C’est son dernier rôle : fermez plutôt le compte.")
    if is_administrator(row):
        refuse_last_administrator(session, user, now)
    user.grants.remove(row)
    session.flush()


def is_administrator(row: RoleGrant) -> bool:
    return row.role is Role.ADMIN and row.collectivity_id is None and row.school_id is None


def refuse_last_administrator(session: Session, user: User, now: datetime) -> None:
    """Raise Conflict when nobody else could administer for good; of two who close each other's account, one waits."""
    rows = (
        select(User)
        .join(RoleGrant)
        .where(User.is_active, RoleGrant.role == Role.ADMIN)
        .where(RoleGrant.collectivity_id.is_(None), RoleGrant.school_id.is_(None))
        .where(RoleGrant.holds_at(now), RoleGrant.ends_at.is_(None))
        .order_by(User.id)
        .with_for_update(of=User)
    )
    others = [other for other in session.scalars(rows).unique() if other.id != user.id]
    if not any(state_of(other) is AccountState.OPEN for other in others):
        raise Conflict(
            "account.last_administrator", "C’est le dernier compte d’administration : ouvrez-en un autre d’abord."
        )


def close(session: Session, user: User, now: datetime) -> None:
    """Nobody enters with this account any more, at once: its sessions, tokens and links end."""
    if any(is_administrator(row) for row in user.grants):
        refuse_last_administrator(session, user, now)
    user.is_active = False
    sessions.end_all(session, user.id)
    tokens.revoke_all(session, user.id, now)
    letters.withdraw(session, user.id, now)
    known_browsers.forget_all(session, user.id)


def reopen(user: User) -> None:
    """Its roles are as they were; sessions and tokens are not."""
    user.is_active = True


def reset_second_factor(session: Session, user: User, now: datetime) -> None:
    """For a lost telephone without recovery codes: its sessions end, and a mail says so."""
    second_factor.switch_off(session, user.id)
    sessions.end_all(session, user.id)
    service.tell(session, user, "l’administration a réinitialisé le second facteur.", now)


def has_identity(session: Session, user_id: UUID) -> bool:
    """Whether the person signs in through a provider as well."""
    return session.scalar(select(OidcIdentity.id).where(OidcIdentity.user_id == user_id).limit(1)) is not None
