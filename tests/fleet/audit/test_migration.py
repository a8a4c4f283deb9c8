"""A database of the version before gets its log, loses it on the way back, and keeps all else."""

import uuid

from alembic import command
from sqlalchemy import create_engine, text

from fleet.audit import chain, triggers
from fleet.embedded.postgres import Postgres
from fleet.migrate import alembic_config, migrate
from tests.fleet.audit.changes import RENAME, add_commune
from tests.fleet.test_migrations import database_at


def test_what_was_there_stays_and_is_watched_from_now_on(postgres: Postgres) -> None:
    with database_at(postgres, "0005") as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            identifier = add_commune(connection, "Laon")
        assert migrate(url)
        with engine.begin() as connection:
            assert triggers.differences(connection) == []
            assert chain.verify(connection).entries == 0
            connection.execute(RENAME, {"id": identifier, "name": "Guise"})
        with engine.begin() as connection:
            report = chain.verify(connection)
            assert (report.problems, report.entries) == ([], 1)
        command.downgrade(alembic_config(url), "0005")
        with engine.begin() as connection:
            add_commune(connection, f"Hirson {uuid.uuid4()}")
            left = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'audit\\_%'"
            assert connection.scalar(text(left)) == 0
            assert connection.scalar(text("SELECT count(*) FROM collectivities")) == 2
        migrate(url)
        with engine.begin() as connection:
            assert triggers.differences(connection) == []
        engine.dispose()


def test_rows_that_a_migration_writes_are_entries_and_hold_up_no_trigger(postgres: Postgres) -> None:
    """Triggers that wait for the commit forbid to alter their table: attaching lets them run first."""
    with database_at(postgres, "head") as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("DROP TRIGGER audit_note ON users"))
            add_commune(connection, "Laon")
            assert triggers.attach(connection)
        with engine.begin() as connection:
            report = chain.verify(connection)
        assert (report.problems, report.entries) == ([], 1)
        engine.dispose()
