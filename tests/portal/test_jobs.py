"""Pages of jobs: found, followed while they run, stopped and started again."""

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.filtering import service as filtering
from fleet.filtering.models import Publication
from fleet.jobs import leasing, service
from fleet.jobs.leasing import Lease, Progress
from fleet.jobs.models import Job, JobKind, JobState
from fleet.scope import Viewer
from tests.factories import NOON

POLLED = re.compile(r'<section[^>]+id="(?:jobs|progress)"[^>]+hx-get="([^"]+)"')


def make_job(session: Session, viewer: Viewer, subject: str) -> Job:
    return service.add_job(session, viewer, JobKind.IMPORT, subject, {}, NOON)


def start(session: Session, job: Job) -> Lease:
    lease = leasing.claim(session, job.id, NOON, timedelta(seconds=30))
    assert lease is not None
    session.flush()
    return lease


def test_nothing_to_do_says_so(api: TestClient, staff: Viewer) -> None:
    page = api.get("/jobs").text
    assert "Aucun travail" in page
    assert not POLLED.search(page)
    assert "Aucun travail ne correspond" in api.get("/jobs?state=failed").text


def test_the_list_asks_again_only_while_something_runs(api: TestClient, session: Session, staff: Viewer) -> None:
    lease = start(session, make_job(session, staff, "Écoles : liste.csv"))
    leasing.renew(session, lease, Progress(250, 1000, "Import de la ligne 251."), NOON)
    page = api.get("/jobs?q=liste&state=open")
    assert "25 %" in page.text
    polled = POLLED.search(page.text)
    assert polled is not None
    assert polled[1] == "/jobs?q=liste&amp;state=open"
    assert not POLLED.search(api.get("/jobs?live=off").text)
    leasing.finish(session, lease, Progress(1000, 1000, "Fait."), NOON)
    session.flush()
    assert not POLLED.search(api.get("/jobs").text)


def test_lists_of_filtering_on_their_way_stand_beside(api: TestClient, session: Session, staff: Viewer) -> None:
    session.add(Publication(requested_at=NOON, requested_by="Alix"))
    filtering.ensure_default_profile(session)
    session.flush()
    page = api.get("/jobs").text
    assert 'href="/filtering/publications"' in page
    assert POLLED.search(page)


def test_a_page_follows_its_job_to_the_end(api: TestClient, session: Session, staff: Viewer) -> None:
    job = make_job(session, staff, "Écoles : liste.csv")
    lease = start(session, job)
    leasing.renew(session, lease, Progress(3, 9, "Import de la ligne 4."), NOON)
    page = api.get(f"/jobs/{job.id}?poll=yes")
    assert '<progress class="meter" max="9" value="3"' in page.text
    assert "hx-refresh" not in page.headers
    leasing.fail(session, lease, "2 lignes sont refusées.", NOON)
    session.flush()
    page = api.get(f"/jobs/{job.id}?poll=yes")
    assert page.headers["hx-refresh"] == "true"
    assert "2 lignes sont refusées." in page.text
    assert not POLLED.search(page.text)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_job_is_stopped_and_started_again(api: TestClient, session: Session, staff: Viewer, is_running: bool) -> None:
    job = make_job(session, staff, "Écoles : liste.csv")
    lease = start(session, job) if is_running else None
    form = {"csrf": api.headers["X-CSRF-Token"]}
    page = api.post(f"/jobs/{job.id}/cancel", data=form).text
    assert ("L’arrêt est demandé" in page) is is_running
    assert ("Le travail est annulé." in page) is not is_running
    if lease is not None:
        leasing.cancel(session, lease, NOON)
        session.flush()
    assert "relancer ce travail" in api.get(f"/jobs/{job.id}").text
    assert "Le travail est relancé." in api.post(f"/jobs/{job.id}/retry", data=form).text
    session.refresh(job)
    assert job.state is JobState.QUEUED
    assert api.post(f"/jobs/{job.id}/retry", data=form).status_code == 409
