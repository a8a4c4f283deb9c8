"""Who runs a job: claimed by one worker at a time, under a lease that it renews, and given up without it."""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from fleet.jobs.models import Job, JobKind, JobState

log = logging.getLogger(__name__)

MOST_ATTEMPTS = 5
"""A job that ends its worker each time is given up."""
MOST_HANDED_OVER = 20
"""Jobs handed over by one sweep, oldest first: ids that come twice cost a look each."""
INTERRUPTED = f"Le travail a été interrompu {MOST_ATTEMPTS} fois. Voyez le journal de l’ouvrier, puis relancez-le."


class LeaseLost(Exception):
    """Another worker has the job, or nobody has it any more: this one must not write."""


class JobCancelled(Exception):
    """Somebody asked to stop."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A job as the worker that claimed it knows it; ``token`` proves that it is still its own."""

    job_id: UUID
    token: UUID
    kind: JobKind
    parameters: dict[str, Any]
    asked_by: str
    attempt: int
    length: timedelta


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; ``total`` None while that is not known."""

    done: int = 0
    total: int | None = None
    sentence: str = ""


class Standing(StrEnum):
    """What a worker learns of its job when it renews the lease."""

    OURS = "ours"
    CANCELLED = "cancelled"
    LOST = "lost"


def is_due(now: datetime) -> ColumnElement[bool]:
    """The condition of a job that a worker may take: queued and its time has come, or left by a dead worker."""
    queued = and_(Job.state == JobState.QUEUED, or_(Job.next_try_at.is_(None), Job.next_try_at <= now))
    return or_(queued, and_(Job.state == JobState.RUNNING, Job.lease_until <= now))


def list_due(session: Session, now: datetime) -> list[UUID]:
    """Ids of the jobs to hand over, oldest first."""
    query = select(Job.id).where(is_due(now)).order_by(Job.created_at, Job.id)
    return list(session.scalars(query.limit(MOST_HANDED_OVER)))


def claim(session: Session, job_id: UUID, now: datetime, length: timedelta) -> Lease | None:
    """Take a job; None when it is not due, another worker has it, or it has to end here instead."""
    query = select(Job).where(Job.id == job_id, is_due(now)).with_for_update(skip_locked=True)
    job = session.scalar(query.execution_options(populate_existing=True))
    if job is None or _ends_here(job, now):
        return None
    job.move_to(JobState.RUNNING, now)
    job.attempts += 1
    job.lease_token, job.lease_until = uuid.uuid4(), now + length
    job.started_at, job.next_try_at, job.reason = now, None, ""
    job.done, job.total, job.sentence = 0, None, ""
    return Lease(job.id, job.lease_token, job.kind, job.parameters, job.asked_by, job.attempts, length)


def _ends_here(job: Job, now: datetime) -> bool:
    if job.state is JobState.RUNNING and job.cancel_asked_at is not None:  # its worker died before it could obey
        job.move_to(JobState.CANCELLED, now)
        return True
    if job.attempts >= MOST_ATTEMPTS:
        if job.state is JobState.QUEUED:
            job.move_to(JobState.RUNNING, now)
        job.move_to(JobState.FAILED, now)
        job.reason = INTERRUPTED
        log.error("job given up", extra={"job": str(job.id), "attempts": job.attempts})
        return True
    return False


def renew(session: Session, lease: Lease, progress: Progress, now: datetime) -> Standing:
    """Keep the job for another while and tell how far it is."""
    statement = (
        update(Job)
        .where(Job.id == lease.job_id, Job.state == JobState.RUNNING, Job.lease_token == lease.token)
        .values(lease_until=now + lease.length, done=progress.done, total=progress.total, sentence=progress.sentence)
        .returning(Job.cancel_asked_at)
        .execution_options(synchronize_session=False)
    )
    row = session.execute(statement).one_or_none()
    if row is None:
        return Standing.LOST
    return Standing.OURS if row[0] is None else Standing.CANCELLED


def hold(session: Session, lease: Lease) -> Job:
    """The job, ours until this transaction ends; raise LeaseLost. What is written with it counts once."""
    query = select(Job).where(Job.id == lease.job_id).with_for_update().execution_options(populate_existing=True)
    job = session.scalar(query)
    if job is None or job.state is not JobState.RUNNING or job.lease_token != lease.token:
        raise LeaseLost
    return job


def finish(session: Session, lease: Lease, progress: Progress, now: datetime) -> None:
    """Mark it done in the transaction of its effect; raise LeaseLost, or JobCancelled when somebody asked to stop."""
    job = hold(session, lease)
    if job.cancel_asked_at is not None:
        raise JobCancelled
    job.move_to(JobState.DONE, now)
    job.done, job.total, job.sentence = progress.done, progress.total, progress.sentence


def fail(session: Session, lease: Lease, reason: str, now: datetime) -> None:
    """Note, in French, why it came to nothing; raise LeaseLost."""
    job = hold(session, lease)
    job.move_to(JobState.FAILED, now)
    job.reason = reason


def cancel(session: Session, lease: Lease, now: datetime) -> None:
    """Stop as somebody asked; raise LeaseLost."""
    hold(session, lease).move_to(JobState.CANCELLED, now)


def put_back(session: Session, lease: Lease, reason: str, wait: timedelta, now: datetime) -> None:
    """Let it wait: that is no attempt, since nothing was tried. Raise LeaseLost."""
    job = hold(session, lease)
    if job.cancel_asked_at is not None:
        job.move_to(JobState.CANCELLED, now)
        return
    job.move_to(JobState.QUEUED, now)
    job.attempts -= 1
    job.reason, job.next_try_at, job.sentence = reason, now + wait, ""
