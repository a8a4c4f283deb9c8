"""Jobs: long work that a person asked for and follows. The row is the truth; the broker only carries its id."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, HasId
from fleet.errors import Conflict


class JobKind(StrEnum):
    """What is to be done. The feature that does it registers how: see running.runs."""

    IMPORT = "import"

    @property
    def label(self) -> str:
        return {"import": "Import"}[self]


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def label(self) -> str:
        return {
            "queued": "En attente",
            "running": "En cours",
            "done": "Terminé",
            "failed": "Échoué",
            "cancelled": "Annulé",
        }[self]


MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    JobState.RUNNING: frozenset(
        # Queued: it has to wait for another; running: a worker takes over from one whose lease is over.
        {JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.QUEUED, JobState.RUNNING}
    ),
    JobState.DONE: frozenset(),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED}),
}
OPEN = (JobState.QUEUED, JobState.RUNNING)
"""Somebody still waits for it."""
ENDED = tuple(state for state in JobState if state not in OPEN)


class Job(HasId, Base):
    """One piece of work. A school's is its collectivity's, too; without either it is the operator's own."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("school_id IS NULL OR collectivity_id IS NOT NULL", name="whose"),
        CheckConstraint("(state = 'running') = (lease_token IS NOT NULL)", name="lease"),
        CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease_end"),
        CheckConstraint("(state IN ('queued', 'running')) = (ended_at IS NULL)", name="end"),
        Index("ix_jobs_open", "state", "created_at", postgresql_where=text("state IN ('queued', 'running')")),
        Index("ix_jobs_created_at", "created_at"),
    )

    kind: Mapped[JobKind]
    subject: Mapped[str]
    """What people call it: « Écoles : annuaire.csv »."""
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the work needs to know: ids and small values."""
    asked_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    asked_by: Mapped[str]
    """The name, which stays in the history."""
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("collectivities.id", ondelete="CASCADE"), index=True
    )
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    state: Mapped[JobState] = mapped_column(default=JobState.QUEUED)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    """Of what there is to do; None while that is not known."""
    sentence: Mapped[str] = mapped_column(default="")
    """Where it is, in French."""
    reason: Mapped[str] = mapped_column(default="")
    """Why it failed or waits, in French."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]
    """Not before; None: as soon as a worker is free."""
    cancel_asked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    lease_token: Mapped[uuid.UUID | None]
    """Proves to the worker that holds it that the job is still its own."""
    lease_until: Mapped[datetime | None]
    """After that, whoever had it is taken for dead."""
    search_text: Mapped[str] = mapped_column(default="")

    def move_to(self, state: JobState, now: datetime) -> None:
        """Go on; raise Conflict for a move that is not in the table. A lease ends with the run that held it."""
        if state not in MOVES[self.state]:
            raise self.refusal(state)
        self.state = state
        self.ended_at = now if state in ENDED else None
        if state is not JobState.RUNNING:
            self.lease_token = self.lease_until = self.cancel_asked_at = None

    def refusal(self, state: JobState) -> Conflict:
        """Why it cannot become that, for people."""
        return Conflict("job.move_refused", f"Ce travail est « {self.state.label} » : {REFUSED[state]}")

    @property
    def percent(self) -> int | None:
        """How much is done; None when that is not known."""
        return None if not self.total else min(100, 100 * self.done // self.total)


REFUSED = {
    JobState.QUEUED: "seul un travail échoué ou annulé peut être relancé.",
    JobState.RUNNING: "il ne peut pas démarrer.",
    JobState.DONE: "il ne peut pas se terminer.",
    JobState.FAILED: "il ne peut pas échouer.",
    JobState.CANCELLED: "seul un travail en attente ou en cours peut être annulé.",
}
"""Why a move is refused, by the state that was wanted."""
