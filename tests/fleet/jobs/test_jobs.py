"""Jobs over HTTP: who sees them, who stops them, which moves are legal; what a scrape and the purge make of them."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.gauges import job_gauges
from fleet.jobs import history, leasing, service
from fleet.jobs.models import Job, JobKind, JobState
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.sign_in import signed_in

LEASE = timedelta(seconds=30)


def make_job(session: Session, viewer: Viewer, subject: str = "Écoles : liste.csv", **overrides: Any) -> Job:
    return service.add_job(session, viewer, JobKind.IMPORT, subject, {}, overrides.pop("now", NOON), **overrides)


def bring_to(session: Session, job: Job, state: JobState) -> None:
    """Lead a queued job there by the moves of a worker or a person."""
    if state is JobState.QUEUED:
        return
    lease = leasing.claim(session, job.id, NOON, LEASE)
    assert lease is not None
    if state is JobState.DONE:
        leasing.finish(session, lease, leasing.Progress(2, 2, "Fait."), NOON)
    elif state is JobState.FAILED:
        leasing.fail(session, lease, "La ligne 3 est fausse.", NOON)
    elif state is JobState.CANCELLED:
        leasing.cancel(session, lease, NOON)
    session.flush()


def test_a_job_is_listed_found_and_shown(api: TestClient, session: Session, staff: Viewer) -> None:
    older = make_job(session, staff, "Communes : vieux.csv", now=NOON - timedelta(hours=1))
    failed = make_job(session, staff, "Écoles : été.csv")
    bring_to(session, failed, JobState.FAILED)
    signed_in(api, make_user(session, Role.AUDITOR))
    rows = api.get("/api/v1/jobs").json()["rows"]
    assert [row["id"] for row in rows] == [str(failed.id), str(older.id)]
    assert [row["id"] for row in api.get("/api/v1/jobs?search=ete").json()["rows"]] == [str(failed.id)]
    assert [row["id"] for row in api.get("/api/v1/jobs?state=queued").json()["rows"]] == [str(older.id)]
    one = api.get(f"/api/v1/jobs/{failed.id}").json()
    assert (one["state"], one["reason"], one["asked_by"]) == ("failed", "La ligne 3 est fausse.", staff.name)
    assert "lease_token" not in one


def test_a_job_is_seen_from_its_place_only(api: TestClient, session: Session, staff: Viewer) -> None:
    mine, theirs = make_school(session), make_school(session)
    own = make_job(session, staff, collectivity_id=mine.collectivity_id)
    at_school = make_job(session, staff, collectivity_id=mine.collectivity_id, school_id=mine.id)
    foreign = make_job(session, staff, collectivity_id=theirs.collectivity_id, school_id=theirs.id)
    operators = make_job(session, staff)
    officer = make_user(session, Role.OFFICER, collectivity=mine.collectivity)
    signed_in(api, officer)
    assert {row["id"] for row in api.get("/api/v1/jobs").json()["rows"]} == {str(own.id), str(at_school.id)}
    for hidden in (foreign, operators):
        assert api.get(f"/api/v1/jobs/{hidden.id}").status_code == 404
        assert api.get(f"/jobs/{hidden.id}").status_code == 404
        assert api.post(f"/api/v1/jobs/{hidden.id}/cancel").status_code == 404
    assert api.post(f"/api/v1/jobs/{own.id}/cancel").status_code == 403
    asked = make_job(session, accounts.get_viewer(session, officer.id), collectivity_id=mine.collectivity_id)
    assert api.post(f"/api/v1/jobs/{asked.id}/cancel").json()["state"] == "cancelled"


def test_an_auditor_stops_nothing(api: TestClient, session: Session, staff: Viewer) -> None:
    job = make_job(session, staff)
    signed_in(api, make_user(session, Role.AUDITOR))
    assert api.post(f"/api/v1/jobs/{job.id}/cancel").status_code == 403
    assert "Annuler" not in api.get(f"/jobs/{job.id}").text


LEGAL = {
    ("cancel", JobState.QUEUED): ("cancelled", False),
    ("cancel", JobState.RUNNING): ("running", True),  # its worker lives: it stops when it looks
    ("retry", JobState.FAILED): ("queued", False),
    ("retry", JobState.CANCELLED): ("queued", False),
}


@pytest.mark.parametrize("state", list(JobState))
@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_what_may_be_cancelled_and_retried(
    api: TestClient, session: Session, clock: Clock, staff: Viewer, verb: str, state: JobState
) -> None:
    job = make_job(session, staff)
    bring_to(session, job, state)
    signed_in(api, make_user(session))
    answer = api.post(f"/api/v1/jobs/{job.id}/{verb}")
    if (verb, state) in LEGAL:
        assert answer.status_code == 200, answer.text
        assert (answer.json()["state"], answer.json()["cancel_asked_at"] is not None) == LEGAL[verb, state]
    else:
        assert (answer.status_code, answer.json()["code"]) == (409, "job.move_refused")
        assert state.label in answer.json()["detail"]


def test_a_running_job_whose_worker_is_dead_is_cancelled_at_once(
    api: TestClient, session: Session, clock: Clock, staff: Viewer
) -> None:
    job = make_job(session, staff)
    bring_to(session, job, JobState.RUNNING)
    signed_in(api, make_user(session))
    clock.advance(seconds=31)
    assert api.post(f"/api/v1/jobs/{job.id}/cancel").json()["state"] == "cancelled"


def test_a_retry_starts_from_the_beginning(api: TestClient, session: Session, staff: Viewer) -> None:
    job = make_job(session, staff)
    bring_to(session, job, JobState.FAILED)
    signed_in(api, make_user(session))
    again = api.post(f"/api/v1/jobs/{job.id}/retry").json()
    assert (again["state"], again["reason"], again["attempts"], again["ended_at"]) == ("queued", "", 0, None)


def test_a_scrape_counts_jobs(session: Session, staff: Viewer) -> None:
    make_job(session, staff, now=NOON - timedelta(minutes=9))
    make_job(session, staff)
    bring_to(session, make_job(session, staff), JobState.RUNNING)
    bring_to(session, make_job(session, staff), JobState.DONE)
    at = {"now": NOON, "later": NOON + LEASE}
    samples = {
        (moment, sample.name, sample.labels.get("state")): sample.value
        for moment, now in at.items()
        for family in job_gauges(session, now)
        for sample in family.samples
    }
    assert samples["now", "fleet_jobs", "queued"] == 2
    assert samples["now", "fleet_jobs", "running"] == samples["now", "fleet_jobs", "done"] == 1
    assert samples["now", "fleet_jobs", "failed"] == 0
    assert samples["now", "fleet_jobs_oldest_queued_seconds", None] == 9 * 60
    assert samples["now", "fleet_jobs_abandoned", None] == 0
    assert samples["later", "fleet_jobs_abandoned", None] == 1


def test_history_is_forgotten_and_what_is_open_is_not(session: Session, staff: Viewer) -> None:
    jobs = {state: make_job(session, staff) for state in JobState}
    for state, job in jobs.items():
        bring_to(session, job, state)
    history.purge_jobs(session, NOON + timedelta(days=89), 90)
    assert len(session.scalars(select(Job.id)).all()) == len(JobState)
    history.purge_jobs(session, NOON + timedelta(days=91), 90)
    assert set(session.scalars(select(Job.state))) == {JobState.QUEUED, JobState.RUNNING}
