"""Waiting for news: filters are answered the moment something changed, whichever controller process they speak to.

One connection of each process listens (PostgreSQL LISTEN) for all that wait there; while it is away they look every
second themselves. Nobody who waits holds a connection.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import psycopg
from fastapi import FastAPI
from psycopg import sql
from sqlalchemy import func, make_url, select
from sqlalchemy.orm import Session

from fleet.db import closed

log = logging.getLogger(__name__)

CHANNEL = "preau_filter"
POLL = 1.0
"""Seconds between two looks while nobody listens, and between two attempts to listen."""


def announce(session: Session) -> None:
    """Tell all who wait, once this transaction is committed, that the policy or the names changed."""
    session.execute(select(func.pg_notify(CHANNEL, "")))


class Bell:
    """Wakes those who wait in one event loop."""

    def __init__(self, database_url: str) -> None:
        self.url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self.options = closed(database_url)  # it hears names of channels, and reads no row
        self.loop = asyncio.get_running_loop()
        self.rung = asyncio.Event()
        self.is_listening = False
        self.listener = asyncio.create_task(self.listen())

    def ring(self) -> None:
        """Wake all who wait now."""
        rung, self.rung = self.rung, asyncio.Event()
        rung.set()

    def next_ring(self) -> asyncio.Event:
        """What the next ring sets. Take it before looking, so that nothing is missed between the look and the wait."""
        return self.rung

    async def wait(self, ring: asyncio.Event, seconds: float) -> None:
        """Until the ring, or until it is time to look again."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ring.wait(), seconds if self.is_listening else min(seconds, POLL))

    async def listen(self) -> None:
        """Ring at each notice; connect again when the database went away."""
        while True:
            try:
                await self.listen_once()
            except (psycopg.Error, OSError) as error:
                log.warning("not listening for changes", extra={"error": str(error).strip()})
            self.is_listening = False
            self.ring()
            await asyncio.sleep(POLL)

    async def listen_once(self) -> None:
        """Ring at each notice, and once at the start: what was committed before is news to those who wait already."""
        connection = await psycopg.AsyncConnection.connect(
            self.url, autocommit=True, connect_timeout=10, options=self.options,
            keepalives_idle=15, keepalives_interval=5, keepalives_count=3,
        )  # fmt: skip
        async with connection:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            self.is_listening = True
            self.ring()
            async for _notice in connection.notifies():
                self.ring()

    async def close(self) -> None:
        """Stop listening, and let go of all who wait."""
        self.listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.listener
        self.ring()


def bell_of(app: FastAPI) -> Bell:
    """The bell of this process, listening from the first who waits on."""
    bell: Bell | None = getattr(app.state, "filter_bell", None)
    if bell is None or bell.loop is not asyncio.get_running_loop():
        bell = app.state.filter_bell = Bell(app.state.config.database_url)
    return bell


@contextlib.asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[None]:
    """For an application's lifespan: what was opened on the way is closed at its end."""
    yield
    bell: Bell | None = getattr(app.state, "filter_bell", None)
    if bell is not None and bell.loop is asyncio.get_running_loop():
        await bell.close()
