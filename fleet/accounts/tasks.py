"""What happens later in accounts."""

from celery import shared_task

from fleet.accounts import service
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door


@shared_task
def purge_expired() -> None:
    """Forget what is over. Twice or late is harmless."""
    with transaction(Door.JOBS) as session:
        service.purge_expired(session, utc_now())
