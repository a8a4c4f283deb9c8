"""What a ticket's page shows: its story in one line of time, and a form for each step that is open."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fastapi import Request
from fastapi.responses import Response

from dashboards.portal.forms import Reader
from dashboards.portal.rendering import render
from dashboards.portal.words import TICKET_STATUS, Word
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.scope import Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import Ticket, TicketEvent, TicketMail, TicketStatus, Verb
from fleet.tickets.rights import is_staff_of


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: a move of the ticket, or something said on it."""

    at: datetime
    by: str
    title: str
    icon: str
    text: str
    kind: str  # "move", "said", "internal"


OPENED = "Ticket nᵒ {} ouvert. L’équipe technique le voit sur son tableau de bord."
BACK_FROM = {
    TicketStatus.PENDING: Word("Repris", "arrow-repeat"),
    TicketStatus.SOLVED: Word("Rouvert", "arrow-repeat"),
}
"""How being somebody's again is told, by the status before it."""


def told(event: TicketEvent, before: TicketStatus | None) -> Entry:
    """One move as people read it; ``before`` is the status that it left."""
    word = TICKET_STATUS[event.status]
    if event.status is TicketStatus.ASSIGNED and before is not None:
        word = BACK_FROM.get(before, word)
    title, text = (event.note, "") if event.note.startswith(f"{word.text} ") else (word.text, event.note)
    return Entry(event.at, event.by or "Préau", title, word.icon, text, "move")


def story(ticket: Ticket) -> list[Entry]:
    """Moves and messages, newest first; of one instant, the move came first."""
    before = [None, *(event.status for event in ticket.events)]
    moves = [told(event, status) for event, status in zip(ticket.events, before, strict=False)]
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
    return sorted([*moves, *said], key=lambda entry: entry.at)[::-1]


def why_waiting(mail: TicketMail, config: FleetConfig) -> str:
    """Why a mail has not left."""
    if mail.gave_up_at is not None:
        return f"Abandonné\u00a0: {mail.error or 'refusé'}"
    if config.smtp_url is None:
        return "Aucun serveur de courriel n’est configuré\u00a0: renseignez PREAU_SMTP_URL."
    return mail.error or "En file\u00a0: il part dans l’instant."


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
    context = {"done": OPENED.format(ticket.number)} if request.query_params.get("done") == "ticket-opened" else {}
    return render(
        request,
        "ticket.html",
        refused.status if refused else 200,
        ticket=ticket,
        story=story(ticket),
        moves=moves,
        handles=is_staff_of(viewer, ticket),
        mails=[
            (mail, why_waiting(mail, request.app.state.config))
            for mail in tickets.list_mails(session, viewer, ticket)
            if mail.sent_at is None
        ],
        staff=accounts.list_staff(session, request.state.now) if Verb.ASSIGN in moves else [],
        request_key=(typed.raw("request_key") if typed else "") or secrets.token_urlsafe(16),
        verb=verb,
        typed=typed.raw if typed else lambda _name: "",
        refused=refused.detail if refused else None,
        problems=problems or {},
        **context,
    )
