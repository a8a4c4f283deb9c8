"""The secret a device presents: issued at enrolment, confirmed by its first use, stored as its SHA-256."""

import hmac
import secrets
import uuid
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fleet.actors import ActorKind, become
from fleet.devices import events
from fleet.devices.models import Device, DeviceCredential, DeviceStatus
from fleet.errors import Unauthenticated
from fleet.stored_secrets import digest


def refused(*, keeps_changes: bool = False) -> Unauthenticated:
    """One sentence for every reason: a stranger learns nothing from it."""
    return Unauthenticated(
        "credential.refused",
        "Cet appareil n’est pas (ou n’est plus) reconnu. Enrôlez-le de nouveau avec un code.",
        keeps_changes=keeps_changes,
    )


def issue(session: Session, device: Device, now: datetime) -> str:
    """Make a new secret for a device and return it: the only time that it is seen. The older ones still work."""
    secret = secrets.token_hex(32)
    session.add(DeviceCredential(device_id=device.id, secret_hash=digest(secret), issued_at=now))
    return secret


def retire_all(session: Session, device: Device, now: datetime) -> None:
    """No secret issued so far is accepted any more."""
    session.execute(
        update(DeviceCredential)
        .where(DeviceCredential.device_id == device.id, DeviceCredential.retired_at.is_(None))
        .values(retired_at=now)
        .execution_options(synchronize_session=False)
    )


def authenticate(session: Session, authorization: str | None, now: datetime) -> Device:
    """The device behind ``Bearer <device_id>.<credential>``, its row locked; raise credential.refused (401).

    The first use of a secret confirms it and retires the ones issued before it. A retired one leaves an event: two
    machines share what only one should know.
    """
    device_id, secret = _read_header(authorization)
    device = session.get(Device, device_id, with_for_update=True)
    if device is None:
        raise refused()
    presented = digest(secret)
    rows = session.scalars(select(DeviceCredential).where(DeviceCredential.device_id == device_id)).all()
    found = [row for row in rows if hmac.compare_digest(row.secret_hash, presented)]
    if not found:
        raise refused()
    if found[0].retired_at is not None or device.status is DeviceStatus.RETIRED:
        events.note_seldom(
            session, device, "credential_refused", "un secret remplacé ou retiré a été présenté : copie ?", now
        )
        raise refused(keeps_changes=True)
    become(ActorKind.DEVICE, device.id, device.name)
    _confirm(session, found[0], now)
    return device


def _read_header(authorization: str | None) -> tuple[uuid.UUID, str]:
    scheme, _, token = (authorization or "").partition(" ")
    device_id, _, secret = token.strip().partition(".")
    if scheme.lower() != "bearer" or not secret:
        raise refused()
    try:
        return uuid.UUID(device_id), secret
    except ValueError:
        raise refused() from None


def _confirm(session: Session, credential: DeviceCredential, now: datetime) -> None:
    if credential.confirmed_at is not None:
        return
    credential.confirmed_at = now
    session.execute(
        update(DeviceCredential)
        .where(
            DeviceCredential.device_id == credential.device_id,
            DeviceCredential.id != credential.id,
            DeviceCredential.issued_at <= credential.issued_at,
            DeviceCredential.retired_at.is_(None),
        )
        .values(retired_at=now)
        .execution_options(synchronize_session=False)
    )


def count_unconfirmed(session: Session, device: Device) -> int:
    """How many secrets were handed out and never used."""
    return (
        session.scalar(
            select(func.count()).where(
                DeviceCredential.device_id == device.id,
                DeviceCredential.confirmed_at.is_(None),
                DeviceCredential.retired_at.is_(None),
            )
        )
        or 0
    )
