"""The page behind a token's QR: no sign-in, the token stays in the fragment until the person sends it."""

import secrets

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.portal.forms import Reader
from dashboards.portal.person import SentForm, came_from_here
from dashboards.portal.profiles import profile_download
from dashboards.portal.rendering import render
from fleet.accounts.access import ClientAddress
from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.enrollment import service as enrollment
from fleet.errors import FleetError, NotAllowed
from fleet.platforms import service as platforms

router = APIRouter(prefix="/enroll")


def enroll_page(request: Request, *, typed: str = "", attempt: str = "", refused: FleetError | None = None) -> Response:
    """What to do on each platform. ``attempt`` makes a repeated download the same tablet, not a second one."""
    return render(
        request,
        "enroll.html",
        refused.status if refused else 200,
        typed=typed,
        attempt=attempt or secrets.token_hex(16),
        public_url=request.app.state.config.public_url,
        android_problem=platforms.android_problem(request.app.state.config),
        android_trial=platforms.android_trial(request.app.state.config),
        refused=refused.detail if refused else None,
    )


@router.get("")
def show_enroll(request: Request) -> Response:
    """Instructions; a script of our own reads the fragment, a person may type the token instead."""
    return enroll_page(request)


@router.post("")
def download_profile(
    request: Request, session: DbSession, now: Now, form: SentForm, address: ClientAddress
) -> Response:
    """An iPad's signed profile for a token; a token that does not fit is a sentence on the same page."""
    if not came_from_here(request):
        raise NotAllowed("enroll.cross_site", "Ce formulaire vient d’un autre site. Scannez le QR de nouveau.")
    enter(session, Door.DEVICES)
    reader = Reader(form)
    typed, attempt = reader.raw("token")[:80], reader.raw("attempt")[:32]
    try:
        device, content = enrollment.issue_profile_for_token(
            session, typed, attempt, address, now, request.app.state.config
        )
    except FleetError as refused:
        if not refused.keeps_changes:  # a wrong guess is kept, and counts
            session.rollback()
        return enroll_page(request, typed=typed, attempt=attempt, refused=refused)
    return profile_download(device, content)
