"""HTTP of devices, for people."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.devices import service
from fleet.devices.export import export_devices
from fleet.devices.models import Device, DeviceEvent, DeviceKind, DeviceStatus
from fleet.devices.schemas import DeviceDetail, DeviceIn, DeviceOut, EditIn, EventOut, MoveIn, StatusIn
from fleet.devices.service import Criteria
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.schools import service as schools
from fleet.table_file import Extension, download

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])


def wanted_devices(
    search: Annotated[str, Query(max_length=200, description="Mots du nom, de l’étiquette, de l’école…")] = "",
    school_id: UUID | None = None,
    collectivity_id: UUID | None = None,
    kind: DeviceKind | None = None,
    status: DeviceStatus | None = None,
    silent: bool | None = None,
) -> Criteria:
    """Which devices a URL asks for."""
    return {
        "search": search,
        "school_id": school_id,
        "collectivity_id": collectivity_id,
        "kind": kind,
        "status": status,
        "silent": silent,
    }


WantedDevices = Annotated[Criteria, Depends(wanted_devices)]


@router.get("", response_model=ListingOut[DeviceOut])
def list_devices(
    session: DbSession, viewer: CurrentViewer, page: WantedPage, criteria: WantedDevices
) -> dict[str, object]:
    """The devices that the caller sees, in pages. Sorts: the names of DeviceOut that a list may be ordered by."""
    return listing_out(service.list_devices(session, viewer, **criteria, page=page))


@router.get("/export.{extension}", response_class=Response)
def export(extension: Extension, session: DbSession, viewer: CurrentViewer, criteria: WantedDevices) -> Response:
    """The same list whole, for a spreadsheet."""
    return download(export_devices(session, viewer, criteria), "appareils", extension)


@router.post("", response_model=DeviceDetail, status_code=201)
def register_device(body: DeviceIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Device:
    """Add a device by hand."""
    school = schools.get_school(session, viewer, body.school_id) if body.school_id else None
    fields = body.model_dump(exclude={"school_id"})
    return service.register_device(session, viewer, **fields, school=school, now=now)


@router.get("/{device_id}", response_model=DeviceDetail)
def get_device(device_id: UUID, session: DbSession, viewer: CurrentViewer) -> Device:
    """One device that the caller sees."""
    return service.get_device(session, viewer, device_id)


@router.get("/{device_id}/events", response_model=list[EventOut])
def list_events(device_id: UUID, session: DbSession, viewer: CurrentViewer) -> Sequence[DeviceEvent]:
    """What happened to it, newest first."""
    return service.list_events(session, viewer, service.get_device(session, viewer, device_id))


@router.patch("/{device_id}", response_model=DeviceDetail)
def edit_device(device_id: UUID, body: EditIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Device:
    """Change what people know of it."""
    device = service.get_device(session, viewer, device_id)
    return service.edit_device(session, viewer, device, **body.model_dump(exclude_unset=True), now=now)


@router.post("/{device_id}/move", response_model=DeviceDetail)
def move_device(device_id: UUID, body: MoveIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Device:
    """Give it to another school."""
    device = service.get_device(session, viewer, device_id)
    return service.move_device(session, viewer, device, schools.get_school(session, viewer, body.school_id), now)


@router.post("/{device_id}/status", response_model=DeviceDetail)
def change_status(device_id: UUID, body: StatusIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Device:
    """Move it along its life: the legal moves only."""
    device = service.get_device(session, viewer, device_id)
    return service.change_status(session, viewer, device, body.status, now)
