"""lists: sources, what they sent, holds, deltas, the signing key; names files of the first layout go"""

import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "filter_signing_keys",
        sa.Column("public_hex", sa.Text(), nullable=False),
        sa.Column("private_pem", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_signing_keys")),
        sa.UniqueConstraint("public_hex", name=op.f("uq_filter_signing_keys_public_hex")),
    )
    op.create_table(
        "filter_sources",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("categories", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("is_internal", sa.Boolean(), nullable=False),
        sa.Column("checksum_url", sa.Text(), nullable=True),
        sa.Column("quiet_from", sa.Integer(), nullable=True),
        sa.Column("quiet_until", sa.Integer(), nullable=True),
        sa.Column("every_hours", sa.Integer(), nullable=False),
        sa.Column("shrink_percent", sa.Integer(), nullable=False),
        sa.Column("growth_percent", sa.Integer(), nullable=False),
        sa.Column("popular_limit", sa.Integer(), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("is_wanted", sa.Boolean(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "accepted",
                "unchanged",
                "held",
                "rejected",
                "unreachable",
                "broken_off",
                "forbidden_address",
                "bad_answer",
                "too_large",
                "wrong_checksum",
                "not_a_list",
                name="fetchoutcome",
                native_enum=False,
                length=40,
            ),
            nullable=True,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_sources")),
        sa.UniqueConstraint("slug", name=op.f("uq_filter_sources_slug")),
    )
    op.create_table(
        "filter_publication_deltas",
        sa.Column("publication_id", sa.Uuid(), nullable=False),
        sa.Column("from_etag", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["filter_publications.id"],
            name=op.f("fk_filter_publication_deltas_publication_id_filter_publications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_publication_deltas")),
        sa.UniqueConstraint(
            "publication_id", "from_etag", name=op.f("uq_filter_publication_deltas_publication_id_from_etag")
        ),
    )
    op.create_table(
        "filter_source_contents",
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "partial",
                "fetched",
                "held",
                "good",
                "rejected",
                "replaced",
                name="contentstate",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("etag", sa.Text(), nullable=True),
        sa.Column("last_modified", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("names", sa.BigInteger(), nullable=False),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("doubts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["filter_sources.id"],
            name=op.f("fk_filter_source_contents_source_id_filter_sources"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_source_contents")),
    )
    op.create_index(
        "uq_filter_source_contents_current",
        "filter_source_contents",
        ["source_id", "state"],
        unique=True,
        postgresql_where=sa.text("state IN ('partial', 'fetched', 'held', 'good')"),
    )
    op.create_table(
        "filter_content_chunks",
        sa.Column("content_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["filter_source_contents.id"],
            name=op.f("fk_filter_content_chunks_content_id_filter_source_contents"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("content_id", "position", name=op.f("pk_filter_content_chunks")),
    )
    op.create_table(
        "filter_delta_chunks",
        sa.Column("delta_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["delta_id"],
            ["filter_publication_deltas.id"],
            name=op.f("fk_filter_delta_chunks_delta_id_filter_publication_deltas"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delta_id", "position", name=op.f("pk_filter_delta_chunks")),
    )
    op.add_column("filter_nodes", sa.Column("policy_serial", sa.BigInteger(), nullable=True))
    op.add_column("filter_publications", sa.Column("returns_to", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_filter_publications_returns_to_filter_publications"),
        "filter_publications",
        "filter_publications",
        ["returns_to"],
        ["id"],
        ondelete="SET NULL",
    )
    op.add_column("filter_counts", sa.Column("school", sa.Text(), nullable=False, server_default=""))
    op.alter_column("filter_counts", "school", server_default=None)
    rekey_counts("filter_id", "run", "hour", "school", "action", "category")
    retire_first_layout(op.get_bind())


def rekey_counts(*columns: str) -> None:
    op.drop_constraint(op.f("pk_filter_counts"), "filter_counts", type_="primary")
    op.create_primary_key(op.f("pk_filter_counts"), "filter_counts", list(columns))


def retire_first_layout(connection: sa.Connection) -> None:
    """No filter reads those files any more: the rows stay as history, their content goes, and a new one is asked for."""
    connection.execute(sa.text("DELETE FROM filter_publication_chunks"))
    retired = connection.execute(
        sa.text("UPDATE filter_publications SET state = 'retired' WHERE state = 'published'")
    ).rowcount
    waiting = connection.scalar(
        sa.text("SELECT count(*) FROM filter_publications WHERE state IN ('requested', 'compiling')")
    )
    if retired and not waiting:
        connection.execute(
            sa.text(
                "INSERT INTO filter_publications (id, state, requested_at, attempts, report)"
                " VALUES (:id, 'requested', now(), 0, '{}')"
            ),
            {"id": uuid.uuid4()},
        )


def downgrade() -> None:
    op.execute("DELETE FROM filter_counts WHERE school <> ''")
    rekey_counts("filter_id", "run", "hour", "action", "category")
    op.drop_column("filter_counts", "school")
    op.execute("DELETE FROM filter_publication_chunks")
    op.execute("UPDATE filter_publications SET state = 'failed' WHERE state IN ('published', 'unchanged', 'retired')")
    op.drop_constraint(
        op.f("fk_filter_publications_returns_to_filter_publications"), "filter_publications", type_="foreignkey"
    )
    op.drop_column("filter_publications", "returns_to")
    op.drop_column("filter_nodes", "policy_serial")
    op.drop_table("filter_delta_chunks")
    op.drop_table("filter_content_chunks")
    op.drop_index(
        "uq_filter_source_contents_current",
        table_name="filter_source_contents",
        postgresql_where=sa.text("state IN ('partial', 'fetched', 'held', 'good')"),
    )
    op.drop_table("filter_source_contents")
    op.drop_table("filter_publication_deltas")
    op.drop_table("filter_sources")
    op.drop_table("filter_signing_keys")
