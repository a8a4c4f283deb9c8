"""What happens later in accounts."""

from celery import shared_task

from fleet.accounts import service
from fleet.clock import utc_now
from fleet.db import SessionFactory


@shared_task
def purge_expired() -> None:
    """Forget what is over. Twice or late is harmless."""
    with SessionFactory.begin() as session:
        service.purge_expired(session, utc_now())
