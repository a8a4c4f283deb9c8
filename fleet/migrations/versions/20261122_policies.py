"""policies: layers of every node, rooms, labels, schedules, overrides, lessons, requests, policy files, events"""

import json
import uuid

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "filter_policies",
        sa.Column("serial", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("settings_digest", sa.Text(), nullable=False),
        sa.Column("names_digest", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("decisions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("decisions_digest", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_policies")),
        sa.UniqueConstraint("serial", name=op.f("uq_filter_policies_serial")),
    )
    op.create_table(
        "filter_schedules",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("zone_b", sa.Boolean(), nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_schedules")),
        sa.UniqueConstraint("slug", name=op.f("uq_filter_schedules_slug")),
    )
    op.create_table(
        "filter_events",
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("collectivity_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("before", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("after", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivity_id"],
            ["collectivities.id"],
            name=op.f("fk_filter_events_collectivity_id_collectivities"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_events_school_id_schools"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_events")),
    )
    op.create_index("ix_filter_events_at", "filter_events", ["at"], unique=False)
    op.create_index(op.f("ix_filter_events_school_id"), "filter_events", ["school_id"], unique=False)
    op.create_table(
        "filter_name_lists",
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_name_lists_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_name_lists")),
        sa.UniqueConstraint(
            "school_id", "name", name=op.f("uq_filter_name_lists_school_id_name"), postgresql_nulls_not_distinct=True
        ),
    )
    op.create_table(
        "filter_rooms",
        sa.Column("school_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_rooms_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_rooms")),
        sa.UniqueConstraint("school_id", "name", name=op.f("uq_filter_rooms_school_id_name")),
    )
    op.create_table(
        "filter_labels",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_filter_labels_device_id_devices"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["filter_profiles.id"], name=op.f("fk_filter_labels_profile_id_filter_profiles")
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["filter_rooms.id"], name=op.f("fk_filter_labels_room_id_filter_rooms"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_filter_labels")),
    )
    op.create_table(
        "filter_layers",
        sa.Column("profile_id", sa.Uuid(), nullable=True),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("collectivity_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("room_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(collectivity_id IS NULL OR school_id IS NULL) AND (room_id IS NULL OR school_id IS NOT NULL)",
            name=op.f("ck_filter_layers_one_node"),
        ),
        sa.ForeignKeyConstraint(
            ["collectivity_id"],
            ["collectivities.id"],
            name=op.f("fk_filter_layers_collectivity_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["filter_profiles.id"],
            name=op.f("fk_filter_layers_profile_id_filter_profiles"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["filter_rooms.id"], name=op.f("fk_filter_layers_room_id_filter_rooms"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_layers_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_layers")),
        sa.UniqueConstraint(
            "profile_id",
            "collectivity_id",
            "school_id",
            "room_id",
            name=op.f("uq_filter_layers_profile_id_collectivity_id_school_id_room_id"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_filter_layers_school_id"), "filter_layers", ["school_id"], unique=False)
    op.create_table(
        "filter_lessons",
        sa.Column("school_id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("ends > starts", name=op.f("ck_filter_lessons_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["room_id"], ["filter_rooms.id"], name=op.f("fk_filter_lessons_room_id_filter_rooms"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_lessons_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_lessons")),
    )
    op.create_index("ix_filter_lessons_ends", "filter_lessons", ["ends"], unique=False)
    op.create_index(op.f("ix_filter_lessons_school_id"), "filter_lessons", ["school_id"], unique=False)
    op.create_table(
        "filter_overrides",
        sa.Column("profile_id", sa.Uuid(), nullable=True),
        sa.Column(
            "verdict",
            sa.Enum("block", "allow", "neutral", name="verdict", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("categories", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("starts", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("collectivity_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("room_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint(
            "(collectivity_id IS NULL OR school_id IS NULL) AND (room_id IS NULL OR school_id IS NOT NULL)",
            name=op.f("ck_filter_overrides_one_node"),
        ),
        sa.CheckConstraint("ends > starts", name=op.f("ck_filter_overrides_ends_after_start")),
        sa.ForeignKeyConstraint(
            ["collectivity_id"],
            ["collectivities.id"],
            name=op.f("fk_filter_overrides_collectivity_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["filter_profiles.id"],
            name=op.f("fk_filter_overrides_profile_id_filter_profiles"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["filter_rooms.id"], name=op.f("fk_filter_overrides_room_id_filter_rooms"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_overrides_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_overrides")),
    )
    op.create_index("ix_filter_overrides_ends", "filter_overrides", ["ends"], unique=False)
    op.create_index(op.f("ix_filter_overrides_school_id"), "filter_overrides", ["school_id"], unique=False)
    op.create_table(
        "filter_requests",
        sa.Column("filter_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("room_id", sa.Uuid(), nullable=True),
        sa.Column("profile_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("contact", sa.Text(), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status",
            sa.Enum("asked", "allowed", "declined", name="requeststatus", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.Column("override_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["filter_id"],
            ["filter_nodes.id"],
            name=op.f("fk_filter_requests_filter_id_filter_nodes"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["override_id"],
            ["filter_overrides.id"],
            name=op.f("fk_filter_requests_override_id_filter_overrides"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["profile_id"],
            ["filter_profiles.id"],
            name=op.f("fk_filter_requests_profile_id_filter_profiles"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["room_id"], ["filter_rooms.id"], name=op.f("fk_filter_requests_room_id_filter_rooms"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_requests_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_requests")),
    )
    op.create_index(
        "ix_filter_requests_filter_id_received_at", "filter_requests", ["filter_id", "received_at"], unique=False
    )
    op.create_index(op.f("ix_filter_requests_school_id"), "filter_requests", ["school_id"], unique=False)
    op.add_column("filter_networks", sa.Column("room_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_filter_networks_room_id_filter_rooms"),
        "filter_networks",
        "filter_rooms",
        ["room_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.drop_constraint(op.f("uq_filter_networks_cidr"), "filter_networks", type_="unique")
    op.create_unique_constraint(
        op.f("uq_filter_networks_cidr_school_id"),
        "filter_networks",
        ["cidr", "school_id"],
        postgresql_nulls_not_distinct=True,
    )
    choices_to_layers(op.get_bind())
    op.drop_column("filter_profiles", "denied_names")
    op.drop_column("filter_profiles", "blocked_categories")
    op.drop_column("filter_profiles", "allowed_categories")
    op.drop_column("filter_profiles", "allowed_names")


def choices_to_layers(connection: sa.Connection) -> None:
    """What each profile said is now what the operator says of it. The default one gets the name of its pupils' age."""
    rows = connection.execute(sa.text("SELECT * FROM filter_profiles")).mappings().all()
    for row in rows:
        connection.execute(
            sa.text(
                "INSERT INTO filter_layers (id, profile_id, content, updated_at, updated_by)"
                " VALUES (:id, :profile, CAST(:content AS jsonb), :at, '')"
            ),
            {
                "id": uuid.uuid4(),
                "profile": row["id"],
                "content": json.dumps(
                    {
                        "categories": lines("category", row["blocked_categories"], row["allowed_categories"]),
                        "names": lines("name", row["denied_names"], row["allowed_names"]),
                    }
                ),
                "at": row["updated_at"],
            },
        )
    connection.execute(
        sa.text("UPDATE filter_profiles SET name = 'Élémentaire' WHERE slug = 'ecole' AND name = 'École'")
    )
    connection.execute(sa.text("UPDATE filter_profiles SET slug = 'elementaire' WHERE slug = 'ecole'"))


def lines(key: str, blocked: list[str], allowed: list[str]) -> list[dict[str, str]]:
    """One line a category or name; what was both stayed reachable, and does."""
    verdicts = dict.fromkeys(blocked, "block") | dict.fromkeys(allowed, "allow")
    return [{key: name, "verdict": verdict} for name, verdict in sorted(verdicts.items())]


def downgrade() -> None:
    op.add_column(
        "filter_profiles",
        sa.Column("allowed_names", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column(
        "filter_profiles",
        sa.Column("allowed_categories", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column(
        "filter_profiles",
        sa.Column("blocked_categories", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    op.add_column(
        "filter_profiles",
        sa.Column("denied_names", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    )
    layers_to_choices(op.get_bind())
    op.drop_constraint(op.f("uq_filter_networks_cidr_school_id"), "filter_networks", type_="unique")
    op.execute(
        "DELETE FROM filter_networks WHERE id NOT IN (SELECT DISTINCT ON (cidr) id FROM filter_networks ORDER BY cidr, id)"
    )
    op.create_unique_constraint(op.f("uq_filter_networks_cidr"), "filter_networks", ["cidr"])
    op.drop_constraint(op.f("fk_filter_networks_room_id_filter_rooms"), "filter_networks", type_="foreignkey")
    op.drop_column("filter_networks", "room_id")
    op.drop_index(op.f("ix_filter_requests_school_id"), table_name="filter_requests")
    op.drop_index("ix_filter_requests_filter_id_received_at", table_name="filter_requests")
    op.drop_table("filter_requests")
    op.drop_index(op.f("ix_filter_overrides_school_id"), table_name="filter_overrides")
    op.drop_index("ix_filter_overrides_ends", table_name="filter_overrides")
    op.drop_table("filter_overrides")
    op.drop_index(op.f("ix_filter_lessons_school_id"), table_name="filter_lessons")
    op.drop_index("ix_filter_lessons_ends", table_name="filter_lessons")
    op.drop_table("filter_lessons")
    op.drop_index(op.f("ix_filter_layers_school_id"), table_name="filter_layers")
    op.drop_table("filter_layers")
    op.drop_table("filter_labels")
    op.drop_table("filter_rooms")
    op.drop_table("filter_name_lists")
    op.drop_index(op.f("ix_filter_events_school_id"), table_name="filter_events")
    op.drop_index("ix_filter_events_at", table_name="filter_events")
    op.drop_table("filter_events")
    op.drop_table("filter_schedules")
    op.drop_table("filter_policies")


def layers_to_choices(connection: sa.Connection) -> None:
    """What the operator says all the time of each profile; the rest has no place in the older tables."""
    rows = connection.execute(
        sa.text(
            "SELECT profile_id, content FROM filter_layers"
            " WHERE profile_id IS NOT NULL AND collectivity_id IS NULL AND school_id IS NULL"
        )
    ).mappings()
    for row in rows.all():
        for column, part, key, verdict in (
            ("blocked_categories", "categories", "category", "block"),
            ("allowed_categories", "categories", "category", "allow"),
            ("denied_names", "names", "name", "block"),
            ("allowed_names", "names", "name", "allow"),
        ):
            kept = [line[key] for line in row["content"].get(part, ()) if line["verdict"] == verdict]
            connection.execute(
                sa.text(f"UPDATE filter_profiles SET {column} = CAST(:kept AS jsonb) WHERE id = :profile"),  # noqa: S608 - our own words
                {"kept": json.dumps(kept), "profile": row["profile_id"]},
            )
    connection.execute(sa.text("UPDATE filter_profiles SET slug = 'ecole' WHERE slug = 'elementaire'"))
