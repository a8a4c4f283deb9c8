"""Mails owed for tickets: whom an opening is told to, and what their letters say. How they leave: owed_mail.py."""

from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from fleet import owed_mail
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.doors import Door, for_a_while
from fleet.mail import Letter
from fleet.owed_mail import ClaimedMail
from fleet.scope import Viewer
from fleet.tickets.models import MailOccasion, Ticket, TicketMail

PARIS = ZoneInfo("Europe/Paris")


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


def list_due(session: Session, now: datetime) -> list[UUID]:
    """Ids of the mails that should leave now."""
    return owed_mail.list_due(session, TicketMail, now)


def claim(session: Session, mail_id: UUID, config: FleetConfig, now: datetime) -> ClaimedMail | None:
    """Take a due mail for the length of the lease; None when it is sent, not due, or somebody else's."""
    mail = owed_mail.take(session, TicketMail, mail_id, now)
    return None if mail is None else ClaimedMail(TicketMail, mail.id, mail.attempts, compose(session, mail, config))


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
