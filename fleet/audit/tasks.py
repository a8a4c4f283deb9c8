"""What happens later in audit: each day the head of the chain leaves the database, and what is too old is forgotten."""

import logging
from datetime import datetime
from email.utils import make_msgid

from celery import shared_task

from fleet import mail
from fleet.audit import checkpoints, retention
from fleet.audit.checkpoints import Checkpoint
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.mail import Letter, MailDelayed
from fleet.worker import worker_config

log = logging.getLogger(__name__)


@shared_task(autoretry_for=(MailDelayed,), retry_backoff=60, max_retries=5)
def send_checkpoint() -> None:
    """Write a checkpoint into the log of this process, and mail it when somebody is to have it. Twice is harmless."""
    config, now = worker_config(), utc_now()
    key = checkpoints.read_key(config.audit_key_file)
    with transaction(Door.JOBS) as session:
        checkpoint = checkpoints.take(session.connection(), now, key)
    log.info("audit checkpoint", extra={"checkpoint": checkpoint.to_json()})
    if config.audit_mail is not None and config.smtp_url is not None:
        mail.send(config.smtp_url, letter_with(checkpoint, config, config.audit_mail, now))


def letter_with(checkpoint: Checkpoint, config: FleetConfig, recipient: str, now: datetime) -> Letter:
    """The mail to keep: its text is what ``preau audit verify --checkpoint`` reads."""
    identifier = make_msgid(domain=config.mail_from.rpartition("@")[2])
    return Letter(
        sender=config.mail_from,
        recipient=recipient,
        recipient_name="",
        subject=f"Point de contrôle du journal n° {checkpoint.number}",
        body=f"{checkpoint.to_json()}\n",
        message_id=identifier,
        thread_id=identifier,
        written_at=now,
    )


@shared_task
def purge_entries() -> None:
    """Forget entries older than the installation keeps. Twice or late is harmless."""
    with transaction(Door.JOBS) as session:
        gone = retention.forget(session, worker_config().audit_days, utc_now())
    if gone:
        log.info("audit entries forgotten", extra={"entries": gone})
