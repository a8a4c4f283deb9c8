"""Who may do what to a ticket, and from which status: pure."""

from collections.abc import Mapping
from enum import StrEnum

from fleet.scope import Action, Role, Viewer
from fleet.tickets.models import Ticket, TicketStatus

OPEN = frozenset(TicketStatus) - {TicketStatus.CLOSED}


class Verb(StrEnum):
    """What a person may do to a ticket; the route has the same name."""

    ASSIGN = "assign"
    PLAN = "plan"
    HOLD = "hold"
    RESUME = "resume"
    SOLVE = "solve"
    CLOSE = "close"
    REOPEN = "reopen"
    FOLLOW_UP = "follow_up"


FROM: Mapping[Verb, frozenset[TicketStatus]] = {
    Verb.ASSIGN: frozenset({TicketStatus.NEW, TicketStatus.ASSIGNED, TicketStatus.PLANNED, TicketStatus.PENDING}),
    Verb.PLAN: frozenset({TicketStatus.ASSIGNED, TicketStatus.PLANNED}),
    Verb.HOLD: frozenset({TicketStatus.ASSIGNED, TicketStatus.PLANNED}),
    Verb.RESUME: frozenset({TicketStatus.PENDING}),
    Verb.SOLVE: frozenset({TicketStatus.ASSIGNED, TicketStatus.PLANNED}),
    Verb.CLOSE: frozenset({TicketStatus.NEW, TicketStatus.SOLVED}),
    Verb.REOPEN: frozenset({TicketStatus.SOLVED}),
    Verb.FOLLOW_UP: OPEN,
}
"""Where each verb starts. Handing over and planning anew keep the status; the other steps are those of MOVES."""
TO: Mapping[Verb, TicketStatus] = {
    Verb.ASSIGN: TicketStatus.ASSIGNED,
    Verb.PLAN: TicketStatus.PLANNED,
    Verb.HOLD: TicketStatus.PENDING,
    Verb.RESUME: TicketStatus.ASSIGNED,
    Verb.SOLVE: TicketStatus.SOLVED,
    Verb.CLOSE: TicketStatus.CLOSED,
    Verb.REOPEN: TicketStatus.ASSIGNED,
}
BY_BOTH_SIDES = frozenset({Verb.CLOSE, Verb.REOPEN})
"""The opener and the collectivity's officers say whether a solution holds, or withdraw what nobody took yet."""


def is_staff_of(viewer: Viewer, ticket: Ticket) -> bool:
    """Whether the viewer handles this ticket, and so reads its internal follow-ups."""
    return viewer.may(Action.HANDLE_TICKET, ticket.collectivity_id, ticket.school_id)


def may(viewer: Viewer, ticket: Ticket, verb: Verb) -> bool:
    """Whether the viewer's roles allow the verb on this ticket, whatever its status."""
    if verb is Verb.FOLLOW_UP:
        return viewer.may(Action.FOLLOW_UP, ticket.collectivity_id, ticket.school_id)
    if is_staff_of(viewer, ticket):
        return True
    if verb not in BY_BOTH_SIDES or not viewer.may(Action.OPEN_TICKET, ticket.collectivity_id, ticket.school_id):
        return False
    is_officer = any(
        g.role is Role.OFFICER and g.covers(ticket.collectivity_id, ticket.school_id) for g in viewer.grants
    )
    return is_officer or ticket.opened_by_id == viewer.user_id


def legal_moves(viewer: Viewer, ticket: Ticket) -> frozenset[Verb]:
    """The verbs open to this viewer on this ticket as it stands: what the page offers."""
    return frozenset(v for v in Verb if ticket.status in FROM[v] and may(viewer, ticket, v))
