"""HTTP of rooms, networks, devices that have a profile of their own, and schedules."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.access import OperatorViewer
from fleet.filtering.exceptions import rooms
from fleet.filtering.policy import networks, profiles, schedules
from fleet.filtering.policy.models import FilterNetwork, FilterRoom
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.schedule_schemas import ScheduleIn, ScheduleOut
from fleet.filtering.policy.schemas import LabelIn, LabelOut, RoomIn, RoomNameIn, RoomOut
from fleet.filtering.schemas import NetworkAdded, NetworkIn, NetworkOut
from fleet.schools import service as schools

router = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])


@router.get("/rooms", response_model=list[RoomOut])
def list_rooms(session: DbSession, viewer: CurrentViewer, school_id: UUID | None = None) -> Sequence[FilterRoom]:
    """The rooms of the schools that the caller sees."""
    return rooms.list_rooms(session, viewer, school_id)


@router.post("/rooms", response_model=RoomOut, status_code=201)
def add_room(body: RoomIn, session: DbSession, viewer: CurrentViewer, now: Now) -> FilterRoom:
    """A room, empty until networks or devices are put in it."""
    return rooms.add_room(session, viewer, schools.get_school(session, viewer, body.school_id), body.name, now)


@router.patch("/rooms/{room_id}", response_model=RoomOut)
def rename_room(room_id: UUID, body: RoomNameIn, session: DbSession, viewer: CurrentViewer, now: Now) -> FilterRoom:
    """Call it otherwise; what is in it stays."""
    return rooms.rename_room(session, viewer, room_id, body.name, now)


@router.delete("/rooms/{room_id}", status_code=204)
def remove_room(room_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> None:
    """Its networks and devices stay, in no room."""
    rooms.remove_room(session, viewer, room_id, now)


@router.get("/networks", response_model=list[NetworkOut])
def list_networks(session: DbSession, viewer: OperatorViewer) -> list[FilterNetwork]:
    """Which networks get which profile."""
    return rooms.list_networks(session, viewer)


@router.post("/networks", status_code=201)
def add_network(body: NetworkIn, session: DbSession, viewer: CurrentViewer, now: Now) -> NetworkAdded:
    """Give a network's clients a profile, as that school or room has it, and publish it.

    Two schools may have the same network when one of them has a filter of its own, which alone heeds it then.
    """
    found = find_place(session, viewer, None, body.school_id, body.room_id)
    profile = profiles.get_profile(session, body.profile_id)
    added = rooms.add_network(session, viewer, body.cidr, profile, found, now)
    warning = networks.doubt_about(session, added.cidr, added.school_id)
    return NetworkAdded(**NetworkOut.model_validate(added).model_dump(), warning=warning)


@router.delete("/networks/{network_id}", status_code=204)
def remove_network(network_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> None:
    """Take it back, and publish that."""
    rooms.remove_network(session, viewer, network_id, now)


@router.get("/labels")
def list_labels(session: DbSession, viewer: CurrentViewer, school_id: UUID | None = None) -> list[LabelOut]:
    """Devices that have a profile of their own, in the schools that the caller sees."""
    found = rooms.list_labels(session, viewer, school_id)
    return [
        LabelOut(
            device_id=device.id,
            asset_tag=device.asset_tag,
            device=device.name,
            profile_id=label.profile_id,
            room_id=label.room_id,
        )
        for label, device in found
    ]


@router.put("/labels/{device_id}", status_code=204)
def set_label(device_id: UUID, body: LabelIn, session: DbSession, viewer: CurrentViewer, now: Now) -> None:
    """Give a device a profile wherever it is, and publish it."""
    profile = profiles.get_profile(session, body.profile_id)
    rooms.set_label(session, viewer, device_id, profile, body.room_id, now)


@router.delete("/labels/{device_id}", status_code=204)
def remove_label(device_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> None:
    """The device goes by its network again."""
    rooms.remove_label(session, viewer, device_id, now)


@router.get("/schedules")
def list_schedules(session: DbSession, _viewer: CurrentViewer, now: Now) -> list[ScheduleOut]:
    """Every schedule, and whether it holds now."""
    return [ScheduleOut.of(s, is_active=schedules.is_active(s, now)) for s in schedules.list_schedules(session)]


@router.post("/schedules", status_code=201)
def add_schedule(body: ScheduleIn, session: DbSession, viewer: CurrentViewer, now: Now) -> ScheduleOut:
    """A schedule that lines may name."""
    schedule = schedules.add_schedule(session, viewer, body.says(), zone_b=body.zone_b, now=now)
    return ScheduleOut.of(schedule, is_active=schedules.is_active(schedule, now))


@router.put("/schedules/{schedule_id}")
def change_schedule(
    schedule_id: UUID, body: ScheduleIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> ScheduleOut:
    """Say something else under the same slug, and publish it."""
    schedule = schedules.get_schedule(session, schedule_id)
    schedules.change_schedule(session, viewer, schedule, body.says(), zone_b=body.zone_b, now=now)
    return ScheduleOut.of(schedule, is_active=schedules.is_active(schedule, now))


@router.delete("/schedules/{schedule_id}", status_code=204)
def remove_schedule(schedule_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> None:
    """Only while no line names it."""
    schedules.remove_schedule(session, viewer, schedules.get_schedule(session, schedule_id), now)
