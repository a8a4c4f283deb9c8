"""The chain, walked from its start to its head: what was altered, removed, inserted, moved or cut off.

The database computes digests and hashes (functions.sql); this computes them again, and believes nothing of it.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from fleet.audit import triggers

NOTHING = bytes(32)
"""What stands before the first link."""
BATCH = 2000
VERSION = "preau-audit-1"
FIELDS = (
    "transaction_id", "at", "actor_kind", "actor_id", "actor_name", "address", "request_id", "operation",
    "database_user", "action", "table_name", "row_id", "subject", "collectivity_id", "school_id", "before", "after",
)  # fmt: skip
"""What is hashed of an entry, in this order."""


MOST_PROBLEMS = 1000
"""After that many the walk stops: the chain was rewritten, and the first ones say where that begins."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was tampered with. ``kind`` is stable: altered, removed, inserted, moved, tail, start, trigger,
    checkpoint; ``detail`` is French.
    """

    kind: str
    number: int | None
    detail: str


@dataclass(slots=True)
class Report:
    """What a walk found."""

    start: int = 0
    """The last number that was cut off, 0 when none was."""
    number: int = 0
    hash: bytes = NOTHING
    entries: int = 0
    problems: list[Problem] = field(default_factory=list)

    def add(self, kind: str, number: int | None, detail: str) -> None:
        self.problems.append(Problem(kind, number, detail))


class Row(NamedTuple):
    """A link and the entry that it points to; ``digest`` is computed here, None when the entry is gone."""

    number: int
    entry_id: int
    hash: bytes
    digest: bytes | None
    kept: bytes | None
    """The digest that the entry holds."""
    told: str
    """What an entry is about, for people."""
    after: str | None
    action: str | None


def digest_of(values: Sequence[str | None]) -> bytes:
    """SHA-256 of an entry's FIELDS as texts: each as its length in bytes, a colon and its UTF-8; "-" for none."""
    fields = (b"-" if value is None else b"%d:%b" % (len(value.encode()), value.encode()) for value in values)
    return hashlib.sha256(VERSION.encode() + b"".join(fields)).digest()


def hash_of(before: bytes, digest: bytes, number: int) -> bytes:
    """The hash of a link."""
    return hashlib.sha256(before + digest + number.to_bytes(8, "big")).digest()


def moment_text(at: datetime) -> str:
    """``2026-11-24T11:00:00.000000Z``."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


COLUMNS = ", ".join(f"e.{name}" if name == "at" else f"e.{name}::text" for name in FIELDS)
LINKS = text(
    f"SELECT l.number, l.entry_id, l.hash, e.digest, e.id, {COLUMNS}"  # noqa: S608 - names of ours
    " FROM audit_links l LEFT JOIN audit_entries e ON e.id = l.entry_id"
    " WHERE l.number > :after ORDER BY l.number LIMIT :batch"
)
HEAD = text("SELECT number, hash, start_number, start_hash FROM audit_head")
LOOSE = text(
    "SELECT e.id, e.table_name, e.action, e.at FROM audit_entries e"
    " WHERE NOT EXISTS (SELECT FROM audit_links l WHERE l.entry_id = e.id) ORDER BY e.id LIMIT 100"
)


def read_links(connection: Connection) -> Iterator[Row]:
    """Every link by number, a batch at a time."""
    after = -1
    while rows := connection.execute(LINKS, {"after": after, "batch": BATCH}).all():
        for number, entry_id, hash_, kept, found, *values in rows:
            yield _row(number, entry_id, hash_, kept, values if found is not None else None)
        after = rows[-1][0]


def _row(number: int, entry_id: int, hash_: bytes, kept: bytes | None, values: list[object] | None) -> Row:
    if values is None:
        return Row(number, entry_id, hash_, None, None, "", None, None)
    named = dict(zip(FIELDS, values, strict=True))
    texts = {name: _text_of(value) for name, value in named.items()}
    told = f"{texts['action']} {texts['table_name']} {texts['row_id'] or ''}".strip() + f", {texts['at']}"
    return Row(
        number,
        entry_id,
        hash_,
        digest_of([texts[name] for name in FIELDS]),
        kept,
        told,
        texts["after"],
        texts["action"],
    )


@dataclass(slots=True)
class Walk:
    """Where a walk is: the link before, as it is kept and as it should be, and links whose hash is not theirs."""

    report: Report
    kept: bytes | None
    """The hash of the link before; None after a gap."""
    computed: bytes | None
    wrong: list[tuple[Row, tuple[bytes, ...]]] = field(default_factory=list)
    """With the hashes that may stand before each."""
    cuts: list[str] = field(default_factory=list)

    @property
    def is_hopeless(self) -> bool:
        return len(self.report.problems) + len(self.wrong) >= MOST_PROBLEMS

    def step(self, row: Row) -> None:
        """Judge one link, and go on from it."""
        if row.number != self.report.number + 1:
            self._note_gap(row.number)
        before = tuple({each for each in (self.kept, self.computed) if each is not None})
        digest = row.digest
        if digest is None:
            self.report.add("removed", row.number, f"l’entrée n° {row.number} a disparu ; son chaînon reste")
        elif digest != row.kept:
            self.report.add("altered", row.number, f"l’entrée n° {row.number} ({row.told}) a été modifiée")
        elif before and row.hash not in {hash_of(each, digest, row.number) for each in before}:
            self.wrong.append((row, before))
        if row.action == "cut" and row.after is not None:
            self.cuts.append(row.after)
        self.computed = None if digest is None or self.kept is None else hash_of(self.kept, digest, row.number)
        self.kept = self.report.hash = row.hash
        self.report.number = row.number
        self.report.entries += 1

    def _note_gap(self, number: int) -> None:
        first, last = self.report.number + 1, number - 1
        if last < first:
            detail = f"le chaînon n° {number} n’est pas à sa place"
        elif last == first:
            detail = f"l’entrée n° {first} a disparu avec son chaînon"
        else:
            detail = f"les entrées n° {first} à {last} ont disparu avec leurs chaînons"
        self.report.add("removed", first, detail)
        self.kept = self.computed = None

    def explain(self) -> None:
        """Say of each wrong link whether its entry stands elsewhere, or is not what it was."""
        digests = [row.digest for row, _ in self.wrong if row.digest is not None]
        for row, before in self.wrong[:MOST_PROBLEMS]:
            fitting = {hash_of(each, digest, row.number) for each in before for digest in digests}
            if row.hash in fitting:
                detail = f"une autre entrée tient la place n° {row.number} : {row.told}"
                self.report.add("moved", row.number, detail)
            else:
                detail = f"l’entrée n° {row.number} ({row.told}) ou son chaînon a été réécrit"
                self.report.add("altered", row.number, detail)


def _text_of(value: object) -> str | None:
    if value is None:
        return None
    return moment_text(value) if isinstance(value, datetime) else str(value)


def verify(connection: Connection, progress: Callable[[int, int], object] = lambda _done, _all: None) -> Report:
    """Walk the whole chain in one snapshot. ``progress`` hears how many links are done, of how many.

    The connection must be in a transaction of its own, REPEATABLE READ: what is written meanwhile is not seen.
    """
    number, hash_, start, start_hash = connection.execute(HEAD).one()
    report = Report(start=start, number=start, hash=start_hash)
    for sentence in triggers.differences(connection):
        report.add("trigger", None, f"{sentence} : des changements ont pu échapper au journal")
    walk = Walk(report, start_hash, start_hash)
    for row in read_links(connection):
        walk.step(row)
        if report.entries % BATCH == 0:
            progress(report.entries, number - start)
        if walk.is_hopeless:
            break
    else:
        progress(report.entries, report.entries)
        _check_ends(report, number, hash_)
    walk.explain()
    _check_start(report, start_hash, walk.cuts)
    for identifier, table, action, at in connection.execute(LOOSE):
        report.add("inserted", None, f"entrée {identifier} ({action} {table}, {moment_text(at)}) hors de la chaîne")
    report.problems.sort(key=lambda problem: (problem.number is None, problem.number or 0))
    return report


def _check_ends(report: Report, number: int, hash_: bytes) -> None:
    if report.number < number:
        detail = f"la fin a été coupée : les entrées n° {report.number + 1} à {number} ont disparu"
        report.add("tail", report.number + 1, detail)
    elif report.number > number:
        report.add("tail", number + 1, f"des chaînons dépassent la fin connue (n° {number})")
    elif report.hash != hash_:
        report.add("tail", number, "la fin connue n’est pas celle de la chaîne")


def _check_start(report: Report, start_hash: bytes, cuts: Sequence[str]) -> None:
    """A start that is not the first entry must be one that a purge has said."""
    said = [json.loads(cut) for cut in cuts]
    if report.start and not any(c["number"] == report.start and c["hash"] == start_hash.hex() for c in said):
        detail = f"les {report.start} premières entrées ont été coupées sans qu’aucune purge ne le dise"
        report.add("start", report.start, detail)
