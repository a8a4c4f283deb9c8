"""Tickets: who may open, handle and close them, and what each verb leaves behind."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.accounts.models import User
from fleet.errors import FleetError
from fleet.scope import Role, Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import TicketKind, TicketStatus, TicketSubject
from tests.factories import NOON, make_device, make_school, make_user


def viewer_of(session: Session, user: User) -> Viewer:
    return accounts.get_viewer(session, user.id)


def test_the_whole_life_of_a_ticket(session: Session) -> None:
    school = make_school(session)
    device = make_device(session, school=school)
    officer = viewer_of(session, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    technician = make_user(session)
    staff = viewer_of(session, technician)
    ticket = tickets.open_ticket(
        session, officer, kind=TicketKind.INCIDENT, subject=TicketSubject.DEVICE, title="Écran  noir\n",
        description="Plus rien.", device=device, request_key="k1", now=NOON,
    )  # fmt: skip
    assert ticket.title == "Écran noir"
    ticket = tickets.assign_ticket(session, staff, ticket, technician.id, NOON)
    ticket = tickets.plan_ticket(session, staff, ticket, NOON + timedelta(days=1), NOON)
    ticket = tickets.solve_ticket(session, staff, ticket, "Câble rebranché", NOON)
    ticket = tickets.close_ticket(session, officer, ticket, NOON)
    assert [e.status for e in ticket.events] == [
        TicketStatus.NEW, TicketStatus.ASSIGNED, TicketStatus.PLANNED, TicketStatus.SOLVED, TicketStatus.CLOSED,
    ]  # fmt: skip
    with pytest.raises(FleetError):
        tickets.follow_up(session, officer, ticket, "Encore", True, NOON)
