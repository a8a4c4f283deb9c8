"""search: three-letter pieces of what people look for (pg_trgm), indexed"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

from fleet.errors import ConfigurationError

revision = "0006_search"
down_revision = "0005_jobs"
branch_labels = None
depends_on = None

SEARCHED = ("collectivities", "schools", "devices", "tickets")


def upgrade() -> None:
    ensure_trigrams()
    for table in SEARCHED:
        op.create_index(
            f"ix_{table}_search_text",
            table,
            ["search_text"],
            postgresql_using="gin",
            postgresql_ops={"search_text": "gin_trgm_ops"},
        )


def ensure_trigrams() -> None:
    """Add PostgreSQL's own extension pg_trgm; raise ConfigurationError that says who has to do it instead."""
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT 1 FROM pg_extension WHERE extname = 'pg_trgm'")):
        return
    try:
        with connection.begin_nested():
            connection.execute(sa.text("CREATE EXTENSION pg_trgm"))
    except DBAPIError as error:
        database = connection.scalar(sa.text("SELECT current_database()"))
        raise ConfigurationError(
            f"La recherche a besoin de l’extension pg_trgm de PostgreSQL (paquet postgresql-contrib), et ce compte ne "
            f"peut pas l’ajouter : {str(error.orig).splitlines()[0]}. Un administrateur de PostgreSQL l’ajoute avec "
            f"« CREATE EXTENSION pg_trgm; » dans la base « {database} » ; puis relancez preau migrate."
        ) from error


def downgrade() -> None:
    for table in SEARCHED:
        op.drop_index(f"ix_{table}_search_text", table_name=table)
    # The extension stays: it may have been there before, or serve others.
