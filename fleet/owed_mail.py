"""Mails that are owed: rows first, then letters. One is claimed, sent outside any transaction, and its end recorded.

What the broker loses, the sweep sends; of two workers one has the lease; a mail is tried for three days.
"""

import functools
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from fleet import mail
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import HasId, transaction
from fleet.doors import Door
from fleet.mail import Letter

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=2)
"""How long a claimed mail is left to the one who claimed it: longer than a slow conversation."""
MANY_ATTEMPTS = 20
"""A mail that waited a week for a server to be named is not given up at its first try: 20 take some 13 hours."""
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)
SWEPT_AT_ONCE = 200


class OwedMail(HasId):
    """Columns of a table of mails. It is a row before it is a mail."""

    recipient: Mapped[str]
    queued_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(index=True)
    sent_at: Mapped[datetime | None]
    gave_up_at: Mapped[datetime | None]  # refused for good, tried for too long, or no longer wanted
    error: Mapped[str | None]


Owed = TypeVar("Owed", bound=OwedMail)


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that is ours until the lease ends; ``attempt`` proves it when the outcome is written."""

    table: type[OwedMail]
    mail_id: UUID
    attempt: int
    letter: Letter


Claim = Callable[[Session, UUID, FleetConfig, datetime], ClaimedMail | None]
"""Takes a due mail and writes its letter; None when there is nothing to send."""


def due(table: type[Owed], now: datetime) -> Select[Owed]:
    """Mails that should leave now: never tried, to be tried again, or claimed by somebody who never came back."""
    return select(table).where(table.sent_at.is_(None), table.gave_up_at.is_(None), table.next_attempt_at <= now)


def list_due(session: Session, table: type[OwedMail], now: datetime) -> list[UUID]:
    """Ids of the mails that should leave now, oldest first; the rest waits for the next sweep."""
    query = due(table, now).with_only_columns(table.id).order_by(table.next_attempt_at).limit(SWEPT_AT_ONCE)
    return list(session.scalars(query))


def take(session: Session, table: type[Owed], mail_id: UUID, now: datetime) -> Owed | None:
    """A due mail, ours for the length of the lease; None when it is sent, not due, or somebody else's."""
    owed = session.scalar(due(table, now).where(table.id == mail_id).with_for_update(skip_locked=True))
    if owed is not None:
        owed.attempts += 1
        owed.next_attempt_at = now + LEASE
    return owed


def record_sent(session: Session, claimed: ClaimedMail, now: datetime) -> None:
    """The server has it: true whoever holds the lease by now."""
    owed = session.get_one(claimed.table, claimed.mail_id, with_for_update=True)
    owed.sent_at, owed.gave_up_at, owed.error = owed.sent_at or now, None, None


def record_delay(session: Session, claimed: ClaimedMail, error: str, now: datetime) -> datetime | None:
    """Note why it did not leave and when to try again (returned); give up after three days of trying (None)."""
    owed = session.get_one(claimed.table, claimed.mail_id, with_for_update=True)
    if owed.attempts != claimed.attempt or owed.sent_at is not None:
        return owed.next_attempt_at  # the lease ended and another worker has it now
    owed.error = error
    if now - owed.queued_at >= GIVE_UP_AFTER and owed.attempts >= MANY_ATTEMPTS:
        owed.gave_up_at = now
        return None
    owed.next_attempt_at = now + delay_after(owed.attempts)
    return owed.next_attempt_at


def record_refusal(session: Session, claimed: ClaimedMail, error: str, now: datetime) -> None:
    """The server will never take it: keep why, try no more."""
    owed = session.get_one(claimed.table, claimed.mail_id, with_for_update=True)
    if owed.sent_at is None:
        owed.gave_up_at, owed.error = now, error


def delay_after(attempts: int) -> timedelta:
    """30 s, 1 min, 2 min … 1 h, each a little shorter or longer so that a queue does not come back all at once."""
    delay = min(FIRST_DELAY.total_seconds() * 2.0 ** min(attempts - 1, 10), LONGEST_DELAY.total_seconds())
    return timedelta(seconds=delay * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


@functools.cache
def say_that_mail_waits() -> None:
    """Once a process: without a server, mails stay owed and are shown so."""
    log.warning("PREAU_SMTP_URL is not set: mails wait until it is")


def send_one(claim: Claim, mail_id: UUID, config: FleetConfig) -> None:
    """Send one owed mail if it is due and nobody else's: for tasks, outside any transaction."""
    if config.smtp_url is None:
        say_that_mail_waits()
        return
    with transaction(Door.JOBS) as session:
        claimed = claim(session, mail_id, config, utc_now())
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
        record_sent(session, claimed, utc_now())
    log.info("mail sent", extra={"mail": claimed.mail_id, "attempt": claimed.attempt})


def note_delay(claimed: ClaimedMail, reason: str) -> None:
    with transaction(Door.JOBS) as session:
        again = record_delay(session, claimed, reason, utc_now())
    log.warning("mail delayed", extra={"mail": claimed.mail_id, "reason": reason, "next_attempt_at": again})


def note_refusal(claimed: ClaimedMail, reason: str) -> None:
    with transaction(Door.JOBS) as session:
        record_refusal(session, claimed, reason, utc_now())
    log.error("mail refused", extra={"mail": claimed.mail_id, "reason": reason})


def sweep(table: type[OwedMail], hand_over: Callable[[str], object], config: FleetConfig) -> None:
    """Hand over every mail that is due: what the broker lost, what was delayed, what a killed worker had claimed."""
    if config.smtp_url is None:
        say_that_mail_waits()
        return
    with transaction(Door.JOBS) as session:
        owed = list_due(session, table, utc_now())
    for mail_id in owed:
        hand_over(str(mail_id))
