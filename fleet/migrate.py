"""The database's tables, brought to the present revision."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def alembic_config(database_url: str) -> Config:
    """Alembic's configuration for one database; the URL never passes through a file or ``%`` interpolation."""
    config = Config(Path(__file__).parent / "alembic.ini")
    config.attributes["database_url"] = database_url
    return config


def migrate(database_url: str, revision: str = "head") -> None:
    """Apply what is missing. Safe to run twice, and by two processes at once."""
    command.upgrade(alembic_config(database_url), revision)
