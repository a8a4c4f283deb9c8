"""Whether the machine that asks to enroll is one we know: adopted, new, or for a person to decide."""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session
from sqlalchemy.types import BigInteger, Text

from fleet import metrics
from fleet.configuration.service import forget_outcomes
from fleet.devices import credentials, events
from fleet.devices import service as devices
from fleet.devices.identity import Known, Likeness, compare
from fleet.devices.models import Device, DeviceStatus
from fleet.enrollment.models import EnrollmentToken
from fleet.errors import Conflict


def recognise(
    session: Session, seen: Known, token: EnrollmentToken, silence: timedelta, now: datetime
) -> Device | None:
    """The known device that this machine is, made ready to be enrolled anew; None when it is a new one.

    Adopted without asking only in the token's school, with the same kind and platform, and when the row has been
    silent for ``silence``. Otherwise raise Conflict: nothing is changed but an event on the row that a technician
    looks after, and the token keeps its use.
    """
    if not seen:
        return None
    _lock(session, seen)
    device = _suspect(session, seen, token.school_id, now)
    if device is None:
        return None
    if (reason := _objection(device, seen, token, silence, now)) is not None:
        raise _undecided(session, device, reason, token.school_id, now)
    adopt_device(session, device, token.school_id, now)
    return device


def _suspect(session: Session, seen: Known, school_id: UUID, now: datetime) -> Device | None:
    """The one row that this machine may be; raise Conflict when there are several in service.

    A retired row counts only when nothing contradicts it: retiring is how a technician says "not this one".
    """
    alike = [(device, compare(_known(device), seen)) for device in _candidates(session, seen)]
    present = [d for d, likeness in alike if likeness is not Likeness.OTHER and d.status is not DeviceStatus.RETIRED]
    if len(present) > 1:
        raise _undecided(session, present[0], "plusieurs appareils connus ont cette identité", school_id, now)
    gone = [d for d, likeness in alike if likeness is Likeness.SAME and d.status is DeviceStatus.RETIRED]
    return next(iter(present + gone), None)


def adopt_device(session: Session, device: Device, school_id: UUID, now: datetime) -> None:
    """The same asset after a reset: history kept, old secrets refused, nothing believed of its state any more."""
    device.school_id = school_id  # out of the store, if that is where it was
    credentials.retire_all(session, device, now)
    forget_outcomes(session, device)
    device.applied_revision = device.desired_revision = ""
    device.silent_since = device.last_seen_at = device.profile_issued_at = None
    if device.status is not DeviceStatus.STAGED:
        devices.move_to(session, device, DeviceStatus.STAGED, now, None)
    events.note(session, device, "adopted", "même identité, même école : historique gardé", now)


def _lock(session: Session, seen: Known) -> None:
    """Whoever this is enrolls once at a time: two tokens used at once must not make two rows of one machine."""
    numbers = sorted({zlib.crc32(word.encode()) for word in seen.words()})
    session.execute(select(func.pg_advisory_xact_lock(func.unnest(array(numbers, type_=BigInteger)))))


def _candidates(session: Session, seen: Known) -> Sequence[Device]:
    parts = []
    if seen.serial:
        parts.append(Device.serial == seen.serial)
    if seen.smbios_uuid:
        parts.append(Device.smbios_uuid == seen.smbios_uuid)
    if seen.macs:
        parts.append(Device.macs.op("?|")(array(sorted(seen.macs), type_=Text)))
    return session.scalars(select(Device).where(or_(*parts)).order_by(Device.created_at, Device.id)).all()


def _known(device: Device) -> Known:
    return Known(device.serial, device.smbios_uuid, frozenset(device.macs))


def _objection(device: Device, seen: Known, token: EnrollmentToken, silence: timedelta, now: datetime) -> str | None:
    if compare(_known(device), seen) is Likeness.CONTRADICTION:
        return "une partie de l’identité concorde, une autre non (carte mère changée, numéro copié ?)"
    if device.school_id is not None and device.school_id != token.school_id:
        return "il est inscrit dans une autre école : changez-le d’école d’abord"
    if device.kind is not token.kind or device.platform is not token.platform:
        return "il est inscrit sous un autre type ou une autre plateforme"
    if device.status is DeviceStatus.RETIRED:
        return "il est réformé : remettez-le en stock d’abord"
    alive_at = max((at for at in (device.last_seen_at, device.enrolled_at) if at is not None), default=None)
    if alive_at is not None and now - alive_at < silence:  # enrolled a moment ago and not yet heard: alive all the same
        minutes = max(1, -int(-silence.total_seconds() // 60))
        return f"un appareil de même identité répond encore : attendez {minutes} min après sa remise à zéro"
    return None


def _undecided(session: Session, device: Device, reason: str, school_id: UUID, now: datetime) -> Conflict:
    events.note_seldom(session, device, "enrollment_refused", reason, now)
    metrics.enrollments.labels("needs_decision").inc()
    known = f"{device.asset_tag} ({device.name})" if device.school_id == school_id else "un appareil d’une autre école"
    return Conflict(
        "enrollment.needs_decision",
        f"Cette machine ressemble à {known} : {reason}. Voyez sa fiche avec le technicien.",
        keeps_changes=True,
    )
