"""What happens later in tickets: mails leave. A row says what is owed; a task may run twice, late or never."""

import functools
import logging
from uuid import UUID

from celery import shared_task

from fleet import mail
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.tickets import mails
from fleet.tickets.mails import ClaimedMail
from fleet.worker import worker_config

log = logging.getLogger(__name__)


@functools.cache
def say_that_mail_waits() -> None:
    """Once a process: without a server, mails stay owed and are shown so."""
    log.warning("PREAU_SMTP_URL is not set: mails wait until it is")


@shared_task
def send_mail(mail_id: str) -> None:
    """Send one owed mail if it is due and nobody else's."""
    config = worker_config()
    if config.smtp_url is None:
        say_that_mail_waits()
        return
    with transaction(Door.JOBS) as session:
        claimed = mails.claim(session, UUID(mail_id), config, utc_now())
    if claimed is None:
        return
    try:
        mail.send(config.smtp_url, claimed.letter)
    except mail.MailDelayed as error:
        note_delay(claimed, str(error))
    except mail.MailRefused as error:
        note_refusal(claimed, str(error))
    else:
        note_sent(claimed)


def note_sent(claimed: ClaimedMail) -> None:
    with transaction(Door.JOBS) as session:
        mails.record_sent(session, claimed, utc_now())
    log.info("mail sent", extra={"mail": claimed.mail_id, "attempt": claimed.attempt})


def note_delay(claimed: ClaimedMail, reason: str) -> None:
    with transaction(Door.JOBS) as session:
        again = mails.record_delay(session, claimed, reason, utc_now())
    log.warning("mail delayed", extra={"mail": claimed.mail_id, "reason": reason, "next_attempt_at": again})


def note_refusal(claimed: ClaimedMail, reason: str) -> None:
    with transaction(Door.JOBS) as session:
        mails.record_refusal(session, claimed, reason, utc_now())
    log.error("mail refused", extra={"mail": claimed.mail_id, "reason": reason})


@shared_task
def sweep_mails() -> None:
    """Hand over every mail that is due: what the broker lost, what was delayed, what a killed worker had claimed."""
    if worker_config().smtp_url is None:
        say_that_mail_waits()
        return
    with transaction(Door.JOBS) as session:
        owed = mails.list_due(session, utc_now())
    for mail_id in owed:
        send_mail.delay(str(mail_id))
