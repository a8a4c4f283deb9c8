"""Journey: a lesson, from the click to what a room's screens are answered, and to its end without the controller."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import dns.rcode
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.filtering.exceptions import lessons, rooms
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.embedded.waiting import until
from tests.factories import make_school, make_user
from tests.filter.running import RunningFilter, errors_of
from tests.filter.scripted import ScriptedUpstream
from tests.fleet.deciding import profile_named
from tests.fleet.publishing import write_lists
from tests.fleet.stores import own_broker
from tests.installation import CONTROLLER, WORKER, Installation, ask_from, ttls_of

LIBRARY, COMPUTERS, NEIGHBOURS, UNKNOWN = "127.1.0.7", "127.2.0.7", "127.3.0.7", "127.9.0.7"
"""Clients: of two rooms of a school, of another school's room, of no known network."""
LESSON, ELSE = "musee.example", "journal.example"
LATER_THAN_A_LESSON = 300


@dataclass(frozen=True)
class Scene:
    """A filter that follows a controller, two rooms, and who may start a lesson in them."""

    installation: Installation
    running: RunningFilter
    options: list[str]
    """Of the filter: to start it again."""
    lead: Viewer
    rooms: dict[str, UUID]
    """By the address of a client in it."""

    def is_blocked(self, client: str, name: str = ELSE) -> bool:
        """Fails for any other answer than « there is no such name » by the filter, and the upstream's own."""
        reply = ask_from(client, self.running, name)
        if reply.rcode() == dns.rcode.NXDOMAIN:
            assert [code for code, _ in errors_of(reply)] == [17], reply
            return True
        assert reply.rcode() == dns.rcode.NOERROR, reply
        assert reply.answer, reply
        return False

    def start_earlier(self, client: str, minutes: int, ago: timedelta) -> datetime:
        """Start a lesson as if that long ago; when it ends."""
        engine = create_engine(self.installation.database_url)
        with Session(engine) as session, session.begin():
            now = datetime.now(UTC) - ago
            room, names = self.rooms[client], [LESSON]
            ends = lessons.start_lesson(session, self.lead, room, minutes=minutes, names=names, now=now).ends
        engine.dispose()
        return ends


@pytest.fixture
def installation(tmp_path: Path, own_database_url: str) -> Iterator[Installation]:
    with own_broker(tmp_path / "valkey") as broker:
        found = Installation(tmp_path, own_database_url, write_lists(tmp_path), broker.url)
        yield found
        found.close()


def furnish(database_url: str) -> tuple[Viewer, dict[str, UUID]]:
    """Two schools with their rooms; who leads the first one, and its rooms."""
    engine = create_engine(database_url)
    with Session(engine) as session, session.begin():
        staff = accounts.get_viewer(session, make_user(session, Role.TECHNICIAN).id)
        school, other = make_school(session), make_school(session)
        lead = accounts.get_viewer(session, make_user(session, Role.SCHOOL_LEAD, school=school).id)
        found = {
            client: add_room(session, staff, where, client)
            for client, where in ((LIBRARY, school), (COMPUTERS, school), (NEIGHBOURS, other))
        }
    engine.dispose()
    return lead, found


def add_room(session: Session, staff: Viewer, school: School, client: str) -> UUID:
    """A room with the network of that client."""
    now = datetime.now(UTC)
    room = rooms.add_room(session, staff, school, f"Salle {client}", now)
    cidr = f"{client.rpartition('.')[0]}.0/24"
    found = find_place(session, staff, room_id=room.id)
    rooms.add_network(session, staff, cidr, profile_named(session, "elementaire"), found, now)
    return room.id


@pytest.fixture
def scene(installation: Installation) -> Iterator[Scene]:
    lead, found = furnish(installation.database_url)
    installation.start(CONTROLLER, WORKER)
    installation.preau("filter", "publish")
    with ScriptedUpstream() as upstream:
        for name in (LESSON, f"www.{LESSON}", ELSE):
            upstream.add(f"{name}. {LATER_THAN_A_LESSON} IN A 192.0.2.80")
        options = [*installation.register("passerelle"), "--upstream", upstream.address]
        with RunningFilter(*options) as running:
            running.wait_for("pair in use")
            yield Scene(installation, running, options, lead, found)


def test_a_lesson_that_is_clicked_holds_in_its_room_and_nowhere_else(scene: Scene) -> None:
    others = (COMPUTERS, NEIGHBOURS, UNKNOWN)
    for client in (LIBRARY, *others):
        assert not scene.is_blocked(client)  # and the answer is in the cache for long
    with scene.installation.signed_in(scene.lead.email) as lead:
        form = {
            "csrf": lead.headers["X-CSRF-Token"],
            "room": str(scene.rooms[LIBRARY]),
            "minutes": "45",
            "names": LESSON,
        }
        clicked = lead.post("/filtering/lessons", data=form)
        assert clicked.status_code == 303, clicked.text
        until(lambda: scene.is_blocked(LIBRARY), "the room reaches the lesson only")
        [running] = lead.get("/api/v1/filtering/lessons", params={"running": True}).json()["rows"]
        for name in (LESSON, f"www.{LESSON}"):
            assert not scene.is_blocked(LIBRARY, name)
        for name in (LESSON, f"www.{LESSON}", ELSE):
            assert max(ttls_of(ask_from(LIBRARY, scene.running, name))) <= 10
        for client in others:
            assert not scene.is_blocked(client)
            assert min(ttls_of(ask_from(client, scene.running, ELSE))) > 10
        assert lead.post(f"/api/v1/filtering/lessons/{running['id']}/stop").status_code == 200
        until(lambda: not scene.is_blocked(LIBRARY), "the lesson is over")


def test_a_lesson_ends_by_itself_while_the_controller_is_dead(scene: Scene) -> None:
    """The filter dies as well, and comes back to a lesson that ends when it was to end, and to one that goes on."""
    scene.start_earlier(COMPUTERS, 60, timedelta())
    ends = scene.start_earlier(LIBRARY, 5, timedelta(minutes=5, seconds=-20))
    until(lambda: follows(scene, ends) and scene.is_blocked(COMPUTERS), "both rooms are in their lesson")
    scene.installation.kill(CONTROLLER, WORKER)
    scene.running.process.kill()
    scene.running.wait_for("the process is gone")
    with RunningFilter(*scene.options) as again:
        left = Scene(scene.installation, again, scene.options, scene.lead, scene.rooms)
        until(lambda: not blocked_until(left, ends), "the lesson ended")
        assert left.is_blocked(COMPUTERS)
        assert not left.is_blocked(COMPUTERS, LESSON)


def blocked_until(scene: Scene, ends: datetime) -> bool:
    """Whether the library is in its lesson now; fails when that is so after its end, or not so before."""
    asked_at = datetime.now(UTC)
    is_blocked = scene.is_blocked(LIBRARY)
    assert asked_at < ends if is_blocked else datetime.now(UTC) >= ends
    return is_blocked


def follows(scene: Scene, ends: datetime) -> bool:
    """Whether the library's lesson is known to the filter; fails when it came after the lesson's end."""
    assert datetime.now(UTC) < ends, "the machine is too slow for a lesson this short"
    return scene.is_blocked(LIBRARY)
