"""The database's tables, brought to the present revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from fleet.config import FleetConfig


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for one database; the URL never passes through a file or ``%`` interpolation."""
    config = Config(Path(__file__).parent / "alembic.ini")
    config.attributes["database_url"] = database_url
    return config


def migrate(database_url: str, revision: str = "head", *, login: str | None = None) -> list[str]:
    """Apply what is missing and return those revisions. Safe to run twice, and by two processes at once.

    ``database_url`` is the owner's of the tables; ``login``, if that is another, is what the programs connect as: it is
    let through the doors (fleet.doors) and needs nothing else. Raise ConfigurationError when the owner may not do so.
    """
    config = alembic_config(database_url)
    config.attributes["login"] = login
    command.upgrade(config, revision)
    applied: list[str] = config.attributes.get("applied", [])
    return applied


def migrate_as_owner(config: FleetConfig) -> list[str]:
    """The same by an installation's settings: as the owner, for the login that the programs have."""
    return migrate(config.owner_database_url or config.database_url, login=make_url(config.database_url).username)
