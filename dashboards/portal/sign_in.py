"""Signing in and out: the password, then the code of the second factor where there is one."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.forms import Reader
from dashboards.portal.person import AnySignedIn, SentForm, came_from_here, landing, local_path
from dashboards.portal.rendering import render, with_query
from fleet.accounts import sessions, signing_in
from fleet.accounts.access import COOKIE, PENDING_COOKIE, Box, CurrentVisit, FoundSession
from fleet.accounts.routes import forget_cookie, set_cookies, set_private_cookie
from fleet.accounts.sessions import SignedIn
from fleet.accounts.signing_in import PENDING_LENGTH, AwaitsCode
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import FleetError, NotAllowed

router = APIRouter()


def sign_in_page(
    request: Request, *, wanted: str | None, email: str = "", refused: FleetError | None = None
) -> Response:
    """The form, and the other ways in."""
    config = request.app.state.config
    return render(
        request,
        "sign_in.html",
        refused.status if refused else 200,
        next=wanted,
        email=email,
        providers=config.oidc_providers,
        is_trial=not config.second_factor_required,
        refused=refused.detail if refused else None,
    )


def must_come_from_here(request: Request) -> None:
    """Raise NotAllowed for a form that another site sent."""
    if not came_from_here(request):
        raise NotAllowed("session.cross_site", "Ce formulaire vient d’un autre site. Ouvrez Préau et recommencez.")


def answer_entered(entered: SignedIn | AwaitsCode, wanted: str | None) -> Response:
    """On to where the person wanted, or to the code."""
    if isinstance(entered, AwaitsCode):
        answer = RedirectResponse(with_query("/sign-in/code", {}, next=wanted), 303)
        set_private_cookie(answer, PENDING_COOKIE, entered.token, PENDING_LENGTH)
        return answer
    answer = RedirectResponse(wanted or landing(entered.viewer), 303)
    set_cookies(answer, entered)
    forget_cookie(answer, PENDING_COOKIE)
    return answer


@router.get("/sign-in")
def show_sign_in(request: Request, found: FoundSession) -> Response:
    """The form; someone already signed in goes on to where they wanted."""
    wanted = local_path(request.query_params.get("next"))
    if found is not None:
        return RedirectResponse(wanted or landing(found.viewer), 303)
    return sign_in_page(request, wanted=wanted)


@router.post("/sign-in")
def sign_in(request: Request, session: DbSession, form: SentForm, visit: CurrentVisit, now: Now) -> Response:
    """Open a session and go where the person wanted, or where their role starts."""
    must_come_from_here(request)
    enter(session, Door.GATE)
    reader = Reader(form)
    email, wanted = reader.raw("email")[:254], local_path(reader.raw("next"))
    password = form.get("password")
    try:
        entered = signing_in.start_sign_in(session, email, str(password or "")[:256], visit, now)
    except FleetError as refused:  # committed, not rolled back: the wrong guess must count
        return sign_in_page(request, wanted=wanted, email=email, refused=refused)
    return answer_entered(entered, wanted)


@router.get("/sign-in/code")
def show_code(request: Request, session: DbSession, now: Now) -> Response:
    """The second step."""
    enter(session, Door.GATE)
    wanted = local_path(request.query_params.get("next"))
    if signing_in.find_pending(session, request.cookies.get(PENDING_COOKIE), now) is None:
        return RedirectResponse(with_query("/sign-in", {}, next=wanted), 303)
    return code_page(request, wanted)


def code_page(request: Request, wanted: str | None, refused: FleetError | None = None) -> Response:
    status = refused.status if refused else 200
    return render(request, "sign_in_code.html", status, next=wanted, refused=refused.detail if refused else None)


@router.post("/sign-in/code")
def finish_sign_in(
    request: Request, session: DbSession, form: SentForm, visit: CurrentVisit, box: Box, now: Now
) -> Response:
    """Open the session once the code is right."""
    must_come_from_here(request)
    enter(session, Door.GATE)
    reader = Reader(form)
    wanted = local_path(reader.raw("next"))
    try:
        token = request.cookies.get(PENDING_COOKIE)
        signed_in = signing_in.finish_sign_in(session, token, reader.raw("code")[:64], visit, box, now)
    except FleetError as refused:  # the wrong guess must count
        if refused.code == "account.pending_over":
            return sign_in_page(request, wanted=wanted, refused=refused)
        return code_page(request, wanted, refused)
    return answer_entered(signed_in, wanted)


@router.post("/sign-out")
def sign_out(session: DbSession, signed_in: AnySignedIn) -> Response:
    """End the session on the server, then forget the cookie."""
    sessions.sign_out(session, signed_in.token)
    answer = RedirectResponse("/sign-in?done=signed-out", 303)
    forget_cookie(answer, COOKIE)
    return answer
