"""Tickets: the list and its export, opening one, and the page where it is handled from there to its end."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import ticket_opening, ticket_view
from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.listing import AskedPage, Blank, Flag, Search, forgiving
from dashboards.portal.person import Person, SentForm
from dashboards.portal.rendering import render
from dashboards.portal.saved_filters import KeptFilters
from dashboards.portal.ticket_moves import DONE, HANDLERS
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.paging import Listing, Page
from fleet.scope import Viewer
from fleet.table_file import Extension, download
from fleet.tickets import export
from fleet.tickets import service as tickets
from fleet.tickets.finding import Wanted
from fleet.tickets.models import Ticket, TicketStatus, Verb

router = APIRouter(prefix="/tickets")
Status = Annotated[str, Query(pattern=f"^({'|'.join(TicketStatus)}|open|all|)$")]
Id = Annotated[UUID | None, Blank, Query()]
SORTS = (
    ("-number", "Plus récents"),
    ("number", "Plus anciens"),
    ("-updated_at", "Modifiés récemment"),
    ("planned_for", "Date planifiée"),
    ("status", "Statut"),
)


def reader_of(
    session: DbSession,
    viewer: Viewer,
    q: str,
    status: str,
    mine: bool | None,
    school: UUID | None,
    device: UUID | None,
    collectivity: UUID | None,
) -> Callable[[Page], Listing[Ticket]]:
    """The list that an address asks for, page by page. No status: everything not closed."""

    def read(page: Page) -> Listing[Ticket]:
        return tickets.list_tickets(
            session,
            viewer,
            search=q,
            status=TicketStatus(status) if status in set(TicketStatus) else None,
            open_only=status in {"", "open"},
            assigned_to_id=viewer.user_id if mine else None,
            school_id=school,
            device_id=device,
            collectivity_id=collectivity,
            page=page,
        )

    return read


@router.get("")
def list_tickets(
    request: Request,
    session: DbSession,
    viewer: Person,
    page: AskedPage,
    kept: KeptFilters,
    q: Search = "",
    status: Status = "",
    mine: Flag = None,
    school: Id = None,
    device: Id = None,
    collectivity: Id = None,
) -> Response:
    """The tickets that the viewer sees; those in progress unless asked otherwise."""
    if kept.opening:
        return RedirectResponse(kept.opening, 303)
    found = forgiving(
        session,
        viewer,
        q,
        lambda search, wanted: reader_of(session, viewer, search, status, mine, school, device, collectivity)(wanted),
        page,
    )
    return render(
        request,
        "tickets.html",
        kept=kept,
        listing=found.listing,
        corrected=found.corrected,
        asked={"q": q, "status": status or "open", "mine": mine},
        sorts=SORTS,
        sort=page.sort or "-number",
    )


@router.get(".{extension}")
def export_tickets(
    extension: Extension,
    session: DbSession,
    viewer: Person,
    q: Search = "",
    status: Status = "",
    mine: Flag = None,
    school: Id = None,
    device: Id = None,
    collectivity: Id = None,
) -> Response:
    """The same list whole, as a file."""
    wanted = Wanted(
        search=q,
        status=TicketStatus(status) if status in set(TicketStatus) else None,
        open_only=status in {"", "open"},
        assigned_to_id=viewer.user_id if mine else None,
        school_id=school,
        device_id=device,
        collectivity_id=collectivity,
    )
    return download(export.export_tickets(session, viewer, wanted), "tickets", extension)


@router.get("/new")
def show_new(
    request: Request,
    session: DbSession,
    viewer: Person,
    q: Search = "",
    school: Id = None,
    device: Id = None,
    collectivity: Id = None,
) -> Response:
    """Choose the place, then say what is wrong."""
    place = ticket_opening.find_place(session, viewer, school, device, collectivity)
    if place is None:
        return ticket_opening.choose_place(request, session, viewer, q)
    return ticket_opening.show_form(request, session, viewer, place)


@router.post("/new")
def open_ticket(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Open it; the same form sent twice opens one."""
    try:
        ticket = ticket_opening.open_from(session, viewer, Reader(form), now)
    except FleetError as refused:
        session.rollback()
        return ticket_opening.show_again(request, session, viewer, Reader(form), refused)
    return RedirectResponse(f"/tickets/{ticket.id}?done=ticket-opened", 303)


@router.get("/{ticket_id}")
def show_ticket(request: Request, session: DbSession, viewer: Person, ticket_id: UUID) -> Response:
    """One ticket: what was said and done, and what may come next."""
    return ticket_view.show(request, session, viewer, tickets.get_ticket(session, viewer, ticket_id))


@router.post("/{ticket_id}/{verb}")
def move_ticket(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, ticket_id: UUID, verb: Verb
) -> Response:
    """One step of a ticket; a step that is refused leaves what was typed on the page."""
    ticket = tickets.get_ticket(session, viewer, ticket_id)
    reader = Reader(form)
    try:
        HANDLERS[verb](session, viewer, ticket, reader, now)
    except FleetError as refused:
        session.rollback()
        problems = refused.problems if isinstance(refused, FormRefused) else {}
        ticket = tickets.get_ticket(session, viewer, ticket_id)
        return ticket_view.show(
            request, session, viewer, ticket, verb=verb, typed=reader, refused=refused, problems=problems
        )
    return RedirectResponse(f"/tickets/{ticket_id}?done={DONE[verb]}", 303)
