"""Lists and settings -> bundle file. numpy sorts where it is installed; without it the bytes are the same."""

import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

from filter.bundle import ListInfo, NameTable, write_bundle
from filter.domains import DEFAULT_KEY, hash_name
from filter.lists.source import ListReport, ListSource
from filter.normalising import normalise
from filter.settings import PolicySettings

COMPILER = "preau 1"
"""Written into bundles: grows when the same input would give other bytes."""
Sets = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """One list in a bundle: what the file says of it, and examples of lines left out for whoever mends the list."""

    info: ListInfo
    examples: dict[str, list[tuple[int, str]]]
    """Reason -> (line number, text)."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What went into a bundle and what did not."""

    serial: int
    size: int
    """Bytes of the file."""
    names: int
    """Distinct names."""
    sets: int
    seconds: float
    lists: tuple[ListOutcome, ...] = ()
    unknown_categories: tuple[str, ...] = ()
    """Categories that a profile names and no list fills."""
    numpy: bool = field(default=False, compare=False)

    @property
    def lines(self) -> int:
        return sum(outcome.info.lines for outcome in self.lists)


def compile_bundle(
    lists: Iterable[ListSource],
    policy: PolicySettings,
    out: Path,
    *,
    serial: int,
    compiled_at: datetime,
    key: bytes = DEFAULT_KEY,
    use_numpy: bool = True,
) -> CompileReport:
    """Write a bundle in one rename and tell what is in it.

    Lists are read one after the other; only 64-bit hashes are held. Raises SettingsInvalid for contradictory settings,
    ListRefused for an unusable file, ValueError for lists with the same slug; ``out`` is then left as it was.
    """
    started = time.monotonic()
    settings = normalise(policy)
    sources = sorted(lists, key=lambda source: source.slug)
    if len({source.slug for source in sources}) != len(sources):
        raise ValueError("two lists with the same slug")
    numpy = import_numpy() if use_numpy else None
    reports = [ListReport() for _ in sources]
    hashed = (read_hashes(source, report, key) for source, report in zip(sources, reports, strict=True))
    table, entries = sort_with_numpy(numpy, hashed) if numpy else sort_plainly(hashed)
    outcomes = tuple(map(describe, sources, reports, entries))
    size = write_bundle(
        out,
        serial=serial,
        compiled_at=compiled_at,
        key=key,
        table=table,
        lists=tuple(outcome.info for outcome in outcomes),
        policy=settings.to_json(),
        compiler=COMPILER,
    )
    return CompileReport(
        serial=serial,
        size=size,
        names=len(table.hashes) // 8,
        sets=len(table.sets),
        seconds=time.monotonic() - started,
        lists=outcomes,
        unknown_categories=find_unknown_categories(settings, sources),
        numpy=numpy is not None,
    )


def import_numpy() -> ModuleType | None:
    """numpy, where it is installed: a gateway compiles without it."""
    try:
        return import_module("numpy")
    except ModuleNotFoundError:
        return None


def read_hashes(source: ListSource, report: ListReport, key: bytes) -> "array[int]":
    """The hashes of a list's names, in the list's order, repetitions included."""
    return array("Q", (hash_name(name.encode(), key) for name in source.read(report)))


def sort_plainly(hashed: Iterable["array[int]"]) -> tuple[NameTable, list[int]]:
    """The table, and the distinct names of each list, with Python's own sort: some 200 bytes a name while it runs."""
    numbers: dict[tuple[int, ...], int] = {(): 0}
    sets: list[tuple[int, ...]] = [()]
    of_name: dict[int, int] = {}
    entries = []
    for position, hashes in enumerate(hashed):
        distinct = set(hashes)
        entries.append(len(distinct))
        for value in distinct:
            members = (*sets[of_name.get(value, 0)], position)
            if (number := numbers.get(members)) is None:
                number = numbers[members] = len(sets)
                sets.append(members)
            of_name[value] = number
    ordered = sorted(of_name)
    final, new_number = renumber(sets, set(of_name.values()))
    typecode = "H" if len(final) <= 1 << 16 else "I"
    set_ids = array(typecode, (new_number[of_name[value]] for value in ordered))
    return make_table(array("Q", ordered).tobytes(), set_ids.tobytes(), final), entries


def sort_with_numpy(numpy: ModuleType, hashed: Iterable["array[int]"]) -> tuple[NameTable, list[int]]:
    """The same table and counts, for millions of names in seconds."""
    lists = [numpy.unique(numpy.frombuffer(hashes, numpy.uint64)) for hashes in hashed]
    ordered = numpy.unique(numpy.concatenate([numpy.empty(0, numpy.uint64), *lists]))
    of_name = numpy.zeros(len(ordered), numpy.uint32)
    numbers: dict[tuple[int, ...], int] = {(): 0}
    sets: list[tuple[int, ...]] = [()]
    for position, hashes in enumerate(lists):
        where = numpy.searchsorted(ordered, hashes)
        before, which = numpy.unique(of_name[where], return_inverse=True)
        after = []
        for number in before.tolist():
            members = (*sets[number], position)
            if members not in numbers:
                numbers[members] = len(sets)
                sets.append(members)
            after.append(numbers[members])
        of_name[where] = numpy.array(after, numpy.uint32)[which]
    final, new_number = renumber(sets, set(numpy.unique(of_name).tolist()))
    mapping = numpy.zeros(len(sets), numpy.uint32)
    mapping[list(new_number)] = list(new_number.values())
    set_ids = mapping[of_name].astype("<u2" if len(final) <= 1 << 16 else "<u4")
    return make_table(ordered.astype("<u8").tobytes(), set_ids.tobytes(), final), [len(hashes) for hashes in lists]


def renumber(sets: Sequence[tuple[int, ...]], used: set[int]) -> tuple[Sets, dict[int, int]]:
    """The sets that names are in, in an order that does not depend on how they were found, and old id -> new id."""
    final = tuple(sorted(sets[number] for number in used))
    position = {members: number for number, members in enumerate(final)}
    return final, {number: position[sets[number]] for number in used}


def make_table(hashes: bytes, set_ids: bytes, sets: Sets) -> NameTable:
    return NameTable(hashes, set_ids, 2 if len(sets) <= 1 << 16 else 4, sets)


def describe(source: ListSource, report: ListReport, entries: int) -> ListOutcome:
    """What the bundle says of a list, once it was read."""
    info = ListInfo(
        slug=source.slug,
        title=source.title,
        category=source.category,
        source=source.source,
        licence=source.licence,
        date=source.published.isoformat() if source.published else None,
        usage=source.usage,
        lines=report.lines,
        entries=entries,
        duplicates=report.names - entries,
        skipped=dict(sorted(report.skipped.items())),
        not_enforceable=dict(sorted(report.not_enforceable.items())),
    )
    return ListOutcome(info, report.examples, tuple(report.warnings))


def find_unknown_categories(settings: PolicySettings, sources: Sequence[ListSource]) -> tuple[str, ...]:
    """Categories that a profile names and no list fills."""
    known = {source.category for source in sources}
    named = {slug for p in settings.profiles for slug in (*p.blocked_categories, *p.allowed_categories)}
    return tuple(sorted(named - known))
