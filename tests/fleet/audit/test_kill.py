"""Writers and PostgreSQL are killed at any moment: every committed change has its entries once, and the chain holds."""

import random
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine, create_engine, text

from fleet.audit import chain
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.migrate import migrate
from tests.conftest import state_directory
from tests.embedded.waiting import until
from tests.fleet.audit.changes import add_commune
from tests.fleet.audit.writer import read_commits

ROUNDS = 2
ENOUGH = 40
"""Commits to wait for before the kill."""
ROOT = Path(__file__).parents[3]
PRESENT = text("SELECT id FROM collectivities")
OTHERS = text("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()")
NOTED = text("SELECT row_id::uuid, count(*) FROM audit_entries WHERE table_name = 'collectivities' GROUP BY row_id")


@pytest.fixture
def server() -> Iterator[Postgres]:
    """A PostgreSQL that really writes to disk (fsync on, as in service), and may be killed."""
    directory = state_directory("audit-")
    server = Postgres(directory / "postgres", free_port())
    server.start()
    yield server
    server.stop()
    server.end_leftover()
    shutil.rmtree(directory)


def kill_all(server: Postgres) -> None:
    """The postmaster and every child, with no chance to say anything."""
    assert server.process is not None
    postmaster = psutil.Process(server.process.pid)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(processes, 20)
    server.process.wait()


def start_writer(url: str, output: Path) -> subprocess.Popen[bytes]:
    with output.open("wb") as file:
        command = [sys.executable, "-m", "tests.fleet.audit.writer", url]
        return subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.DEVNULL)


def wait_for_lines(output: Path, wanted: int) -> None:
    def has_them() -> bool:
        return output.read_bytes().count(b"\n") >= wanted

    until(has_them, "the writers wrote")


def wait_until_alone(engine: Engine) -> None:
    """The server has ended what its lost clients had begun."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:

        def is_alone() -> bool:
            return not connection.scalar(OTHERS)

        until(is_alone, "no connection is left")


def check(engine: Engine, confirmed: dict[uuid.UUID, int]) -> None:
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        report = chain.verify(connection)
        noted = {row: count for row, count in connection.execute(NOTED)}  # noqa: C416 - a Row is no tuple to mypy
        present = set(connection.scalars(PRESENT))
    assert report.problems == []
    assert report.entries == report.number == sum(noted.values())
    assert set(noted) == present, "a change without entry, or an entry without change"
    assert confirmed.items() <= noted.items(), "what PostgreSQL confirmed is there, with as many entries as changes"


@pytest.mark.parametrize("victim", ["postgres", "writer"])
def test_after_a_kill_changes_and_entries_match(server: Postgres, tmp_path: Path, victim: str) -> None:
    url = server.url()
    migrate(url)
    confirmed: dict[uuid.UUID, int] = {}
    for number in range(ROUNDS):
        output = tmp_path / f"commits-{number}"
        writer = start_writer(url, output)
        wait_for_lines(output, ENOUGH + random.randrange(ENOUGH))
        if victim == "postgres":
            kill_all(server)
            writer.wait(30)
            server.start()
        else:
            writer.kill()
            writer.wait()
        confirmed |= read_commits(output.read_text())
        engine = create_engine(url)
        wait_until_alone(engine)
        check(engine, confirmed)
        engine.dispose()


def test_writers_wait_for_each_other_and_none_fails(own_database_url: str) -> None:
    engine = create_engine(own_database_url, pool_size=8)

    def write(number: int) -> None:
        for _ in range(10):
            with engine.begin() as connection:
                add_commune(connection, f"{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    with engine.connect() as connection:
        report = chain.verify(connection)
    assert (report.problems, report.entries) == ([], 80)
    engine.dispose()
