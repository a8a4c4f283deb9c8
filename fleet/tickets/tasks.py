"""What happens later in tickets: mails leave. A row says what is owed; a task may run twice, late or never."""

from uuid import UUID

from celery import shared_task

from fleet import owed_mail
from fleet.tickets import mails
from fleet.tickets.models import TicketMail
from fleet.worker import worker_config


@shared_task
def send_mail(mail_id: str) -> None:
    """Send one owed mail if it is due and nobody else's."""
    owed_mail.send_one(mails.claim, UUID(mail_id), worker_config())


@shared_task
def sweep_mails() -> None:
    """Hand over every mail that is due."""
    owed_mail.sweep(TicketMail, send_mail.delay, worker_config())
