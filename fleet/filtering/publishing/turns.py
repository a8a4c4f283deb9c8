"""Turns: work that one process at a time may do, whoever else wants to; the turn of a dead process is free again."""

import contextlib
from collections.abc import Iterator
from uuid import UUID

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

COMPILE_LOCK = 0x50524643  # "PRFC"
FETCH_LOCK = 0x50524646 << 32  # "PRFF", and 32 bits of the source


def fetch_lock(source_id: UUID) -> int:
    """The lock of one source; two sources that share it only wait for each other."""
    return FETCH_LOCK | source_id.int & 0xFFFFFFFF


@contextlib.contextmanager
def turn(engine: Engine, key: int) -> Iterator[bool]:
    """True for the one process whose turn it is, until the block ends or the process dies; False for the others.

    ``key`` is a PostgreSQL advisory lock, which the server frees when its holder dies. It belongs to a connection
    outside any transaction. Keep-alives tell the server within half a minute that a whole machine is gone.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in ("tcp_keepalives_idle = 15", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3"):
            connection.execute(text(f"SET {setting}"))
        lock = {"key": key}
        is_ours = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), lock))
        try:
            yield is_ours
        finally:
            if is_ours:
                with contextlib.suppress(DBAPIError):  # the server went away, and the lock with it
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), lock)
