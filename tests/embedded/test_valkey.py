"""The embedded Valkey, spoken to by Celery's own client library."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from fleet.embedded.layout import MARK
from fleet.embedded.leftovers import is_marked
from fleet.embedded.ports import free_port
from fleet.embedded.valkey import Valkey
from tests.embedded.waiting import until


@pytest.fixture
def server(tmp_path: Path) -> Valkey:
    server = Valkey(tmp_path / "un dossier", free_port())
    server.create()
    return server


@contextmanager
def running(server: Valkey) -> Iterator[subprocess.Popen[bytes]]:
    environment = {MARK: "/srv/un préau"}
    process = subprocess.Popen(server.command(), env=environment, stdout=subprocess.DEVNULL)
    try:
        until(server.is_ready, "Valkey answers PING")
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_is_not_ready_before_it_runs(server: Valkey) -> None:
    assert not server.is_ready()


def test_what_was_queued_survives_a_kill(server: Valkey) -> None:
    with running(server):
        client = redis.Redis.from_url(server.url)
        client.rpush("celery", "une tâche")
        client.waitaof(1, 0, 5000)
    with running(server):
        assert redis.Redis.from_url(server.url).lrange("celery", 0, -1) == ["une tâche".encode()]


def test_nobody_gets_in_without_the_password(server: Valkey) -> None:
    with running(server), pytest.raises(redis.AuthenticationError):
        redis.Redis(port=server.port).ping()


def test_the_password_is_kept_in_private_files_and_on_no_command_line(server: Valkey) -> None:
    with running(server) as process:
        assert server.password not in " ".join(psutil.Process(process.pid).cmdline())
    modes = {path.name: path.stat().st_mode & 0o777 for path in server.directory.iterdir() if path.is_file()}
    assert modes == {"password": 0o600, "valkey.conf": 0o600}
    password = server.password
    server.create()
    assert server.password == password


def test_a_lost_one_can_be_told_by_its_mark(server: Valkey) -> None:
    with running(server) as process:
        assert is_marked(psutil.Process(process.pid), Path("/srv/un préau"))
        assert not is_marked(psutil.Process(process.pid), Path("/srv/autre"))
