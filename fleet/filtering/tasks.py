"""What happens later in filtering: bundles are compiled."""

from uuid import UUID

from celery import shared_task

from fleet.clock import utc_now
from fleet.db import SessionFactory
from fleet.filtering import compiling, publications, reports
from fleet.filtering.nights import night_of
from fleet.worker import worker_config


@shared_task
def compile_publication(publication_id: str) -> None:
    """Compile what was asked for when it is this process's turn; then hand over what waited meanwhile."""
    with SessionFactory() as session:
        engine = session.get_bind().engine
    if compiling.compile_publication(UUID(publication_id), worker_config(), engine):
        sweep_publications()


@shared_task
def sweep_publications() -> None:
    """Hand over what was asked for and is not done: lost by the broker, or left by a killed worker."""
    with SessionFactory.begin() as session:
        waiting = publications.list_waiting(session)
    for publication_id in waiting[:1]:  # one turn at a time, oldest first; each one hands over the next
        compile_publication.delay(str(publication_id))


@shared_task
def purge_counts() -> None:
    """Forget counts of more than a year ago. Twice or late is harmless."""
    with SessionFactory.begin() as session:
        reports.purge_counts(session, utc_now())


@shared_task
def publish_nightly() -> None:
    """Ask for the night's bundle. Run twice in a night, it asks once."""
    now = utc_now()
    with SessionFactory.begin() as session:
        publications.add_nightly_request(session, night_of(now), now)
    sweep_publications()
