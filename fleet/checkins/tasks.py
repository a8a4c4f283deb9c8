"""What happens later in checkins: nobody reports silence, so somebody must look for it."""

import logging

from celery import shared_task

from fleet.checkins import service
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.worker import worker_config

log = logging.getLogger(__name__)


@shared_task
def sweep_silent_devices() -> None:
    """Mark devices that stopped speaking. Twice, late or never is harmless: the next one finds them."""
    with transaction(Door.JOBS) as session:
        missed = service.mark_silent_devices(session, utc_now(), worker_config())
    if missed:
        log.info("devices went silent", extra={"devices": missed})
