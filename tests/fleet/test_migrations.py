"""The migrations lead to the tables that the code declares, and keep what was there."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.orm import Session

from fleet.accounts import administration, sessions
from fleet.accounts.models import User
from fleet.embedded.postgres import Postgres
from fleet.filtering.models import Publication, PublicationState
from fleet.filtering.publishing import publications
from fleet.migrate import alembic_config, migrate
from fleet.operator import OPERATOR
from tests.conftest import run_outside_transaction


def test_migrations_and_models_agree(database_url: str) -> None:
    command.check(alembic_config(database_url))


@contextmanager
def database_at(postgres: Postgres, revision: str) -> Iterator[str]:
    """A database as that version left it."""
    name = f"at_{uuid.uuid4().hex}"
    run_outside_transaction(postgres, f"CREATE DATABASE {name}")
    url = postgres.url(name)
    migrate(url, revision)
    yield url
    run_outside_transaction(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def first_url(postgres: Postgres) -> Iterator[str]:
    with database_at(postgres, "0001") as url:
        yield url


@pytest.fixture
def third_url(postgres: Postgres) -> Iterator[str]:
    with database_at(postgres, "0003") as url:
        yield url


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


PEOPLE = """
INSERT INTO users (id, email, name, password_hash, is_active)
    VALUES (:id, 'helene@mairie.test', 'Hélène Béraud', '$argon2id$x', true);
INSERT INTO role_grants (id, user_id, role) VALUES (:id, :id, 'technician');
INSERT INTO web_sessions (id, token_hash, csrf_token, user_id, created_at, expires_at)
    VALUES (:id, 'digest', 'csrf', :id, now(), now() + interval '11 hours');
INSERT INTO sign_in_failures (id, email, address, at) VALUES (:id, 'helene@mairie.test', '192.0.2.1', now())
"""
"""Accounts as the fourth version wrote them."""


def test_who_had_an_account_keeps_it_and_stays_signed_in(postgres: Postgres) -> None:
    with database_at(postgres, "0004") as url:
        engine, identifier = create_engine(url), uuid.uuid4()
        with engine.begin() as connection:
            run(connection, PEOPLE, identifier)
        migrate(url)
        with Session(engine) as session:
            found = administration.list_accounts(session, OPERATOR, search="helene beraud", now=datetime.now(UTC))
            assert [(user.id, user.password_hash) for user in found.rows] == [(identifier, "$argon2id$x")]
            assert len(sessions.list_sessions(session, identifier, datetime.now(UTC))) == 1
            assert session.scalar(text("SELECT kind FROM sign_in_failures")) == "password"
            session.add(User(email="invite@mairie.test", name="Invité", password_hash=None, grants=[]))
            session.commit()
        command.downgrade(alembic_config(url), "0004")
        with engine.connect() as connection:
            kept = connection.execute(text("SELECT email, is_active FROM users ORDER BY email")).all()
        assert kept == [("helene@mairie.test", True), ("invite@mairie.test", False)]
        migrate(url)
        engine.dispose()


THIRD = """
INSERT INTO filter_publications (id, state, requested_at, attempts, report, digest, size, published_at)
    VALUES (:id, 'published', now(), 1, '{}', repeat('a', 64), 4, now());
INSERT INTO filter_publication_chunks VALUES (:id, 0, 'old!');
INSERT INTO filter_policies
    (id, digest, settings_digest, names_digest, content, decisions, decisions_digest, size, made_at, why)
    VALUES (:id, 'p', 's', 'n', 'file', '{}', 'd', 4, now(), 'essai');
INSERT INTO filter_layers (id, content, updated_at, updated_by)
    VALUES (:id, '{"names": [{"name": "jeu.example", "verdict": "block"}]}', now(), 'Alix');
INSERT INTO filter_nodes (id, name, secret_hash, registered_at, health) VALUES (:id, 'passerelle', 'x', now(), '{}');
INSERT INTO filter_sources (id, slug, title, format, category, categories, licence, is_internal, every_hours,
    shrink_percent, growth_percent, popular_limit, is_enabled, added_at, is_wanted, reason, failures)
    VALUES (:id, 'jeux', 'Jeux', '', 'jeux', '{}', '', false, 24, 50, 200, 3, true, now(), false, '', 0);
INSERT INTO filter_events (id, at, verb, subject) VALUES (:id, now(), 'layer.set', 'Aisne')
"""
"""What the third version may hold, written as it wrote it: today's models say nothing of that."""
FOURTH = """
INSERT INTO filter_previews (id, kind, subject, about, source_id, publication_id, asked_by, asked_at, judged_at,
    threshold, days, state, reason, attempts)
    VALUES (:id, 'return', 'Publication 1', '{}', :id, :id, 'Alix', now(), now(), 3, 7, 'asking', '', 0);
INSERT INTO filter_preview_chunks VALUES (:id, 0, 'delta');
INSERT INTO filter_preview_answers VALUES (:id, :id, 'judged', 1, 0, false, '[]', now())
"""
KEPT = ("publications", "publication_chunks", "policies", "layers", "nodes", "sources", "events")


def run(connection: Connection, statements: str, identifier: uuid.UUID) -> None:
    for statement in statements.split(";\n"):
        connection.execute(text(statement), {"id": identifier})


def rows_of(connection: Connection) -> dict[str, list[dict[str, object]]]:
    """Every row of the tables that the third version filled."""
    found = {each: connection.execute(text(f"SELECT * FROM filter_{each}")).mappings() for each in KEPT}
    return {table: [dict(row) for row in rows] for table, rows in found.items()}


def test_what_the_third_version_decided_stays_and_may_be_previewed(third_url: str) -> None:
    """Layers, policies, names, filters and history; then the fourth version's tables take a question about them."""
    engine, identifier = create_engine(third_url), uuid.uuid4()
    with engine.begin() as connection:
        run(connection, THIRD, identifier)
        before = rows_of(connection)
    assert all(before.values())
    migrate(third_url)
    with engine.begin() as connection:
        assert rows_of(connection) == before
        run(connection, FOURTH, identifier)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM filter_sources"))
        asked = connection.execute(text("SELECT source_id, publication_id FROM filter_previews")).one()
        assert asked == (None, identifier), "what is gone leaves its id empty, and nothing else"
    del before["sources"]
    command.downgrade(alembic_config(third_url), "0003")
    with engine.begin() as connection:
        assert {table: rows for table, rows in rows_of(connection).items() if rows} == before
    migrate(third_url)
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT count(*) FROM filter_preview_answers")) == 0
    engine.dispose()
