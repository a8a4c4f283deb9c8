"""The one conversation with devices: facts and outcomes in, desired state out."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from agent.protocol import CheckIn, CheckInReply, Outcome
from fleet.config import FleetConfig
from fleet.configuration import service as configuration
from fleet.configuration.models import ResourceOutcome
from fleet.devices import events
from fleet.devices import service as devices
from fleet.devices.facts import record_facts
from fleet.devices.models import Device, DeviceStatus

MAX_OUTCOMES = 32
JITTER = 0.1
"""Devices switched on together at 8:25 must not speak together all day."""


def receive(session: Session, device: Device, message: CheckIn, now: datetime, config: FleetConfig) -> CheckInReply:
    """Take what an authenticated device says and answer with what it should hold, when that differs.

    Facts are written only when their hash is new; the device turns active once it reports the desired revision
    without a failure; a device that was missed is back.
    """
    want_facts = _take_facts(device, message)
    _welcome_back(session, device, now)
    device.last_seen_at = now
    device.agent_version = message.agent_version or device.agent_version
    outcomes = last_of_each(message.outcomes)
    record_outcomes(session, device, outcomes, message.applied_revision, now)
    device.applied_revision = message.applied_revision
    desired = configuration.desired_state_for(session, device, config)
    device.desired_revision = desired.revision
    _activate(session, device, outcomes, now)
    return CheckInReply(
        desired=desired if desired.revision != message.applied_revision else None,
        want_facts=want_facts,
        next_check_in_seconds=next_check_in(config),
        server_time=now.isoformat(),
    )


def next_check_in(config: FleetConfig) -> int:
    """The interval, give or take a tenth; at least a second."""
    spread = round(config.check_in_seconds * JITTER)
    return max(1, config.check_in_seconds - spread + secrets.randbelow(2 * spread + 1))


def last_of_each(outcomes: Sequence[Outcome]) -> dict[str, Outcome]:
    """One outcome per resource, the last one said."""
    return {outcome.resource: outcome for outcome in outcomes[:MAX_OUTCOMES]}


def _take_facts(device: Device, message: CheckIn) -> bool:
    """Keep new facts; True when the device should send them the next time."""
    if message.facts is not None:
        record_facts(device, message.facts, message.facts_hash)
        devices.index_search(device)
        return False
    return message.facts_hash != device.facts_hash


def _welcome_back(session: Session, device: Device, now: datetime) -> None:
    if device.silent_since is not None:
        device.silent_since = None
        events.note(session, device, "back", "", now)


def _activate(session: Session, device: Device, outcomes: dict[str, Outcome], now: datetime) -> None:
    holds_it = device.applied_revision == device.desired_revision
    failed = any(outcome.status == "failed" for outcome in outcomes.values())
    if device.status is DeviceStatus.STAGED and holds_it and not failed:
        device.status = DeviceStatus.ACTIVE
        events.note(session, device, "ready", "", now)


def record_outcomes(
    session: Session, device: Device, outcomes: dict[str, Outcome], revision: str, now: datetime
) -> None:
    """Upsert what a device reports of each resource; a repair, and a failure that is new, leave an event."""
    if not outcomes:
        return
    before = {row.resource: row.status for row in configuration.list_outcomes(session, device.id)}
    row = insert(ResourceOutcome).values(
        [
            {
                "device_id": device.id,
                "resource": name,
                "revision": revision,
                "status": outcome.status,
                "detail": outcome.detail,
                "at": moment_of(outcome, now),
            }
            for name, outcome in sorted(outcomes.items())
        ]
    )
    columns = ("revision", "status", "detail", "at")
    session.execute(
        row.on_conflict_do_update(
            index_elements=[ResourceOutcome.device_id, ResourceOutcome.resource],
            set_={name: row.excluded[name] for name in columns},
            where=or_(*(getattr(ResourceOutcome, name).is_distinct_from(row.excluded[name]) for name in columns[:3])),
        )
    )
    for name, outcome in sorted(outcomes.items()):
        if outcome.status in {"repaired", "failed"} and before.get(name) != outcome.status:
            events.note(session, device, outcome.status, f"{name} : {outcome.detail}", now)


def moment_of(outcome: Outcome, now: datetime) -> datetime:
    """When the device says it happened; now, when its clock is unreadable, ahead, or a month behind."""
    try:
        at = datetime.fromisoformat(outcome.at)
    except ValueError:
        return now
    if at.tzinfo is None or not now - timedelta(days=31) <= at <= now:
        return now
    return at


MARK_SILENT = text(
    """
    WITH missed AS (
        UPDATE devices SET silent_since = :now
        WHERE status = :active AND silent_since IS NULL AND last_seen_at < :seen_before
        RETURNING id, school_id, last_seen_at
    )
    INSERT INTO device_events (id, device_id, school_id, at, kind, detail)
    SELECT gen_random_uuid(), id, school_id, :now, 'silent',
           'dernier signe de vie le ' || to_char(last_seen_at AT TIME ZONE 'Europe/Paris', 'DD/MM/YYYY à HH24:MI')
    FROM missed
    RETURNING device_id
    """
)


def mark_silent_devices(session: Session, now: datetime, config: FleetConfig) -> int:
    """Find the devices in service that stopped speaking; return how many are newly silent. Twice changes nothing.

    Nights, week-ends and holidays are not told apart yet: a display that is switched off at five is silent at six.
    """
    seen_before = now - devices.silent_after(config)
    parameters = {"now": now, "active": DeviceStatus.ACTIVE.value, "seen_before": seen_before}
    return len(session.execute(MARK_SILENT, parameters).all())
