"""The technician's morning board: what needs a person first, and the numbers behind it."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.filtering import health_of, is_kept
from dashboards.portal.person import Person, landing
from dashboards.portal.rendering import render
from dashboards.portal.uncovered import coverage
from fleet.clock import Now
from fleet.configuration.outcomes import list_failing, outcomes_by_device
from fleet.configuration.states import state_of
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import DeviceStatus
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import requests
from fleet.filtering.lists import sources
from fleet.filtering.policy.models import RequestStatus
from fleet.paging import Page
from fleet.scope import Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import Ticket, TicketStatus

router = APIRouter()
SHOWN = 6


@router.get("/")
def show_board(
    request: Request,
    session: DbSession,
    viewer: Person,
    now: Now,
    live: Annotated[str, Query(pattern="^(on|off)$")] = "on",
) -> Response:
    """The operator's board; anyone else goes to where their own work starts."""
    if not viewer.sees_all:
        return RedirectResponse(landing(viewer), 303)
    return render(
        request,
        "board.html",
        live=live == "on",
        **fleet_numbers(session, viewer, now),
        **ticket_numbers(session, viewer, now),
        **filter_numbers(session, now),
        asked=requests.list_requests(session, viewer, status=RequestStatus.ASKED, page=Page(size=1)).total,
        held=len(sources.list_held(session)),
    )


def fleet_numbers(session: DbSession, viewer: Viewer, now: datetime) -> dict[str, object]:
    """Devices by status, the silent and the failing ones."""
    counted = devices.count_devices(session, viewer)
    statuses = dict.fromkeys(DeviceStatus, 0)
    for (_, status), number in counted.items():
        statuses[status] += number
    silent = devices.list_devices(session, viewer, silent=True, page=Page(size=SHOWN, sort="last_seen"))
    failing = list_failing(session, viewer, Page(size=SHOWN))
    outcomes = outcomes_by_device(session, [device.id for device in failing.rows])
    return {
        "statuses": statuses,
        "fleet_size": sum(statuses.values()) - statuses[DeviceStatus.RETIRED],
        "silent": silent,
        "failing": failing,
        "states": {device.id: state_of(device, outcomes.get(device.id, ()), now) for device in failing.rows},
    }


def ticket_numbers(session: DbSession, viewer: Viewer, now: datetime) -> dict[str, object]:
    """What nobody took, what is mine, what should have been done by now and what today holds."""
    new = tickets.list_tickets(session, viewer, status=TicketStatus.NEW, page=Page(size=SHOWN, sort="-number"))
    mine = tickets.list_tickets(
        session, viewer, open_only=True, assigned_to_id=viewer.user_id, page=Page(size=50, sort="-updated_at")
    )
    planned = tickets.list_tickets(session, viewer, status=TicketStatus.PLANNED, page=Page(size=50, sort="planned_for"))
    overdue = [t for t in planned.rows if is_before(t, now)]
    soon = [t for t in planned.rows if not is_before(t, now) and is_before(t, now + timedelta(days=7))]
    own = [t for t in mine.rows if t.status is not TicketStatus.SOLVED]
    visits = {t.id for t in (*overdue, *soon)}
    return {
        "ticket_counts": tickets.count_tickets(session, viewer),
        "new_tickets": new,
        "my_tickets": own,
        "my_others": [t for t in own if t.id not in visits],
        "overdue": overdue,
        "soon": soon,
    }


def is_before(ticket: Ticket, moment: datetime) -> bool:
    return ticket.planned_for is not None and ticket.planned_for < moment


def filter_numbers(session: DbSession, now: datetime) -> dict[str, object]:
    """The filters with how they are, and the last publication."""
    latest = filtering.find_latest(session)
    filters = [(node, *health_of(node, latest, now)) for node in filtering.list_filters(session) if is_kept(node)]
    return {
        "latest": latest,
        "coverage": coverage(filtering.list_profiles(session), latest),
        "filters": filters,
        "unwell": sum(1 for _, chip, _ in filters if chip.tone != "good"),
    }
