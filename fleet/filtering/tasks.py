"""What happens later in filtering: lists are fetched, names files compiled, counts forgotten."""

from uuid import UUID

from celery import shared_task
from sqlalchemy import Engine

from fleet.clock import utc_now
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.filtering.exceptions import requests
from fleet.filtering.gateways import reports
from fleet.filtering.lists import fetching
from fleet.filtering.policy import policies
from fleet.filtering.previews import asking, preparing
from fleet.filtering.publishing import compiling, publications
from fleet.filtering.publishing.nights import night_of
from fleet.worker import worker_config


def database() -> Engine:
    """Where a turn is taken: beside the sessions, in a connection of its own."""
    with SessionFactory() as session:
        return session.get_bind().engine


@shared_task
def fetch_source(source_id: str) -> None:
    """Fetch a source that is due when it is this process's turn; then publish it, if a person waits for it."""
    if fetching.fetch_source(UUID(source_id), database()):
        sweep_publications()


@shared_task
def sweep_sources() -> None:
    """Hand over what is due: by the hour, after a failure, lost by the broker, or left by a killed worker."""
    with transaction(Door.JOBS) as session:
        due = fetching.list_due(session, utc_now())
    for source_id in due:
        fetch_source.delay(str(source_id))


@shared_task
def compile_publication(publication_id: str) -> None:
    """Compile what was asked for when it is this process's turn; then hand over what waited meanwhile."""
    if compiling.compile_publication(UUID(publication_id), worker_config(), database()):
        sweep_publications()


@shared_task
def sweep_publications() -> None:
    """Hand over what was asked for and is not done: lost by the broker, or left by a killed worker."""
    with transaction(Door.JOBS) as session:
        waiting = publications.list_waiting(session)
    for publication_id in waiting[:1]:  # one turn at a time, oldest first; each one hands over the next
        compile_publication.delay(str(publication_id))


@shared_task
def prepare_preview(preview_id: str) -> None:
    """Make the names that filters are to judge by when it is this process's turn; then hand over what waited."""
    if preparing.prepare_preview(UUID(preview_id), worker_config(), database()):
        sweep_publications()
        sweep_previews()


@shared_task
def sweep_previews() -> None:
    """Hand over what is to be prepared, lost by the broker or left by a killed worker; close what is over."""
    with transaction(Door.JOBS) as session:
        asking.close_ended(session, utc_now())
        waiting = preparing.list_waiting(session)
    for preview_id in waiting[:1]:
        prepare_preview.delay(str(preview_id))


@shared_task
def sweep_policy() -> None:
    """Publish the policy when devices or schools it speaks of changed elsewhere. Unchanged, it publishes nothing."""
    with transaction(Door.JOBS) as session:
        policies.catch_up(session, utc_now())


@shared_task
def purge_counts() -> None:
    """Forget counts, and who asked for what, of more than a year ago; names that previews told, of more than a week
    ago. Twice or late is harmless.
    """
    with transaction(Door.JOBS) as session:
        reports.purge_counts(session, utc_now())
        requests.purge_requests(session, utc_now())
        asking.purge(session, utc_now())


@shared_task
def publish_nightly() -> None:
    """Ask for the night's names file. Run twice in a night, it asks once."""
    now = utc_now()
    with transaction(Door.JOBS) as session:
        publications.add_nightly_request(session, night_of(now), now)
    sweep_publications()
