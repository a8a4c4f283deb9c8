"""One run of a job: claimed, its heart beating beside it, and ended one way in one transaction."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from fleet import actors
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import FleetError
from fleet.jobs import leasing
from fleet.jobs.leasing import JobCancelled, Lease, LeaseLost, Progress, Standing
from fleet.jobs.models import JobKind
from fleet.log import request_id

log = logging.getLogger(__name__)

BEAT = 1.0
"""Seconds between two heartbeats: progress is written no more often than that."""
DATABASE_AWAY = (OperationalError, InterfaceError)


class NotNow(Exception):
    """It has to wait for something else; ``reason`` is French. It is tried again after ``wait``."""

    def __init__(self, reason: str, wait: timedelta = timedelta(seconds=5)) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(slots=True)
class Work:
    """What a runner has of its job: what to do, how to tell where it is, and the one transaction that ends it."""

    lease: Lease
    config: FleetConfig
    clock: Callable[[], datetime] = utc_now
    progress: Progress = field(default_factory=Progress)
    standing: Standing = Standing.OURS
    is_finished: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        return self.lease.parameters

    def tell(self, done: int, total: int | None, sentence: str) -> None:
        """Say how far it is, as often as one likes; raise JobCancelled or LeaseLost when it has to stop here."""
        self.progress = Progress(done, total, sentence)
        if self.standing is Standing.CANCELLED:
            raise JobCancelled
        if self.standing is Standing.LOST:
            raise LeaseLost

    @contextmanager
    def finishing(self) -> Iterator[Session]:
        """The transaction of the job's effect, which also marks it done: both are there, or neither.

        At its end it raises JobCancelled or LeaseLost, and nothing was changed, when the job is not to be done any
        more or is another worker's.
        """
        with transaction(Door.JOBS) as session:
            yield session
            leasing.finish(session, self.lease, self.progress, self.clock())
        self.is_finished = True


Run = Callable[[Work], None]
RUNNERS: dict[JobKind, Run] = {}
"""How each kind is done. Filled by the features' tasks.py, which the worker imports."""


def runs(kind: JobKind) -> Callable[[Run], Run]:
    """Register the function that does jobs of a kind. It raises FleetError for what a person must know and mend."""

    def register(run: Run) -> Run:
        RUNNERS[kind] = run
        return run

    return register


@dataclass(slots=True)
class Heart:
    """Renews the lease and writes the progress beside the work, so that neither waits for the other."""

    work: Work
    every: float = BEAT
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self.every):
            self.beat()

    def beat(self) -> None:
        """One heartbeat. With the database away the lease runs on, and may run out."""
        work = self.work
        try:
            with transaction(Door.JOBS) as session:
                work.standing = leasing.renew(session, work.lease, work.progress, work.clock())
        except DATABASE_AWAY as error:
            log.warning("heartbeat missed", extra={"job": str(work.lease.job_id), "error": str(error)})


def run_job(
    job_id: UUID, config: FleetConfig, runners: Mapping[JobKind, Run] = RUNNERS, clock: Callable[[], datetime] = utc_now
) -> None:
    """Do a job that is due and nobody else's.

    Killed at any moment, it leaves a row whose lease runs out and that the sweep gives out again; run twice, its effect
    is there once.
    """
    with transaction(Door.JOBS) as session:
        lease = leasing.claim(session, job_id, clock(), timedelta(seconds=config.job_lease_seconds))
    if lease is None:
        return
    told = {"job": str(lease.job_id), "kind": lease.kind.value, "attempt": lease.attempt}
    log.info("job started", extra=told)
    work = Work(lease, config, clock)
    doer = actors.Work(
        actors.ActorKind.JOB,
        str(lease.job_id),
        lease.asked_by,
        request_id=request_id.get(),
        operation=f"jobs.{lease.kind}",
    )
    try:
        with actors.working(doer), Heart(work):
            how = carry_out(work, runners)
    except LeaseLost:
        log.warning("job lost to another worker", extra=told)
        return
    except DATABASE_AWAY as error:  # there is nowhere to note it: its lease runs out, and the sweep finds it
        log.warning("job interrupted, the database is away", extra=told | {"error": str(error)})
        return
    log.info("job ended", extra=told | {"how": how})


def carry_out(work: Work, runners: Mapping[JobKind, Run]) -> str:
    """Run it and note how it ended, in a word; raise LeaseLost, or what says that the database is away."""
    try:
        runners[work.lease.kind](work)
        if not work.is_finished:
            with work.finishing():
                pass
    except JobCancelled:
        return end(work, "cancelled", lambda session: leasing.cancel(session, work.lease, work.clock()))
    except NotNow as wait:
        reason, length = str(wait), wait.wait
        return end(work, "put back", lambda s: leasing.put_back(s, work.lease, reason, length, work.clock()))
    except FleetError as error:
        return fail(work, error.detail)
    except (LeaseLost, *DATABASE_AWAY):
        raise
    except Exception as error:  # whatever one job stumbles over, who asked is told now, not after some attempts
        log.exception("job broke", extra={"job": str(work.lease.job_id)})
        return fail(work, f"Erreur imprévue ({type(error).__name__}). Voyez le journal de l’ouvrier, puis relancez.")
    return "done"


def fail(work: Work, reason: str) -> str:
    """Note, in French, why it came to nothing."""
    return end(work, "failed", lambda session: leasing.fail(session, work.lease, reason, work.clock()))


def end(work: Work, how: str, note: Callable[[Session], None]) -> str:
    with transaction(Door.JOBS) as session:
        note(session)
    return how
