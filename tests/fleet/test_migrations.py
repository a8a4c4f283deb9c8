"""The migrations lead to the tables that the code declares."""

from alembic import command

from fleet.migrate import alembic_config


def test_migrations_and_models_agree(database_url: str) -> None:
    command.check(alembic_config(database_url))
