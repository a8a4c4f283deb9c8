"""Tickets: what is said in them, how they are found, and what is counted."""

from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.errors import Conflict, NotAllowed, NotFound
from fleet.paging import Page
from fleet.scope import Viewer
from fleet.tickets import service
from fleet.tickets.models import (
    FollowUp,
    Ticket,
    TicketStatus,
    TicketSubject,
    Verb,
)
from tests.factories import NOON, make_device, make_school, make_ticket
from tests.fleet.tickets.town import ASSIGNED, CLOSED, LATER, NEW, Town


def test_internal_follow_ups_are_for_staff(town: Town, session: Session) -> None:
    ticket = town.ticket_in(ASSIGNED)
    service.follow_up(session, town.officer, ticket, "Depuis lundi", True, NOON)
    service.follow_up(session, town.staff, ticket, "Encore ce câble…", False, LATER)
    assert [f.body for f in service.get_ticket(session, town.staff, ticket.id).follow_ups] == [
        "Depuis lundi", "Encore ce câble…",
    ]  # fmt: skip
    seen = service.get_ticket(session, town.officer, ticket.id)
    assert [f.body for f in seen.follow_ups] == ["Depuis lundi"]
    assert seen.updated_at == NOON  # the date tells nothing either
    with pytest.raises(NotAllowed):
        service.follow_up(session, town.officer, ticket, "chut", False, NOON)


def test_a_follow_up_sent_twice_is_said_once(town: Town, session: Session) -> None:
    ticket = town.open()
    for _ in range(2):
        service.follow_up(session, town.officer, ticket, "Merci", True, NOON, request_key="suivi-001")
    assert session.scalar(select(func.count(FollowUp.id))) == 1


def test_a_closed_ticket_is_silent(town: Town) -> None:
    with pytest.raises(Conflict) as refusal:
        town.do(Verb.FOLLOW_UP, town.staff, town.ticket_in(CLOSED))
    assert refusal.value.code == "ticket.closed"


def test_search_finds_by_what_people_remember(town: Town, session: Session) -> None:
    device = make_device(session, school=town.school, name="Écran salle 2")
    place = "Près de la borne Wi-Fi, salle Sainte-Cécile"
    ticket = town.open(title="Le projecteur clignote", subject=TicketSubject.DEVICE, device=device, description=place)
    town.open(title="Autre chose", school=make_school(session, collectivity=town.commune))
    for typed in (
        str(ticket.number), f"#{ticket.number}", "PROJECTEUR", "clignote projecteur", "jean moulin", town.school.uai,
        town.school.uai.lower(), "etreaupont projecteur", device.asset_tag, "ecran salle", "wifi", "ste cecile",
    ):  # fmt: skip
        found = service.list_tickets(session, town.officer, search=typed)
        assert ticket in found.rows, typed
    assert service.list_tickets(session, town.officer, search="clignote aquarium").rows == []
    assert service.list_tickets(session, town.neighbour, search=town.school.uai).total == 0


def test_lists_by_condition_and_page(town: Town, session: Session) -> None:
    tickets = [town.ticket_in(status) for status in (NEW, ASSIGNED, CLOSED)]
    stranger = make_ticket(session)

    def listed(viewer: Viewer, **conditions: Any) -> list[Ticket]:
        return list(service.list_tickets(session, viewer, **conditions).rows)

    assert listed(town.staff) == [stranger, *reversed(tickets)]
    assert listed(town.officer, open_only=True) == [tickets[1], tickets[0]]
    assert listed(town.officer, status=CLOSED) == [tickets[2]]
    assert listed(town.staff, assigned_to_id=town.technician.id, open_only=True) == [tickets[1]]
    assert listed(town.staff, school_id=stranger.school_id) == [stranger]
    assert listed(town.lead, page=Page(size=1, sort="number")) == [tickets[0]]
    assert service.count_tickets(session, town.officer) == dict.fromkeys(TicketStatus, 0) | {
        NEW: 1, ASSIGNED: 1, CLOSED: 1,
    }  # fmt: skip


def test_a_neighbour_sees_nothing(town: Town, session: Session) -> None:
    ticket = town.open()
    with pytest.raises(NotFound):
        service.get_ticket(session, town.neighbour, ticket.id)
    assert service.list_tickets(session, town.neighbour).total == 0
    with pytest.raises(NotAllowed):  # even with the row in hand
        town.do(Verb.FOLLOW_UP, town.neighbour, ticket)


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"fleet_tickets_{name}_total", {"kind": "incident"}) or 0


def test_counters_move_with_the_commit_only(town: Town, session: Session) -> None:
    opened, closed = counted("opened"), counted("closed")
    ticket = town.open(request_key="compte-une-fois")
    service.close_ticket(session, town.officer, ticket, NOON)
    assert (counted("opened"), counted("closed")) == (opened, closed)
    session.commit()
    assert (counted("opened"), counted("closed")) == (opened + 1, closed + 1)
    town.open(request_key="compte-une-fois")
    session.commit()
    assert counted("opened") == opened + 1
