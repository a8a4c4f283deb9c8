"""Two communes, their people and what tickets are about; constants that tests of tickets share."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.accounts.models import User
from fleet.scope import Role, Viewer
from fleet.tickets import service
from fleet.tickets.models import (
    Ticket,
    TicketKind,
    TicketStatus,
    TicketSubject,
    Verb,
)
from tests.factories import NOON, make_collectivity, make_school, make_user

NEW, ASSIGNED, PLANNED = TicketStatus.NEW, TicketStatus.ASSIGNED, TicketStatus.PLANNED
PENDING, SOLVED, CLOSED = TicketStatus.PENDING, TicketStatus.SOLVED, TicketStatus.CLOSED
LATER = NOON + timedelta(days=1)


def viewer_of(session: Session, user: User) -> Viewer:
    return accounts.get_viewer(session, user.id)


class Town:
    """A commune with a school, and the people around it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.commune = make_collectivity(session, name="Étréaupont")
        self.school = make_school(session, collectivity=self.commune, commune=self.commune, name="École Jean Moulin")
        self.technician = make_user(session)
        self.staff = viewer_of(session, self.technician)
        self.officer = viewer_of(session, make_user(session, Role.OFFICER, collectivity=self.commune))
        self.lead = viewer_of(session, make_user(session, Role.SCHOOL_LEAD, school=self.school))
        self.other_lead = viewer_of(session, make_user(session, Role.SCHOOL_LEAD, school=self.school))
        self.auditor = viewer_of(session, make_user(session, Role.AUDITOR))
        self.neighbour = viewer_of(session, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))

    def open(self, viewer: Viewer | None = None, **overrides: Any) -> Ticket:
        values: dict[str, Any] = {
            "kind": TicketKind.INCIDENT, "subject": TicketSubject.SCHOOL, "title": "Écran noir",
            "description": "Plus rien.", "school": self.school, "now": NOON,
        } | overrides  # fmt: skip
        return service.open_ticket(self.session, viewer or self.officer, **values)

    def ticket_in(self, status: TicketStatus, opened_by: Viewer | None = None) -> Ticket:
        """A ticket that took the shortest legal way to a status."""
        ticket = self.open(opened_by)
        steps: dict[TicketStatus, Callable[[], Ticket]] = {
            ASSIGNED: lambda: service.assign_ticket(self.session, self.staff, ticket, self.technician.id, NOON),
            PLANNED: lambda: service.plan_ticket(self.session, self.staff, ticket, LATER, NOON),
            PENDING: lambda: service.hold_ticket(self.session, self.staff, ticket, "pièce", NOON),
            SOLVED: lambda: service.solve_ticket(self.session, self.staff, ticket, "réparé", NOON),
            CLOSED: lambda: service.close_ticket(self.session, self.staff, ticket, NOON),
        }
        for step in {NEW: [], ASSIGNED: [ASSIGNED], PLANNED: [ASSIGNED, PLANNED], PENDING: [ASSIGNED, PENDING],
                     SOLVED: [ASSIGNED, SOLVED], CLOSED: [ASSIGNED, SOLVED, CLOSED]}[status]:  # fmt: skip
            steps[step]()
        return ticket

    def do(self, verb: Verb, viewer: Viewer, ticket: Ticket) -> Ticket:
        session = self.session
        verbs: dict[Verb, Callable[[], Ticket]] = {
            Verb.ASSIGN: lambda: service.assign_ticket(session, viewer, ticket, self.technician.id, NOON),
            Verb.PLAN: lambda: service.plan_ticket(session, viewer, ticket, LATER, NOON),
            Verb.HOLD: lambda: service.hold_ticket(session, viewer, ticket, "pièce", NOON),
            Verb.RESUME: lambda: service.resume_ticket(session, viewer, ticket, NOON),
            Verb.SOLVE: lambda: service.solve_ticket(session, viewer, ticket, "réparé", NOON),
            Verb.CLOSE: lambda: service.close_ticket(session, viewer, ticket, NOON),
            Verb.REOPEN: lambda: service.reopen_ticket(session, viewer, ticket, "encore", NOON),
            Verb.FOLLOW_UP: lambda: service.follow_up(session, viewer, ticket, "merci", True, NOON),
        }
        return verbs[verb]()
