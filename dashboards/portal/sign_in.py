"""Signing in and out."""

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.forms import Reader
from dashboards.portal.person import Person, SentForm, came_from_here, landing, local_path
from dashboards.portal.rendering import render
from fleet.accounts import service as accounts
from fleet.accounts.access import COOKIE, ClientAddress, FoundSession
from fleet.accounts.routes import set_cookie
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import FleetError, NotAllowed

router = APIRouter()


@router.get("/sign-in")
def show_sign_in(request: Request, found: FoundSession) -> Response:
    """The form; someone already signed in goes on to where they wanted."""
    wanted = local_path(request.query_params.get("next"))
    if found is not None:
        return RedirectResponse(wanted or landing(found.viewer), 303)
    return render(request, "sign_in.html", next=wanted, email="")


@router.post("/sign-in")
def sign_in(request: Request, session: DbSession, form: SentForm, address: ClientAddress, now: Now) -> Response:
    """Open a session and go where the person wanted, or where their role starts."""
    if not came_from_here(request):
        raise NotAllowed("session.cross_site", "Ce formulaire vient d’un autre site. Ouvrez Préau et recommencez.")
    enter(session, Door.GATE)
    reader = Reader(form)
    email = reader.raw("email")[:254]
    password = form.get("password")
    wanted = local_path(reader.raw("next"))
    try:
        signed_in = accounts.sign_in(session, email, str(password or "")[:256], address, now)
    except FleetError as refused:  # committed, not rolled back: the wrong guess must count
        return render(request, "sign_in.html", refused.status, next=wanted, email=email, refused=refused.detail)
    answer = RedirectResponse(wanted or landing(signed_in.viewer), 303)
    set_cookie(answer, signed_in.token)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, session: DbSession, _viewer: Person) -> Response:
    """End the session on the server, then forget the cookie."""
    accounts.sign_out(session, request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/sign-in?done=signed-out", 303)
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return answer
