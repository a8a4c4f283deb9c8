"""One's own account: password, sessions, and the proof of who one is before a dangerous act."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import nodes, refusals
from dashboards.portal.forms import Reader
from dashboards.portal.menu import ACCOUNT_TABS
from dashboards.portal.person import AnySignedIn, ConfirmedSignedIn, CurrentSignedIn, SentForm, local_path
from dashboards.portal.rendering import render
from fleet.accounts import identities, second_factor, service, sessions, signing_in
from fleet.accounts.access import Box, CurrentVisit
from fleet.accounts.passwords import MAX_LENGTH
from fleet.accounts.routes import set_cookies
from fleet.accounts.sessions import SignedIn
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError

router = APIRouter(prefix="/account")
FIELDS = {
    "account.password_length": "password",
    "account.password_personal": "password",
    "account.password_simple": "password",
    "account.wrong_password": "current",
}


def confirmed_and_set_up(_found: CurrentSignedIn, found: ConfirmedSignedIn) -> SignedIn:
    """A session that owes nothing and whose person was confirmed a moment ago."""
    return found


ConfirmedNow = Annotated[SignedIn, Depends(confirmed_and_set_up)]


@router.get("")
def show_account(request: Request, session: DbSession, signed_in: CurrentSignedIn, now: Now) -> Response:
    """What I am here, and where I am signed in."""
    return account_page(request, session, signed_in, now)


def account_page(
    request: Request, session: DbSession, signed_in: SignedIn, now: Now, refused: FleetError | None = None
) -> Response:
    viewer = signed_in.viewer
    return render(
        request,
        "account.html",
        refused.status if refused else 200,
        tabs=ACCOUNT_TABS,
        signed_in=signed_in,
        roles=nodes.name_grants(session, viewer, viewer.grants),
        sessions=sessions.list_sessions(session, viewer.user_id, now),
        codes_left=second_factor.count_recovery_codes(session, viewer.user_id),
        issuers=identities.list_linked(session, viewer.user_id),
        **refusals.explained(refused, FIELDS),
    )


@router.post("/password")
def change_password(
    request: Request, session: DbSession, signed_in: CurrentSignedIn, form: SentForm, visit: CurrentVisit, now: Now
) -> Response:
    """A new password for the old one; every other session ends."""
    viewer = signed_in.viewer
    current, password = (str(form.get(name) or "")[: MAX_LENGTH + 1] for name in ("current", "password"))
    try:
        signing_in.check_own_password(session, signed_in, current, visit, now)
        service.change_password(session, viewer.user_id, password, kept=signed_in.session_id, now=now)
    except FleetError as refused:
        if not refused.keeps_changes:
            session.rollback()
        return account_page(request, session, signed_in, now, refused)
    answer = RedirectResponse("/account?done=password-changed", 303)
    set_cookies(answer, sessions.renew(session, signed_in, now))
    return answer


@router.post("/sessions/{session_id}/end")
def end_session(session: DbSession, signed_in: CurrentSignedIn, session_id: UUID) -> Response:
    """Sign one browser out."""
    sessions.end_session(session, signed_in.viewer.user_id, session_id)
    return RedirectResponse("/account?done=session-ended", 303)


@router.post("/sessions/end")
def end_others(session: DbSession, signed_in: CurrentSignedIn) -> Response:
    """Sign every other browser out."""
    sessions.end_all(session, signed_in.viewer.user_id, but=signed_in.session_id)
    return RedirectResponse("/account?done=sessions-ended", 303)


@router.get("/confirm")
def show_confirm(request: Request, session: DbSession, signed_in: AnySignedIn) -> Response:
    """Who are you, before something dangerous."""
    wanted = local_path(request.query_params.get("next")) or "/account"
    return confirm_page(request, session, signed_in, wanted)


def confirm_page(
    request: Request, session: DbSession, signed_in: SignedIn, wanted: str, refused: FleetError | None = None
) -> Response:
    linked = set(identities.list_linked(session, signed_in.viewer.user_id))
    providers = [] if signed_in.has_second_factor else request.app.state.config.oidc_providers
    return render(
        request,
        "confirm.html",
        refused.status if refused else 200,
        next=wanted,
        by_code=signed_in.has_second_factor,
        providers=[provider for provider in providers if provider.issuer in linked],
        refused=refused.detail if refused else None,
    )


@router.post("/confirm")
def confirm(
    request: Request,
    session: DbSession,
    signed_in: AnySignedIn,
    form: SentForm,
    visit: CurrentVisit,
    box: Box,
    now: Now,
) -> Response:
    """Believed for ten minutes, under a new cookie."""
    wanted = local_path(Reader(form).raw("next")) or "/account"
    try:
        typed = str(form.get("secret") or "")[:MAX_LENGTH]
        renewed = signing_in.confirm(session, signed_in, typed, visit, box, now)
    except FleetError as refused:  # the wrong guess must count
        return confirm_page(request, session, signed_in, wanted, refused)
    answer = RedirectResponse(wanted, 303)
    set_cookies(answer, renewed)
    return answer
