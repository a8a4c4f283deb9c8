"""One run of a job, however its work ends."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import current_app
from fastapi import FastAPI
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fleet.clock import utc_now
from fleet.collectivities.models import Collectivity, CollectivityKind
from fleet.config import FleetConfig
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.errors import Invalid
from fleet.jobs import leasing, running, service
from fleet.jobs.leasing import LeaseLost
from fleet.jobs.models import Job, JobKind, JobState
from fleet.jobs.running import RUNNERS, Heart, NotNow, Run, Work
from fleet.operator import OPERATOR
from tests.embedded.waiting import until


@pytest.fixture
def own_engine(app: FastAPI, own_database_url: str) -> Iterator[Engine]:
    """A database where transactions really end: a run has several connections."""
    bound = SessionFactory.kw.get("bind")
    engine = create_engine(own_database_url)
    SessionFactory.configure(bind=engine, join_transaction_mode="conditional_savepoint")
    yield engine
    engine.dispose()
    SessionFactory.configure(bind=bound)


@pytest.fixture
def job(own_engine: Engine) -> Job:
    with transaction(Door.OPERATOR) as session:
        return service.add_job(session, OPERATOR, JobKind.IMPORT, "Essai", {"a": 1}, utc_now())


def run(job: Job, config: FleetConfig, how: Run) -> Job:
    """Run it so, and return what became of it."""
    running.run_job(job.id, config, {JobKind.IMPORT: how})
    return now_is(job)


def now_is(job: Job) -> Job:
    with transaction(Door.OPERATOR) as session:
        return session.get_one(Job, job.id)


def names() -> list[str]:
    with transaction(Door.OPERATOR) as session:
        return list(session.scalars(select(Collectivity.name)))


def add(session: Session, name: str) -> None:
    session.add(Collectivity(kind=CollectivityKind.COMMUNE, name=name))
    session.flush()


def effect(work: Work) -> None:
    with work.finishing() as session:
        add(session, f"Commune {work.parameters['a']}")
        work.tell(1, 1, "Fait.")


def test_the_effect_and_the_end_are_one(job: Job, config: FleetConfig) -> None:
    done = run(job, config, effect)
    assert (done.state, done.done, done.total, done.sentence) == (JobState.DONE, 1, 1, "Fait.")
    assert done.started_at is not None
    assert done.ended_at is not None
    run(job, config, effect)  # the message came twice
    assert names() == ["Commune 1"]


def test_a_runner_without_a_transaction_of_its_own_is_done_too(job: Job, config: FleetConfig) -> None:
    assert run(job, config, lambda work: work.tell(0, None, "")).state is JobState.DONE


def fail_with(error: Exception) -> Run:
    def how(work: Work) -> None:
        with work.finishing() as session:
            add(session, "Commune de trop")
            raise error

    return how


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Invalid("x", "La ligne 3 est fausse."), JobState.FAILED, "La ligne 3 est fausse."),
        (ZeroDivisionError("secret"), JobState.FAILED, "Erreur imprévue (ZeroDivisionError)."),
        (NotNow("Un autre est en cours."), JobState.QUEUED, "Un autre est en cours."),
        (OperationalError("SELECT", {}, Exception("gone")), JobState.RUNNING, ""),
    ],
)
def test_what_goes_wrong_leaves_nothing_and_is_told(
    job: Job, config: FleetConfig, error: Exception, state: JobState, reason: str
) -> None:
    after = run(job, config, fail_with(error))
    assert after.state is state
    assert after.reason.startswith(reason)
    assert "secret" not in after.reason
    assert names() == []


def test_a_cancelled_run_undoes_what_it_did(job: Job, config: FleetConfig) -> None:
    def how(work: Work) -> None:
        with work.finishing() as session:
            add(session, "Commune de trop")
            with transaction(Door.OPERATOR) as person:
                service.cancel_job(person, OPERATOR, job.id, utc_now())

    assert run(job, config, how).state is JobState.CANCELLED
    assert names() == []


def test_a_worker_that_looks_stops_where_it_is(job: Job, config: FleetConfig) -> None:
    reached: list[int] = []

    def how(work: Work) -> None:
        heart = Heart(work)
        for number in range(3):
            work.tell(number, 3, "")
            reached.append(number)
            with transaction(Door.OPERATOR) as person:
                service.cancel_job(person, OPERATOR, job.id, utc_now())
            heart.beat()

    assert run(job, config, how).state is JobState.CANCELLED
    assert reached == [0]


def test_a_worker_that_lost_its_lease_writes_nothing(
    job: Job, config: FleetConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """Frozen for longer than its lease, it wakes up when another one has done the work."""

    def frozen(work: Work) -> None:
        with work.finishing() as session:
            add(session, "Commune de trop")
            later = utc_now() + timedelta(seconds=config.job_lease_seconds)
            with transaction(Door.OPERATOR) as other:
                lease = leasing.claim(other, job.id, later, timedelta(seconds=30))
            assert lease is not None
            with Work(lease, config).finishing() as other:
                add(other, "Commune 1")
            Heart(work).beat()
            with pytest.raises(LeaseLost):
                work.tell(1, 1, "")

    with caplog.at_level(logging.INFO, "fleet.jobs"):
        assert run(job, config, frozen).state is JobState.DONE
    assert names() == ["Commune 1"]
    assert "job lost to another worker" in caplog.messages


def test_its_heart_tells_where_it_is_beside_its_transaction(job: Job, config: FleetConfig) -> None:
    def how(work: Work) -> None:
        with work.finishing() as session:
            add(session, "Commune 1")
            work.tell(7, 9, "Ligne 7.")
            until(lambda: now_is(job).sentence == "Ligne 7.", "the heart told it")
            assert (now_is(job).done, now_is(job).percent) == (7, 77)

    assert run(job, config, how).state is JobState.DONE


def test_every_kind_has_its_runner(app: FastAPI) -> None:
    current_app.loader.import_default_modules()
    assert set(RUNNERS) == set(JobKind)
