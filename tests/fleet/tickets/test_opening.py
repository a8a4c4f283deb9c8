"""Tickets: who may open one, what it says, and who is owed a mail."""

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.errors import Invalid, NotAllowed, NotFound
from fleet.tickets import service
from fleet.tickets.models import (
    MailOccasion,
    Ticket,
    TicketSubject,
)
from tests.factories import make_device, make_school, make_user
from tests.fleet.tickets.town import NEW, Town


def test_what_is_opened(town: Town, session: Session) -> None:
    device = make_device(session, school=town.school)
    ticket = town.open(subject=TicketSubject.DEVICE, device=device, school=None, title="  Écran \n noir ")
    assert (ticket.title, ticket.status, ticket.device, ticket.school) == ("Écran noir", NEW, device, town.school)
    assert ticket.collectivity is town.commune
    assert ticket.opened_by is not None
    assert ticket.opened_by.id == town.officer.user_id
    assert [(e.status, e.by) for e in ticket.events] == [(NEW, town.officer.name)]


@pytest.mark.parametrize("person", ["officer", "lead", "staff"])
def test_whoever_sees_the_school_may_open(town: Town, person: str) -> None:
    assert town.open(getattr(town, person)).status is NEW


def test_an_ent_question_may_concern_a_whole_collectivity(town: Town) -> None:
    ticket = town.open(subject=TicketSubject.ENT, school=None, collectivity=town.commune)
    assert (ticket.school, ticket.collectivity) == (None, town.commune)
    with pytest.raises(NotFound):  # a school lead sees a school, not the town hall
        town.open(town.lead, subject=TicketSubject.ENT, school=None, collectivity=town.commune)


def test_what_one_does_not_see_does_not_exist(town: Town, session: Session) -> None:
    device = make_device(session, school=town.school)
    for place in ({"school": town.school}, {"device": device}, {"collectivity": town.commune}):
        with pytest.raises(NotFound):
            town.open(town.neighbour, subject=TicketSubject.ENT, **({"school": None} | place))
    with pytest.raises(NotAllowed):
        town.open(town.auditor)


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"title": " \n "}, "ticket.no_title"),
        ({"title": "x" * 201}, "ticket.title_too_long"),
        ({"description": "  "}, "ticket.no_description"),
        ({"description": "x" * 10_001}, "ticket.too_long"),
        ({"subject": TicketSubject.DEVICE}, "ticket.no_device"),
        ({"school": None}, "ticket.no_school"),
        ({"school": None, "subject": TicketSubject.ENT}, "ticket.no_place"),
    ],
)
def test_what_is_missing_is_said(town: Town, overrides: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        town.open(**overrides)
    assert refusal.value.code == code


def test_a_device_of_another_school_is_a_contradiction(town: Town, session: Session) -> None:
    elsewhere = make_device(session, school=make_school(session, collectivity=town.commune))
    with pytest.raises(Invalid) as refusal:
        town.open(subject=TicketSubject.DEVICE, device=elsewhere)
    assert refusal.value.code == "ticket.other_school"


def test_a_form_sent_twice_opens_once(town: Town, session: Session) -> None:
    first, again = (town.open(request_key="formulaire-1") for _ in range(2))
    assert first is again
    assert len(again.events) == 1
    other = town.open(town.lead, request_key="formulaire-1")  # somebody else's key is another key
    assert other is not first
    assert session.scalar(select(func.count(Ticket.id))) == 2


def test_staff_and_opener_are_owed_a_mail(town: Town, session: Session) -> None:
    colleague = make_user(session)
    make_user(session, is_active=False)
    ticket = town.open(town.staff)
    owed = {(m.occasion, m.recipient) for m in service.list_mails(session, town.staff, ticket)}
    assert owed == {
        (MailOccasion.OPENED, colleague.email),
        (MailOccasion.RECEIVED, town.technician.email),  # the opener is not told twice
    }
    assert service.list_mails(session, town.officer, ticket) == []
