"""Finding tickets: every list and every look-up passes the one door."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.orm.attributes import set_committed_value

from fleet.errors import NotFound
from fleet.paging import Listing, Page, holds, paginate
from fleet.schools.models import School
from fleet.scope import Viewer, visible_to
from fleet.text import fold
from fleet.tickets.models import FollowUp, Ticket, TicketEvent, TicketMail, TicketStatus
from fleet.tickets.rights import is_staff_of

SORTABLE = {
    "id": Ticket.id,
    "number": Ticket.number,
    "title": Ticket.title,
    "status": Ticket.status,
    "opened_at": Ticket.opened_at,
    "updated_at": Ticket.updated_at,
    "planned_for": Ticket.planned_for,
}


def visible_tickets(viewer: Viewer) -> Select[Ticket]:
    """Every ticket that the viewer sees, with what lists and pages show of it."""
    query = select(Ticket).options(
        joinedload(Ticket.collectivity),
        joinedload(Ticket.school).joinedload(School.commune),
        joinedload(Ticket.school).joinedload(School.collectivity),
        joinedload(Ticket.device),
        joinedload(Ticket.opened_by),
        joinedload(Ticket.assigned_to),
    )
    return visible_to(viewer, query, collectivity=Ticket.collectivity_id, school=Ticket.school_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Conditions on a list; None and "" are no condition."""

    search: str = ""
    status: TicketStatus | None = None
    open_only: bool = False
    assigned_to_id: UUID | None = None
    school_id: UUID | None = None
    device_id: UUID | None = None
    collectivity_id: UUID | None = None


def matching(viewer: Viewer, wanted: Wanted) -> Select[Ticket]:
    """The tickets that the viewer sees and that fulfil every condition."""
    query = visible_tickets(viewer)
    if wanted.open_only:
        query = query.where(Ticket.status != TicketStatus.CLOSED)
    if wanted.status is not None:
        query = query.where(Ticket.status == wanted.status)
    for column, value in (
        (Ticket.assigned_to_id, wanted.assigned_to_id),
        (Ticket.school_id, wanted.school_id),
        (Ticket.device_id, wanted.device_id),
        (Ticket.collectivity_id, wanted.collectivity_id),
    ):
        if value is not None:
            query = query.where(column == value)
    for word in fold(wanted.search).split():
        found = holds(word, Ticket.search_text)
        query = query.where(or_(found, Ticket.number == int(word)) if _is_number(word) else found)
    return query


def list_tickets(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    status: TicketStatus | None = None,
    open_only: bool = False,
    assigned_to_id: UUID | None = None,
    school_id: UUID | None = None,
    device_id: UUID | None = None,
    collectivity_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[Ticket]:
    """One page of the tickets that the viewer sees, newest first unless the page says otherwise.

    Every word of ``search`` must be found: number, title, description, school, UAI, commune, collectivity, device.
    """
    wanted = Wanted(search, status, open_only, assigned_to_id, school_id, device_id, collectivity_id)
    return list_matching(session, viewer, wanted, page)


def list_matching(session: Session, viewer: Viewer, wanted: Wanted, page: Page) -> Listing[Ticket]:
    """One page of what `matching` finds, newest first."""
    return paginate(session, matching(viewer, wanted), page, SORTABLE, "-number")


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 9


def count_tickets(session: Session, viewer: Viewer) -> dict[TicketStatus, int]:
    """How many tickets the viewer sees in each status; every status is there."""
    query = visible_to(
        viewer,
        select(Ticket.status, func.count(Ticket.id)).group_by(Ticket.status),
        collectivity=Ticket.collectivity_id,
        school=Ticket.school_id,
    )
    return dict.fromkeys(TicketStatus, 0) | dict(session.execute(query).all())


def get_ticket(session: Session, viewer: Viewer, ticket_id: UUID) -> Ticket:
    """The ticket with events and follow-ups in order (internal ones for staff only).

    Raise NotFound when it does not exist or the viewer may not see it.
    """
    query = visible_tickets(viewer).where(Ticket.id == ticket_id).execution_options(populate_existing=True)
    ticket = session.scalar(query)
    if ticket is None:
        raise NotFound("ticket.not_found", "Ce ticket n’existe pas ou ne vous est pas ouvert.")
    events = select(TicketEvent).where(TicketEvent.ticket_id == ticket_id)
    said = select(FollowUp).where(FollowUp.ticket_id == ticket_id)
    if not is_staff_of(viewer, ticket):
        said = said.where(FollowUp.is_public)
    set_committed_value(ticket, "events", session.scalars(events.order_by(TicketEvent.at, TicketEvent.number)).all())
    set_committed_value(ticket, "follow_ups", session.scalars(said.order_by(FollowUp.at, FollowUp.number)).all())
    return ticket


def list_mails(session: Session, viewer: Viewer, ticket: Ticket) -> list[TicketMail]:
    """The mails owed for a ticket, for its staff; nobody else learns who was written to."""
    if not is_staff_of(viewer, ticket):
        return []
    query = select(TicketMail).where(TicketMail.ticket_id == ticket.id)
    return list(session.scalars(query.order_by(TicketMail.queued_at, TicketMail.recipient)))


def search_text_of(ticket: Ticket) -> str:
    """Everything a person may type to find it again, as on the day it was opened."""
    school, device = ticket.school, ticket.device
    commune = school.commune if school else None
    return fold(
        str(ticket.number),
        ticket.title,
        *((school.name, school.uai) if school else ()),
        commune.name if commune else None,
        ticket.collectivity.name,
        *((device.asset_tag, device.name, device.serial) if device else ()),
        ticket.description,
    )
