"""Jobs: what is being done, where it is, why it failed; stopped and started again from here."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.filtering_words import PREVIEW_STATE
from dashboards.portal.listing import AskedPage, Blank, Search, within
from dashboards.portal.person import Person
from dashboards.portal.rendering import render
from dashboards.portal.words import Word, word
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.previews import service as previews
from fleet.filtering.previews.models import OPEN_STATES
from fleet.filtering.publishing import publications
from fleet.imports import service as imports
from fleet.jobs import service as jobs
from fleet.jobs.models import OPEN, Job, JobKind, JobState
from fleet.paging import Listing, Page
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/jobs")
State = Annotated[str, Query(pattern=f"^({'|'.join(JobState)}|open|)$")]
Kind = Annotated[JobKind | None, Blank, Query()]
Live = Annotated[str, Query(pattern="^(off|)$")]
Poll = Annotated[str, Query(pattern="^(yes|)$")]
SORTS = (("-created_at", "Plus récents"), ("created_at", "Plus anciens"), ("subject", "Sujet"), ("state", "État"))


@router.get("")
def list_jobs(
    request: Request, session: DbSession, viewer: Person, now: Now, page: AskedPage,
    q: Search = "", state: State = "", kind: Kind = None, live: Live = "",
) -> Response:  # fmt: skip
    """The jobs that the viewer sees; asked again while one of those shown is on its way."""

    def read(wanted: Page) -> Listing[Job]:
        of_state = JobState(state) if state in set(JobState) else None
        return jobs.list_jobs(
            session, viewer, search=q, state=of_state, open_only=state == "open", kind=kind, page=wanted
        )

    listing = within(read, page)
    elsewhere = filtering_work(session, viewer, now)
    is_open = bool(elsewhere) or any(job.state in OPEN for job in listing.rows)
    return render(
        request,
        "jobs.html",
        listing=listing,
        elsewhere=elsewhere,
        asked={"q": q, "state": state, "kind": kind},
        may_import=viewer.may(Action.IMPORT_PLACES),
        kinds=[(each.value, each.label) for each in JobKind],
        is_open=is_open,
        is_live=is_open and live != "off",
        sorts=SORTS,
        sort=page.sort or "-created_at",
    )


def filtering_work(session: DbSession, viewer: Viewer, now: Now) -> list[tuple[str, str, str, Word]]:
    """Publications and previews on their way: address, title, who asked, state. They have pages of their own."""
    if not viewer.sees_all:
        return []
    waiting = [p for p in publications.list_publications(session, Page(1, 10)).rows if p.state in publications.WAITING]
    asked = [p for p in previews.list_previews(session, viewer, Page(1, 10)).rows if p.state_at(now) in OPEN_STATES]
    return [
        ("/filtering/publications", f"Publication {p.serial}", p.requested_by or "Préau", word("publication", p.state))
        for p in waiting
    ] + [
        (f"/filtering/previews/{p.id}", f"Essai : {p.subject}", p.asked_by, PREVIEW_STATE[p.state_at(now).value])
        for p in asked
    ]


@router.get("/{job_id}")
def show_job(
    request: Request, session: DbSession, viewer: Person, job_id: UUID, live: Live = "", poll: Poll = ""
) -> Response:
    """One job. The page asks again while it runs, and is loaded whole at its end."""
    job = jobs.get_job(session, viewer, job_id)
    is_open = job.state in OPEN
    shown = render(
        request,
        "job.html",
        job=job,
        is_open=is_open,
        is_live=is_open and live != "off",
        may_handle=jobs.may_handle(viewer, job),
        imported=imports.find_of_job(session, viewer, job.id),
    )
    if poll and not is_open:
        shown.headers["HX-Refresh"] = "true"
    return shown


@router.post("/{job_id}/cancel")
def cancel_job(session: DbSession, viewer: Person, now: Now, job_id: UUID) -> Response:
    """Stop it."""
    job = jobs.cancel_job(session, viewer, job_id, now)
    done = "job-cancelled" if job.state is JobState.CANCELLED else "job-stopping"
    return RedirectResponse(f"/jobs/{job.id}?done={done}", 303)


@router.post("/{job_id}/retry")
def retry_job(session: DbSession, viewer: Person, now: Now, job_id: UUID) -> Response:
    """Start it again."""
    jobs.retry_job(session, viewer, job_id, now)
    return RedirectResponse(f"/jobs/{job_id}?done=job-retried", 303)
