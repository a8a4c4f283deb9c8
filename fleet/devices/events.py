"""The history of a device: written by every feature that touches it, read on its page."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.devices.models import Device, DeviceEvent

SELDOM = timedelta(hours=1)


def note(session: Session, device: Device, kind: str, detail: str, now: datetime, by: str | None = None) -> None:
    """Add an event. ``kind`` is a word of fleet.devices.labels.EVENTS, ``by`` a person; None: device or system."""
    session.add(DeviceEvent(device_id=device.id, at=now, kind=kind, detail=detail[:2000], by=by))


def note_seldom(session: Session, device: Device, kind: str, detail: str, now: datetime) -> None:
    """Add an event that a machine might cause every minute: at most one an hour of each kind."""
    recent = select(DeviceEvent.id).where(
        DeviceEvent.device_id == device.id, DeviceEvent.kind == kind, DeviceEvent.at > now - SELDOM
    )
    if session.scalar(recent.limit(1)) is None:
        note(session, device, kind, detail, now)


def list_events(session: Session, device: Device, limit: int = 200) -> Sequence[DeviceEvent]:
    """The newest events of a device, newest first."""
    query = select(DeviceEvent).where(DeviceEvent.device_id == device.id)
    return session.scalars(query.order_by(DeviceEvent.at.desc(), DeviceEvent.id).limit(limit)).all()
