"""Devices: the list, one device with its state told honestly, and what a technician may change."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import device_view
from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.listing import AskedPage, Blank, Flag, Search, forgiving
from dashboards.portal.person import Person, SentForm
from dashboards.portal.profiles import profile_download, qr_svg
from dashboards.portal.rendering import render
from dashboards.portal.saved_filters import KeptFilters
from dashboards.portal.words import DEVICE_KIND, PLATFORM
from fleet.clock import Now
from fleet.configuration.outcomes import outcomes_by_device
from fleet.configuration.states import state_of
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.export import export_devices as export_devices_csv
from fleet.devices.models import TRACKED_KINDS, Device, DeviceKind, DeviceStatus, Platform
from fleet.devices.service import PLATFORMS, Criteria
from fleet.enrollment import service as enrollment
from fleet.errors import FleetError
from fleet.filtering.policy import policies
from fleet.paging import Listing, Page
from fleet.platforms import service as platforms
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Viewer
from fleet.table_file import Extension, download

router = APIRouter(prefix="/devices")
KindChoice = Annotated[DeviceKind | None, Blank, Query()]
StatusChoice = Annotated[DeviceStatus | None, Blank, Query()]
SchoolId = Annotated[UUID | None, Blank, Query(alias="school")]
CollectivityId = Annotated[UUID | None, Blank, Query(alias="collectivity")]
KIND_CHOICES = tuple(
    (f"{kind}:{platform}", DEVICE_KIND[kind].text + (f" · {PLATFORM[platform].text}" if platform != "none" else ""))
    for kind in sorted(DeviceKind, key=lambda kind: kind not in TRACKED_KINDS)
    for platform in PLATFORMS[kind]
)
"""Kits first: everything else usually enrolls by itself."""
SORTS = (
    ("asset_tag", "Étiquette"),
    ("name", "Nom"),
    ("school", "École"),
    ("-last_seen", "Derniers vus"),
    ("last_seen", "Longtemps muets"),
)


@router.get("")
def list_devices(
    request: Request,
    session: DbSession,
    viewer: Person,
    now: Now,
    page: AskedPage,
    kept: KeptFilters,
    q: Search = "",
    kind: KindChoice = None,
    status: StatusChoice = None,
    silent: Flag = None,
    school: SchoolId = None,
    collectivity: CollectivityId = None,
) -> Response:
    """The devices that the viewer sees, each with its state."""
    if kept.opening:
        return RedirectResponse(kept.opening, 303)

    def read(search: str, wanted: Page) -> Listing[Device]:
        return devices.list_devices(
            session, viewer, page=wanted, search=search, kind=kind, status=status, silent=silent,
            school_id=school, collectivity_id=collectivity,
        )  # fmt: skip

    found = forgiving(session, viewer, q, read, page)
    listing = found.listing
    outcomes = outcomes_by_device(session, [device.id for device in listing.rows])
    return render(
        request,
        "devices.html",
        kept=kept,
        listing=listing,
        corrected=found.corrected,
        states={device.id: state_of(device, outcomes.get(device.id, ()), now) for device in listing.rows},
        asked={"q": q, "kind": kind, "status": status, "silent": silent},
        school=schools.get_school(session, viewer, school) if school else None,
        sorts=SORTS,
        sort=page.sort or "asset_tag",
    )


@router.get(".{extension}")
def export_devices(
    extension: Extension,
    session: DbSession,
    viewer: Person,
    q: Search = "",
    kind: KindChoice = None,
    status: StatusChoice = None,
    silent: Flag = None,
    school: SchoolId = None,
    collectivity: CollectivityId = None,
) -> Response:
    """The same list whole, as a file."""

    criteria: Criteria = {
        "search": q,
        "kind": kind,
        "status": status,
        "silent": silent,
        "school_id": school,
        "collectivity_id": collectivity,
    }
    return download(export_devices_csv(session, viewer, criteria), "parc", extension)


@router.get("/new")
def show_new(request: Request, session: DbSession, viewer: Person, q: Search = "", school: SchoolId = None) -> Response:
    """Choose the school, then describe what is added by hand: a kit, or a tablet before its profile."""
    if not viewer.may_somewhere(Action.MANAGE_DEVICE):
        viewer.must(Action.MANAGE_DEVICE)
    chosen = schools.get_school(session, viewer, school) if school else None
    matches = schools.list_schools(session, viewer, search=q, page=Page(size=12)) if q and not chosen else None
    return new_page(request, chosen, matches=matches, q=q)


def new_page(
    request: Request,
    chosen: School | None,
    *,
    matches: Listing[School] | None = None,
    q: str = "",
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The form, with what was typed when it comes back refused."""
    return render(
        request,
        "device_new.html",
        refused.status if refused else 200,
        chosen=chosen,
        matches=matches,
        q=q,
        choices=KIND_CHOICES,
        read=reader.raw if reader else lambda _name: "",
        refused=refused.detail if refused else None,
        problems=refused.problems if isinstance(refused, FormRefused) else {},
    )


@router.post("/new")
def register_device(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Add it to the inventory."""
    reader = Reader(form)
    school_id = reader.identifier("school", "Choisissez une école.")
    reader.check()
    school = schools.get_school(session, viewer, school_id) if school_id else None
    try:
        device = register_from(session, viewer, school, reader, now)
    except FleetError as refused:
        session.rollback()
        chosen = schools.get_school(session, viewer, school_id) if school_id else None
        return new_page(request, chosen, reader=reader, refused=refused)
    return done(device.id, "device-registered")


def register_from(session: DbSession, viewer: Viewer, school: School | None, reader: Reader, now: datetime) -> Device:
    """Read what was typed and register; raise FormRefused or the verb's own refusals."""
    kind, _, platform = reader.raw("what").partition(":")
    if reader.raw("what") not in dict(KIND_CHOICES):
        reader.problems["what"] = "Choisissez le type d’appareil."
    name = reader.text("name", maximum=120, missing="Donnez un nom.")
    room, serial = reader.text("room", maximum=120), reader.text("serial", maximum=120)
    manufacturer, model = reader.text("manufacturer", maximum=120), reader.text("model", maximum=120)
    reader.check()
    return devices.register_device(
        session, viewer, kind=DeviceKind(kind), platform=Platform(platform), school=school, name=name, room=room,
        manufacturer=manufacturer, model=model, serial=serial, now=now,
    )  # fmt: skip


@router.get("/{device_id}")
def show_device(request: Request, session: DbSession, viewer: Person, now: Now, device_id: UUID) -> Response:
    """One device."""
    return device_view.show(request, session, viewer, devices.get_device(session, viewer, device_id), now)


@router.post("/{device_id}/edit")
def edit_device(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, device_id: UUID
) -> Response:
    """Change what people know of it: name, room, maker and model."""
    device = devices.get_device(session, viewer, device_id)
    reader = Reader(form)
    typed = {
        "name": reader.text("name", maximum=120, missing="Donnez un nom."),
        "room": reader.text("room", maximum=120),
        "manufacturer": reader.text("manufacturer", maximum=120),
        "model": reader.text("model", maximum=120),
    }
    try:
        reader.check()
        devices.edit_device(session, viewer, device, **typed, now=now)
    except FleetError as refused:
        session.rollback()
        problems = refused.problems if isinstance(refused, FormRefused) else {}
        device = devices.get_device(session, viewer, device_id)
        return device_view.show(request, session, viewer, device, now, refused=refused, problems=problems, typed=typed)
    return done(device_id, "device-edited")


@router.get("/{device_id}/move")
def show_move(
    request: Request, session: DbSession, viewer: Person, device_id: UUID, q: Search = "", school: SchoolId = None
) -> Response:
    """Choose the school that a device goes to, then confirm."""
    device = devices.get_device(session, viewer, device_id)
    devices.must_manage(viewer, device)
    chosen = schools.get_school(session, viewer, school) if school else None
    matches = schools.list_schools(session, viewer, search=q, page=Page(size=12)) if q and not chosen else None
    return render(request, "device_move.html", device=device, chosen=chosen, matches=matches, q=q)


@router.post("/{device_id}/move")
def move_device(session: DbSession, viewer: Person, now: Now, form: SentForm, device_id: UUID) -> Response:
    """Give it to another school."""
    device = devices.get_device(session, viewer, device_id)
    reader = Reader(form)
    school_id = reader.identifier("school", "Choisissez l’école.")
    reader.check()
    if school_id is not None:
        devices.move_device(session, viewer, device, schools.get_school(session, viewer, school_id), now)
    return done(device_id, "device-moved")


@router.post("/{device_id}/profile")
def issue_profile(request: Request, session: DbSession, viewer: Person, now: Now, device_id: UUID) -> Response:
    """Hand out a tablet's profile: a file for an iPad, a QR to scan for Android."""
    device = devices.get_device(session, viewer, device_id)
    device, content = enrollment.issue_profile(session, viewer, device, now, request.app.state.config)
    if device.platform is Platform.ANDROID:
        return render(
            request,
            "android_qr.html",
            device=device,
            qr=qr_svg(content.decode(), error="l"),
            android_trial=platforms.android_trial(request.app.state.config),
        )
    return profile_download(device, content)


@router.post("/{device_id}/status")
def change_status(session: DbSession, viewer: Person, now: Now, form: SentForm, device_id: UUID) -> Response:
    """Make a legal move of its life; filters hear at once of one that is retired."""
    device = devices.get_device(session, viewer, device_id)
    reader = Reader(form)
    status = reader.choice("status", DeviceStatus, "Choisissez un statut.")
    reader.check()
    policies.lock(session)  # before the row that a policy is made of
    devices.change_status(session, viewer, device, status, now)
    policies.catch_up(session, now)
    return done(device_id, "device-status")


def done(device_id: UUID, what: str) -> Response:
    return RedirectResponse(f"/devices/{device_id}?done={what}", 303)
