"""Tickets: who may open, handle and close them, and what each verb leaves behind."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.accounts.models import User
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound
from fleet.paging import Page
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from fleet.tickets import service
from fleet.tickets.models import (
    FollowUp,
    MailOccasion,
    Ticket,
    TicketKind,
    TicketStatus,
    TicketSubject,
    Verb,
)
from tests.factories import NOON, make_collectivity, make_device, make_school, make_ticket, make_user
from tests.sign_in import signed_in

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


@pytest.fixture
def town(session: Session) -> Town:
    return Town(session)


# --- opening -----------------------------------------------------------------------------------------------------


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


# --- moves -------------------------------------------------------------------------------------------------------

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


# --- what is said ------------------------------------------------------------------------------------------------


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


# --- finding -----------------------------------------------------------------------------------------------------


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


# --- counters ----------------------------------------------------------------------------------------------------


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


# --- over HTTP ---------------------------------------------------------------------------------------------------


def test_a_ticket_over_http_from_opening_to_closing(api: TestClient, session: Session) -> None:
    school: School = make_school(session)
    device = make_device(session, school=school)
    officer = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    technician = make_user(session)
    signed_in(api, officer)
    body = {
        "kind": "incident", "subject": "device", "title": "Écran noir", "description": "Depuis lundi.",
        "device_id": str(device.id), "request_key": "0123456789",
    }  # fmt: skip
    opened = api.post("/api/v1/tickets", json=body)
    assert opened.status_code == 201, opened.text
    path = f"/api/v1/tickets/{opened.json()['id']}"
    assert api.post("/api/v1/tickets", json=body).json()["id"] == opened.json()["id"]
    assert opened.json()["moves"] == ["close", "follow_up"]
    assert api.post(f"{path}/assign", json={"to_id": str(technician.id)}).status_code == 403
    assert api.get(f"{path}/mails").json() == []

    signed_in(api, technician)
    for verb, sent in (
        ("assign", {"to_id": str(technician.id)}),
        ("plan", {"planned_for": "2026-11-26T09:00:00+01:00"}),
        ("follow-ups", {"body": "Câble à changer", "is_public": False}),
        ("hold", {"note": "Câble commandé"}),
        ("resume", {}),
        ("solve", {"resolution": "Câble changé"}),
    ):
        answer = api.post(f"{path}/{verb}", json=sent)
        assert answer.status_code in {200, 201}, answer.text
    assert {m["occasion"] for m in api.get(f"{path}/mails").json()} == {"opened", "received"}
    assert api.get("/api/v1/tickets", params={"search": school.uai}).json()["total"] == 1
    export = api.get("/api/v1/tickets/export.csv", params={"search": school.uai})
    assert "Écran noir" in export.content.decode("utf-8-sig")
    assert "Câble à changer" not in export.text

    signed_in(api, officer)
    seen = api.get(path).json()
    assert (seen["status"], seen["follow_ups"], seen["moves"]) == ("solved", [], ["close", "follow_up", "reopen"])
    api.post(f"{path}/reopen", json={"note": "Encore noir"})
    assert api.get(path).json()["status"] == "assigned"
    refusal = api.post(f"{path}/close", json={})
    assert (refusal.status_code, refusal.json()["code"]) == (409, "ticket.move_refused")


TOO_FAR = {"code": "ticket.planned_too_far", "detail": "Choisissez une date dans les deux ans."}
PAST = {"code": "ticket.planned_in_the_past", "detail": "Choisissez une date à venir."}
NO_MOMENT = {"code": "request.invalid", "detail": "Demande mal formée : body.planned_for."}


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2028-11-24T12:00:00+01:00", TOO_FAR),  # 731 days: 2028 is a leap year
        ("9999-12-31T23:59:59Z", TOO_FAR),
        ("9999-12-31T23:59:59-14:00", NO_MOMENT),  # in UTC it would be the year 10000
        ("0001-01-01T00:00:00+14:00", NO_MOMENT),  # and this one the year 0
        ("0001-01-01T00:00:00Z", PAST),
        ("10000-01-01T00:00:00Z", NO_MOMENT),
        ("2026-11-26T09:00:00", NO_MOMENT),  # whose nine o'clock?
    ],
)
def test_a_moment_that_nobody_can_mean_is_refused_and_changes_nothing(
    api: TestClient, session: Session, moment: str, told: dict[str, str]
) -> None:
    technician = make_user(session)
    ticket = make_ticket(session, status=ASSIGNED, assigned_to_id=technician.id)
    path = f"/api/v1/tickets/{ticket.id}"
    before = signed_in(api, technician).get(path).json()
    refusal = api.post(f"{path}/plan", json={"planned_for": moment})
    assert refusal.status_code == 422
    assert {key: refusal.json()[key] for key in told} == told
    assert api.get(path).json() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "panne"}, {"title": 5}, {"title": ""}, {"description": "x" * 10_001}, {"school_id": "abc"},
        {"unexpected": True}, {"request_key": "court"},
    ],
)  # fmt: skip
def test_bodies_are_strict(api: TestClient, session: Session, wrong: dict[str, Any]) -> None:
    signed_in(api, make_user(session))
    body = {"kind": "incident", "subject": "school", "title": "T", "description": "D"} | wrong
    assert api.post("/api/v1/tickets", json=body).status_code == 422


def test_http_tells_a_neighbour_nothing(api: TestClient, session: Session) -> None:
    ticket = make_ticket(session)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    path = f"/api/v1/tickets/{ticket.id}"
    assert api.get(path).status_code == api.post(f"{path}/close", json={}).status_code == 404
    assert api.get("/api/v1/tickets").json()["rows"] == []
    body = {
        "kind": "request",
        "subject": "school",
        "title": "T",
        "description": "D",
        "school_id": str(ticket.school_id),
    }
    assert api.post("/api/v1/tickets", json=body).status_code == 404


def test_nobody_without_signing_in(api: TestClient) -> None:
    assert api.get("/api/v1/tickets").status_code == 401
