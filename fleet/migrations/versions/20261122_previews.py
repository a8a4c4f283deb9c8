"""previews: what was asked of the gateways before a change counts, the candidate files, and their answers"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "filter_previews",
        sa.Column(
            "kind",
            sa.Enum("layer", "content", "return", name="previewkind", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("about", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=True),
        sa.Column("collectivity_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("room_id", sa.Uuid(), nullable=True),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("content_id", sa.Uuid(), nullable=True),
        sa.Column("publication_id", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("threshold", sa.Integer(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "preparing", "asking", "done", "abandoned", "failed", name="previewstate", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("base_names", sa.Text(), nullable=True),
        sa.Column("base_policy", sa.Text(), nullable=True),
        sa.Column("names_tag", sa.Text(), nullable=True),
        sa.Column("policy_tag", sa.Text(), nullable=True),
        sa.Column("policy", sa.LargeBinary(), nullable=True),
        sa.Column("delta_size", sa.BigInteger(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivity_id"],
            ["collectivities.id"],
            name=op.f("fk_filter_previews_collectivity_id_collectivities"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["filter_source_contents.id"],
            name=op.f("fk_filter_previews_content_id_filter_source_contents"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["filter_profiles.id"],
            name=op.f("fk_filter_previews_profile_id_filter_profiles"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["filter_publications.id"],
            name=op.f("fk_filter_previews_publication_id_filter_publications"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["filter_rooms.id"], name=op.f("fk_filter_previews_room_id_filter_rooms"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_previews_school_id_schools"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["filter_sources.id"],
            name=op.f("fk_filter_previews_source_id_filter_sources"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_previews")),
    )
    op.create_index("ix_filter_previews_asked_at", "filter_previews", ["asked_at"], unique=False)
    op.create_table(
        "filter_preview_answers",
        sa.Column("preview_id", sa.Uuid(), nullable=False),
        sa.Column("filter_id", sa.Uuid(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "judged",
                "no_counts",
                "other_names",
                "refused",
                "failed",
                name="previewoutcome",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("judged", sa.Integer(), nullable=False),
        sa.Column("withheld", sa.Integer(), nullable=False),
        sa.Column("truncated", sa.Boolean(), nullable=False),
        sa.Column("changes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["filter_id"],
            ["filter_nodes.id"],
            name=op.f("fk_filter_preview_answers_filter_id_filter_nodes"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["preview_id"],
            ["filter_previews.id"],
            name=op.f("fk_filter_preview_answers_preview_id_filter_previews"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("preview_id", "filter_id", name=op.f("pk_filter_preview_answers")),
    )
    op.create_table(
        "filter_preview_chunks",
        sa.Column("preview_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["preview_id"],
            ["filter_previews.id"],
            name=op.f("fk_filter_preview_chunks_preview_id_filter_previews"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("preview_id", "position", name=op.f("pk_filter_preview_chunks")),
    )


def downgrade() -> None:
    op.drop_table("filter_preview_chunks")
    op.drop_table("filter_preview_answers")
    op.drop_index("ix_filter_previews_asked_at", table_name="filter_previews")
    op.drop_table("filter_previews")
