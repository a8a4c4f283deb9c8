"""How long jobs that ended are kept."""

from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from fleet.jobs.models import ENDED, Job


def purge_jobs(session: Session, now: datetime, days: int) -> None:
    """Forget jobs that ended more than ``days`` ago, with what hangs on them."""
    session.execute(delete(Job).where(Job.state.in_(ENDED), Job.ended_at < now - timedelta(days=days)))
