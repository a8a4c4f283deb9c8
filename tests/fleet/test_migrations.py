"""The migrations lead to the tables that the code declares, and keep what was there."""

import uuid
from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.orm import Session

from fleet.embedded.postgres import Postgres
from fleet.filtering.models import Publication, PublicationState
from fleet.filtering.publishing import publications
from fleet.migrate import alembic_config, migrate
from tests.conftest import run_outside_transaction


def test_migrations_and_models_agree(database_url: str) -> None:
    command.check(alembic_config(database_url))


@pytest.fixture
def first_url(postgres: Postgres) -> Iterator[str]:
    """A database as the first version left it."""
    name = f"first_{uuid.uuid4().hex}"
    run_outside_transaction(postgres, f"CREATE DATABASE {name}")
    url = postgres.url(name)
    migrate(url, "0001")
    yield url
    run_outside_transaction(postgres, f"DROP DATABASE {name} WITH (FORCE)")


PUBLICATION = text(
    "INSERT INTO filter_publications"
    " (id, state, requested_at, published_at, requested_by, attempts, report, digest, size)"
    " VALUES (:id, :state, now(), :published, 'Alix', 1, '{\"names\": 3}', :digest, 4)"
)
CHUNK = text("INSERT INTO filter_publication_chunks VALUES (:id, 0, 'old!')")
COUNT = text("INSERT INTO filter_counts VALUES (:id, 'run', now(), 'blocked', 'gambling', 5)")
NODE = text(
    "INSERT INTO filter_nodes (id, name, secret_hash, registered_at, bundle_serial, health)"
    " VALUES (:id, 'passerelle', 'x', now(), 2, '{}')"
)


def add(connection: Connection, state: str) -> uuid.UUID:
    """A publication of the first version."""
    identifier = uuid.uuid4()
    published = "2026-11-20T02:40:00Z" if state == "published" else None
    digest = "a" * 64 if state == "published" else None
    facts = {"id": identifier, "state": state, "published": published, "digest": digest}
    connection.execute(PUBLICATION, facts)
    if state == "published":
        connection.execute(CHUNK, {"id": identifier})
    return identifier


def test_publications_of_the_first_version_stay_as_history(first_url: str) -> None:
    engine = create_engine(first_url)
    with engine.begin() as connection:
        old = [add(connection, state) for state in ("published", "failed", "published")]
        node = uuid.uuid4()
        connection.execute(NODE, {"id": node})
        connection.execute(COUNT, {"id": node})
    migrate(first_url)
    with Session(engine) as session:
        rows = {row.id: row for row in publications.list_publications(session).rows}
        states = [rows[identifier].state for identifier in old]
        assert states == [PublicationState.RETIRED, PublicationState.FAILED, PublicationState.RETIRED]
        assert (rows[old[0]].requested_by, rows[old[0]].report, rows[old[0]].size) == ("Alix", {"names": 3}, 4)
        assert rows[old[0]].published_at is not None
        assert not any(publications.has_content(session, identifier) for identifier in old)
        assert publications.find_latest(session) is None
        [asked] = publications.list_waiting(session)  # filters of this version are served as soon as a worker is there
        assert rows[asked].serial > rows[old[2]].serial
        assert session.scalar(text("SELECT bundle_serial FROM filter_nodes")) == 2
        assert session.execute(text("SELECT school, queries FROM filter_counts")).one() == ("", 5)
    engine.dispose()


@pytest.mark.parametrize(
    ("before", "asked", "made"),
    [([], 0, 0), (["failed"], 0, 0), (["published", "requested"], 1, 0), (["published", "published"], 1, 1)],
)
def test_one_publication_is_asked_for_at_most(first_url: str, before: list[str], asked: int, made: int) -> None:
    engine = create_engine(first_url)
    with engine.begin() as connection:
        for state in before:
            add(connection, state)
    migrate(first_url)
    with Session(engine) as session:
        assert len(publications.list_waiting(session)) == asked
        assert session.scalar(select(func.count()).select_from(Publication)) == len(before) + made
    engine.dispose()


def test_the_way_back_to_the_first_version(first_url: str) -> None:
    engine = create_engine(first_url)
    with engine.begin() as connection:
        add(connection, "published")
    migrate(first_url)
    command.downgrade(alembic_config(first_url), "0001")
    with engine.connect() as connection:
        states = connection.scalars(text("SELECT DISTINCT state FROM filter_publications")).all()
    assert set(states) <= {"failed", "requested"}
    migrate(first_url)
    engine.dispose()
