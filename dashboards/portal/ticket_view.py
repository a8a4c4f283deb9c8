"""What a ticket's page shows: its story in one line of time, and a form for each step that is open."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from fastapi.responses import Response

from dashboards.portal.forms import Reader
from dashboards.portal.rendering import render
from dashboards.portal.words import TICKET_STATUS
from fleet.accounts import service as accounts
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.scope import Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import Ticket
from fleet.tickets.rights import Verb, is_staff_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: a move of the ticket, or something said on it."""

    at: datetime
    by: str
    title: str
    icon: str
    text: str
    kind: str  # "move", "said", "internal"


def story(ticket: Ticket) -> list[Entry]:
    """Moves and messages, oldest first; of one instant, the move comes first."""
    moves = [
        Entry(e.at, e.by or "Préau", TICKET_STATUS[e.status].text, TICKET_STATUS[e.status].icon, e.note, "move")
        for e in ticket.events
    ]
    said = [
        Entry(
            f.at,
            f.by,
            "a écrit" if f.is_public else "note interne",
            "chat-left-text" if f.is_public else "lock",
            f.body,
            "said" if f.is_public else "internal",
        )
        for f in ticket.follow_ups
    ]
    return sorted([*moves, *said], key=lambda entry: entry.at)


def show(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    ticket: Ticket,
    *,
    verb: Verb | None = None,
    typed: Reader | None = None,
    refused: FleetError | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    """The page of one ticket; ``verb`` and ``typed`` come back from a step that was refused."""
    moves = tickets.legal_moves(viewer, ticket)
    return render(
        request,
        "ticket.html",
        refused.status if refused else 200,
        ticket=ticket,
        story=story(ticket),
        moves=moves,
        handles=is_staff_of(viewer, ticket),
        staff=accounts.list_staff(session) if Verb.ASSIGN in moves else [],
        request_key=(typed.raw("request_key") if typed else "") or secrets.token_urlsafe(16),
        verb=verb,
        typed=typed.raw if typed else lambda _name: "",
        refused=refused.detail if refused else None,
        problems=problems or {},
    )
