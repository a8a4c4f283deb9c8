"""What happens later in jobs: they are done. A message is an id; it may come twice, late or never."""

from uuid import UUID

from celery import shared_task

from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.jobs import history, leasing, running
from fleet.worker import worker_config


@shared_task
def run_job(job_id: str) -> None:
    """Do a job if it is due and nobody else's."""
    running.run_job(UUID(job_id), worker_config())


@shared_task
def sweep_jobs() -> None:
    """Hand over every job that is due: lost by the broker, put back, or left by a killed worker."""
    with transaction(Door.JOBS) as session:
        due = leasing.list_due(session, utc_now())
    for job_id in due:
        run_job.delay(str(job_id))


@shared_task
def purge_jobs() -> None:
    """Forget jobs that ended long ago, with what hangs on them. Twice or late is harmless."""
    with transaction(Door.JOBS) as session:
        history.purge_jobs(session, utc_now(), worker_config().job_history_days)
