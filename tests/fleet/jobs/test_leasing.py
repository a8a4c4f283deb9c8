"""Whatever workers, people and the clock do to a job: one worker at a time may write, and its effect is there once."""

import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fleet.errors import Conflict
from fleet.jobs import leasing, service
from fleet.jobs.leasing import MOST_ATTEMPTS, JobCancelled, Lease, LeaseLost, Progress, Standing
from fleet.jobs.models import MOVES, Job, JobKind, JobState
from fleet.scope import Viewer
from tests.factories import NOON

LENGTH = timedelta(seconds=30)
WORKERS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["claim", "renew", "finish", "fail", "put_back", "obey"]), WORKERS),
    st.tuples(st.sampled_from(["cancel", "retry", "wait a little", "wait long"]), st.just(0)),
)


class Model:
    """Three workers and a person around one job."""

    def __init__(self, session: Session, viewer: Viewer, job: Job) -> None:
        self.session, self.viewer, self.job, self.now = session, viewer, job, NOON
        self.leases: dict[int, Lease] = {}
        self.finished_since_retry = 0

    def step(self, what: str, worker: int) -> None:
        before = self.job.state
        holder = self.job.lease_token
        lease = self.leases.get(worker)
        if what in {"wait a little", "wait long"}:
            self.now += timedelta(seconds=5 if what == "wait a little" else 31)
        elif what == "claim":
            self.claim(worker)
        elif what in {"cancel", "retry"}:
            self.ask(what)
        elif lease is not None:
            self.work(what, lease, is_ours=lease.token == holder)
        self.session.refresh(self.job)
        assert self.job.state is before or self.job.state in MOVES[before], (what, before)
        assert self.job.attempts <= MOST_ATTEMPTS
        assert self.finished_since_retry <= 1

    def claim(self, worker: int) -> None:
        held = self.job.lease_until is not None and self.job.lease_until > self.now
        lease = leasing.claim(self.session, self.job.id, self.now, LENGTH)
        self.session.flush()
        if lease is not None:
            assert not held, "a job that a living worker has was given out"
            self.leases[worker] = lease

    def ask(self, what: str) -> None:
        is_open = self.job.state in {JobState.QUEUED, JobState.RUNNING}
        try:
            if what == "cancel":
                service.cancel_job(self.session, self.viewer, self.job.id, self.now)
            else:
                service.retry_job(self.session, self.viewer, self.job.id, self.now)
        except Conflict:
            assert is_open is (what == "retry") or self.job.state is JobState.DONE
        else:
            assert is_open is (what == "cancel")

    def work(self, what: str, lease: Lease, *, is_ours: bool) -> None:
        acts: dict[str, Callable[[], object]] = {
            "finish": lambda: leasing.finish(self.session, lease, Progress(), self.now),
            "fail": lambda: leasing.fail(self.session, lease, "Raté.", self.now),
            "put_back": lambda: leasing.put_back(self.session, lease, "Occupé.", timedelta(seconds=5), self.now),
            "obey": lambda: leasing.cancel(self.session, lease, self.now),
        }
        if what == "renew":
            standing = leasing.renew(self.session, lease, Progress(), self.now)
            assert (standing is not Standing.LOST) is is_ours
            return
        asked = self.job.cancel_asked_at is not None
        try:
            acts[what]()
        except LeaseLost:
            assert not is_ours
        except JobCancelled:
            assert is_ours
            assert asked
        else:
            assert is_ours, f"a worker without the lease did: {what}"
            self.finished_since_retry += what == "finish"
        self.session.flush()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_whatever_happens_one_worker_writes_and_once(
    session: Session, staff: Viewer, steps: list[tuple[str, int]]
) -> None:
    with session.begin_nested() as savepoint:
        model = Model(session, staff, service.add_job(session, staff, JobKind.IMPORT, "Essai", {}, NOON))
        for what, worker in steps:
            model.step(what, worker)
        savepoint.rollback()


@pytest.fixture
def job(session: Session, staff: Viewer) -> Job:
    return service.add_job(session, staff, JobKind.IMPORT, "Essai", {}, NOON)


def claim(session: Session, job: Job, now: datetime) -> Lease | None:
    lease = leasing.claim(session, job.id, now, LENGTH)
    session.flush()
    return lease


def test_a_job_that_kills_its_workers_is_given_up(session: Session, job: Job) -> None:
    now = NOON
    for _ in range(MOST_ATTEMPTS):
        assert leasing.list_due(session, now) == [job.id]
        assert claim(session, job, now) is not None
        assert leasing.list_due(session, now) == []
        now += LENGTH
    assert claim(session, job, now) is None
    assert job.state is JobState.FAILED
    assert "interrompu 5 fois" in job.reason


def test_a_cancelled_job_whose_worker_died_ends_with_the_sweep(session: Session, job: Job, staff: Viewer) -> None:
    assert claim(session, job, NOON) is not None
    assert service.cancel_job(session, staff, job.id, NOON).cancel_asked_at == NOON
    assert claim(session, job, NOON + LENGTH) is None
    assert job.state is JobState.CANCELLED


def test_what_is_put_back_waits_its_time_and_counts_no_attempt(session: Session, job: Job) -> None:
    for _ in range(2 * MOST_ATTEMPTS):
        now = job.next_try_at or NOON
        lease = claim(session, job, now)
        assert lease is not None
        leasing.put_back(session, lease, "Un autre import est en cours.", timedelta(seconds=5), now)
        assert claim(session, job, now) is None
    assert job.attempts == 0
    assert job.reason == "Un autre import est en cours."


def test_a_job_that_is_not_there_is_nobodys(session: Session) -> None:
    assert leasing.claim(session, uuid.uuid4(), NOON, LENGTH) is None
