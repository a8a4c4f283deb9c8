"""Jobs as people follow them: asked for, listed, cancelled, tried again."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from fleet.db import after_commit
from fleet.errors import NotFound
from fleet.jobs import tasks
from fleet.jobs.models import OPEN, Job, JobKind, JobState
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer, visible_to
from fleet.text import fold, like

SORTABLE = {
    "id": Job.id,
    "created_at": Job.created_at,
    "ended_at": Job.ended_at,
    "subject": Job.search_text,  # begins with the folded subject
    "kind": Job.kind,
    "state": Job.state,
}


def add_job(
    session: Session,
    viewer: Viewer,
    kind: JobKind,
    subject: str,
    parameters: dict[str, Any],
    now: datetime,
    *,
    collectivity_id: UUID | None = None,
    school_id: UUID | None = None,
) -> Job:
    """Ask for work, which starts once this is committed. Callers check the right.

    Only who sees the collectivity or school sees the job; a school's needs its collectivity; with neither it is the
    operator's.
    """
    job = Job(
        kind=kind, subject=subject, parameters=parameters, asked_by=viewer.name, created_at=now, attempts=0,
        collectivity_id=collectivity_id, school_id=school_id,
        asked_by_id=viewer.user_id if viewer.user_id.int else None,  # the command line is no account
        state=JobState.QUEUED, search_text=fold(subject, kind.label, viewer.name),
    )  # fmt: skip
    session.add(job)
    session.flush()
    after_commit(session, tasks.run_job.delay, str(job.id))
    return job


def visible_jobs(viewer: Viewer) -> Select[Job]:
    """Every job that the viewer sees."""
    return visible_to(viewer, select(Job), collectivity=Job.collectivity_id, school=Job.school_id)


def list_jobs(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    state: JobState | None = None,
    open_only: bool = False,
    kind: JobKind | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[Job]:
    """One page of the jobs that the viewer sees, newest first. Every word of ``search`` must be found in the subject,
    the kind or the name of who asked.
    """
    query = visible_jobs(viewer)
    if state is not None:
        query = query.where(Job.state == state)
    if open_only:
        query = query.where(Job.state.in_(OPEN))
    if kind is not None:
        query = query.where(Job.kind == kind)
    for word in fold(search).split():
        query = query.where(Job.search_text.like(like(word)))
    return paginate(session, query, page, SORTABLE, "-created_at")


def get_job(session: Session, viewer: Viewer, job_id: UUID, *, to_change: bool = False) -> Job:
    """The job; raise NotFound when it does not exist or may not be seen. ``to_change``: ours until the commit."""
    query = visible_jobs(viewer).where(Job.id == job_id).execution_options(populate_existing=True)
    job = session.scalar(query.with_for_update() if to_change else query)
    if job is None:
        raise NotFound("job.not_found", "Ce travail n’existe pas, ou n’est plus gardé.")
    return job


def may_handle(viewer: Viewer, job: Job) -> bool:
    """Whether the viewer may stop this job or start it again: who asked for it, and those who handle jobs there."""
    is_own = job.asked_by_id is not None and job.asked_by_id == viewer.user_id
    return is_own or viewer.may(Action.HANDLE_JOB, job.collectivity_id, job.school_id)


def _must_handle(viewer: Viewer, job: Job) -> None:
    if not may_handle(viewer, job):
        viewer.must(Action.HANDLE_JOB, job.collectivity_id, job.school_id)


def cancel_job(session: Session, viewer: Viewer, job_id: UUID, now: datetime) -> Job:
    """Stop a job: at once when it waits or its worker is dead, else as soon as its worker looks.

    What it did is undone or was never done. Raise NotFound, NotAllowed, or Conflict when it has ended.
    """
    job = get_job(session, viewer, job_id, to_change=True)
    _must_handle(viewer, job)
    is_held = job.state is JobState.RUNNING and job.lease_until is not None and job.lease_until > now
    if is_held:
        job.cancel_asked_at = job.cancel_asked_at or now
    else:
        job.move_to(JobState.CANCELLED, now)
    session.flush()
    return job


def retry_job(session: Session, viewer: Viewer, job_id: UUID, now: datetime) -> Job:
    """Start a job that failed or was cancelled again, from its beginning; raise NotFound, NotAllowed, Conflict."""
    job = get_job(session, viewer, job_id, to_change=True)
    _must_handle(viewer, job)
    if job.state in OPEN:  # a run is put back by its worker, never by a person
        raise job.refusal(JobState.QUEUED)
    job.move_to(JobState.QUEUED, now)
    job.attempts, job.next_try_at, job.started_at = 0, None, None
    job.done, job.total, job.sentence, job.reason = 0, None, "", ""
    session.flush()
    after_commit(session, tasks.run_job.delay, str(job.id))
    return job
