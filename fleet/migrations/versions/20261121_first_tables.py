"""first tables"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("asset_numbers")))
    op.create_table(
        "collectivities",
        sa.Column(
            "kind",
            sa.Enum(
                "commune",
                "epci",
                "syndicat",
                "department",
                "region",
                name="collectivitykind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("siren", sa.Text(), nullable=True),
        sa.Column("insee_code", sa.Text(), nullable=True),
        sa.Column("legal_form", sa.Text(), nullable=True),
        sa.Column("population", sa.Integer(), nullable=True),
        sa.Column("postcodes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collectivities")),
        sa.UniqueConstraint("insee_code", name=op.f("uq_collectivities_insee_code")),
        sa.UniqueConstraint("siren", name=op.f("uq_collectivities_siren")),
    )
    op.create_table(
        "enrollment_failures",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrollment_failures")),
    )
    op.create_index("ix_enrollment_failures_address_at", "enrollment_failures", ["address", "at"], unique=False)
    op.create_index(op.f("ix_enrollment_failures_at"), "enrollment_failures", ["at"], unique=False)
    op.create_table(
        "ent_portals",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "product",
            sa.Enum("one", "neo", "beneylu", "other", name="entproduct", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ent_portals")),
        sa.UniqueConstraint("slug", name=op.f("uq_ent_portals_slug")),
    )
    op.create_table(
        "filter_profiles",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("blocked_categories", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("allowed_categories", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("denied_names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("allowed_names", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_profiles")),
        sa.UniqueConstraint("slug", name=op.f("uq_filter_profiles_slug")),
    )
    op.create_table(
        "filter_publications",
        sa.Column("serial", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "requested", "compiling", "published", "failed", name="publicationstate", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("night", sa.Date(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("report", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_publications")),
        sa.UniqueConstraint("night", name=op.f("uq_filter_publications_night")),
        sa.UniqueConstraint("serial", name=op.f("uq_filter_publications_serial")),
    )
    op.create_table(
        "sign_in_failures",
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_failures")),
    )
    op.create_index(op.f("ix_sign_in_failures_address"), "sign_in_failures", ["address"], unique=False)
    op.create_index(op.f("ix_sign_in_failures_at"), "sign_in_failures", ["at"], unique=False)
    op.create_index(op.f("ix_sign_in_failures_email"), "sign_in_failures", ["email"], unique=False)
    op.create_table(
        "users",
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
    )
    op.create_table(
        "collectivity_memberships",
        sa.Column("member_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["collectivities.id"],
            name=op.f("fk_collectivity_memberships_group_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["member_id"],
            ["collectivities.id"],
            name=op.f("fk_collectivity_memberships_member_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("member_id", "group_id", name=op.f("pk_collectivity_memberships")),
    )
    op.create_table(
        "former_communes",
        sa.Column("insee_code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("commune_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["commune_id"],
            ["collectivities.id"],
            name=op.f("fk_former_communes_commune_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("insee_code", name=op.f("pk_former_communes")),
    )
    op.create_index(op.f("ix_former_communes_commune_id"), "former_communes", ["commune_id"], unique=False)
    op.create_table(
        "ent_links",
        sa.Column("portal_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["ent_portals.id"], name=op.f("fk_ent_links_portal_id_ent_portals"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ent_links")),
        sa.UniqueConstraint("portal_id", "slug", name=op.f("uq_ent_links_portal_id_slug")),
    )
    op.create_table(
        "filter_publication_chunks",
        sa.Column("publication_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["publication_id"],
            ["filter_publications.id"],
            name=op.f("fk_filter_publication_chunks_publication_id_filter_publications"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("publication_id", "position", name=op.f("pk_filter_publication_chunks")),
    )
    op.create_table(
        "schools",
        sa.Column("uai", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "level",
            sa.Enum("primary", "middle", "high", name="schoollevel", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("nature", sa.Text(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("is_synthetic", sa.Boolean(), nullable=False),
        sa.Column("collectivity_id", sa.Uuid(), nullable=False),
        sa.Column("commune_id", sa.Uuid(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("postcode", sa.Text(), nullable=True),
        sa.Column("locality", sa.Text(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("pupils", sa.Integer(), nullable=True),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["collectivity_id"], ["collectivities.id"], name=op.f("fk_schools_collectivity_id_collectivities")
        ),
        sa.ForeignKeyConstraint(
            ["commune_id"], ["collectivities.id"], name=op.f("fk_schools_commune_id_collectivities")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schools")),
        sa.UniqueConstraint("uai", name=op.f("uq_schools_uai")),
    )
    op.create_index(op.f("ix_schools_collectivity_id"), "schools", ["collectivity_id"], unique=False)
    op.create_index(op.f("ix_schools_commune_id"), "schools", ["commune_id"], unique=False)
    op.create_table(
        "web_sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_web_sessions_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_web_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_web_sessions_token_hash")),
    )
    op.create_index(op.f("ix_web_sessions_user_id"), "web_sessions", ["user_id"], unique=False)
    op.create_table(
        "devices",
        sa.Column("asset_tag", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "display",
                "tablet",
                "laptop",
                "desktop",
                "gateway",
                "video_kit",
                "robot_kit",
                "accessory",
                name="devicekind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "platform",
            sa.Enum("linux", "windows", "ipados", "android", "none", name="platform", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "in_stock",
                "staged",
                "active",
                "failed",
                "lost",
                "retired",
                name="devicestatus",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("room", sa.Text(), nullable=True),
        sa.Column("manufacturer", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("serial", sa.Text(), nullable=True),
        sa.Column("smbios_uuid", sa.Text(), nullable=True),
        sa.Column("macs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("facts_hash", sa.Text(), nullable=False),
        sa.Column("agent_version", sa.Text(), nullable=True),
        sa.Column("enrolled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("profile_issued_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("silent_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("desired_revision", sa.Text(), nullable=False),
        sa.Column("applied_revision", sa.Text(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_devices_school_id_schools")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
        sa.UniqueConstraint("asset_tag", name=op.f("uq_devices_asset_tag")),
        sa.UniqueConstraint("label", name=op.f("uq_devices_label")),
    )
    op.create_index(op.f("ix_devices_last_seen_at"), "devices", ["last_seen_at"], unique=False)
    op.create_index("ix_devices_macs", "devices", ["macs"], unique=False, postgresql_using="gin")
    op.create_index(op.f("ix_devices_school_id"), "devices", ["school_id"], unique=False)
    op.create_index(op.f("ix_devices_serial"), "devices", ["serial"], unique=False)
    op.create_index(op.f("ix_devices_smbios_uuid"), "devices", ["smbios_uuid"], unique=False)
    op.create_table(
        "enrollment_tokens",
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("hint", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Uuid(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "display",
                "tablet",
                "laptop",
                "desktop",
                "gateway",
                "video_kit",
                "robot_kit",
                "accessory",
                name="devicekind",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column(
            "platform",
            sa.Enum("linux", "windows", "ipados", "android", "none", name="platform", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("max_uses", sa.Integer(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_enrollment_tokens_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrollment_tokens")),
        sa.UniqueConstraint("request_key", name=op.f("uq_enrollment_tokens_request_key")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_enrollment_tokens_secret_hash")),
    )
    op.create_index(op.f("ix_enrollment_tokens_school_id"), "enrollment_tokens", ["school_id"], unique=False)
    op.create_table(
        "filter_networks",
        sa.Column("cidr", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("profile_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["profile_id"], ["filter_profiles.id"], name=op.f("fk_filter_networks_profile_id_filter_profiles")
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_networks_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_networks")),
        sa.UniqueConstraint("cidr", name=op.f("uq_filter_networks_cidr")),
    )
    op.create_table(
        "filter_nodes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("registered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Text(), nullable=True),
        sa.Column("bundle_serial", sa.BigInteger(), nullable=True),
        sa.Column("health", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_filter_nodes_school_id_schools"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_nodes")),
        sa.UniqueConstraint("name", name=op.f("uq_filter_nodes_name")),
    )
    op.create_table(
        "role_grants",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column(
            "role",
            sa.Enum(
                "admin", "technician", "officer", "school_lead", "auditor", name="role", native_enum=False, length=40
            ),
            nullable=False,
        ),
        sa.Column("collectivity_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("collectivity_id IS NULL OR school_id IS NULL", name=op.f("ck_role_grants_one_node")),
        sa.ForeignKeyConstraint(
            ["collectivity_id"],
            ["collectivities.id"],
            name=op.f("fk_role_grants_collectivity_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_role_grants_school_id_schools"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_role_grants_user_id_users"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_grants")),
    )
    op.create_index(op.f("ix_role_grants_user_id"), "role_grants", ["user_id"], unique=False)
    op.create_table(
        "school_ents",
        sa.Column("school_id", sa.Uuid(), nullable=False),
        sa.Column("portal_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["portal_id"], ["ent_portals.id"], name=op.f("fk_school_ents_portal_id_ent_portals"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_school_ents_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("school_id", name=op.f("pk_school_ents")),
    )
    op.create_index(op.f("ix_school_ents_portal_id"), "school_ents", ["portal_id"], unique=False)
    op.create_table(
        "configuration_settings",
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("device_id", sa.Uuid(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("value", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("school_id IS NULL OR device_id IS NULL", name=op.f("ck_configuration_settings_one_node")),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_configuration_settings_device_id_devices"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_configuration_settings_school_id_schools"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_configuration_settings")),
        sa.UniqueConstraint(
            "school_id",
            "device_id",
            "resource",
            name=op.f("uq_configuration_settings_school_id_device_id_resource"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_configuration_settings_device_id"), "configuration_settings", ["device_id"], unique=False)
    op.create_table(
        "device_credentials",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_credentials_device_id_devices"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_credentials")),
    )
    op.create_index(op.f("ix_device_credentials_device_id"), "device_credentials", ["device_id"], unique=False)
    op.create_table(
        "device_events",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_device_events_device_id_devices"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_device_events_school_id_schools"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device_events")),
    )
    op.create_index("ix_device_events_device_id_at", "device_events", ["device_id", "at"], unique=False)
    op.create_table(
        "enrollments",
        sa.Column("token_id", sa.Uuid(), nullable=False),
        sa.Column("attempt_hash", sa.Text(), nullable=False),
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("adopted", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_enrollments_device_id_devices"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["enrollment_tokens.id"],
            name=op.f("fk_enrollments_token_id_enrollment_tokens"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrollments")),
        sa.UniqueConstraint("attempt_hash", name=op.f("uq_enrollments_attempt_hash")),
    )
    op.create_index(op.f("ix_enrollments_device_id"), "enrollments", ["device_id"], unique=False)
    op.create_index(op.f("ix_enrollments_token_id"), "enrollments", ["token_id"], unique=False)
    op.create_table(
        "filter_counts",
        sa.Column("filter_id", sa.Uuid(), nullable=False),
        sa.Column("run", sa.Text(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["filter_id"], ["filter_nodes.id"], name=op.f("fk_filter_counts_filter_id_filter_nodes"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("filter_id", "run", "hour", "action", "category", name=op.f("pk_filter_counts")),
    )
    op.create_table(
        "resource_outcomes",
        sa.Column("device_id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.id"], name=op.f("fk_resource_outcomes_device_id_devices"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("device_id", "resource", name=op.f("pk_resource_outcomes")),
    )
    op.create_table(
        "tickets",
        sa.Column("number", sa.Integer(), sa.Identity(always=False), nullable=False),
        sa.Column(
            "kind", sa.Enum("incident", "request", name="ticketkind", native_enum=False, length=40), nullable=False
        ),
        sa.Column(
            "subject",
            sa.Enum("device", "school", "ent", name="ticketsubject", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "new",
                "assigned",
                "planned",
                "pending",
                "solved",
                "closed",
                name="ticketstatus",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("collectivity_id", sa.Uuid(), nullable=False),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("device_id", sa.Uuid(), nullable=True),
        sa.Column("opened_by_id", sa.Uuid(), nullable=True),
        sa.Column("assigned_to_id", sa.Uuid(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("planned_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("solved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["assigned_to_id"], ["users.id"], name=op.f("fk_tickets_assigned_to_id_users")),
        sa.ForeignKeyConstraint(
            ["collectivity_id"], ["collectivities.id"], name=op.f("fk_tickets_collectivity_id_collectivities")
        ),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_tickets_device_id_devices")),
        sa.ForeignKeyConstraint(["opened_by_id"], ["users.id"], name=op.f("fk_tickets_opened_by_id_users")),
        sa.ForeignKeyConstraint(["school_id"], ["schools.id"], name=op.f("fk_tickets_school_id_schools")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tickets")),
        sa.UniqueConstraint("number", name=op.f("uq_tickets_number")),
        sa.UniqueConstraint("request_key", name=op.f("uq_tickets_request_key")),
    )
    op.create_index(op.f("ix_tickets_assigned_to_id"), "tickets", ["assigned_to_id"], unique=False)
    op.create_index(op.f("ix_tickets_collectivity_id"), "tickets", ["collectivity_id"], unique=False)
    op.create_index(op.f("ix_tickets_device_id"), "tickets", ["device_id"], unique=False)
    op.create_index(op.f("ix_tickets_school_id"), "tickets", ["school_id"], unique=False)
    op.create_index(op.f("ix_tickets_status"), "tickets", ["status"], unique=False)
    op.create_table(
        "ticket_events",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "new",
                "assigned",
                "planned",
                "pending",
                "solved",
                "closed",
                name="ticketstatus",
                native_enum=False,
                length=40,
            ),
            nullable=False,
        ),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_events_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_events")),
    )
    op.create_index("ix_ticket_events_ticket_id_at", "ticket_events", ["ticket_id", "at"], unique=False)
    op.create_table(
        "ticket_follow_ups",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("request_key", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_follow_ups_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_follow_ups")),
        sa.UniqueConstraint("request_key", name=op.f("uq_ticket_follow_ups_request_key")),
    )
    op.create_index("ix_ticket_follow_ups_ticket_id_at", "ticket_follow_ups", ["ticket_id", "at"], unique=False)
    op.create_table(
        "ticket_mails",
        sa.Column("ticket_id", sa.Uuid(), nullable=False),
        sa.Column(
            "occasion",
            sa.Enum("opened", "received", name="mailoccasion", native_enum=False, length=40),
            nullable=False,
        ),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("gave_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["tickets.id"], name=op.f("fk_ticket_mails_ticket_id_tickets"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ticket_mails")),
        sa.UniqueConstraint(
            "ticket_id", "occasion", "recipient", name=op.f("uq_ticket_mails_ticket_id_occasion_recipient")
        ),
    )
    op.create_index(op.f("ix_ticket_mails_next_attempt_at"), "ticket_mails", ["next_attempt_at"], unique=False)
    op.create_index(op.f("ix_ticket_mails_ticket_id"), "ticket_mails", ["ticket_id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_ticket_mails_ticket_id"), table_name="ticket_mails")
    op.drop_index(op.f("ix_ticket_mails_next_attempt_at"), table_name="ticket_mails")
    op.drop_table("ticket_mails")
    op.drop_index("ix_ticket_follow_ups_ticket_id_at", table_name="ticket_follow_ups")
    op.drop_table("ticket_follow_ups")
    op.drop_index("ix_ticket_events_ticket_id_at", table_name="ticket_events")
    op.drop_table("ticket_events")
    op.drop_index(op.f("ix_tickets_status"), table_name="tickets")
    op.drop_index(op.f("ix_tickets_school_id"), table_name="tickets")
    op.drop_index(op.f("ix_tickets_device_id"), table_name="tickets")
    op.drop_index(op.f("ix_tickets_collectivity_id"), table_name="tickets")
    op.drop_index(op.f("ix_tickets_assigned_to_id"), table_name="tickets")
    op.drop_table("tickets")
    op.drop_table("resource_outcomes")
    op.drop_table("filter_counts")
    op.drop_index(op.f("ix_enrollments_token_id"), table_name="enrollments")
    op.drop_index(op.f("ix_enrollments_device_id"), table_name="enrollments")
    op.drop_table("enrollments")
    op.drop_index("ix_device_events_device_id_at", table_name="device_events")
    op.drop_table("device_events")
    op.drop_index(op.f("ix_device_credentials_device_id"), table_name="device_credentials")
    op.drop_table("device_credentials")
    op.drop_index(op.f("ix_configuration_settings_device_id"), table_name="configuration_settings")
    op.drop_table("configuration_settings")
    op.drop_index(op.f("ix_school_ents_portal_id"), table_name="school_ents")
    op.drop_table("school_ents")
    op.drop_index(op.f("ix_role_grants_user_id"), table_name="role_grants")
    op.drop_table("role_grants")
    op.drop_table("filter_nodes")
    op.drop_table("filter_networks")
    op.drop_index(op.f("ix_enrollment_tokens_school_id"), table_name="enrollment_tokens")
    op.drop_table("enrollment_tokens")
    op.drop_index(op.f("ix_devices_smbios_uuid"), table_name="devices")
    op.drop_index(op.f("ix_devices_serial"), table_name="devices")
    op.drop_index(op.f("ix_devices_school_id"), table_name="devices")
    op.drop_index("ix_devices_macs", table_name="devices", postgresql_using="gin")
    op.drop_index(op.f("ix_devices_last_seen_at"), table_name="devices")
    op.drop_table("devices")
    op.drop_index(op.f("ix_web_sessions_user_id"), table_name="web_sessions")
    op.drop_table("web_sessions")
    op.drop_index(op.f("ix_schools_commune_id"), table_name="schools")
    op.drop_index(op.f("ix_schools_collectivity_id"), table_name="schools")
    op.drop_table("schools")
    op.drop_table("filter_publication_chunks")
    op.drop_table("ent_links")
    op.drop_index(op.f("ix_former_communes_commune_id"), table_name="former_communes")
    op.drop_table("former_communes")
    op.drop_table("collectivity_memberships")
    op.drop_table("users")
    op.drop_index(op.f("ix_sign_in_failures_email"), table_name="sign_in_failures")
    op.drop_index(op.f("ix_sign_in_failures_at"), table_name="sign_in_failures")
    op.drop_index(op.f("ix_sign_in_failures_address"), table_name="sign_in_failures")
    op.drop_table("sign_in_failures")
    op.drop_table("filter_publications")
    op.drop_table("filter_profiles")
    op.drop_table("ent_portals")
    op.drop_index(op.f("ix_enrollment_failures_at"), table_name="enrollment_failures")
    op.drop_index("ix_enrollment_failures_address_at", table_name="enrollment_failures")
    op.drop_table("enrollment_failures")
    op.drop_table("collectivities")
    op.execute(sa.schema.DropSequence(sa.Sequence("asset_numbers")))
