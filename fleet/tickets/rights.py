"""Who may do what to a ticket: pure."""

from fleet.scope import Action, Role, Viewer
from fleet.tickets.models import STEPS, Ticket, Verb

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
    return frozenset(v for v in Verb if ticket.status in STEPS[v].starts and may(viewer, ticket, v))
