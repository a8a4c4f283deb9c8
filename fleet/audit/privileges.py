"""What a database role may do with the log: read it, and add what triggers and `note` add. Never more."""

from sqlalchemy import Connection
from sqlalchemy.sql import quoted_name

TABLES = ("audit_entries", "audit_links", "audit_head")
TRIGGERED = (
    "audit_note()", "audit_note_truncate()", "audit_link()", "audit_stamp()", "audit_keep()",
    "audit_cut(timestamptz)", "audit_event(text, text, text, text, jsonb, uuid, uuid)",
)  # fmt: skip
"""Functions that run with their owner's rights."""


def let_read(connection: Connection, role: str, *, may_cut: bool = False) -> None:
    """Take every right on the log from a role, then let it read and add; ``may_cut``: and forget what is old enough.

    The owner of the tables is no such role: whoever owns a table may alter it, which only a checkpoint then shows.
    """
    name = connection.dialect.identifier_preparer.quote(quoted_name(role, quote=True))
    execute = connection.exec_driver_sql
    for table in TABLES:
        execute(f"REVOKE ALL ON {table} FROM PUBLIC, {name}")
        execute(f"GRANT SELECT ON {table} TO {name}")
    let_note(connection, role, may_cut=may_cut)


def let_note(connection: Connection, role: str, *, may_cut: bool = False) -> None:
    """Of the log's functions, let a role call the one for events; ``may_cut``: and the one that forgets."""
    name = connection.dialect.identifier_preparer.quote(quoted_name(role, quote=True))
    execute = connection.exec_driver_sql
    for function in TRIGGERED:
        execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC, {name}")
    execute(f"GRANT EXECUTE ON FUNCTION {TRIGGERED[-1]} TO {name}")
    if may_cut:
        execute(f"GRANT EXECUTE ON FUNCTION {TRIGGERED[-2]} TO {name}")
