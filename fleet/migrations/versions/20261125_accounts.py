"""accounts: second factors, sessions that say where and when, known browsers, links by mail, API tokens, providers"""

import sqlalchemy as sa
from alembic import op

from fleet.text import fold

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
ROLE = sa.Enum("admin", "technician", "officer", "school_lead", "auditor", name="role", native_enum=False, length=40)


def kinds(name: str, *values: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, length=40)


def key(table: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}"))


def owner(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=op.f(f"fk_{table}_user_id_users"), ondelete="CASCADE"
    )


def upgrade() -> None:
    change_users()
    change_sessions()
    add_known_browsers()
    add_second_factors()
    add_letters()
    add_tokens()
    add_providers()


def change_users() -> None:
    op.alter_column("users", "password_hash", nullable=True)
    op.add_column("users", sa.Column("last_signed_in_at", MOMENT, nullable=True))
    op.add_column("users", sa.Column("search_text", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT id, name, email FROM users")).all():
        found_by = {"id": row.id, "text": fold(row.name, row.email)}
        connection.execute(sa.text("UPDATE users SET search_text = :text WHERE id = :id"), found_by)
    op.alter_column("users", "search_text", server_default=None)
    has_password = sa.Computed("password_hash IS NOT NULL", persisted=True)
    op.add_column("users", sa.Column("has_password", sa.Boolean(), has_password, nullable=False))


def change_sessions() -> None:
    op.add_column("web_sessions", sa.Column("last_used_at", MOMENT, nullable=True))
    op.execute("UPDATE web_sessions SET last_used_at = now()")  # who is signed in stays so
    op.alter_column("web_sessions", "last_used_at", nullable=False)
    op.add_column("web_sessions", sa.Column("confirmed_at", MOMENT, nullable=True))
    for name, kind, default in (
        ("is_proven", sa.Boolean(), sa.false()),
        ("address", sa.Text(), ""),
        ("browser", sa.Text(), ""),
    ):
        op.add_column("web_sessions", sa.Column(name, kind, nullable=False, server_default=default))
        op.alter_column("web_sessions", name, server_default=None)
    op.create_table(
        "pending_sign_ins",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        owner("pending_sign_ins"),
        key("pending_sign_ins"),
        sa.UniqueConstraint("token_hash", name=op.f("uq_pending_sign_ins_token_hash")),
    )
    op.create_index(op.f("ix_pending_sign_ins_user_id"), "pending_sign_ins", ["user_id"])


def add_known_browsers() -> None:
    op.create_table(
        "known_browsers",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        owner("known_browsers"),
        key("known_browsers"),
        sa.UniqueConstraint("token_hash", "user_id", name=op.f("uq_known_browsers_token_hash_user_id")),
    )
    op.create_index(op.f("ix_known_browsers_user_id"), "known_browsers", ["user_id"])
    guess = kinds("guess", "password", "code", "token", "link", "mail")
    op.add_column("sign_in_failures", sa.Column("kind", guess, nullable=False, server_default="password"))
    op.alter_column("sign_in_failures", "kind", server_default=None)
    op.add_column("sign_in_failures", sa.Column("browser_id", sa.Uuid(), nullable=True))
    op.create_foreign_key(
        op.f("fk_sign_in_failures_browser_id_known_browsers"),
        "sign_in_failures",
        "known_browsers",
        ["browser_id"],
        ["id"],
        ondelete="CASCADE",
    )


def add_second_factors() -> None:
    op.create_table(
        "second_factors",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("sealed_secret", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("confirmed_at", MOMENT, nullable=True),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        owner("second_factors"),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_second_factors")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        owner("recovery_codes"),
        key("recovery_codes"),
    )
    op.create_index(op.f("ix_recovery_codes_user_id"), "recovery_codes", ["user_id"])


def add_letters() -> None:
    op.create_table(
        "account_letters",
        sa.Column("kind", kinds("letterkind", "invitation", "reset", "changed"), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("withdrawn_at", MOMENT, nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("queued_at", MOMENT, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", MOMENT, nullable=False),
        sa.Column("sent_at", MOMENT, nullable=True),
        sa.Column("gave_up_at", MOMENT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        owner("account_letters"),
        key("account_letters"),
        sa.UniqueConstraint("token_hash", name=op.f("uq_account_letters_token_hash")),
    )
    for column in ("user_id", "next_attempt_at"):
        op.create_index(op.f(f"ix_account_letters_{column}"), "account_letters", [column])


def add_tokens() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("role", ROLE, nullable=False),
        sa.Column("collectivity_id", sa.Uuid(), nullable=True),
        sa.Column("school_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.CheckConstraint("collectivity_id IS NULL OR school_id IS NULL", name=op.f("ck_api_tokens_one_node")),
        sa.ForeignKeyConstraint(
            ["collectivity_id"],
            ["collectivities.id"],
            name=op.f("fk_api_tokens_collectivity_id_collectivities"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["school_id"], ["schools.id"], name=op.f("fk_api_tokens_school_id_schools"), ondelete="CASCADE"
        ),
        owner("api_tokens"),
        key("api_tokens"),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
    )
    op.create_index(op.f("ix_api_tokens_user_id"), "api_tokens", ["user_id"])


def add_providers() -> None:
    op.create_table(
        "oidc_identities",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("linked_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        owner("oidc_identities"),
        key("oidc_identities"),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_oidc_identities_issuer_subject")),
        sa.UniqueConstraint("user_id", "issuer", name=op.f("uq_oidc_identities_user_id_issuer")),
    )
    op.create_table(
        "oidc_flows",
        sa.Column("state_hash", sa.Text(), nullable=False),
        sa.Column("browser_hash", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("code_verifier", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("confirms", sa.Uuid(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["confirms"], ["web_sessions.id"], name=op.f("fk_oidc_flows_confirms_web_sessions"), ondelete="CASCADE"
        ),
        key("oidc_flows"),
        sa.UniqueConstraint("state_hash", name=op.f("uq_oidc_flows_state_hash")),
    )


def downgrade() -> None:
    for table in ("oidc_flows", "oidc_identities", "api_tokens", "account_letters", "recovery_codes", "second_factors"):
        op.drop_table(table)
    op.drop_column("sign_in_failures", "browser_id")
    op.execute("DELETE FROM sign_in_failures WHERE kind <> 'password'")
    op.drop_column("sign_in_failures", "kind")
    op.drop_table("known_browsers")
    op.drop_table("pending_sign_ins")
    for column in ("browser", "address", "is_proven", "confirmed_at", "last_used_at"):
        op.drop_column("web_sessions", column)
    for column in ("has_password", "search_text"):
        op.drop_column("users", column)
    op.drop_column("users", "last_signed_in_at")
    # Who was invited and never came has no password; the version before knows no such account.
    op.execute("UPDATE users SET password_hash = '!', is_active = false WHERE password_hash IS NULL")
    op.alter_column("users", "password_hash", nullable=False)
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # entries of this are chained now: the next step may drop the log
