"""Alembic's entry: runs the revisions on the URL that fleet.migrate gives, under a lock so that two starts are safe;
then brings roles, rights and policies to what the code says, in the same transaction.
"""

from collections.abc import Collection, Mapping

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, create_engine, text

from fleet import door_roles, row_security
from fleet.models import Base

LOCK = 0x50524541  # "PREA": two controllers that start together migrate one after the other


def note_step(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[object],
    run_args: Mapping[str, object],
) -> None:
    """Tell fleet.migrate which revisions were applied (alembic's on_version_apply, called by keyword)."""
    context.config.attributes.setdefault("applied", []).append(step.up_revision_id)


def secure_rows(connection: Connection) -> None:
    """Row-level security as the code has it; the tables of an earlier version are left as that version had them."""
    if context.get_context().get_current_heads() == (context.get_head_revision(),):
        door_roles.ensure(connection, context.config.attributes.get("login"))
        context.config.attributes["secured"] = row_security.apply(connection)


engine = create_engine(context.config.attributes["database_url"])
with engine.connect() as connection:
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_type=True, on_version_apply=note_step
    )
    with context.begin_transaction():
        context.run_migrations()
        secure_rows(connection)
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
engine.dispose()
