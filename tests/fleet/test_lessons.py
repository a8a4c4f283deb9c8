"""Lessons: started by whoever leads the school, for a room of its own, in the policy at once, over by themselves."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from filter.settings import Verdict
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound
from fleet.filtering.exceptions import lessons, name_lists, rooms
from fleet.filtering.exceptions.overrides import Wish, add_override, revoke_override
from fleet.filtering.exceptions.requests import allow_request
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterEvent, FilterOverride, FilterRoom, Lesson, UnblockRequest
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.fleet.deciding import current_settings, make_room, opened, profile_named, viewer_of
from tests.sign_in import signed_in

BASE = "/api/v1/filtering"


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


@pytest.fixture
def lead(session: Session, school: School) -> Viewer:
    return viewer_of(session, Role.SCHOOL_LEAD, school=school)


@pytest.fixture
def room(session: Session, staff: Viewer, school: School) -> FilterRoom:
    return make_room(session, staff, school)


def start(session: Session, lead: Viewer, room: FilterRoom, minutes: int = 50) -> Lesson:
    return lessons.start_lesson(session, lead, room.id, minutes=minutes, names=["musee.example"], now=NOON)


def test_a_lesson_is_in_the_policy_at_once_and_ends_by_itself(session: Session, lead: Viewer, room: FilterRoom) -> None:
    before = opened(session).serial
    lesson = start(session, lead, room)
    [told] = current_settings(session).lessons
    assert opened(session).serial > before
    assert (told.room, told.names, told.by) == (str(room.id), ("musee.example",), lead.name)
    assert (told.ends, told.starts < NOON) == (NOON + timedelta(minutes=50), True)  # a late clock misses nothing
    assert told.room in {network.room for network in current_settings(session).networks}
    policies.publish(session, None, "plus tard", lesson.ends)
    assert current_settings(session).lessons == ()


def test_whoever_waits_hears_of_it_with_the_commit(own_database_url: str) -> None:
    engine = create_engine(own_database_url)
    factory = sessionmaker(engine, expire_on_commit=False)
    with factory.begin() as session:
        school = make_school(session)
        lead, room = viewer_of(session, Role.SCHOOL_LEAD, school=school), make_room(session, viewer_of(session), school)
    with psycopg.connect(own_database_url.replace("+psycopg", ""), autocommit=True) as listener:
        listener.execute("LISTEN preau_filter")
        with factory.begin() as session:
            start(session, lead, room)
            assert list(listener.notifies(timeout=0)) == []
        assert [heard.channel for heard in listener.notifies(timeout=20, stop_after=1)] == ["preau_filter"]
    engine.dispose()


def meanwhile(session: Session, start_it: Callable[[], object], then: Callable[[], None]) -> None:
    """Something starts while this session publishes, waits for it, and this session goes on: ``then``, and the commit.

    PostgreSQL ends one of two transactions that wait for each other: either ``then`` or the other raises it.
    """
    policies.lock(session)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(start_it)
        is_waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        with session.get_bind().engine.connect() as watch:
            while not other.done() and not watch.scalar(is_waiting):
                watch.rollback()
        then()
        session.commit()
        other.result()


@pytest.mark.parametrize("verb", ["start", "prolong", "stop", "override", "revoke", "allow"])
@pytest.mark.parametrize("change", ["network", "room"])
def test_what_happens_in_a_room_while_it_changes_waits_its_turn(own_database_url: str, verb: str, change: str) -> None:
    """Both want the room and the lock of policies: in one order, so neither is refused for the other's sake."""
    engine = create_engine(own_database_url)
    factory = sessionmaker(engine, expire_on_commit=False)
    with factory.begin() as session:
        staff, school = viewer_of(session), make_school(session)
        lead, room = viewer_of(session, Role.SCHOOL_LEAD, school=school), make_room(session, staff, school)
        lesson_id = start(session, lead, room).id if verb in {"prolong", "stop"} else None
        place = find_place(session, staff, room_id=room.id)
        wish = Wish(Verdict.ALLOW, "sortie", NOON, NOON + timedelta(days=1), ["musee.example"])
        override_id = add_override(session, staff, place, None, wish, NOON).id
        request = UnblockRequest(
            school_id=school.id, room_id=room.id, name="musee.example", reason="", contact="",
            asked_at=NOON, received_at=NOON,
        )  # fmt: skip
        session.add(request)
        session.flush()
        request_id = request.id

    def run() -> None:
        with factory.begin() as session, contextlib.suppress(NotFound):  # the room is gone: that is an answer
            if verb == "start":
                start(session, lead, room)
            elif verb == "override":
                add_override(session, staff, place, None, wish, NOON)
            elif verb == "revoke":
                revoke_override(session, staff, session.get_one(FilterOverride, override_id), NOON)
            elif verb == "allow":
                asked = session.get_one(UnblockRequest, request_id)
                at = find_place(session, staff, school_id=school.id)
                allow_request(session, staff, asked, at, None, ends=NOON + timedelta(days=1), answer="", now=NOON)
            elif verb == "prolong":
                lessons.prolong_lesson(session, lead, session.get_one(Lesson, lesson_id), 5, NOON)
            else:
                lessons.stop_lesson(session, lead, session.get_one(Lesson, lesson_id), NOON)

    with factory() as session:
        elementaire = profile_named(session, "elementaire")

        def then() -> None:
            if change == "network":
                rooms.add_network(session, staff, "192.0.2.0/24", elementaire, place, NOON)
            else:
                rooms.remove_room(session, staff, room.id, NOON)

        meanwhile(session, run, then)
        held = {network.cidr for network in rooms.list_networks(session) if network.school_id == school.id}
        assert ("192.0.2.0/24" in held) is (change == "network")
    engine.dispose()


def test_prolonged_then_stopped(session: Session, lead: Viewer, room: FilterRoom) -> None:
    lesson = start(session, lead, room)
    lessons.prolong_lesson(session, lead, lesson, 30, NOON)
    assert current_settings(session).lessons[0].ends == NOON + timedelta(minutes=80)
    with pytest.raises(Invalid):
        lessons.prolong_lesson(session, lead, lesson, 161, NOON)
    lessons.stop_lesson(session, lead, lesson, NOON + timedelta(minutes=1))
    assert current_settings(session).lessons == ()
    with pytest.raises(Conflict):
        lessons.stop_lesson(session, lead, lesson, NOON + timedelta(minutes=2))
    with pytest.raises(Conflict):
        lessons.prolong_lesson(session, lead, lesson, 5, NOON + timedelta(minutes=2))
    verbs = session.scalars(select(FilterEvent.verb).where(FilterEvent.subject_id == lesson.id)).all()
    assert sorted(verbs) == ["lesson.prolong", "lesson.start", "lesson.stop"]


@pytest.mark.parametrize("minutes", [-1, 0, 4, 241])
def test_how_long_a_lesson_may_be(session: Session, lead: Viewer, room: FilterRoom, minutes: int) -> None:
    with pytest.raises(Invalid):
        start(session, lead, room, minutes)


@pytest.mark.parametrize("names", [[], ["pas un nom"], ["10.0.0.1"], [f"n{i}.example" for i in range(201)]])
def test_what_a_lesson_may_open(session: Session, lead: Viewer, room: FilterRoom, names: list[str]) -> None:
    with pytest.raises(Invalid):
        lessons.start_lesson(session, lead, room.id, minutes=30, names=names, now=NOON)


def test_one_at_a_time_in_a_room(session: Session, lead: Viewer, room: FilterRoom) -> None:
    lesson = start(session, lead, room)
    with pytest.raises(Conflict):
        start(session, lead, room)
    lessons.stop_lesson(session, lead, lesson, NOON)
    start(session, lead, room)


def test_a_room_that_nothing_is_in_says_so(session: Session, staff: Viewer, lead: Viewer, school: School) -> None:
    empty = rooms.add_room(session, staff, school, "Préau", NOON)
    with pytest.raises(Conflict, match="rattaché"):
        start(session, lead, empty)
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), empty.id, NOON)
    start(session, lead, empty)
    [label] = current_settings(session).labels
    assert (label.profile, label.room) == ("ecrans", current_settings(session).lessons[0].room)
    assert device.label not in opened(session).settings.decode()  # a gateway's file names no device


def test_a_lesson_whose_room_lost_its_network_breaks_no_publication(
    session: Session, staff: Viewer, lead: Viewer, room: FilterRoom
) -> None:
    start(session, lead, room)
    [network] = rooms.list_networks(session)
    rooms.remove_network(session, staff, network.id, NOON)
    assert current_settings(session).lessons == ()


def test_saved_lists(session: Session, staff: Viewer, lead: Viewer, school: School, room: FilterRoom) -> None:
    own = find_place(session, lead, school_id=school.id)
    mine = name_lists.save_list(session, lead, own, "Musées", ["https://musee.example/salle"], NOON)
    shared = name_lists.save_list(session, staff, find_place(session, staff), "Calcul", ["calcul.example"], NOON)
    assert list(name_lists.list_lists(session, lead)) == [shared, mine]
    lesson = lessons.start_lesson(session, lead, room.id, minutes=30, names=["x.example"], list_id=mine.id, now=NOON)
    assert (lesson.names, lesson.title) == (["musee.example", "x.example"], "Musées")
    neighbour = viewer_of(session, Role.SCHOOL_LEAD, school=make_school(session))
    assert list(name_lists.list_lists(session, neighbour)) == [shared]
    with pytest.raises(NotFound):
        name_lists.get_list(session, neighbour, mine.id)
    with pytest.raises(NotAllowed):
        name_lists.save_list(session, lead, find_place(session, lead), "Pour tous", ["x.example"], NOON)
    with pytest.raises(NotAllowed):
        name_lists.remove_list(session, lead, shared, NOON)
    again = name_lists.save_list(session, lead, own, "Musées", ["louvre.example"], NOON)
    assert (again.id, again.names) == (mine.id, ["louvre.example"])
    name_lists.remove_list(session, lead, again, NOON)
    assert list(name_lists.list_lists(session, lead)) == [shared]


# --- over HTTP ---------------------------------------------------------------------------------------------------


def test_a_school_lead_runs_a_lesson_over_http(
    api: TestClient, session: Session, school: School, room: FilterRoom, clock: Clock
) -> None:
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    assert [r["id"] for r in api.get(f"{BASE}/rooms").json()] == [str(room.id)]
    body = {"room_id": str(room.id), "minutes": 50, "names": ["musee.example"], "title": "Peinture"}
    started = api.post(f"{BASE}/lessons", json=body)
    assert (started.status_code, started.json()["title"]) == (201, "Peinture")
    path = f"{BASE}/lessons/{started.json()['id']}"
    assert api.post(f"{path}/prolong", json={"minutes": 10}).json()["ends"] == "2026-11-24T12:00:00Z"
    assert api.get(f"{BASE}/lessons", params={"running": True}).json()["total"] == 1
    assert api.post(f"{path}/stop").json()["stopped_at"] == "2026-11-24T11:00:00Z"
    assert api.get(f"{BASE}/lessons", params={"running": True}).json()["total"] == 0
    assert api.get(path).json()["stopped_by"] is not None
    for wrong in ({"minutes": "50"}, {"minutes": 50.5}, {"room_id": "x"}, {"names": "musee.example"}, {"more": 1}):
        assert api.post(f"{BASE}/lessons", json=body | wrong).status_code == 422
    told = api.get(f"{BASE}/events", params={"verb": "lesson."}).json()
    assert [e["verb"] for e in told["rows"]].count("lesson.start") == 1


@pytest.mark.parametrize("role", [Role.SCHOOL_LEAD, Role.OFFICER])
def test_neighbours_find_no_lesson(
    api: TestClient, session: Session, lead: Viewer, room: FilterRoom, role: Role
) -> None:
    lesson = start(session, lead, room)
    node: dict[str, Any] = {"school": make_school(session)}
    if role is Role.OFFICER:
        node = {"collectivity": make_collectivity(session)}
    signed_in(api, make_user(session, role, **node))
    path = f"{BASE}/lessons/{lesson.id}"
    body = {"room_id": str(room.id), "minutes": 30, "names": ["a.example"]}
    assert api.get(path).status_code == 404
    assert api.post(f"{path}/stop").status_code == 404
    assert api.post(f"{path}/prolong", json={"minutes": 5}).status_code == 404
    assert api.post(f"{BASE}/lessons", json=body).status_code == 404
    for what in ("lessons", "events", "layers", "overrides", "requests"):
        assert api.get(f"{BASE}/{what}").json()["total"] == 0
    assert api.get(f"{BASE}/rooms").json() == []


def test_the_auditor_reads_lessons_and_runs_none(
    api: TestClient, session: Session, lead: Viewer, room: FilterRoom
) -> None:
    lesson = start(session, lead, room)
    signed_in(api, make_user(session, Role.AUDITOR))
    assert api.get(f"{BASE}/lessons/{lesson.id}").status_code == 200
    assert api.post(f"{BASE}/lessons/{lesson.id}/stop").status_code == 403


def test_the_communes_officer_reads_lessons_and_runs_none(
    api: TestClient, session: Session, lead: Viewer, room: FilterRoom, school: School
) -> None:
    lesson = start(session, lead, room)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    assert api.get(f"{BASE}/lessons/{lesson.id}").status_code == 200
    assert api.post(f"{BASE}/lessons/{lesson.id}/stop").status_code == 403
