"""Pages behind the links of mails: an invitation taken up, a forgotten password replaced; and asking for the latter.

A link's secret stands behind "#": browsers send that to nobody, in no Referer and to no log. A script of ours hands it
over by POST; without one, the person pastes it.
"""

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.portal.forms import Reader
from dashboards.portal.person import SentForm
from dashboards.portal.rendering import render
from dashboards.portal.sign_in import answer_entered, must_come_from_here
from fleet.accounts import letters, service, signing_in
from fleet.accounts.access import ClientAddress, CurrentVisit
from fleet.accounts.letters import OpenedLink
from fleet.accounts.models import LetterKind
from fleet.accounts.passwords import MAX_LENGTH
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import FleetError

router = APIRouter()
TITLES = {LetterKind.INVITATION: "Bienvenue", LetterKind.RESET: "Nouveau mot de passe"}


def link_page(request: Request, kind: LetterKind, refused: FleetError | None = None) -> Response:
    """Where a link leads: it is read and sent on at once; a link that is over says what to do."""
    status = refused.status if refused else 200
    told = refused.detail if refused else None
    path = letters.PATHS[kind]
    return render(request, "link.html", status, kind=kind, path=path, title=TITLES[kind], refused=told)


def password_page(
    request: Request, kind: LetterKind, opened: OpenedLink, secret: str, refused: FleetError | None = None
) -> Response:
    """The form to choose a password."""
    return render(
        request,
        "link_password.html",
        refused.status if refused else 200,
        kind=kind,
        path=letters.PATHS[kind],
        title=TITLES[kind],
        secret=secret,
        person=opened.user,
        refused=refused.detail if refused else None,
    )


def pages_of(kind: LetterKind) -> None:
    """The three pages of one kind of link."""
    path = letters.PATHS[kind]

    def show(request: Request) -> Response:
        return link_page(request, kind)

    def open_link(request: Request, session: DbSession, form: SentForm, address: ClientAddress, now: Now) -> Response:
        must_come_from_here(request)
        enter(session, Door.GATE)
        secret = Reader(form).raw("secret")[:200]
        try:
            opened = letters.open_link(session, kind, secret, address, now)
        except FleetError as refused:  # the wrong guess must count
            return link_page(request, kind, refused)
        return password_page(request, kind, opened, secret)

    def use_link(request: Request, session: DbSession, form: SentForm, visit: CurrentVisit, now: Now) -> Response:
        must_come_from_here(request)
        enter(session, Door.GATE)
        secret, password = Reader(form).raw("secret")[:200], form.get("password")
        try:
            opened = letters.open_link(session, kind, secret, visit.address, now)
        except FleetError as refused:
            return link_page(request, kind, refused)
        try:
            user = service.use_link(session, opened, str(password or "")[: MAX_LENGTH + 1], now)
        except FleetError as refused:
            return password_page(request, kind, opened, secret, refused)
        return answer_entered(signing_in.go_on(session, user, visit, now), None)

    open_link.__name__, use_link.__name__ = f"open_{kind.value}", f"use_{kind.value}"  # as the journal tells them apart
    handlers: list[tuple[str, str, Callable[..., Response]]] = [
        ("GET", path, show), ("POST", path, open_link), ("POST", f"{path}/password", use_link),
    ]  # fmt: skip
    for method, place, handler in handlers:
        router.add_api_route(place, handler, methods=[method])


for each in TITLES:
    pages_of(each)


@router.get("/reset")
def show_reset(request: Request) -> Response:
    """Ask for a new password."""
    return render(request, "reset.html", asked=False)


@router.post("/reset")
def ask_reset(request: Request, session: DbSession, form: SentForm, address: ClientAddress, now: Now) -> Response:
    """One answer for every address, known or not."""
    must_come_from_here(request)
    enter(session, Door.GATE)
    try:
        service.ask_reset(session, Reader(form).raw("email")[:320], address, now)
    except FleetError as refused:
        return render(request, "reset.html", refused.status, asked=False, refused=refused.detail)
    return render(request, "reset.html", asked=True)
