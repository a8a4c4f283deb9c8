"""Alembic's entry: runs the revisions on the URL that fleet.migrate gives, under a lock so that two starts are safe."""

from collections.abc import Collection, Mapping

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import create_engine, text

from fleet.audit import triggers
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


engine = create_engine(context.config.attributes["database_url"])
with engine.connect() as connection:
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
    context.configure(
        connection=connection, target_metadata=Base.metadata, compare_type=True, on_version_apply=note_step
    )
    with context.begin_transaction():
        context.run_migrations()
        if set(context.get_context().get_current_heads()) == set(context.script.get_heads()):
            triggers.attach(connection)  # of the tables as the code of this version names them
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
engine.dispose()
