"""Alembic's entry: runs the revisions on the URL that fleet.migrate gives, under a lock so that two starts are safe;
then brings roles, rights and policies to what the code says, in the same transaction.
"""

from collections.abc import Collection, Mapping

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, create_engine, text

from fleet import door_roles, row_security
from fleet.audit import privileges, triggers
from fleet.doors import Door
from fleet.models import Base
from fleet.row_rules import EVERYTHING

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
    """Triggers and row-level security as the code has them; tables of an earlier version are left as that had them."""
    if context.get_context().get_current_heads() == (context.get_head_revision(),):
        door_roles.ensure(connection, context.config.attributes.get("login"))
        triggers.attach(connection)
        context.config.attributes["secured"] = row_security.apply(connection)
        for door in Door:
            privileges.let_note(connection, door, may_cut=door in EVERYTHING)


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
