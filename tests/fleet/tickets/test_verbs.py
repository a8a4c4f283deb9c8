"""Tickets: what each verb does to each status, by whom, and what it leaves behind."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from fleet.errors import Conflict, Invalid, NotAllowed
from fleet.tickets import service
from fleet.tickets.models import (
    Ticket,
    TicketStatus,
    Verb,
)
from tests.factories import NOON, make_user
from tests.fleet.tickets.town import ASSIGNED, CLOSED, LATER, NEW, PENDING, PLANNED, SOLVED, Town

VERBS = (Verb.ASSIGN, Verb.PLAN, Verb.HOLD, Verb.RESUME, Verb.SOLVE, Verb.CLOSE, Verb.REOPEN, Verb.FOLLOW_UP)
WAYS: dict[TicketStatus, tuple[TicketStatus | None, ...]] = {
    #          assign    plan     hold     resume    solve   close   reopen    follow_up
    NEW:      (ASSIGNED, None,    None,    None,     None,   CLOSED, None,     NEW),
    ASSIGNED: (ASSIGNED, PLANNED, PENDING, None,     SOLVED, None,   None,     ASSIGNED),
    PLANNED:  (ASSIGNED, PLANNED, PENDING, None,     SOLVED, None,   None,     PLANNED),
    PENDING:  (ASSIGNED, None,    None,    ASSIGNED, None,   None,   None,     PENDING),
    SOLVED:   (None,     None,    None,    None,     None,   CLOSED, ASSIGNED, SOLVED),
    CLOSED:   (None,     None,    None,    None,     None,   None,   None,     None),
}  # fmt: skip
"""Written by hand, not derived from the code: where each verb leads from each status; None is refused."""
SAID = {
    Verb.ASSIGN: "Confié", Verb.PLAN: "Planifié", Verb.HOLD: "En attente", Verb.RESUME: "Confié",
    Verb.SOLVE: "Résolu", Verb.CLOSE: "Clos", Verb.REOPEN: "Confié",
}  # fmt: skip
"""What a refusal calls the status that the verb leads to; two refusals have their own words."""
SAID_OTHERWISE = {
    (SOLVED, Verb.ASSIGN): "Ce ticket est résolu. Rouvrez-le avant de le confier à quelqu’un.",
    (CLOSED, Verb.FOLLOW_UP): "Ce ticket est clos. Ouvrez-en un nouveau.",
}


def kept(town: Town, ticket: Ticket) -> dict[str, object]:
    """All that the database holds on a ticket, with what was done and said."""
    town.session.flush()
    read = service.get_ticket(town.session, town.staff, ticket.id)
    columns = {column.key: getattr(read, column.key) for column in inspect(Ticket).column_attrs}
    return columns | {"events": [e.id for e in read.events], "follow_ups": [f.id for f in read.follow_ups]}


def test_the_table_of_ways_misses_nothing() -> None:
    assert (set(WAYS), set(VERBS)) == (set(TicketStatus), set(Verb))


LEGAL = [(status, verb, end) for status, row in WAYS.items() for verb, end in zip(VERBS, row, strict=True) if end]
ILLEGAL = [(status, verb) for status, row in WAYS.items() for verb, end in zip(VERBS, row, strict=True) if not end]


@pytest.mark.parametrize(("status", "verb", "end"), LEGAL)
def test_a_legal_verb_leads_where_it_says_and_leaves_a_trace(
    town: Town, status: TicketStatus, verb: Verb, end: TicketStatus
) -> None:
    ticket = town.ticket_in(status)
    told, said = len(ticket.events), len(ticket.follow_ups)
    town.technician = make_user(town.session)  # handing over is to somebody else
    assert verb in service.legal_moves(town.staff, ticket)
    town.do(verb, town.staff, ticket)
    after = service.get_ticket(town.session, town.staff, ticket.id)
    assert after.status is end
    if verb is Verb.FOLLOW_UP:
        assert (len(after.events), len(after.follow_ups)) == (told, said + 1)
    else:
        assert (len(after.events), len(after.follow_ups)) == (told + 1, said)
        assert (after.events[-1].status, after.events[-1].by) == (end, town.staff.name)


@pytest.mark.parametrize(("status", "verb"), ILLEGAL)
def test_an_illegal_verb_is_refused_in_plain_words_and_changes_nothing(
    town: Town, status: TicketStatus, verb: Verb
) -> None:
    ticket = town.ticket_in(status)
    before = kept(town, ticket)
    assert verb not in service.legal_moves(town.staff, ticket)
    with pytest.raises(Conflict) as refusal:
        town.do(verb, town.staff, ticket)
    with pytest.raises(Conflict):  # nor behind the service's back
        ticket.move(verb, by=None, at=LATER)
    told = SAID_OTHERWISE.get((status, verb))
    assert refusal.value.detail == (told or f"Un ticket « {status.label} » ne peut pas passer à « {SAID[verb]} ».")
    assert kept(town, ticket) == before


RIGHTS = {
    "staff": {*Verb},
    "officer": {Verb.CLOSE, Verb.REOPEN, Verb.FOLLOW_UP},
    "lead": {Verb.CLOSE, Verb.REOPEN, Verb.FOLLOW_UP},  # opened it
    "other_lead": {Verb.FOLLOW_UP},
    "auditor": set(),
}


@pytest.mark.parametrize(("person", "allowed"), RIGHTS.items())
def test_each_verb_by_each_person(town: Town, person: str, allowed: set[Verb]) -> None:
    viewer = getattr(town, person)
    for verb in Verb:
        status = {Verb.CLOSE: SOLVED, Verb.REOPEN: SOLVED, Verb.RESUME: PENDING}.get(verb, ASSIGNED)
        ticket = town.ticket_in(status, opened_by=town.lead)
        assert (verb in service.legal_moves(viewer, ticket)) == (verb in allowed)
        if verb in allowed:
            town.do(verb, viewer, ticket)
        else:
            with pytest.raises(NotAllowed):
                town.do(verb, viewer, ticket)


def test_every_step_is_told_with_who_when_and_why(town: Town, session: Session) -> None:
    ticket = town.ticket_in(SOLVED)
    service.reopen_ticket(session, town.officer, ticket, "Toujours noir", LATER)
    told = [(e.status, e.by, e.note) for e in ticket.events]
    assert told == [
        (NEW, town.officer.name, ""),
        (ASSIGNED, town.staff.name, f"Confié à {town.technician.name}"),
        (SOLVED, town.staff.name, "réparé"),
        (ASSIGNED, town.officer.name, "Toujours noir"),
    ]
    assert (ticket.events[-1].at, ticket.updated_at) == (LATER, LATER)
    assert (ticket.resolution, ticket.solved_at, ticket.assigned_to) == (None, None, town.technician)


def test_handing_over_drops_the_visit_of_whoever_had_it(town: Town, session: Session) -> None:
    colleague = make_user(session)
    ticket = service.assign_ticket(session, town.staff, town.ticket_in(PLANNED), colleague.id, NOON)
    assert (ticket.status, ticket.planned_for, ticket.assigned_to) == (ASSIGNED, None, colleague)


def test_assigning_twice_to_the_same_person_says_nothing_new(town: Town, session: Session) -> None:
    ticket = town.ticket_in(ASSIGNED)
    again = service.assign_ticket(session, town.staff, ticket, town.technician.id, LATER)
    assert len(again.events) == 2


def test_only_staff_is_given_tickets(town: Town, session: Session) -> None:
    for nobody in (town.officer.user_id, uuid4()):
        with pytest.raises(Invalid):
            service.assign_ticket(session, town.staff, town.open(), nobody, NOON)


def test_a_visit_is_in_the_future(town: Town, session: Session) -> None:
    ticket = town.ticket_in(ASSIGNED)
    for moment in (NOON, LATER.replace(tzinfo=None)):
        with pytest.raises(Invalid):
            service.plan_ticket(session, town.staff, ticket, moment, NOON)


def test_a_visit_is_within_two_years(town: Town, session: Session) -> None:
    ticket = town.ticket_in(ASSIGNED)
    two_years = timedelta(days=730)
    before = kept(town, ticket)
    for moment in (NOON + two_years + timedelta(seconds=1), datetime.max.replace(tzinfo=UTC)):
        with pytest.raises(Invalid) as refusal:
            service.plan_ticket(session, town.staff, ticket, moment, NOON)
        assert refusal.value.code == "ticket.planned_too_far"
    assert kept(town, ticket) == before
    planned = service.plan_ticket(session, town.staff, ticket, NOON + two_years, NOON)
    assert (planned.status, planned.planned_for) == (PLANNED, NOON + two_years)
