"""Mails owed for tickets: rows first, then letters. One is claimed, sent outside any transaction, and recorded."""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.doors import Door, for_a_while
from fleet.mail import Letter
from fleet.scope import Viewer
from fleet.tickets.models import MailOccasion, Ticket, TicketMail

LEASE = timedelta(minutes=2)
"""How long a claimed mail is left to the one who claimed it: longer than a slow conversation."""
MANY_ATTEMPTS = 20
"""A mail that waited a week for a server to be named is not given up at its first try: 20 take some 13 hours."""
FIRST_DELAY = timedelta(seconds=30)
LONGEST_DELAY = timedelta(hours=1)
GIVE_UP_AFTER = timedelta(days=3)
SWEPT_AT_ONCE = 200
PARIS = ZoneInfo("Europe/Paris")


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that is ours until the lease ends; ``attempt`` proves it when the outcome is written."""

    mail_id: UUID
    attempt: int
    letter: Letter


def owe_for_opening(session: Session, ticket: Ticket, opener: Viewer, now: datetime) -> list[TicketMail]:
    """Rows for the mails that this opening owes: to the operator's staff, and a confirmation to the opener."""
    staff = [user.email for user in accounts.list_staff(session, now) if user.id != opener.user_id]
    wanted = [(MailOccasion.OPENED, address) for address in staff] + [(MailOccasion.RECEIVED, opener.email)]
    owed = [
        TicketMail(ticket_id=ticket.id, occasion=occasion, recipient=address, queued_at=now, next_attempt_at=now)
        for occasion, address in wanted
    ]
    with for_a_while(session, Door.JOBS):  # who is written to is nothing that the opener sees
        session.add_all(owed)
    return owed


def due(now: datetime) -> Select[TicketMail]:
    """Mails that should leave now: never tried, to be tried again, or claimed by somebody who never came back."""
    return select(TicketMail).where(
        TicketMail.sent_at.is_(None), TicketMail.gave_up_at.is_(None), TicketMail.next_attempt_at <= now
    )


def list_due(session: Session, now: datetime) -> list[UUID]:
    """Ids of the mails that should leave now, oldest first; the rest waits for the next sweep."""
    query = due(now).with_only_columns(TicketMail.id).order_by(TicketMail.next_attempt_at).limit(SWEPT_AT_ONCE)
    return list(session.scalars(query))


def claim(session: Session, mail_id: UUID, config: FleetConfig, now: datetime) -> ClaimedMail | None:
    """Take a due mail for the length of the lease; None when it is sent, not due, or somebody else's."""
    query = due(now).where(TicketMail.id == mail_id).with_for_update(skip_locked=True)
    mail = session.scalar(query)
    if mail is None:
        return None
    mail.attempts += 1
    mail.next_attempt_at = now + LEASE
    return ClaimedMail(mail.id, mail.attempts, compose(session, mail, config))


def record_sent(session: Session, claimed: ClaimedMail, now: datetime) -> None:
    """The server has it: true whoever holds the lease by now."""
    mail = session.get_one(TicketMail, claimed.mail_id, with_for_update=True)
    mail.sent_at, mail.gave_up_at, mail.error = mail.sent_at or now, None, None


def record_delay(session: Session, claimed: ClaimedMail, error: str, now: datetime) -> datetime | None:
    """Note why it did not leave and when to try again (returned); give up after three days of trying (None)."""
    mail = session.get_one(TicketMail, claimed.mail_id, with_for_update=True)
    if mail.attempts != claimed.attempt or mail.sent_at is not None:
        return mail.next_attempt_at  # the lease ended and another worker has it now
    mail.error = error
    if now - mail.queued_at >= GIVE_UP_AFTER and mail.attempts >= MANY_ATTEMPTS:
        mail.gave_up_at = now
        return None
    mail.next_attempt_at = now + delay_after(mail.attempts)
    return mail.next_attempt_at


def record_refusal(session: Session, claimed: ClaimedMail, error: str, now: datetime) -> None:
    """The server will never take it: keep why, try no more."""
    mail = session.get_one(TicketMail, claimed.mail_id, with_for_update=True)
    if mail.sent_at is None:
        mail.gave_up_at, mail.error = now, error


def delay_after(attempts: int) -> timedelta:
    """30 s, 1 min, 2 min … 1 h, each a little shorter or longer so that a queue does not come back all at once."""
    delay = min(FIRST_DELAY.total_seconds() * 2.0 ** min(attempts - 1, 10), LONGEST_DELAY.total_seconds())
    return timedelta(seconds=delay * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def compose(session: Session, mail: TicketMail, config: FleetConfig) -> Letter:
    """The letter of a mail, from what the ticket says now; the same row always gives the same Message-ID."""
    query = select(Ticket).where(Ticket.id == mail.ticket_id)
    ticket = session.scalars(
        query.options(
            joinedload(Ticket.school),
            joinedload(Ticket.device),
            joinedload(Ticket.collectivity),
            joinedload(Ticket.opened_by),
        ).execution_options(populate_existing=True)
    ).one()
    host = urlsplit(config.public_url).hostname or "localhost"
    is_confirmation = mail.occasion is MailOccasion.RECEIVED
    return Letter(
        sender=config.mail_from,
        recipient=mail.recipient,
        recipient_name=ticket.opened_by.name if is_confirmation and ticket.opened_by else "",
        subject=f"[Préau #{ticket.number}] {ticket.title}",
        body=(CONFIRMATION if is_confirmation else NOTICE).format(
            number=ticket.number,
            kind=ticket.kind.label.lower(),
            title=ticket.title,
            about=about(ticket),
            opener=ticket.opened_by.name if ticket.opened_by else "la surveillance",
            moment=ticket.opened_at.astimezone(PARIS).strftime("%d/%m/%Y à %H:%M"),
            description=ticket.description,
            url=f"{config.public_url}/tickets/{ticket.id}",
        ),
        message_id=f"<mail-{mail.id}@{host}>",
        thread_id=f"<ticket-{ticket.id}@{host}>",
        written_at=mail.queued_at,
    )


def about(ticket: Ticket) -> str:
    """Place and device in one line."""
    parts = [ticket.collectivity.name]
    if ticket.school is not None:
        parts.append(f"{ticket.school.name} ({ticket.school.uai})")
    if ticket.device is not None:
        parts.append(f"{ticket.device.name} ({ticket.device.asset_tag})")
    return ", ".join(parts)


NOTICE = """Bonjour,

Un ticket vient d’être ouvert par {opener} le {moment}.

N° {number} ({kind}) : {title}
{about}

{description}

Pour le prendre en charge : {url}

Préau
"""
CONFIRMATION = """Bonjour,

Votre ticket n° {number} ({kind}) du {moment} est enregistré : {title}
{about}

{description}

L’équipe de l’ADICA vous répondra. Pour le suivre ou le compléter : {url}

Préau
"""
