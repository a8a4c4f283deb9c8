"""Tickets as a spreadsheet."""

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from fleet.scope import Viewer
from fleet.table_file import Sheet
from fleet.tickets.finding import Wanted, matching
from fleet.tickets.models import Ticket

PARIS = ZoneInfo("Europe/Paris")
COLUMNS = (
    "numero", "type", "sujet", "etat", "titre", "collectivite", "uai", "ecole", "commune", "etiquette", "appareil",
    "ouvert_par", "confie_a", "ouvert_le", "planifie_le", "resolu_le", "clos_le", "resolution",
)  # fmt: skip


def export_tickets(session: Session, viewer: Viewer, wanted: Wanted) -> Sheet:
    """The tickets that the viewer sees and wants, oldest first. Follow-ups stay out: some are internal."""
    query = matching(viewer, wanted).order_by(Ticket.number).execution_options(yield_per=500)
    return Sheet(COLUMNS, map(_row, session.scalars(query)))


def _row(ticket: Ticket) -> tuple[object, ...]:
    school, device = ticket.school, ticket.device
    return (
        ticket.number,
        ticket.kind.label,
        ticket.subject.label,
        ticket.status.label,
        ticket.title,
        ticket.collectivity.name,
        school.uai if school else None,
        school.name if school else None,
        school.commune.name if school and school.commune else None,
        device.asset_tag if device else None,
        device.name if device else None,
        ticket.opened_by.name if ticket.opened_by else None,
        ticket.assigned_to.name if ticket.assigned_to else None,
        *map(_moment, (ticket.opened_at, ticket.planned_for, ticket.solved_at, ticket.closed_at)),
        ticket.resolution,
    )


def _moment(at: datetime | None) -> str | None:
    """As a spreadsheet sorts and a person in Paris reads it."""
    return None if at is None else at.astimezone(PARIS).strftime("%Y-%m-%d %H:%M")
