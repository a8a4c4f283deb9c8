"""Journey: before a change counts, a real filter judges the names that it counted by it, and people read what changes.

A controller, its worker and a filter, each a process of its own. The counts are written as the filter writes them, by
asking it and ending it in order.
"""

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict
from uuid import UUID

import dns.rcode
import httpx2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from filter.namecounts import FILE
from fleet.accounts import service as accounts
from fleet.filtering.exceptions import rooms
from fleet.filtering.policy.places import find_place
from fleet.scope import Role
from tests.embedded.waiting import until
from tests.factories import make_school, make_user
from tests.filter.running import RunningFilter
from tests.filter.scripted import ScriptedUpstream
from tests.fleet.deciding import profile_named
from tests.fleet.list_server import ListServer, Page, list_server
from tests.fleet.publishing import write_lists
from tests.fleet.stores import own_broker
from tests.installation import CONTROLLER, WORKER, Installation, ask_from

CLASS = [f"127.3.0.{number}" for number in range(1, 9)]
"""Devices of the school."""
PLAYED, RARE, LISTED, STILL_LISTED = "jeu.example", "rare.example", "n7.example", "n1.example"
MANY = 150_000
"""Names that take a filter some seconds to judge."""


@dataclass(frozen=True)
class Scene:
    """An installation, a filter's options, and a school's pupils behind it."""

    installation: Installation
    options: list[str]
    email: str
    school_id: UUID
    profile_id: UUID

    @property
    def data(self) -> Path:
        """The filter's folder."""
        return self.installation.folder / "passerelle"

    def layer(self, **says: object) -> dict[str, object]:
        """A question about what the school says of its pupils' profile."""
        return {"kind": "layer", "school_id": str(self.school_id), "profile_id": str(self.profile_id), **says}


BLOCKING = [{"name": name, "verdict": "block"} for name in (PLAYED, RARE)]


@pytest.fixture
def scene(tmp_path: Path, own_database_url: str) -> Iterator[Scene]:
    with own_broker(tmp_path / "valkey") as broker, ScriptedUpstream() as upstream:
        for name in (PLAYED, RARE, LISTED, STILL_LISTED):
            upstream.add(f"{name}. 1 IN A 192.0.2.80")
        installation = Installation(tmp_path, own_database_url, write_lists(tmp_path), broker.url)
        email, school_id, profile_id = furnish(own_database_url)
        try:
            installation.start(CONTROLLER, WORKER)
            installation.preau("filter", "publish")
            options = [*installation.register("passerelle"), "--upstream", upstream.address, "--interval", "1"]
            yield Scene(installation, options, email, school_id, profile_id)
        finally:
            installation.close()


def furnish(database_url: str) -> tuple[str, UUID, UUID]:
    """A technician, and a school whose network has the pupils' profile."""
    engine = create_engine(database_url)
    with Session(engine) as session, session.begin():
        user = make_user(session, Role.TECHNICIAN)
        staff = accounts.get_viewer(session, user.id)
        school = make_school(session, name="École Jean Macé")
        profile = profile_named(session, "elementaire")
        found = find_place(session, staff, school_id=school.id)
        rooms.add_network(session, staff, "127.3.0.0/24", profile, found, datetime.now(UTC))
        made = user.email, school.id, profile.id
    engine.dispose()
    return made


def count_names(scene: Scene, asked: dict[str, int]) -> None:
    """Let so many devices of the school ask for each name; the filter writes that down as it ends."""
    with RunningFilter(*scene.options) as running:
        running.wait_for("pair in use")
        for name, devices in asked.items():
            for client in CLASS[:devices]:
                ask_from(client, running, name)


def ask(client: httpx2.Client, body: dict[str, object]) -> str:
    """Ask for a preview; its address."""
    asked = client.post("/api/v1/filtering/previews", json=body)
    assert asked.status_code == 202, asked.text
    return f"/api/v1/filtering/previews/{asked.json()['id']}"


class Told(TypedDict):
    """What the API says of a preview."""

    state: str
    answered: list[dict[str, object]]
    silent: list[str]
    changes: list[dict[str, object]]
    judged: int
    withheld: int


def told(client: httpx2.Client, path: str) -> Told:
    found: Told = client.get(path).json()
    return found


def wait_done(client: httpx2.Client, path: str) -> Told:
    """What the filters said, once all have."""
    until(lambda: told(client, path)["state"] not in {"preparing", "asking"}, "all have answered", 60)
    found = told(client, path)
    assert found["state"] == "done", found
    return found


def test_an_edit_for_one_school_is_judged_by_its_filter_and_nothing_of_it_counts(scene: Scene) -> None:
    count_names(scene, {PLAYED: 8, RARE: 1})
    with RunningFilter(*scene.options) as running, scene.installation.signed_in(scene.email) as staff:
        running.wait_for("pair in use")
        before = staff.get("/api/v1/filtering/policies").json()
        found = wait_done(staff, ask(staff, scene.layer(names=BLOCKING)))
        [said], [change] = found["answered"], found["changes"]
        assert (said["name"], said["outcome"], found["silent"]) == ("passerelle", "judged", [])
        assert (change["name"], change["blocked"], change["queries"]) == (PLAYED, True, 8)
        assert change["devices"] in range(3, 9), "devices are estimated: see filter.namecounts"
        assert (change["rule"], change["layer"], change["filters"]) == ("own_deny", "École Jean Macé", ["passerelle"])
        assert change["profiles"] == ["Élémentaire, École Jean Macé"]
        assert found["withheld"] == 1, "one device asked for it: nobody is told"
        assert RARE not in str(found)
        assert staff.get("/api/v1/filtering/policies").json() == before
        assert ask_from(CLASS[0], running, PLAYED).rcode() == dns.rcode.NOERROR
        assert not (scene.data / "previews").exists()


@pytest.fixture
def server() -> Iterator[ListServer]:
    with list_server() as served:
        yield served


def test_a_held_list_is_judged_as_if_it_were_accepted(scene: Scene, server: ListServer) -> None:
    server.pages["/jeux"] = Page("".join(f"n{n}.example\n" for n in range(400)).encode(), etag='"v1"')
    source = {"slug": "jeux", "title": "Jeux", "url": server.url("/jeux"), "category": "gambling", "is_internal": True}
    with scene.installation.signed_in(scene.email) as staff:
        path = f"/api/v1/filtering/sources/{staff.post('/api/v1/filtering/sources', json=source).json()['id']}"
        until(lambda: staff.get(path).json()["outcome"] == "accepted", "the list came", 60)
        count_names(scene, {LISTED: 8, STILL_LISTED: 8})
        with RunningFilter(*scene.options) as running:
            until(lambda: ask_from(CLASS[0], running, LISTED).rcode() == dns.rcode.NXDOMAIN, "the list blocks", 60)
            server.pages["/jeux"] = Page(b"n1.example\n", etag='"v2"')
            assert staff.post(f"{path}/fetch").status_code == 202
            until(lambda: staff.get("/api/v1/filtering/sources/held").json() != [], "the shrunk list is held", 60)
            [held] = staff.get("/api/v1/filtering/sources/held").json()
            question = {"kind": "content", "content_id": held["content"]["id"]}
            found = wait_done(staff, ask(staff, question))
            [change] = found["changes"]
            assert (change["name"], change["blocked"], change["lists"]) == (LISTED, False, ["Jeux"])
            assert ask_from(CLASS[0], running, LISTED).rcode() == dns.rcode.NXDOMAIN
            assert staff.get("/api/v1/filtering/sources/held").json() == [held]


def test_a_filter_that_is_killed_while_it_judges_leaves_nothing_and_answers_after_its_return(scene: Scene) -> None:
    count_names(scene, {PLAYED: 8})
    fill(scene.data / FILE)
    left = scene.data / "previews"
    with scene.installation.signed_in(scene.email) as staff:
        with RunningFilter(*scene.options) as running:
            running.wait_for("pair in use")
            path = ask(staff, scene.layer(names=BLOCKING))
            until((left / "policy.candidate").exists, "it judges", 60)
            until(lambda: judges(running.process.pid) != [], "it judges aside", 60)
            helpers = judges(running.process.pid)
            assert ask_from(CLASS[0], running, PLAYED).rcode() == dns.rcode.NOERROR
            os.kill(running.process.pid, signal.SIGKILL)
            running.wait_for("the process is gone")
        assert told(staff, path)["answered"] == []
        assert list(left.iterdir()) != []
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in helpers), "what judged aside ends too", 60)
        with RunningFilter(*scene.options) as again:
            again.wait_for("pair in use")
            found = wait_done(staff, path)
            assert [change["name"] for change in found["changes"]] == [PLAYED]
            assert found["judged"] == MANY + 1
            until(lambda: not left.exists(), "candidate files are removed")


def fill(store: Path) -> None:
    """Names that no list knows, asked for by many devices of the school."""
    with closing(sqlite3.connect(store)) as counts, counts:
        [(day, profile)] = counts.execute("SELECT DISTINCT day, profile FROM counts").fetchall()
        rows = ((day, f"n{n}.fill.example", "address", profile, 20, (1 << 60) - 1, 0, 0, 0) for n in range(MANY))
        counts.executemany("INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def judges(pid: int) -> list[int]:
    """The processes that a filter started to judge."""
    children = {int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in read(task / "children").split()}
    return [each for each in children if "spawn_main" in read(Path(f"/proc/{each}/cmdline"))]


def read(path: Path) -> str:
    """What the kernel says; nothing once the thread or process is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
