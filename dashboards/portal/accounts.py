"""Accounts and roles: who may sign in, with which role on which place. For administrators."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import account_words, nodes, role_forms
from dashboards.portal.listing import AskedPage, Blank, Search, within
from dashboards.portal.person import ConfirmedPerson, Person, SentForm
from dashboards.portal.rendering import render
from dashboards.portal.role_forms import AskedPlace
from fleet.accounts import administration, letters, second_factor, sessions
from fleet.accounts.administration import AccountState
from fleet.accounts.models import User
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.scope import Role, Viewer

router = APIRouter(prefix="/accounts")
RoleChoice = Annotated[Role | None, Blank, Query()]
StateChoice = Annotated[AccountState | None, Blank, Query()]
SORTS = (("name", "Nom"), ("-last_signed_in", "Dernière connexion"), ("-created", "Plus récents"), ("email", "Adresse"))


@router.get("")
def list_accounts(
    request: Request,
    session: DbSession,
    viewer: Person,
    page: AskedPage,
    now: Now,
    q: Search = "",
    role: RoleChoice = None,
    state: StateChoice = None,
) -> Response:
    """Who has an account."""
    listing = within(
        lambda wanted: administration.list_accounts(
            session, viewer, search=q, now=now, role=role, state=state, page=wanted
        ),
        page,
    )
    grants = [grant for user in listing.rows for grant in user.grants if not administration.is_over(grant, now)]
    return render(
        request,
        "accounts.html",
        listing=listing,
        roles={named.id: named for named in nodes.name_grants(session, viewer, grants)},
        states={user.id: account_words.STATES[administration.state_of(user)] for user in listing.rows},
        q=q,
        role=role,
        state=state,
        state_choices=[(key, word.text) for key, word in account_words.STATES.items()],
        sorts=SORTS,
        sort=page.sort or "name",
    )


@router.get("/new")
def show_invite(
    request: Request, session: DbSession, viewer: ConfirmedPerson, place: AskedPlace, q: Search = ""
) -> Response:
    """Choose a place, then whom to invite there."""
    administration.must_administer(viewer)
    return role_forms.page(request, session, viewer, place, q)


@router.post("/new")
def invite(request: Request, session: DbSession, viewer: ConfirmedPerson, form: SentForm, now: Now) -> Response:
    """Open the account; a mail brings the link."""
    reader = role_forms.RoleReader(form)
    try:
        email = reader.text("email", maximum=254, missing="Donnez l’adresse électronique de la personne.")
        name = reader.text("name", maximum=120, missing="Donnez le nom de la personne.")
        grant, ends_at = reader.grant(), reader.end()
        reader.check()
        user = administration.invite(session, viewer, email=email, name=name, grant=grant, ends_at=ends_at, now=now)
    except FleetError as refused:
        session.rollback()
        return role_forms.page(request, session, viewer, reader.place(), "", reader=reader, refused=refused)
    return RedirectResponse(f"/accounts/{user.id}?done=invited", 303)


@router.get("/{user_id}")
def show_account(request: Request, session: DbSession, viewer: Person, user_id: UUID, now: Now) -> Response:
    """One person: how they stand, their roles, what can be done."""
    user = administration.get_account(session, viewer, user_id)
    return account_page(request, session, viewer, user, now)


def account_page(
    request: Request, session: DbSession, viewer: Viewer, user: User, now: Now, refused: FleetError | None = None
) -> Response:
    state = administration.state_of(user)
    return render(
        request,
        "account_view.html",
        refused.status if refused else 200,
        user=user,
        state=state,
        state_word=account_words.STATES[state],
        roles=nodes.name_grants(session, viewer, user.grants),
        has_second_factor=second_factor.is_on(session, user.id),
        has_identity=administration.has_identity(session, user.id),
        session_count=len(sessions.list_sessions(session, user.id, now)),
        invitation=letters.find_invitation(session, user.id),
        refused=refused.detail if refused else None,
    )


@router.get("/{user_id}/roles")
def show_roles(
    request: Request, session: DbSession, viewer: ConfirmedPerson, user_id: UUID, place: AskedPlace, q: Search = ""
) -> Response:
    """Choose a place, then the role to give there."""
    user = administration.get_account(session, viewer, user_id)
    return role_forms.page(request, session, viewer, place, q, user=user)


@router.post("/{user_id}/roles")
def give_role(
    request: Request, session: DbSession, viewer: ConfirmedPerson, user_id: UUID, form: SentForm, now: Now
) -> Response:
    """One more role."""
    user = administration.get_managed(session, viewer, user_id)
    reader = role_forms.RoleReader(form)
    try:
        grant, ends_at = reader.grant(), reader.end()
        reader.check()
        administration.give_role(session, viewer, user, grant, ends_at=ends_at, now=now)
    except FleetError as refused:
        session.rollback()
        user = administration.get_account(session, viewer, user_id)
        return role_forms.page(request, session, viewer, reader.place(), "", user=user, reader=reader, refused=refused)
    return RedirectResponse(f"/accounts/{user_id}?done=role-given", 303)


def change(
    request: Request, session: DbSession, viewer: Viewer, user_id: UUID, now: Now, done: str, do: Callable[[User], None]
) -> Response:
    """Do something to an account that the viewer manages, or say why not on its page."""
    user = administration.get_managed(session, viewer, user_id)
    try:
        do(user)
    except FleetError as refused:
        session.rollback()
        user = administration.get_account(session, viewer, user_id)
        return account_page(request, session, viewer, user, now, refused)
    return RedirectResponse(f"/accounts/{user_id}?done={done}", 303)


@router.post("/{user_id}/roles/{grant_id}/take")
def take_role(
    request: Request, session: DbSession, viewer: ConfirmedPerson, user_id: UUID, grant_id: UUID, now: Now
) -> Response:
    """Take a role back."""

    def do(user: User) -> None:
        administration.take_role(session, user, grant_id, now)

    return change(request, session, viewer, user_id, now, "role-taken", do)


@router.post("/{user_id}/invite")
def send_again(request: Request, session: DbSession, viewer: Person, user_id: UUID, now: Now) -> Response:
    """A new link; the one before opens nothing any more."""

    def do(user: User) -> None:
        administration.send_invitation(session, viewer, user, now)

    return change(request, session, viewer, user_id, now, "invited", do)


@router.post("/{user_id}/withdraw")
def withdraw(session: DbSession, viewer: ConfirmedPerson, user_id: UUID) -> Response:
    """Take an invitation back."""
    administration.withdraw_invitation(session, administration.get_managed(session, viewer, user_id))
    return RedirectResponse("/accounts?done=invitation-withdrawn", 303)


@router.post("/{user_id}/close")
def close(request: Request, session: DbSession, viewer: ConfirmedPerson, user_id: UUID, now: Now) -> Response:
    """Nobody enters with it any more."""

    def do(user: User) -> None:
        administration.close(session, user, now)

    return change(request, session, viewer, user_id, now, "account-closed", do)


@router.post("/{user_id}/reopen")
def reopen(request: Request, session: DbSession, viewer: ConfirmedPerson, user_id: UUID, now: Now) -> Response:
    """As it was."""
    return change(request, session, viewer, user_id, now, "account-reopened", administration.reopen)


@router.post("/{user_id}/second-factor/reset")
def reset_factor(request: Request, session: DbSession, viewer: ConfirmedPerson, user_id: UUID, now: Now) -> Response:
    """For a lost telephone."""

    def do(user: User) -> None:
        administration.reset_second_factor(session, user, now)

    return change(request, session, viewer, user_id, now, "factor-reset", do)


@router.post("/{user_id}/sessions/end")
def end_sessions(request: Request, session: DbSession, viewer: Person, user_id: UUID, now: Now) -> Response:
    """Sign the person out everywhere."""

    def do(user: User) -> None:
        sessions.end_all(session, user.id)

    return change(request, session, viewer, user_id, now, "account-sessions-ended", do)
