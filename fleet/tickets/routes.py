"""HTTP of tickets."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.collectivities import service as collectivities
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.schools import service as schools
from fleet.table_file import Extension, download
from fleet.tickets import export, finding, service
from fleet.tickets.finding import Wanted
from fleet.tickets.models import Ticket, TicketMail, TicketStatus
from fleet.tickets.schemas import (
    AssignmentIn,
    ClosingIn,
    FollowUpIn,
    MailOut,
    NoteIn,
    OpeningIn,
    PlanIn,
    ResolutionIn,
    TicketBrief,
    TicketOut,
)

router = APIRouter(prefix="/api/v1/tickets", tags=["tickets"])


def wanted(
    search: Annotated[str, Query(max_length=200, description="Numéro, titre, école, UAI, commune, appareil.")] = "",
    status: TicketStatus | None = None,
    open_only: bool = False,
    assigned_to_id: UUID | None = None,
    school_id: UUID | None = None,
    device_id: UUID | None = None,
    collectivity_id: UUID | None = None,
) -> Wanted:
    """The conditions that lists and exports share."""
    return Wanted(search, status, open_only, assigned_to_id, school_id, device_id, collectivity_id)


Conditions = Annotated[Wanted, Depends(wanted)]


def visible_ticket(ticket_id: UUID, session: DbSession, viewer: CurrentViewer) -> Ticket:
    """The ticket of the path, if the caller sees it."""
    return service.get_ticket(session, viewer, ticket_id)


VisibleTicket = Annotated[Ticket, Depends(visible_ticket)]


@router.get("", response_model=ListingOut[TicketBrief])
def list_tickets(
    session: DbSession, viewer: CurrentViewer, conditions: Conditions, page: WantedPage
) -> dict[str, object]:
    """The tickets that the caller sees, in pages, newest first."""
    return listing_out(finding.list_matching(session, viewer, conditions, page))


@router.get("/export.{extension}", response_class=Response)
def export_tickets(extension: Extension, session: DbSession, viewer: CurrentViewer, conditions: Conditions) -> Response:
    """The same list whole, as a spreadsheet opens it."""
    return download(export.export_tickets(session, viewer, conditions), "tickets", extension)


@router.post("", status_code=201)
def open_ticket(body: OpeningIn, session: DbSession, viewer: CurrentViewer, now: Now) -> TicketOut:
    """Open a ticket on what the caller sees. The same ``request_key`` again answers with the ticket it opened."""
    ticket = service.open_ticket(
        session,
        viewer,
        kind=body.kind,
        subject=body.subject,
        title=body.title,
        description=body.description,
        school=schools.get_school(session, viewer, body.school_id) if body.school_id else None,
        device=devices.get_device(session, viewer, body.device_id) if body.device_id else None,
        collectivity=(
            collectivities.get_collectivity(session, viewer, body.collectivity_id) if body.collectivity_id else None
        ),
        request_key=body.request_key,
        now=now,
    )
    return TicketOut.of(viewer, ticket)


@router.get("/{ticket_id}")
def get_ticket(ticket: VisibleTicket, viewer: CurrentViewer) -> TicketOut:
    """One ticket; internal follow-ups are there for the operator's staff only."""
    return TicketOut.of(viewer, ticket)


@router.get("/{ticket_id}/mails", response_model=list[MailOut])
def list_mails(ticket: VisibleTicket, session: DbSession, viewer: CurrentViewer) -> list[TicketMail]:
    """The mails owed for it, for the operator's staff."""
    return service.list_mails(session, viewer, ticket)


@router.post("/{ticket_id}/assign")
def assign_ticket(
    ticket: VisibleTicket, body: AssignmentIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> TicketOut:
    """Give it to one of the operator's staff."""
    return TicketOut.of(viewer, service.assign_ticket(session, viewer, ticket, body.to_id, now))


@router.post("/{ticket_id}/plan")
def plan_ticket(ticket: VisibleTicket, body: PlanIn, session: DbSession, viewer: CurrentViewer, now: Now) -> TicketOut:
    """Say when somebody will see to it."""
    return TicketOut.of(viewer, service.plan_ticket(session, viewer, ticket, body.planned_for, now))


@router.post("/{ticket_id}/hold")
def hold_ticket(ticket: VisibleTicket, body: NoteIn, session: DbSession, viewer: CurrentViewer, now: Now) -> TicketOut:
    """Wait for somebody or something else."""
    return TicketOut.of(viewer, service.hold_ticket(session, viewer, ticket, body.note, now))


@router.post("/{ticket_id}/resume")
def resume_ticket(ticket: VisibleTicket, session: DbSession, viewer: CurrentViewer, now: Now) -> TicketOut:
    """What was awaited has come."""
    return TicketOut.of(viewer, service.resume_ticket(session, viewer, ticket, now))


@router.post("/{ticket_id}/solve")
def solve_ticket(
    ticket: VisibleTicket, body: ResolutionIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> TicketOut:
    """Say how it was solved."""
    return TicketOut.of(viewer, service.solve_ticket(session, viewer, ticket, body.resolution, now))


@router.post("/{ticket_id}/close")
def close_ticket(
    ticket: VisibleTicket, body: ClosingIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> TicketOut:
    """Accept the solution, or withdraw what nobody took yet."""
    return TicketOut.of(viewer, service.close_ticket(session, viewer, ticket, now, body.note))


@router.post("/{ticket_id}/reopen")
def reopen_ticket(
    ticket: VisibleTicket, body: NoteIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> TicketOut:
    """The solution does not hold."""
    return TicketOut.of(viewer, service.reopen_ticket(session, viewer, ticket, body.note, now))


@router.post("/{ticket_id}/follow-ups", status_code=201)
def follow_up(
    ticket: VisibleTicket, body: FollowUpIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> TicketOut:
    """Say something on it."""
    said = service.follow_up(session, viewer, ticket, body.body, body.is_public, now, body.request_key)
    return TicketOut.of(viewer, said)
