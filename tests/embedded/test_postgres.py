"""The embedded PostgreSQL: made once, stopped fast, startable after any kill."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres, PostgresError
from tests.conftest import state_directory
from tests.embedded.waiting import until


@pytest.fixture
def server() -> Iterator[Postgres]:
    directory = state_directory("test-embedded-")
    server = Postgres(directory / "postgres", free_port())
    yield server
    server.stop()
    server.end_leftover()
    shutil.rmtree(directory)


def connect(server: Postgres, database: str = "postgres") -> psycopg.Connection:
    return psycopg.connect(server.url(database).replace("+psycopg", ""), autocommit=True)


def kill(server: Postgres) -> None:
    assert server.process is not None
    server.process.kill()
    server.process.wait()


def test_a_wrong_password_is_refused(server: Postgres) -> None:
    server.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://preau:faux@127.0.0.1:{server.port}/postgres")


def test_it_never_runs_as_root_and_its_files_are_closed(server: Postgres) -> None:
    server.start()
    assert server.process is not None
    assert psutil.Process(server.process.pid).uids().effective != 0
    assert server.directory.stat().st_mode & 0o777 == 0o700
    assert (server.directory / "password").stat().st_mode & 0o777 == 0o600


def test_no_secret_is_on_its_command_line(server: Postgres) -> None:
    server.start()
    assert server.process is not None
    assert server.password not in " ".join(psutil.Process(server.process.pid).cmdline())


def test_a_database_is_made_once(server: Postgres) -> None:
    server.start()
    for _ in range(2):
        server.ensure_database("préau d’essai")
    with connect(server, "préau d’essai".replace(" ", "%20")) as connection:
        row = connection.execute("SELECT count(*) FROM pg_database WHERE datname = 'préau d’essai'").fetchone()
    assert row == (1,)


def test_it_stops_by_itself_under_a_client_that_stays(server: Postgres) -> None:
    """A smart shutdown would wait for the client, and be killed in the end."""
    server.start()
    with connect(server):
        server.stop()
    assert server.process is not None
    assert server.process.returncode == 0
    assert "received fast shutdown request" in (server.directory / "postgres.log").read_text()


def test_what_was_committed_survives_a_kill(server: Postgres) -> None:
    server.start()
    with connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill(server)
    restart(server)
    with connect(server) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def restart(server: Postgres) -> None:
    """Start again; the killed one's last processes may still hold its shared memory for a moment."""

    def started() -> bool:
        try:
            server.clear_stale_lock()
            server.start()
        except PostgresError as error:
            assert "still in use" in str(error)  # noqa: PT017 - anything else is a failure
            return False
        return True

    until(started, "the server starts again")


def test_a_lock_file_whose_pid_went_to_another_program_does_not_stop_it(server: Postgres) -> None:
    server.create()
    arguments = server.runs_as()
    other = subprocess.Popen(["sleep", "600"], **arguments)
    try:
        lock = server.data / "postmaster.pid"
        lock.write_text(f"{other.pid}\n{server.data}\n")
        server.clear_stale_lock()
        assert not lock.exists()
        server.start()
    finally:
        other.kill()
        other.wait()


def test_a_server_left_behind_is_found_and_ended(server: Postgres) -> None:
    server.start()
    assert server.process is not None
    again = Postgres(server.directory, free_port())
    again.clear_stale_lock()  # must not touch a live server's
    assert (server.data / "postmaster.pid").exists()
    assert again.end_leftover()
    assert not psutil.pid_exists(server.process.pid)
    assert "database system is shut down" in (server.directory / "postgres.log").read_text()
    assert not again.end_leftover()


def test_a_server_left_behind_that_is_stuck_is_killed(server: Postgres) -> None:
    server.start()
    assert server.process is not None
    os.kill(server.process.pid, signal.SIGSTOP)
    assert Postgres(server.directory, free_port()).end_leftover(patience=0.2)
    assert not psutil.pid_exists(server.process.pid)


def test_a_cluster_of_another_version_is_refused_with_a_sentence(server: Postgres) -> None:
    server.create()
    (server.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(PostgresError, match="faite par PostgreSQL 15"):
        server.create()


def test_the_engine_works_for_whoever_may_not_enter_the_environment(server: Postgres, tmp_path: Path) -> None:
    """As root the binaries are a copy; as anybody else they are their own."""
    server.start()
    assert server.process is not None
    executable = Path(psutil.Process(server.process.pid).exe())
    is_ours = Path(sys.prefix) in executable.parents
    assert is_ours == (os.geteuid() != 0)
