"""Requests to unblock: kept once, answered once, and an answer that allows is an override."""

from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.errors import Conflict, Invalid, NotAllowed, NotFound, TooMany
from fleet.filtering import service
from fleet.filtering.exceptions import requests
from fleet.filtering.exceptions.requests import MOST_A_DAY, MOVES, Asker
from fleet.filtering.models import FilterNode
from fleet.filtering.policy.models import FilterEvent, RequestStatus, UnblockRequest
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Role
from tests.factories import NOON, make_school, make_user
from tests.fleet.deciding import flat, make_room, opened, profile_named, viewer_of
from tests.sign_in import signed_in

PATH = "/api/v1/filtering/requests"
WEEK = timedelta(days=7)


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session)


@pytest.fixture
def node(session: Session, school: School) -> FilterNode:
    return service.register_filter(session, "passerelle", school, NOON)[0]


def receive(session: Session, node: FilterNode, **changes: object) -> UnblockRequest:
    values = {
        "id": uuid4(), "name": "musee.example", "reason": "exposé", "contact": "Mme Durand", "asked_at": NOON,
    } | changes  # fmt: skip
    return requests.receive_request(session, node, **values, now=NOON)  # type: ignore[arg-type]


def test_the_same_request_twice_is_one(session: Session, node: FilterNode) -> None:
    first = receive(session, node)
    again = receive(session, node, id=first.id, name="autre.example")
    assert (again, again.name) == (first, "musee.example")
    other = service.register_filter(session, "autre", None, NOON)[0]
    with pytest.raises(Conflict):
        receive(session, other, id=first.id)
    assert session.scalars(select(FilterEvent.verb).where(FilterEvent.subject_id == first.id)).all() == ["unblock.ask"]


def test_a_filter_tells_the_room_and_the_profile(session: Session, node: FilterNode, school: School) -> None:
    staff = viewer_of(session)
    room = make_room(session, staff, school, "college")
    told = Asker(school.uai, str(room.id), f"college@{school.uai}")
    college = profile_named(session, "college")
    asked = receive(session, node, asker=told)
    assert (asked.school_id, asked.room_id, asked.profile_id) == (school.id, room.id, college.id)
    pool = service.register_filter(session, "bassin commun", None, NOON)[0]
    from_pool = receive(session, pool, asker=told)
    assert (from_pool.school_id, from_pool.room_id) == (school.id, room.id)
    assert receive(session, pool, asker=Asker(school.uai)).school_id == school.id
    elsewhere = service.register_filter(session, "ailleurs", make_school(session), NOON)[0]
    stranger = receive(session, elsewhere, asker=told)  # it speaks of its own school only
    assert (stranger.school_id, stranger.room_id) == (elsewhere.school_id, None)
    nobody = receive(session, pool, asker=Asker("9999999Z", "salle 3", "inconnu"))
    assert (nobody.school_id, nobody.room_id, nobody.profile_id) == (None, None, None)


def test_what_strangers_type_is_bounded(session: Session, node: FilterNode) -> None:
    asked = receive(session, node, reason="a\x00b\n" + "x" * 1000, contact="", asked_at=NOON + WEEK)
    assert (asked.reason[:4], len(asked.reason), asked.asked_at) == ("a b ", 400, NOON)
    with pytest.raises(Invalid):
        receive(session, node, name="pas un nom")


def test_one_filter_asks_so_much_a_day(session: Session, node: FilterNode) -> None:
    for _ in range(MOST_A_DAY):
        last = receive(session, node)
    with pytest.raises(TooMany):
        receive(session, node)
    assert receive(session, node, id=last.id) is last  # what is known already is no flood
    receive(session, service.register_filter(session, "autre", None, NOON)[0])


def test_one_person_asks_so_much_a_day(session: Session, school: School) -> None:
    lead = viewer_of(session, Role.SCHOOL_LEAD, school=school)
    ask = {"name": "musee.example", "reason": "sortie", "school_id": school.id, "profile": None}
    for _ in range(MOST_A_DAY):
        requests.ask(session, lead, **ask, now=NOON)  # type: ignore[arg-type]
    with pytest.raises(TooMany):
        requests.ask(session, lead, **ask, now=NOON)  # type: ignore[arg-type]
    requests.ask(session, lead, **ask, now=NOON + timedelta(days=1))  # type: ignore[arg-type]
    requests.ask(session, viewer_of(session), **ask, now=NOON)  # type: ignore[arg-type]


def test_allowed_until_a_date_it_is_an_override(session: Session, node: FilterNode, school: School) -> None:
    staff = viewer_of(session)
    make_room(session, staff, school)
    asked = receive(session, node)
    place = find_place(session, staff, school_id=asked.school_id)
    made = requests.allow_request(session, staff, asked, place, None, ends=NOON + WEEK, answer="oui", now=NOON)
    assert (asked.status, asked.override_id, asked.answered_by) == (RequestStatus.ALLOWED, made.id, staff.name)
    [told] = flat(session, f"elementaire@{school.uai}").overrides
    number = requests.number_of(asked)
    assert (told.names, told.ends, told.reason) == (("musee.example",), NOON + WEEK, f"Demande n° {number}")
    assert requests.list_requests(session, staff, search=number).rows == [asked]
    with pytest.raises(Conflict):
        requests.decline_request(session, staff, asked, "trop tard", NOON)
    verbs = session.scalars(select(FilterEvent.verb).where(FilterEvent.subject_id == asked.id)).all()
    assert sorted(verbs) == ["unblock.allow", "unblock.ask"]


def test_declined_with_a_reason_then_thought_again(session: Session, node: FilterNode) -> None:
    staff = viewer_of(session)
    asked = receive(session, node)
    with pytest.raises(Invalid):
        requests.decline_request(session, staff, asked, "  ", NOON)
    requests.decline_request(session, staff, asked, "Jeu d’argent", NOON)
    assert (asked.status, asked.answer) == (RequestStatus.DECLINED, "Jeu d’argent")
    with pytest.raises(Conflict):
        requests.decline_request(session, staff, asked, "encore", NOON)
    place = find_place(session, staff)
    requests.allow_request(session, staff, asked, place, None, ends=NOON + WEEK, answer="", now=NOON)
    assert flat(session, "maternelle").overrides


def test_every_status_has_its_moves() -> None:
    assert set(MOVES) == set(RequestStatus)
    assert RequestStatus.ASKED not in {status for moves in MOVES.values() for status in moves}


def test_who_asks_and_who_answers(session: Session, school: School) -> None:
    lead = viewer_of(session, Role.SCHOOL_LEAD, school=school)
    officer = viewer_of(session, Role.OFFICER, collectivity=school.collectivity)
    neighbour = viewer_of(session, Role.SCHOOL_LEAD, school=make_school(session))
    ask = {"name": "musee.example", "reason": "sortie", "school_id": school.id, "profile": None, "now": NOON}
    asked = requests.ask(session, lead, **ask)  # type: ignore[arg-type]
    assert asked.contact == lead.name
    with pytest.raises(NotAllowed):
        requests.ask(session, officer, **ask)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        requests.ask(session, neighbour, **ask)  # type: ignore[arg-type]
    with pytest.raises(NotAllowed):
        requests.decline_request(session, lead, asked, "non", NOON)
    assert requests.get_request(session, officer, asked.id) is asked
    with pytest.raises(NotFound):
        requests.get_request(session, neighbour, asked.id)


def test_they_are_forgotten_after_a_year(session: Session, node: FilterNode) -> None:
    receive(session, node)
    requests.purge_requests(session, NOON + timedelta(days=365))
    assert session.scalars(select(UnblockRequest)).all()
    requests.purge_requests(session, NOON + timedelta(days=367))
    assert session.scalars(select(UnblockRequest)).all() == []
    assert "unblock.ask" not in session.scalars(select(FilterEvent.verb)).all()


def test_who_asked_and_why_stands_in_the_request_alone(session: Session, node: FilterNode, school: School) -> None:
    staff = viewer_of(session)
    make_room(session, staff, school)
    allowed, declined = (receive(session, node, name=f"{name}.example", reason="exposé de Léa") for name in "ab")
    place = find_place(session, staff, school_id=school.id)
    requests.allow_request(session, staff, allowed, place, None, ends=NOON + WEEK, answer="", now=NOON)
    requests.decline_request(session, staff, declined, "Jeu", NOON)
    kept = [f"{event.by} {event.before} {event.after}" for event in session.scalars(select(FilterEvent))]
    everywhere = "\n".join([*kept, opened(session).settings.decode()])
    assert "Demande n° " in everywhere
    assert "Léa" not in everywhere
    assert "Durand" not in everywhere


def test_over_http(api: TestClient, session: Session, school: School) -> None:
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    body = {"school_id": str(school.id), "name": "https://musee.example/x", "reason": "sortie"}
    asked = api.post(PATH, json=body)
    assert (asked.status_code, asked.json()["name"], asked.json()["status"]) == (201, "musee.example", "asked")
    path = f"{PATH}/{asked.json()['id']}"
    assert api.post(f"{path}/allow", json={"ends": "2026-12-01T00:00:00Z"}).status_code == 403
    signed_in(api, make_user(session))
    assert api.get(PATH, params={"status": "asked"}).json()["total"] == 1
    assert api.post(f"{path}/allow", json={"ends": "2026-12-01T00:00:00Z", "everywhere": "yes"}).status_code == 422
    allowed = api.post(f"{path}/allow", json={"ends": "2026-12-01T00:00:00Z"})
    assert (allowed.status_code, allowed.json()["status"]) == (200, "allowed")
    [override] = api.get("/api/v1/filtering/overrides").json()["rows"]
    assert (override["id"], override["school_id"]) == (allowed.json()["override_id"], str(school.id))
    assert api.post(f"{path}/decline", json={"answer": "non"}).json()["code"] == "unblock.answered"


def test_a_request_of_no_school_is_not_opened_for_all_by_mistake(api: TestClient, session: Session) -> None:
    asked = receive(session, service.register_filter(session, "bassin commun", None, NOON)[0])
    signed_in(api, make_user(session))
    body = {"ends": "2026-12-01T00:00:00Z"}
    refused = api.post(f"{PATH}/{asked.id}/allow", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "unblock.no_school")
    assert api.get("/api/v1/filtering/overrides").json()["total"] == 0
    assert api.post(f"{PATH}/{asked.id}/allow", json=body | {"everywhere": True}).status_code == 200
