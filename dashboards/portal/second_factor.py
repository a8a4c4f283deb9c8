"""Setting up a second factor, its recovery codes, and switching it off."""

from datetime import datetime

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.forms import Reader
from dashboards.portal.menu import ACCOUNT_TABS
from dashboards.portal.my_account import ConfirmedNow
from dashboards.portal.person import AnySignedIn, ConfirmedSignedIn, SentForm
from dashboards.portal.profiles import qr_svg
from dashboards.portal.rendering import render
from fleet.accounts import second_factor, service, sessions
from fleet.accounts.access import Box
from fleet.accounts.routes import set_cookies
from fleet.accounts.sessions import SignedIn
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import Conflict, FleetError
from fleet.stored_secrets import SecretBox

router = APIRouter(prefix="/account/second-factor")


@router.get("")
def show(request: Request, session: DbSession, signed_in: AnySignedIn, box: Box) -> Response:
    """Where one stands: off, waiting for a first code, or on."""
    return factor_page(request, session, signed_in, box)


def factor_page(
    request: Request, session: DbSession, signed_in: SignedIn, box: SecretBox, refused: FleetError | None = None
) -> Response:
    user = service.get_own(session, signed_in.viewer)
    started = None if signed_in.has_second_factor else second_factor.find_started(session, user, box)
    return render(
        request,
        "second_factor.html",
        refused.status if refused else 200,
        tabs=ACCOUNT_TABS,
        owes=request.state.owes_second_factor,
        is_on=signed_in.has_second_factor,
        started=started,
        qr=qr_svg(started.uri) if started else None,
        codes_left=second_factor.count_recovery_codes(session, user.id),
        refused=refused.detail if refused else None,
    )


@router.post("/start")
def start(session: DbSession, signed_in: ConfirmedSignedIn, box: Box, now: Now) -> Response:
    """A new secret for a telephone; nothing is on until its first code comes back."""
    second_factor.start(session, service.get_own(session, signed_in.viewer), box, now)
    return RedirectResponse("/account/second-factor", 303)


@router.post("/on")
def switch_on(
    request: Request, session: DbSession, signed_in: ConfirmedSignedIn, form: SentForm, box: Box, now: Now
) -> Response:
    """With a first right code: on, every other session ended, this one under a new cookie."""
    user = service.get_own(session, signed_in.viewer)
    try:
        codes = second_factor.switch_on(session, user.id, Reader(form).raw("code")[:64], box, now)
    except FleetError as refused:
        session.rollback()
        return factor_page(request, session, signed_in, box, refused)
    sessions.end_all(session, user.id, but=signed_in.session_id)
    service.tell(session, user, "un second facteur a été activé.", now)
    return codes_page(request, session, signed_in, codes, now)


def codes_page(request: Request, session: DbSession, signed_in: SignedIn, codes: list[str], now: datetime) -> Response:
    """The recovery codes, this once: the page is the answer itself, since nothing can show them again."""
    renewed = sessions.renew(session, signed_in, now, is_proven=True)
    request.state.signed_in, request.state.owes_second_factor = renewed, False
    page = render(request, "recovery_codes.html", codes=codes, email=signed_in.viewer.email)
    set_cookies(page, renewed)
    return page


@router.post("/recovery-codes")
def renew_codes(request: Request, session: DbSession, signed_in: ConfirmedNow, now: Now) -> Response:
    """New recovery codes; the old ones open nothing any more."""
    if not signed_in.has_second_factor:
        raise Conflict("second_factor.is_off", "Activez d’abord le second facteur.")
    codes = second_factor.renew_recovery_codes(session, signed_in.viewer.user_id)
    service.tell(
        session, service.get_own(session, signed_in.viewer), "de nouveaux codes de secours ont été créés.", now
    )
    return codes_page(request, session, signed_in, codes, now)


@router.post("/off")
def switch_off(session: DbSession, signed_in: ConfirmedNow, now: Now) -> Response:
    """No second factor: for a new telephone. Whoever must have one is led to set it up again."""
    second_factor.switch_off(session, signed_in.viewer.user_id)
    service.tell(session, service.get_own(session, signed_in.viewer), "le second facteur a été désactivé.", now)
    answer = RedirectResponse("/account/second-factor?done=factor-off", 303)
    set_cookies(answer, sessions.renew(session, signed_in, now, is_proven=False))
    return answer
