"""Bringing rows of a file into the database: typed cells, what changes field by field, all of it or nothing."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from fleet.db import Base
from fleet.table_reader import RowError, Table, TableRefused, TableRow, quote
from fleet.text import fold

IMPORT_LOCK = 0x70726561_75
"""PostgreSQL advisory lock: one import at a time, so that none decides on rows that another is changing."""
MOJIBAKE = re.compile(
    "[ÃÂ][\u0080-\u00bf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013-\u203a\u20ac\u2122]"
)
"""UTF-8 read as CP1252 and saved again: "LÃ©on"."""
INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0xFEFF))
"""Soft hyphens and zero-width marks that copying from a document brings along."""
Track = Callable[[Sequence[TableRow]], Iterable[TableRow]]
"""Goes through the rows, showing progress or not."""


class RowRefused(Exception):
    """This row cannot be taken; the message is French and says why."""


class Ignored(Exception):
    """This row is none of ours, without being wrong; the message says why, the same for all alike."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column that an import knows: the headings that it goes by, the first being ours."""

    names: tuple[str, ...]
    required: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How a file is to be taken."""

    dry_run: bool = False
    skip_errors: bool = False
    department: str = ""
    """Keep the rows whose INSEE code begins so; "" keeps all."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Known column -> heading of the file that a person chose, "" for none; those left out go by their names."""


class Verb(StrEnum):
    """What happens to a row of the database."""

    CREATED = "créé"
    UPDATED = "modifié"
    CLOSED = "fermé"
    REOPENED = "rouvert"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One value that becomes another, as people read them."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} : {self.before} → {self.after}"


@dataclass(frozen=True, slots=True)
class Change:
    """What a line of the file does. ``label`` names the thing: "0020098W ECOLE ELEMENTAIRE"."""

    line: int
    verb: Verb
    label: str
    fields: tuple[FieldChange, ...] = ()


@dataclass(slots=True)
class ImportReport:
    """What a file did, or would do. ``applied`` is False after a dry run or when errors kept everything out."""

    changes: list[Change] = field(default_factory=list)
    unchanged: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    errors: list[RowError] = field(default_factory=list)
    applied: bool = False

    def count(self, verb: Verb) -> int:
        """How many rows of the database this happens to."""
        return sum(change.verb is verb for change in self.changes)

    def note(self, line: int, verb: Verb, label: str, fields: tuple[FieldChange, ...] = ()) -> None:
        """Add a change; an update that changes no field is an unchanged row."""
        if verb is Verb.UPDATED and not fields:
            self.unchanged += 1
        else:
            self.changes.append(Change(line, verb, label, fields))


class Cells:
    """One row through the columns that an import knows: typed values, None for an empty cell or an absent column."""

    def __init__(self, row: TableRow, bound: Mapping[str, str]) -> None:
        self.line = row.line
        self._row = row
        self._bound = bound

    def raw(self, name: str) -> str:
        """The cell as written, "" when there is none."""
        return self._row.cells.get(self._bound.get(name, ""), "")

    def text(self, name: str, longest: int = 200) -> str | None:
        """One line of text, composed accents; a character that a wrong encoding leaves behind refuses the row."""
        raw = self.raw(name).translate(INVISIBLE)
        value = " ".join(unicodedata.normalize("NFC", raw).split())
        if value.startswith("'") and value[1:2] in set("=+-@"):
            value = value[1:]  # the apostrophe that our own export puts before what would be a formula
        if len(value) > longest:
            raise RowRefused(f"{self._bound[name]} : {len(value)} caractères, {longest} au plus")
        if "\ufffd" in value or MOJIBAKE.search(raw) or not value.isprintable():
            raise RowRefused(f"{self._bound[name]} : texte mal encodé {quote(value)}")
        return value or None

    def required(self, name: str) -> str:
        """The same, refusing an empty cell."""
        value = self.text(name)
        if value is None:
            raise RowRefused(f"{self._bound[name]} : case vide")
        return value

    def integer(self, name: str, largest: int) -> int | None:
        """A count; blanks between thousands are allowed."""
        value = "".join((self.text(name) or "").split())
        if not value:
            return None
        if re.fullmatch("[0-9]{1,12}", value) is None or int(value) > largest:
            raise RowRefused(f"{self._bound[name]} : {quote(value)} n’est pas un nombre entre 0 et {largest}")
        return int(value)

    def degrees(self, name: str, largest: int) -> float | None:
        """A latitude or longitude; a decimal comma is allowed."""
        value = (self.text(name) or "").replace(",", ".")
        if not value:
            return None
        if re.fullmatch(r"[+-]?[0-9]{1,3}(\.[0-9]{1,20})?", value) is None or abs(float(value)) > largest:
            raise RowRefused(f"{self._bound[name]} : {quote(value)} n’est pas entre -{largest} et {largest}")
        return float(value)


def bind(
    table: Table | Sequence[str], columns: Mapping[str, Column], mapping: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Which folded heading of the file holds each column; raise TableRefused that names those missing and found.

    ``mapping``: see Options.
    """
    headings = table.columns if isinstance(table, Table) else table
    present = {fold(heading) for heading in headings}
    bound = {}
    for name, column in columns.items():
        wanted = (mapping[name],) if mapping and name in mapping else column.names
        heading = next((folded for folded in map(fold, wanted) if folded in present), None)
        if heading is not None:
            bound[name] = heading
    missing = [" ou ".join(c.names) for name, c in columns.items() if c.required and name not in bound]
    if missing:
        found = ", ".join(quote(column, 40) for column in headings[:80])
        raise TableRefused(f"Colonnes absentes : {' ; '.join(missing)}. Colonnes trouvées : {found}.")
    return bound


def each_row(
    table: Table, bound: Mapping[str, str], report: ImportReport, track: Track, take: Callable[[Cells], None]
) -> None:
    """Give every row to ``take``; a refused or ignored one is noted and the next follows."""
    for row in track(table.rows):
        try:
            take(Cells(row, bound))
        except RowRefused as refusal:
            report.errors.append(RowError(row.line, str(refusal)))
        except Ignored as reason:
            report.ignored[str(reason)] += 1


def try_turn(session: Session) -> bool:
    """Whether this transaction may import now: another one is at it otherwise."""
    return bool(session.scalar(sql("SELECT pg_try_advisory_xact_lock(:key)"), {"key": IMPORT_LOCK}))


@contextmanager
def all_or_nothing(session: Session, table: Table, options: Options) -> Iterator[ImportReport]:
    """The savepoint that an import works in. It is undone after a dry run, and after an error unless those are skipped.

    A dry run thus does all that the real one does: what it tells is what will happen.
    """
    session.execute(sql("SELECT pg_advisory_xact_lock(:key)"), {"key": IMPORT_LOCK})  # ours already: see try_turn
    report = ImportReport(errors=list(table.errors))
    with session.begin_nested() as savepoint:
        yield report
        report.errors.sort()
        session.flush()
        report.applied = not options.dry_run and (options.skip_errors or not report.errors)
        if not report.applied:
            savepoint.rollback()


def assign(row: Base, values: Mapping[str, object], names: Mapping[str, str]) -> tuple[FieldChange, ...]:
    """Set what differs and tell it under its French name. None says nothing: an empty cell erases nothing."""
    changes = []
    for attribute, value in values.items():
        before = getattr(row, attribute)
        if value is not None and value != before:
            setattr(row, attribute, value)
            if attribute in names:
                changes.append(FieldChange(names[attribute], show(before), show(value)))
    return tuple(changes)


def show(value: object) -> str:
    """A value as a person reads it."""
    if value is None or value in ("", []):
        return "(vide)"
    if isinstance(value, bool):
        return "oui" if value else "non"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return quote(value) if type(value) is str else str(getattr(value, "name", value))
