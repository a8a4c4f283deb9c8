"""Journey: the controller's database is restored from an older backup, and gateways follow it all the same.

What they hold has serials that the restored database never gave, or gave to other content.
"""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dns.rcode
import httpx2
import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from fleet.embedded.postgres import Postgres, engine_directory
from fleet.filtering import service
from fleet.scope import Role
from tests.conftest import run_outside_transaction
from tests.embedded.waiting import until
from tests.factories import make_user
from tests.filter.running import RunningFilter
from tests.filter.scripted import ScriptedUpstream
from tests.fleet.publishing import write_lists
from tests.fleet.stores import own_broker
from tests.installation import BEAT, CONTROLLER, WORKER, Installation

EVERYTHING = (CONTROLLER, WORKER, BEAT)
BEFORE, AFTER, ANEW, MORE = (f"{word}.example" for word in ("avant", "apres", "refait", "encore"))
"""Names that a person denies: before the backup, after it, and in the restored database."""
CHANGES = 3
"""Of each file between the backup and the loss."""


def listed(name: str) -> str:
    """The namesake that lists have."""
    return f"liste-{name}"


@dataclass
class Backup:
    """A dump of one database, as `pg_dump` writes it, and its way back."""

    postgres: Postgres
    url: str
    file: Path

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    def run(self, program: str, *arguments: str) -> None:
        url = self.url.replace("+psycopg", "")
        command = [str(engine_directory() / "bin" / program), "--dbname", url, *arguments]
        subprocess.run(command, check=True, timeout=120)

    def take(self) -> None:
        self.run("pg_dump", "--format=custom", "--file", str(self.file))

    def restore(self) -> None:
        """Lose the database, and put the dump in its place."""
        run_outside_transaction(self.postgres, f"DROP DATABASE {self.name} WITH (FORCE)")
        run_outside_transaction(self.postgres, f"CREATE DATABASE {self.name}")
        self.run("pg_restore", "--exit-on-error", str(self.file))


@dataclass
class Desk:
    """A person who denies names and publishes lists."""

    installation: Installation
    email: str

    def deny(self, name: str) -> None:
        """In one policy more."""
        with self.installation.signed_in(self.email) as client:
            profile = client.get("/api/v1/filtering/profiles").json()[0]
            denied = sorted({*profile["denied_names"], name})
            answer = client.patch(f"/api/v1/filtering/profiles/{profile['id']}", json={"denied_names": denied})
            assert answer.status_code == 200, answer.text

    def list_name(self, name: str) -> None:
        """In one names file more."""
        with (self.installation.lists / "gambling" / "domains").open("a") as file:
            file.write(f"{name}\n")
        self.installation.preau("filter", "publish")

    def change(self, name: str, times: int) -> None:
        """As many policies and names files, with which this name ends up denied and its namesake listed."""
        for number in reversed(range(times)):
            self.deny(f"{number}.{name}" if number else name)
            self.list_name(f"{number}.{listed(name)}" if number else listed(name))


@pytest.fixture
def installation(tmp_path: Path, own_database_url: str) -> Iterator[Installation]:
    with own_broker(tmp_path / "valkey") as broker:
        found = Installation(tmp_path, own_database_url, write_lists(tmp_path), broker.url)
        yield found
        found.close()


@pytest.fixture
def desk(installation: Installation) -> Desk:
    engine = create_engine(installation.database_url)
    with Session(engine) as session, session.begin():
        email = make_user(session, Role.TECHNICIAN).email
        service.ensure_default_profile(session, datetime.now(UTC))
    engine.dispose()
    return Desk(installation, email)


@pytest.fixture
def options(installation: Installation) -> Iterator[list[str]]:
    """Of a filter of which every allowed name has an address."""
    with ScriptedUpstream() as upstream:
        for name in (BEFORE, AFTER, ANEW, MORE):
            upstream.add(f"{name}. 60 IN A 192.0.2.80")
            upstream.add(f"{listed(name)}. 60 IN A 192.0.2.80")
        yield [*installation.register("passerelle"), "--upstream", upstream.address, "--interval", "1"]


def blocks(running: RunningFilter, name: str) -> Callable[[], bool]:
    """Whether this filter's policy knows a name, and its names the namesake; fails when it fails to answer."""

    def both() -> bool:
        replies = {running.ask(each).rcode() for each in (name, listed(name))}
        assert replies <= {dns.rcode.NXDOMAIN, dns.rcode.NOERROR}
        return replies == {dns.rcode.NXDOMAIN}

    return both


def opens(running: RunningFilter, name: str) -> bool:
    """Whether the policy says nothing of a name."""
    return running.ask(name).rcode() == dns.rcode.NOERROR


def serials(running: RunningFilter) -> tuple[int, int]:
    """Of the names and of the policy in use."""
    health = httpx2.get(f"http://127.0.0.1:{running.metrics}/health/ready", trust_env=False).json()
    return health["bundle_serial"], health["policy_serial"]


def is_above(running: RunningFilter, held: tuple[int, int]) -> bool:
    """Whether both files are later ones than those."""
    return all(now > before for now, before in zip(serials(running), held, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(0, id="behind"),
        pytest.param(CHANGES, id="level", marks=pytest.mark.long),
        pytest.param(CHANGES + 1, id="ahead"),
    ],
)
def test_a_gateway_follows_a_controller_that_was_restored(
    installation: Installation, desk: Desk, options: list[str], postgres: Postgres, tmp_path: Path, changes: int
) -> None:
    """However many files the restored database published when the gateway meets it again."""
    installation.start(*EVERYTHING)
    desk.change(BEFORE, 1)
    backup = Backup(postgres, installation.database_url, tmp_path / "dump")
    with RunningFilter(*options) as running:
        running.wait_for("pair in use")
        until(blocks(running, BEFORE), "it follows")
        backup.take()
        desk.change(AFTER, CHANGES)
        until(blocks(running, AFTER), "it follows what the backup does not know")
        held = serials(running)

    installation.kill(*EVERYTHING)
    backup.restore()
    installation.start(*EVERYTHING)
    desk.change(ANEW, changes)
    with RunningFilter(*options) as running:
        assert serials(running) == held
        assert blocks(running, BEFORE)()
        until(lambda: opens(running, AFTER), "what was decided after the backup is forgotten here too")
        until(lambda: is_above(running, held), "it holds later files than before, though nobody changed anything", 120)
        assert blocks(running, BEFORE)()
        assert not changes or blocks(running, ANEW)()
        desk.change(MORE, 1)
        until(blocks(running, MORE), "it follows again, policy and names")
