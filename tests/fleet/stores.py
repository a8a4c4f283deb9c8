"""Stores that really commit: a database of a test's own, and a broker, for tests that cross processes or threads."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text

from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.embedded.valkey import Valkey
from fleet.migrate import migrate
from tests.embedded.waiting import until


@contextmanager
def own_database(postgres: Postgres) -> Iterator[str]:
    """The URL of a new database with every table, dropped afterwards whoever is still connected."""
    name = f"test_{secrets.token_hex(4)}"
    server = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    migrate(postgres.url(name))
    try:
        yield postgres.url(name)
    finally:
        with server.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        server.dispose()


class Broker:
    """A Valkey that tests start, stop and empty."""

    def __init__(self, directory: Path) -> None:
        self.server = Valkey(directory, free_port())
        self.server.create()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        self.process = subprocess.Popen(self.server.command(), stdout=subprocess.DEVNULL)
        until(self.server.is_ready, "Valkey answers PING")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def own_broker(directory: Path) -> Iterator[Broker]:
    broker = Broker(directory)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
