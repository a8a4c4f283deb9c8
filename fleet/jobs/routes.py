"""HTTP of jobs."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.jobs import service
from fleet.jobs.models import Job, JobKind, JobState
from fleet.jobs.schemas import JobOut
from fleet.paging import ListingOut, WantedPage, listing_out

router = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
Search = Annotated[str, Query(max_length=200, description="Mots du sujet, du type ou du nom de qui a demandé.")]


@router.get("", response_model=ListingOut[JobOut])
def list_jobs(
    session: DbSession,
    viewer: CurrentViewer,
    page: WantedPage,
    search: Search = "",
    state: JobState | None = None,
    kind: JobKind | None = None,
) -> dict[str, object]:
    """The jobs that the caller sees, in pages, newest first."""
    return listing_out(service.list_jobs(session, viewer, search=search, state=state, kind=kind, page=page))


@router.get("/{job_id}", response_model=JobOut)
def get_job(job_id: UUID, session: DbSession, viewer: CurrentViewer) -> Job:
    """One job that the caller sees."""
    return service.get_job(session, viewer, job_id)


@router.post("/{job_id}/cancel", response_model=JobOut)
def cancel_job(job_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> Job:
    """Stop it: at once when it waits, else as soon as its worker looks (``cancel_asked_at``)."""
    return service.cancel_job(session, viewer, job_id, now)


@router.post("/{job_id}/retry", response_model=JobOut)
def retry_job(job_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> Job:
    """Start one that failed or was cancelled again, from its beginning."""
    return service.retry_job(session, viewer, job_id, now)
