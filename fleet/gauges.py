"""The state of the fleet in a few aggregate queries: counts only, no label names a school, a device or a person."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from fleet.devices.models import Device, DeviceStatus
from fleet.filtering.models import FilterNode, Publication, PublicationState
from fleet.jobs.models import Job, JobKind, JobState
from fleet.tickets.models import Ticket, TicketMail, TicketStatus

SILENT_FILTER = timedelta(minutes=15)
"""A filter that has not spoken for so long is silent: it reports every minute or so."""
LONGEST_QUERY = "2s"
"""A scrape must never weigh on the database: what takes longer is given up."""


def read_gauges(session: Session, now: datetime) -> list[Metric]:
    """Every gauge of the fleet. Raises OperationalError when the database is away or a query takes too long."""
    session.execute(text(f"SET LOCAL statement_timeout = '{LONGEST_QUERY}'"))
    return [
        *device_gauges(session),
        *ticket_gauges(session, now),
        *publication_gauges(session, now),
        *filter_gauges(session, now),
        *job_gauges(session, now),
    ]


def gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, value=value)


def device_gauges(session: Session) -> Iterable[Metric]:
    devices = GaugeMetricFamily("fleet_devices", "Devices by kind and status", labels=["kind", "status"])
    rows = session.execute(select(Device.kind, Device.status, func.count()).group_by(Device.kind, Device.status))
    for kind, status, number in rows:
        devices.add_metric([kind.value, status.value], number)
    yield devices
    reporting = select(func.count(), func.count(Device.silent_since)).where(
        Device.last_seen_at.is_not(None), Device.status.in_((DeviceStatus.STAGED, DeviceStatus.ACTIVE))
    )
    expected, silent = session.execute(reporting).one()
    yield gauge("fleet_devices_reporting", "Devices in use that have checked in at least once", expected)
    yield gauge("fleet_devices_silent", "Those of them that have stopped", silent)


def ticket_gauges(session: Session, now: datetime) -> Iterable[Metric]:
    tickets = GaugeMetricFamily("fleet_tickets", "Tickets by status", labels=["status"])
    rows = session.execute(select(Ticket.status, func.count()).group_by(Ticket.status))
    numbers = {status: number for status, number in rows}  # noqa: C416 - dict() of rows is no dict to mypy
    for status in TicketStatus:
        tickets.add_metric([status.value], numbers.get(status, 0))
    yield tickets
    mails = select(func.count(), func.min(TicketMail.queued_at)).where(
        TicketMail.sent_at.is_(None), TicketMail.gave_up_at.is_(None)
    )
    waiting, oldest = session.execute(mails).one()
    lost = session.scalar(select(func.count()).where(TicketMail.gave_up_at.is_not(None))) or 0
    yield gauge("fleet_mails_waiting", "Mails owed and not yet sent", waiting)
    yield gauge("fleet_mails_oldest_seconds", "Age of the oldest mail not yet sent, else 0", age(oldest, now))
    yield gauge("fleet_mails_given_up", "Mails that were tried for too long and will not be sent", lost)


def age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


def publication_gauges(session: Session, now: datetime) -> Iterable[Metric]:
    newest = session.execute(
        select(Publication.serial, Publication.published_at)
        .where(Publication.state == PublicationState.PUBLISHED)
        .order_by(Publication.serial.desc())
        .limit(1)
    ).one_or_none()
    yield gauge(
        "fleet_publication_serial", "Serial of the newest published bundle; 0: none", newest[0] if newest else 0
    )
    if newest:
        yield gauge(
            "fleet_publication_age_seconds", "Age of the newest published bundle", age(newest.published_at, now)
        )
    last = session.scalar(select(Publication.state).order_by(Publication.serial.desc()).limit(1))
    failed = last == PublicationState.FAILED
    yield gauge("fleet_publication_failed", "1 when the newest request for a bundle failed", int(failed))


def filter_gauges(session: Session, now: datetime) -> Iterable[Metric]:
    newest = select(func.max(Publication.serial)).where(Publication.state == PublicationState.PUBLISHED)
    behind = func.coalesce(FilterNode.bundle_serial, 0) < func.coalesce(newest.scalar_subquery(), 0)
    silent = FilterNode.last_seen_at.is_(None) | (FilterNode.last_seen_at < now - SILENT_FILTER)
    total, late, quiet = session.execute(
        select(func.count(), func.count().filter(behind), func.count().filter(silent))
        .select_from(FilterNode)
        .where(FilterNode.revoked_at.is_(None))
    ).one()
    yield gauge("fleet_filters", "Filters registered and not revoked", total)
    yield gauge("fleet_filters_behind", "Filters whose bundle is not the newest", late)
    yield gauge("fleet_filters_silent", "Filters that have not reported for 15 minutes", quiet)


def job_gauges(session: Session, now: datetime) -> Iterable[Metric]:
    jobs = GaugeMetricFamily(
        "fleet_jobs", "Jobs by kind and state, those that ended while they are kept", labels=["kind", "state"]
    )
    rows = session.execute(select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state))
    numbers = {(kind, state): number for kind, state, number in rows}
    for kind in JobKind:
        for state in JobState:
            jobs.add_metric([kind.value, state.value], numbers.get((kind, state), 0))
    yield jobs
    since = func.coalesce(Job.next_try_at, Job.created_at)
    oldest = session.scalar(select(func.min(since)).where(Job.state == JobState.QUEUED))
    yield gauge(
        "fleet_jobs_oldest_queued_seconds", "How long the oldest job has waited for a worker, else 0", age(oldest, now)
    )
    left = select(func.count()).where(Job.state == JobState.RUNNING, Job.lease_until <= now)
    yield gauge("fleet_jobs_abandoned", "Running jobs whose worker gives no sign of life", session.scalar(left) or 0)
