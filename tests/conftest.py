"""What tests stand on: a real PostgreSQL per worker, rolled back after each test, an API client, a stopped clock."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypedDict

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.orm import Session, SessionTransaction

from dashboards.portal.app import create_portal
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import SessionFactory
from fleet.doors import NOTHING, SETTINGS, apply
from fleet.embedded.layout import ROOT_STATE
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.migrate import migrate
from tests import audited
from tests.factories import NOON

SECRET_KEY = bytes(range(32))


def state_directory(prefix: str) -> Path:
    """A new folder that the account PostgreSQL runs under can reach; pytest's own may lie below a closed home."""
    if os.geteuid() != 0:
        return Path(tempfile.mkdtemp(prefix=prefix))
    ROOT_STATE.mkdir(mode=0o755, parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=ROOT_STATE))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server, one for each test worker; not synced to disk, since it dies with the tests."""
    directory = state_directory("test-")
    server = Postgres(directory / "postgres", free_port())
    server.start("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def database_url(postgres: Postgres) -> str:
    """A database with every migration applied."""
    url = postgres.url()
    migrate(url)
    return url


@pytest.fixture(scope="session")
def template_database(postgres: Postgres) -> str:
    """The name of a migrated database that nobody is connected to, so that it can be copied."""
    run_outside_transaction(postgres, "CREATE DATABASE preau_template")
    migrate(postgres.url("preau_template"))
    return "preau_template"


@pytest.fixture
def own_database_url(postgres: Postgres, template_database: str) -> Iterator[str]:
    """A migrated database for one test that really commits: several connections, several processes."""
    name = f"own_{uuid.uuid4().hex}"
    run_outside_transaction(postgres, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield postgres.url(name)
    run_outside_transaction(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def run_outside_transaction(postgres: Postgres, statement: str) -> None:
    """CREATE and DROP DATABASE accept no transaction."""
    engine = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def config(database_url: str) -> FleetConfig:
    """Nobody needs a second factor, so that most tests sign in as they did; those about it say otherwise."""
    return FleetConfig(
        database_url=database_url,
        broker_url="memory://",
        public_url="https://preau.example.test",
        secret_keys=(SECRET_KEY,),
        second_factor_required=False,
    )


@dataclass
class Clock:
    """The moment that the application believes in."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def resolved_app(database_url: str) -> FastAPI:
    """The application whose routes all tests of a worker share: to resolve them costs its first request 0.2 s."""
    settings = FleetConfig(
        database_url=database_url, broker_url="memory://", public_url="https://x.test", second_factor_required=False
    )
    return create_portal(settings)


@pytest.fixture
def app(resolved_app: FastAPI, config: FleetConfig, clock: Clock) -> FastAPI:
    """The application as new, but for its routes: its own connections, broker, settings and what it remembers."""
    new = create_portal(config)
    resolved_app.state, resolved_app.router.lifespan_context = new.state, new.router.lifespan_context
    resolved_app.dependency_overrides = {utc_now: clock}
    return resolved_app


@pytest.fixture(scope="session")
def engine(database_url: str) -> Iterator[Engine]:
    """One for all tests of a worker: it remembers the SQL of every statement that it compiled."""
    engine = create_engine(database_url, pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture
def session(app: FastAPI, engine: Engine) -> Iterator[Session]:
    """A session whose commits, like the application's, are savepoints of one transaction that is rolled back.

    It works as the tables' owner, as factories must; the application's sessions, on the same connection, through their
    own doors, which are closed behind each of them.
    """
    with engine.connect() as connection:
        transaction = connection.begin()
        SessionFactory.configure(bind=connection, join_transaction_mode="create_savepoint")
        with leaving_doors(connection), Session(connection, **OWN) as session:
            yield session
        transaction.rollback()
        SessionFactory.configure(bind=engine)


class OwnSession(TypedDict):
    expire_on_commit: bool
    join_transaction_mode: Literal["create_savepoint"]


OWN: OwnSession = {"expire_on_commit": False, "join_transaction_mode": "create_savepoint"}


@contextmanager
def leaving_doors(connection: Connection) -> Iterator[None]:
    """What a transaction's end does for sessions with a connection of their own: back to the role of before."""

    def leave(session: Session, ended: SessionTransaction) -> None:
        if ended.parent is None and session.bind is connection and SETTINGS in session.info:
            apply(connection, {"role": "none"} | NOTHING.settings())

    event.listen(Session, "after_transaction_end", leave)
    yield
    event.remove(Session, "after_transaction_end", leave)


@pytest.fixture
def api(app: FastAPI, session: Session, pytestconfig: pytest.Config) -> Iterator[TestClient]:
    """An HTTP client on the application, in the same transaction as ``session``. Flush what you add before you call."""
    with TestClient(app, base_url="https://preau.example.test") as client:
        yield client
    audited.note_traffic(pytestconfig, session)


@pytest.fixture
def fail_for_missing_package() -> None:
    """Under CI=true nothing may be missing: see tests.requirements."""
    pytest.fail("a Debian package that this test needs is missing; .ci/run installs them all")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist tells what it saw; whoever saw everything fails for a route that leaves no entry."""
    config = session.config
    if (output := getattr(config, "workeroutput", None)) is not None:
        output[audited.KEY] = sorted(audited.seen(config))
    elif audited.is_whole_run(config) and session.exitstatus == pytest.ExitCode.OK:
        nowhere = FleetConfig(
            "postgresql+psycopg://nowhere", "memory://", "https://preau.example.test", second_factor_required=False
        )
        app = create_portal(nowhere)
        if silent := audited.silent_operations(config, app):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            told = "\n  ".join(silent)
            sys.stderr.write(f"\nmutating routes that left no entry in any test (tests/audited.py):\n  {told}\n")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker of pytest-xdist told at its end."""
    audited.told_by_workers(node.config, getattr(node, "workeroutput", {}).get(audited.KEY, ()))
