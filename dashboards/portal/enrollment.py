"""Enrolment for technicians: issue a token, print its sheet, see which are still open, take one back."""

import secrets
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.listing import AskedPage, Blank, Search, within
from dashboards.portal.person import Person, SentForm
from dashboards.portal.profiles import qr_svg
from dashboards.portal.rendering import render
from dashboards.portal.words import DEVICE_KIND, PLATFORM
from fleet.clock import Now
from fleet.db import DbSession
from fleet.devices.models import TRACKED_KINDS, DeviceKind, Platform
from fleet.devices.service import PLATFORMS
from fleet.enrollment import service as enrollment
from fleet.enrollment.service import IssuedToken
from fleet.errors import FleetError
from fleet.paging import Page
from fleet.platforms import android
from fleet.platforms import service as platforms
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/enrollment")
SchoolId = Annotated[UUID | None, Blank, Query(alias="school")]
EXPIRIES = (
    ("60", "1 heure"),
    ("240", "4 heures"),
    ("1440", "1 jour"),
    ("10080", "1 semaine (feuille imprimée)"),
    ("43200", "30 jours (feuille imprimée)"),
)
SHOWN_BEFORE = (
    "Ce code a déjà été affiché, et ne peut plus l’être : rien de nouveau n’a été émis. S’il est perdu, révoquez-le "
    "ci-dessous, puis émettez-en un autre."
)
CHOICES = tuple(
    (f"{kind}:{platform}", f"{DEVICE_KIND[kind].text} · {PLATFORM[platform].text}")
    for kind in DeviceKind
    if kind not in TRACKED_KINDS
    for platform in PLATFORMS[kind]
    if platform is not Platform.WINDOWS
)
"""A kind with one of its platforms, in one choice: no pair that cannot be. Windows waits for an agent that runs there.
"""


@router.get("")
def show_enrollment(
    request: Request, session: DbSession, viewer: Person, page: AskedPage, q: Search = "", school: SchoolId = None
) -> Response:
    """Choose a school, then the terms of the token; below, the tokens already issued."""
    chosen = schools.get_school(session, viewer, school) if school else None
    return enrollment_page(request, session, viewer, page, chosen=chosen, q=q)


def enrollment_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    page: Page,
    *,
    chosen: School | None,
    q: str = "",
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The page, with what was typed when it comes back refused."""
    if not viewer.may_somewhere(Action.ISSUE_TOKEN):
        viewer.must(Action.ISSUE_TOKEN)
    matches = schools.list_schools(session, viewer, search=q, page=Page(size=12)) if q and chosen is None else None
    return render(
        request,
        "enrollment.html",
        refused.status if refused else 200,
        chosen=chosen,
        matches=matches,
        q=q,
        choices=CHOICES,
        expiries=EXPIRIES,
        read=reader.raw if reader else lambda _name: "",
        request_key=secrets.token_urlsafe(16),
        android_problem=platforms.android_problem(request.app.state.config),
        tokens=within(
            lambda wanted: enrollment.list_tokens(
                session, viewer, school_id=chosen.id if chosen else None, page=wanted
            ),
            page,
        ),
        refused=SHOWN_BEFORE if refused and refused.code == "token.already_issued" else refused and refused.detail,
        problems=refused.problems if isinstance(refused, FormRefused) else {},
    )


@router.post("")
def issue_token(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Issue a token and show it, this once: the page is the answer itself, since nothing can show it again."""
    reader = Reader(form)
    school_id = reader.identifier("school", "Choisissez une école.")
    reader.check()
    school = schools.get_school(session, viewer, school_id) if school_id else None
    if school is None:
        raise FormRefused(reader.problems)
    try:
        issued = issue_from(request, session, viewer, school, reader, now)
    except FleetError as refused:
        session.rollback()
        chosen = schools.get_school(session, viewer, school.id)
        return enrollment_page(request, session, viewer, Page(), chosen=chosen, reader=reader, refused=refused)
    return show_issued(request, session, issued)


def issue_from(
    request: Request, session: DbSession, viewer: Viewer, school: School, reader: Reader, now: Now
) -> IssuedToken:
    """Read the terms and issue; raise FormRefused or the verb's own refusals."""
    kind, _, platform = reader.raw("what").partition(":")
    if (reader.raw("what")) not in dict(CHOICES):
        reader.problems["what"] = "Choisissez le type d’appareil."
    if reader.raw("expiry") not in dict(EXPIRIES):
        reader.problems["expiry"] = "Choisissez une durée."
    uses = reader.integer("uses", minimum=1, maximum=enrollment.MAX_USES)
    reader.check()
    return enrollment.issue_token(
        session,
        viewer,
        school=school,
        kind=DeviceKind(kind),
        platform=Platform(platform),
        max_uses=uses,
        expires_in=timedelta(minutes=int(reader.raw("expiry"))),
        now=now,
        config=request.app.state.config,
        request_key=reader.raw("request_key") or None,
    )


def show_issued(request: Request, session: DbSession, issued: IssuedToken) -> Response:
    """The token with its QR, its command line and, for Android, the QR that a factory-reset tablet scans."""
    config = request.app.state.config
    is_android = issued.token.platform is Platform.ANDROID
    android_qr, android_problem = None, platforms.android_problem(config) if is_android else None
    if is_android and android_problem is None:
        document = platforms.android_token_payload(session, issued.token.school, issued.text, config)
        android_qr = qr_svg(android.encode(document), error="l")
    return render(
        request,
        "token.html",
        token=issued.token,
        text=issued.text,
        qr=qr_svg(issued.url),
        public_url=config.public_url,
        android_qr=android_qr,
        android_problem=android_problem,
        android_trial=platforms.android_trial(config),
    )


@router.post("/{token_id}/revoke")
def revoke_token(session: DbSession, viewer: Person, now: Now, token_id: UUID) -> Response:
    """Take a token back."""
    enrollment.revoke_token(session, viewer, token_id, now)
    return RedirectResponse("/enrollment?done=token-revoked", 303)
