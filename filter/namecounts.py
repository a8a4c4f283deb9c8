"""How often each name was asked, by day and profile: bounded, rotated, on this machine only. No address is ever kept.

Counts gather in memory, where the query path adds to them, and go to a SQLite file every half a minute: a crash loses
no more than that. How many devices asked is told by SLOTS bits of which each device lights one; which one depends on
the day's key, the device and the name, so nobody can follow a device from name to name, and a key is forgotten with
its day.
"""

import asyncio
import logging
import math
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from filter.tally import SLOTS, Key, Tally

log = logging.getLogger("filter")

FILE = "name-counts.sqlite"
DEFAULT_DAYS, MOST_DAYS = 7, 365
MOST_ROWS = 1_000_000
MOST_BYTES = 200 << 20
PAGE = 4096
FLUSH_SECONDS = 30.0
CERTAIN_SECONDS = 6 * 3600.0
"""How long a day must have been today's before others are forgotten for it: a clock may jump, and come back."""
FEW = 3
"""Names asked by fewer devices go first when room is needed."""
COLUMNS, BITS = 4, 60
"""Integers that hold a line's bits (filter.tally SLOTS), and bits of each."""
LOCAL = (".local", ".lan", ".home.arpa", ".internal", ".arpa", ".localdomain", ".intranet")
"""Names of machines at the school, and addresses written as names."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS days (day TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counts (
    day TEXT, name TEXT, qtypes TEXT, profile TEXT, queries INTEGER NOT NULL,
    seen0 INTEGER NOT NULL, seen1 INTEGER NOT NULL, seen2 INTEGER NOT NULL, seen3 INTEGER NOT NULL,
    PRIMARY KEY (day, name, qtypes, profile)) WITHOUT ROWID;
"""
ADD = """
INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET queries = queries + excluded.queries,
seen0 = seen0 | excluded.seen0, seen1 = seen1 | excluded.seen1,
seen2 = seen2 | excluded.seen2, seen3 = seen3 | excluded.seen3
"""
DROP_RARE = """
DELETE FROM counts WHERE (day, name, qtypes, profile) IN (
    SELECT day, name, qtypes, profile FROM counts WHERE day = (SELECT min(day) FROM counts) AND queries < ? LIMIT ?)
"""


@dataclass(frozen=True, slots=True)
class NameCount:
    """How often a name was asked over the days kept, and by how many devices at least."""

    name: str
    qtypes: str
    """``address``, ``service`` or ``other``."""
    profile: str | None
    queries: int
    clients: int | None
    """On the day with most of them; None when it is not known."""


class NameCounts(Tally):
    """The store of one filter. ``count`` is called for every query; everything else happens beside them."""

    def __init__(
        self,
        folder: Path,
        days: int,
        now: Callable[[], datetime],
        dropped: Callable[[int], None],
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """``days`` are kept, at most MOST_DAYS. ``dropped`` is told how many queries found no room.

        ``elapsed``: seconds that never jump.
        """
        self.path = folder / FILE
        self.days = min(days, MOST_DAYS)
        self.now = now
        super().__init__(secrets.token_bytes(16), dropped)
        self.elapsed = elapsed
        self.day, self.began = today(now), elapsed()
        self.has_begun = False
        """Whether the store knows today's key."""

    async def keep(self) -> None:
        """Write every half minute, and a last time when cancelled; a fault is logged and the store goes on.

        What could not be written waits for the next time, as far as there is room.
        """
        try:
            while True:
                await asyncio.sleep(FLUSH_SECONDS)
                for key, (queries, bits) in (await asyncio.to_thread(self.flush)).items():
                    self.add(key, queries, bits)
        finally:
            self.flush()

    def start(self) -> None:
        """Open the store and go on with the key of today; one that is damaged is begun anew."""
        try:
            self.key = self.find_key()
        except sqlite3.DatabaseError as error:
            log.warning("the store of name counts is begun anew", extra={"error": str(error)})
            forget(self.path.parent)
            self.key = self.find_key()

    def find_key(self) -> bytes:
        """Today's key: the kept one, so that a restart counts no device twice, or this run's, kept from now on."""
        with opened(self.path) as store, store:
            store.execute("DELETE FROM days WHERE day <> ?", (self.day,))
            store.execute("INSERT OR IGNORE INTO days VALUES (?, ?)", (self.day, self.key))
            ((key,),) = store.execute("SELECT key FROM days WHERE day = ?", (self.day,))
        self.has_begun = True
        return bytes(key)

    def flush(self) -> dict[Key, list[int]]:
        """Write what gathered, forget old days and what finds no room; return what could not be written. A query of the
        last moment of a day may count for the next one."""
        pending, self.pending = self.pending, {}
        try:
            if not self.has_begun:
                self.key = self.find_key()
            with opened(self.path) as store:
                self.write(store, pending)
                pending = {}
                self.begin_day()
        except (sqlite3.Error, OSError) as error:
            log.warning("name counts were not written", extra={"error": str(error)})
        return pending

    def rows(self, pending: Mapping[Key, Sequence[int]]) -> Iterator[tuple[object, ...]]:
        """As the store keeps them; one after the other, since they are many."""
        for (name, qtypes, profile), (queries, bits) in pending.items():
            if "." in name and not name.endswith(LOCAL):
                yield self.day, name, qtypes, profile, queries, *split(bits)

    def write(self, store: sqlite3.Connection, pending: Mapping[Key, Sequence[int]]) -> None:
        """Add the lines; when the file is full, make room and try once more."""
        if self.elapsed() - self.began >= CERTAIN_SECONDS:
            self.forget_other_days(store)
        try:
            with store:
                store.executemany(ADD, self.rows(pending))
        except sqlite3.OperationalError:  # SQLITE_FULL: max_page_count holds whatever is asked
            make_room(store, MOST_ROWS // 10)
            with store:
                store.executemany(ADD, self.rows(pending))
        ((kept,),) = store.execute("SELECT count(*) FROM counts")
        if kept > MOST_ROWS:
            make_room(store, kept - MOST_ROWS)

    def forget_other_days(self, store: sqlite3.Connection) -> None:
        """Those that are too old, and those that a wrong clock left in the future."""
        day = date.fromisoformat(self.day)
        oldest, last = day - timedelta(days=self.days - 1), day + timedelta(days=1)
        with store:
            store.execute("DELETE FROM counts WHERE day < ? OR day > ?", (oldest.isoformat(), last.isoformat()))

    def begin_day(self) -> None:
        """With a new day the old key is gone for good."""
        if (day := today(self.now)) != self.day:
            self.day, self.began, self.key = day, self.elapsed(), secrets.token_bytes(16)
            self.key = self.find_key()


def today(now: Callable[[], datetime]) -> str:
    return now().astimezone(UTC).date().isoformat()


def split(bits: int) -> tuple[int, ...]:
    """As many integers as SQLite keeps them in: 60 bits each, so that their sign never matters."""
    return tuple(bits >> BITS * column & (1 << BITS) - 1 for column in range(COLUMNS))


def make_room(store: sqlite3.Connection, rows: int) -> None:
    """Drop that many rows, of the oldest day, the rarest first."""
    while rows > 0:
        dropped = 0
        for most in (2, FEW + 1, 1 << 62):
            with store:
                dropped += store.execute(DROP_RARE, (most, rows - dropped)).rowcount
            if dropped >= rows:
                return
        if not dropped:
            return
        rows -= dropped


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The store, made when it is not there; nobody but the filter may read it."""
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path, timeout=10)) as store:
        store.execute("PRAGMA journal_mode = WAL")
        store.execute("PRAGMA synchronous = NORMAL")
        store.execute(f"PRAGMA max_page_count = {MOST_BYTES // PAGE}")
        store.executescript(SCHEMA)
        yield store


def forget(folder: Path) -> None:
    """Remove the store: it is damaged, or nobody wants one any more."""
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        (folder / name).unlink(missing_ok=True)


def estimate(lit: int) -> int:
    """How many devices lit that many of SLOTS bits, about; when all are lit, at least that many."""
    dark = max(SLOTS - lit, 1)
    return round(-SLOTS * math.log(dark / SLOTS))


def read_counts(path: Path, since: date = date.min) -> Iterator[NameCount]:
    """What the store holds from a day (of UTC) on; raise sqlite3.Error when the file is none."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as store:
        rows = store.execute(
            "SELECT name, qtypes, profile, queries, seen0, seen1, seen2, seen3 FROM counts WHERE day >= ? "
            "ORDER BY name, qtypes, profile",
            (since.isoformat(),),
        )
        current: NameCount | None = None
        for name, qtypes, profile, queries, *seen in rows:
            clients = estimate(sum(column.bit_count() for column in seen))
            if current and (current.name, current.qtypes, current.profile) == (name, qtypes, profile):
                most = max(clients, current.clients or 0)
                current = NameCount(name, qtypes, profile, current.queries + queries, most)
                continue
            if current:
                yield current
            current = NameCount(name, qtypes, profile, queries, clients)
        if current:
            yield current
