"""What happens later in accounts: mails leave, and what is over is forgotten."""

from uuid import UUID

from celery import shared_task

from fleet import owed_mail
from fleet.accounts import guesses, identities, known_browsers, letters, sessions
from fleet.accounts.models import AccountLetter
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.worker import worker_config


@shared_task
def send_letter(letter_id: str) -> None:
    """Send one owed mail if it is due and nobody else's."""
    owed_mail.send_one(letters.claim, UUID(letter_id), worker_config())


@shared_task
def sweep_letters() -> None:
    """Hand over every mail that is due."""
    owed_mail.sweep(AccountLetter, send_letter.delay, worker_config())


@shared_task
def purge_expired() -> None:
    """Forget what is over. Twice or late is harmless."""
    with transaction(Door.JOBS) as session:
        for purge in (sessions.purge, guesses.purge, known_browsers.purge, identities.purge, letters.purge):
            purge(session, utc_now())
