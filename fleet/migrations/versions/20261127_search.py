"""search: three-letter pieces of what people look for (pg_trgm), indexed; the filters that people keep"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

from fleet.errors import ConfigurationError

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

SEARCHED = ("collectivities", "schools", "devices", "tickets")
SORTED = (
    ("tickets", "ix_tickets_number_id", "number", "id"),
    ("devices", "ix_devices_asset_tag_id", "asset_tag", "id"),
    ("tickets", "ix_tickets_title", "title", "id"),
    ("tickets", "ix_tickets_updated_at", "updated_at", "id"),
    ("tickets", "ix_tickets_planned_for", "planned_for", "id"),
    ("devices", "ix_devices_name_folded", "translate(lower(name), 'àâäçéèêëîïôöùûü', 'aaaceeeeiioouuu')", "id"),
    (
        "devices",
        "ix_devices_last_seen_at_known",
        "COALESCE(last_seen_at, '1970-01-01 00:00:00+00'::timestamp with time zone)",
        "id",
    ),
)


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
    for table, name, *columns in SORTED:
        op.create_index(name, table, [sa.text(column) for column in columns])
    op.create_index(
        "ix_tickets_open_of_collectivity",
        "tickets",
        ["collectivity_id", "number"],
        postgresql_where=sa.text("status <> 'closed'"),
    )
    op.create_index("ix_devices_silent", "devices", ["school_id"], postgresql_where=sa.text("silent_since IS NOT NULL"))
    add_saved_filters()


def add_saved_filters() -> None:
    op.create_table(
        "saved_filters",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "list",
            sa.Enum("schools", "collectivities", "devices", "tickets", name="listname", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_saved_filters_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_filters")),
        sa.UniqueConstraint("user_id", "list", "name", name=op.f("uq_saved_filters_user_id_list_name")),
    )
    op.create_index(
        "uq_saved_filters_default",
        "saved_filters",
        ["user_id", "list"],
        unique=True,
        postgresql_where=sa.text("is_default"),
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
    op.drop_table("saved_filters")
    op.drop_index("ix_devices_silent", table_name="devices")
    op.drop_index("ix_tickets_open_of_collectivity", table_name="tickets")
    for table, name, *_ in SORTED:
        op.drop_index(name, table_name=table)
    for table in SEARCHED:
        op.drop_index(f"ix_{table}_search_text", table_name=table)
    # The extension stays: it may have been there before, or serve others.
