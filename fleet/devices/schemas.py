"""HTTP shapes of devices."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import AS_TEXT, STRICT, BodyUuid
from fleet.collectivities.schemas import CollectivityBrief
from fleet.devices.models import DeviceKind, DeviceStatus, Platform

Short = Annotated[str, Field(max_length=120)]
Kind = Annotated[DeviceKind, AS_TEXT]
OnPlatform = Annotated[Platform, AS_TEXT]
Status = Annotated[DeviceStatus, AS_TEXT]


class In(BaseModel):
    model_config = STRICT


class DeviceIn(In):
    """A device added by hand. Without a school it waits in the operator's store."""

    kind: Kind
    platform: OnPlatform | None = None
    school_id: BodyUuid | None = None
    name: Short
    room: Short | None = None
    manufacturer: Short | None = None
    model: Short | None = None
    serial: Short | None = None


class EditIn(In):
    """Only what is given changes; "" empties a field (not the name)."""

    name: Short | None = None
    room: Short | None = None
    manufacturer: Short | None = None
    model: Short | None = None


class MoveIn(In):
    school_id: BodyUuid


class StatusIn(In):
    status: Status


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class SchoolBrief(Out):
    """Enough to name a school and link to it."""

    id: UUID
    uai: str
    name: str
    collectivity: CollectivityBrief


class DeviceOut(Out):
    """A line of the list."""

    id: UUID
    asset_tag: str
    name: str
    kind: DeviceKind
    platform: Platform
    status: DeviceStatus
    school: SchoolBrief | None
    room: str | None
    manufacturer: str | None
    model: str | None
    serial: str | None
    enrolled_at: datetime | None
    profile_issued_at: datetime | None
    last_seen_at: datetime | None
    silent_since: datetime | None
    updated_at: datetime


class DeviceDetail(DeviceOut):
    """A device with what it said of itself."""

    facts: dict[str, object]
    agent_version: str | None
    desired_revision: str
    applied_revision: str


class EventOut(Out):
    """One line of a device's history."""

    at: datetime
    kind: str
    detail: str
    by: str | None
