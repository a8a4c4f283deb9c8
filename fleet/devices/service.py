"""The fleet: what there is, where it is, and what happened to it."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypedDict, Unpack
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, Text, func, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, contains_eager, joinedload

from fleet.collectivities.models import Collectivity
from fleet.config import FleetConfig
from fleet.devices import credentials, events, identity
from fleet.devices.labels import STATUSES
from fleet.devices.models import (
    LAST_SEEN_KNOWN,
    MOVES,
    NAME_FOLDED,
    TRACKED_KINDS,
    Device,
    DeviceEvent,
    DeviceKind,
    DeviceStatus,
    Platform,
    asset_numbers,
)
from fleet.errors import Conflict, Invalid, NotFound
from fleet.paging import Listing, Page, holds, paginate
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Viewer, visible_to
from fleet.text import fold

LABEL_LETTERS = "bcdfghjkmnpqrstvwxz23456789"
"""No vowels, so that no word comes out; none that reads like another."""
SILENT_AFTER = 5
"""Check-ins missed in a row before a device counts as silent."""
PLATFORMS: Mapping[DeviceKind, tuple[Platform, ...]] = {
    DeviceKind.DISPLAY: (Platform.LINUX, Platform.WINDOWS, Platform.ANDROID),
    DeviceKind.TABLET: (Platform.IPADOS, Platform.ANDROID, Platform.WINDOWS),
    DeviceKind.LAPTOP: (Platform.LINUX, Platform.WINDOWS),
    DeviceKind.DESKTOP: (Platform.LINUX, Platform.WINDOWS),
    DeviceKind.GATEWAY: (Platform.LINUX,),
} | dict.fromkeys(TRACKED_KINDS, (Platform.NONE,))
"""Which platforms a kind comes with; the first is the usual one."""
SORTABLE: dict[str, ColumnElement[Any] | InstrumentedAttribute[Any]] = {
    "id": Device.id,
    "asset_tag": Device.asset_tag,
    "name": literal_column(NAME_FOLDED.replace("name", "devices.name"), Text),
    "kind": Device.kind,
    "platform": Device.platform,
    "status": Device.status,
    "school": func.coalesce(School.search_text, ""),
    "last_seen": literal_column(LAST_SEEN_KNOWN.replace("last_seen_at", "devices.last_seen_at"), DateTime),
    "created": Device.created_at,
}


class Criteria(TypedDict, total=False):
    """Which devices a list shows: the keywords of filter_devices and list_devices."""

    search: str
    school_id: UUID | None
    collectivity_id: UUID | None
    kind: DeviceKind | None
    status: DeviceStatus | None
    silent: bool | None


def silent_after(config: FleetConfig) -> timedelta:
    """How long an agent may keep quiet before its device counts as silent."""
    return timedelta(seconds=SILENT_AFTER * config.check_in_seconds)


def visible_devices(viewer: Viewer) -> Select[Device]:
    """Every device that the viewer sees, school and its collectivity loaded; conditions may speak of School."""
    query = (
        select(Device)
        .outerjoin(School, Device.school_id == School.id)
        .outerjoin(Collectivity, School.collectivity_id == Collectivity.id)
        .options(contains_eager(Device.school).options(contains_eager(School.collectivity), joinedload(School.commune)))
    )
    return visible_to(viewer, query, collectivity=School.collectivity_id, school=Device.school_id)


def filter_devices(query: Select[Device], **criteria: Unpack[Criteria]) -> Select[Device]:
    """Keep the devices asked for. Every word of ``search`` must be found in the device, its school or the commune."""
    for word in fold(criteria.get("search", "")).split():
        at_school = Device.school_id.in_(schools.schools_named(word))  # apart: each side uses its own index
        query = query.where(or_(holds(word, Device.search_text), at_school))
    exact = {
        "school_id": Device.school_id,
        "collectivity_id": School.collectivity_id,
        "kind": Device.kind,
        "status": Device.status,
    }
    for name, column in exact.items():
        if (wanted := criteria.get(name)) is not None:
            query = query.where(column == wanted)
    if (silent := criteria.get("silent")) is not None:
        query = query.where(Device.silent_since.is_not(None) if silent else Device.silent_since.is_(None))
    return query


def list_devices(
    session: Session,
    viewer: Viewer,
    *,
    page: Page = Page(),  # noqa: B008 - frozen
    **criteria: Unpack[Criteria],
) -> Listing[Device]:
    """One page of the devices that the viewer sees, school and its collectivity loaded."""
    return paginate(session, filter_devices(visible_devices(viewer), **criteria), page, SORTABLE, "asset_tag")


def get_device(session: Session, viewer: Viewer, device_id: UUID) -> Device:
    """The device, school and its collectivity loaded; raise NotFound when there is none or it may not be seen."""
    device = session.scalar(visible_devices(viewer).where(Device.id == device_id))
    if device is None:
        raise NotFound("device.not_found", "Cet appareil n’existe pas ou ne vous est pas ouvert.")
    return device


def list_events(session: Session, viewer: Viewer, device: Device) -> Sequence[DeviceEvent]:
    """What happened to a device, newest first."""
    return events.list_events(session, viewer, device)


def count_devices(
    session: Session, viewer: Viewer, *, collectivity_id: UUID | None = None
) -> dict[tuple[DeviceKind, DeviceStatus], int]:
    """How many devices the viewer sees, by kind and status; pairs that do not occur are left out."""
    rows = select(Device.kind, Device.status, func.count()).outerjoin(School, Device.school_id == School.id)
    if collectivity_id is not None:
        rows = rows.where(School.collectivity_id == collectivity_id)
    rows = visible_to(viewer, rows, collectivity=School.collectivity_id, school=Device.school_id)
    counted = session.execute(rows.group_by(Device.kind, Device.status))
    return {(kind, status): number for kind, status, number in counted}


def count_by_school(session: Session, viewer: Viewer, school_ids: Iterable[UUID]) -> dict[UUID, int]:
    """How many devices the viewer sees in each of these schools, retired ones aside; a school without is left out."""
    rows = select(School.id, func.count()).join(Device, Device.school_id == School.id).group_by(School.id)
    rows = rows.where(School.id.in_(list(school_ids)), Device.status != DeviceStatus.RETIRED)
    rows = visible_to(viewer, rows, collectivity=School.collectivity_id, school=School.id)
    return dict(session.execute(rows).all())


def check_platform(kind: DeviceKind, platform: Platform) -> None:
    """Raise Invalid when a kind does not come with that platform."""
    if platform not in PLATFORMS[kind]:
        possible = ", ".join(p.value for p in PLATFORMS[kind])
        raise Invalid(
            "device.platform_mismatch",
            f"Un appareil de type {kind.value} ne va pas avec la plateforme {platform.value} (possible : {possible}).",
        )


def register_device(
    session: Session,
    viewer: Viewer,
    *,
    kind: DeviceKind,
    platform: Platform | None = None,
    school: School | None,
    name: str,
    room: str | None = None,
    manufacturer: str | None = None,
    model: str | None = None,
    serial: str | None = None,
    status: DeviceStatus = DeviceStatus.IN_STOCK,
    now: datetime,
) -> Device:
    """Add a device by hand: a tracked kit, or a tablet before its profile. ``platform`` None: the kind's usual one."""
    viewer.must(Action.MANAGE_DEVICE, school.collectivity_id if school else None, school.id if school else None)
    device = create_device(
        session, kind=kind, platform=platform or PLATFORMS[kind][0], school=school, name=name, status=status
    )
    device.room, device.manufacturer, device.model = _text(room), _text(manufacturer), _text(model)
    device.serial = identity.clean_serial(serial)
    index_search(device)
    events.note(session, device, "registered", school.name if school else "en réserve", now, viewer.name)
    return device


def create_device(
    session: Session,
    *,
    kind: DeviceKind,
    platform: Platform,
    school: School | None,
    name: str = "",
    status: DeviceStatus,
) -> Device:
    """Add a row with a new asset tag and label; an empty ``name`` becomes the asset tag. No rights checked."""
    check_platform(kind, platform)
    tag = f"PRE-{session.scalar(select(asset_numbers.next_value())):06d}"
    device = Device(
        asset_tag=tag,
        kind=kind,
        platform=platform,
        school=school,
        name=_name(name) if name else tag,
        status=status,
        label="".join(secrets.choice(LABEL_LETTERS) for _ in range(16)),
    )
    index_search(device)
    session.add(device)
    session.flush()
    return device


def edit_device(
    session: Session,
    viewer: Viewer,
    device: Device,
    *,
    name: str | None = None,
    room: str | None = None,
    manufacturer: str | None = None,
    model: str | None = None,
    now: datetime,
) -> Device:
    """Change what people know of a device; None leaves a field as it is, "" empties it (not the name)."""
    must_manage(viewer, device)
    wanted = {"room": room, "manufacturer": manufacturer, "model": model}
    changes = {field: _text(value) for field, value in wanted.items() if value is not None}
    if name is not None:
        changes["name"] = _name(name)
    changes = {field: value for field, value in changes.items() if getattr(device, field) != value}
    if changes:
        for field, value in changes.items():
            setattr(device, field, value)
        index_search(device)
        told = ", ".join(f"{FIELDS[field]} : {value or 'vide'}" for field, value in changes.items())
        events.note(session, device, "edited", told, now, viewer.name)
    return device


FIELDS = {"name": "nom", "room": "salle", "manufacturer": "fabricant", "model": "modèle"}


def move_device(session: Session, viewer: Viewer, device: Device, school: School, now: datetime) -> Device:
    """Give a device to another school, history and all; the viewer must manage both ends."""
    must_manage(viewer, device)
    viewer.must(Action.MANAGE_DEVICE, school.collectivity_id, school.id)
    if device.school_id == school.id:
        raise Conflict("device.same_school", f"L’appareil est déjà à {school.name}.")
    left = device.school.name if device.school else "réserve"
    events.note(session, device, "moved", f"{left} → {school.name}", now, viewer.name)  # the old owner's to know
    device.school = school
    device.room = None  # a room of the school it left
    session.flush()
    events.note(session, device, "arrived", "", now, viewer.name)
    session.flush()
    return device


def change_status(session: Session, viewer: Viewer, device: Device, status: DeviceStatus, now: datetime) -> Device:
    """Make a legal move; raise Conflict for another. A device that is retired loses its secret."""
    must_manage(viewer, device)
    move_to(session, device, status, now, viewer.name)
    if status is DeviceStatus.RETIRED:
        credentials.retire_all(session, device, now)
    return device


def move_to(session: Session, device: Device, status: DeviceStatus, now: datetime, by: str | None) -> None:
    """Make a legal move and leave its event; raise Conflict for another."""
    if status not in MOVES[device.status]:
        possible = ", ".join(STATUSES[s] for s in sorted(MOVES[device.status]))
        raise Conflict(
            "device.move_refused",
            f"« {STATUSES[device.status]} » ne peut pas devenir « {STATUSES[status]} » (possible : {possible}).",
        )
    events.note(session, device, "status", f"{STATUSES[device.status]} → {STATUSES[status]}", now, by)
    device.status = status
    if status is not DeviceStatus.ACTIVE:
        device.silent_since = None  # only a device in service is missed


def must_manage(viewer: Viewer, device: Device) -> None:
    """Raise NotAllowed unless the viewer manages this device (school loaded)."""
    viewer.must(Action.MANAGE_DEVICE, device.school.collectivity_id if device.school else None, device.school_id)


def index_search(device: Device) -> None:
    """Write what searches look at. Call after a change of any of these."""
    device.search_text = fold(
        device.asset_tag, device.name, device.room, device.serial, device.manufacturer, device.model
    )


def _name(text: str) -> str:
    text = " ".join(text.split())
    if not 1 <= len(text) <= 120 or not text.isprintable():
        raise Invalid("device.bad_name", "Un nom compte de 1 à 120 caractères lisibles.")
    return text


def _text(text: str | None) -> str | None:
    text = " ".join((text or "").split())
    if len(text) > 120 or not text.isprintable():
        raise Invalid("device.bad_text", "Salle, fabricant et modèle comptent 120 caractères lisibles au plus.")
    return text or None
