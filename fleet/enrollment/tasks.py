"""What happens later in enrollment."""

from celery import shared_task

from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.enrollment import guesses


@shared_task
def purge_guesses() -> None:
    """Forget wrong tokens that no longer count. Twice or late is harmless."""
    with transaction(Door.JOBS) as session:
        guesses.purge(session, utc_now())
