"""The history of a device: written by every feature that touches it, read on its page."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.devices.models import Device, DeviceEvent
from fleet.schools.models import School
from fleet.scope import Viewer, visible_to

SELDOM = timedelta(hours=1)


def note(session: Session, device: Device, kind: str, detail: str, now: datetime, by: str | None = None) -> None:
    """Add an event. ``kind`` is a word of fleet.devices.labels.EVENTS, ``by`` a person; None: device or system."""
    where = device.school_id
    session.add(DeviceEvent(device_id=device.id, school_id=where, at=now, kind=kind, detail=detail[:2000], by=by))


def note_seldom(session: Session, device: Device, kind: str, detail: str, now: datetime) -> None:
    """Add an event that a machine might cause every minute: at most one an hour of each kind."""
    recent = select(DeviceEvent.id).where(
        DeviceEvent.device_id == device.id, DeviceEvent.kind == kind, DeviceEvent.at > now - SELDOM
    )
    if session.scalar(recent.limit(1)) is None:
        note(session, device, kind, detail, now)


def list_events(session: Session, viewer: Viewer, device: Device, limit: int = 200) -> Sequence[DeviceEvent]:
    """The newest events of a device, newest first; of those, what happened where the viewer may look.

    A device that changed schools brings its history to the operator, not to its new owner.
    """
    query = select(DeviceEvent).outerjoin(School, School.id == DeviceEvent.school_id)
    query = visible_to(viewer, query, collectivity=School.collectivity_id, school=DeviceEvent.school_id)
    query = query.where(DeviceEvent.device_id == device.id)
    return session.scalars(query.order_by(DeviceEvent.at.desc(), DeviceEvent.id).limit(limit)).all()
