"""HTTP shapes of jobs."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from fleet.jobs.models import JobKind, JobState


class JobOut(BaseModel):
    """A job: what it is about, how far it is, and why it failed or waits."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: JobKind
    subject: str
    state: JobState
    done: int
    total: int | None
    sentence: str
    reason: str
    attempts: int
    asked_by: str
    collectivity_id: UUID | None
    school_id: UUID | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    next_try_at: datetime | None
    cancel_asked_at: datetime | None
