"""Lists -> names file, settings -> policy file; with numpy where it is, without it to the same bytes."""

import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

from filter.bundle import ListInfo, Member, Sign
from filter.domains import DEFAULT_KEY, hash_name
from filter.layout.writer import write_names, write_policy
from filter.lists.entries import AddressEntry, NameEntry, RuleEntry
from filter.lists.fast import FastReader
from filter.lists.lines import read_chunks
from filter.lists.source import ListReport, ListSource
from filter.lists.trust import read_trusted
from filter.merging import Codes, Column, Numbers, make_numpy_table, make_plain_table, merge_plainly, merge_with_numpy
from filter.normalising import normalise
from filter.settings import PolicySettings

COMPILER = "preau 2"
"""Written into files: grows when the same input would give other bytes."""
MOST_LISTS = 1 << 16


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """One list in a names file: what the file says of it, and examples of lines left out for whoever mends the list."""

    info: ListInfo
    examples: dict[str, list[tuple[int, str]]]
    """Reason -> (line number, text)."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompileReport:
    """What went into a names file and what did not."""

    serial: int
    size: int
    """Bytes of the file."""
    digest: str
    """Content address, hexadecimal."""
    names: int
    """Distinct names."""
    sets: int
    rules: int
    addresses: int
    """Distinct networks."""
    seconds: float = field(compare=False)
    lists: tuple[ListOutcome, ...] = ()
    numpy: bool = field(default=False, compare=False)

    @property
    def lines(self) -> int:
        return sum(outcome.info.lines for outcome in self.lists)


@dataclass(frozen=True, slots=True)
class PolicyReport:
    """A policy file that was written."""

    serial: int
    size: int
    digest: str


@dataclass(slots=True)
class Collected:
    """What one list's entries become while they are read; of names only the hashes are held."""

    hashes: "dict[int, Numbers]" = field(default_factory=dict)
    """Code of a member at position 0 -> hashes, repetitions included."""
    rules: list[RuleEntry] = field(default_factory=list)
    addresses: set[tuple[str, int]] = field(default_factory=set)
    """(network, code of a member at position 0)."""

    def add_network(self, entry: AddressEntry) -> None:
        self.addresses.add((entry.network, Member(0, allows=entry.allows).code))


def compile_names(
    lists: Iterable[ListSource],
    out: Path,
    *,
    serial: int,
    compiled_at: datetime,
    key: bytes = DEFAULT_KEY,
    sign: Sign | None = None,
    use_numpy: bool = True,
) -> CompileReport:
    """Write a names file in one rename and tell what is in it.

    Lists are read one after the other; only 64-bit hashes are held. Raises ListRefused for an unusable file, ValueError
    for lists with the same slug; ``out`` is then left as it was.
    """
    started = time.monotonic()
    sources = check_sources(lists)
    numpy = import_numpy() if use_numpy else None
    reports = [ListReport() for _ in sources]
    collected = [Collected() for _ in sources]
    columns = read_columns(sources, reports, collected, key, FastReader(numpy, key) if numpy else None)
    merged = merge_with_numpy(numpy, columns) if numpy else merge_plainly(columns)
    addresses = gather_addresses(collected)
    table, networks = make_numpy_table(numpy, merged, addresses) if numpy else make_plain_table(merged, addresses)
    rules = [(position, rule) for position, one in enumerate(collected) for rule in one.rules]
    outcomes = tuple(
        describe(position, source, report, one, merged.entries)
        for position, (source, report, one) in enumerate(zip(sources, reports, collected, strict=True))
    )
    written = write_names(
        out,
        serial=serial,
        compiled_at=compiled_at,
        key=key,
        table=table,
        lists=[outcome.info for outcome in outcomes],
        rules=rules,
        addresses=networks,
        compiler=COMPILER,
        sign=sign,
    )
    return CompileReport(
        serial=serial,
        size=written.size,
        digest=written.digest,
        names=len(merged.hashes),
        sets=len(table.sets),
        rules=len(rules),
        addresses=len(networks),
        seconds=time.monotonic() - started,
        lists=outcomes,
        numpy=numpy is not None,
    )


def compile_policy(
    settings: PolicySettings,
    out: Path,
    *,
    serial: int,
    compiled_at: datetime,
    names_digest: str = "",
    sign: Sign | None = None,
) -> PolicyReport:
    """Write a policy file in one rename; ``names_digest`` says which names file it was compiled beside.

    Raises SettingsInvalid for contradictory settings; ``out`` is then left as it was.
    """
    written = write_policy(
        out,
        serial=serial,
        compiled_at=compiled_at,
        settings=normalise(settings).to_json(),
        names_digest=names_digest,
        compiler=COMPILER,
        sign=sign,
    )
    return PolicyReport(serial, written.size, written.digest)


def import_numpy() -> ModuleType | None:
    """numpy, where it is installed: a gateway compiles without it."""
    try:
        return import_module("numpy")
    except ModuleNotFoundError:
        return None


def check_sources(lists: Iterable[ListSource]) -> list[ListSource]:
    """In the order of the file; raise ValueError for two with one slug, or for more than a set can name."""
    sources = sorted(lists, key=lambda source: source.slug)
    if len({source.slug for source in sources}) != len(sources):
        raise ValueError("two lists with the same slug")
    if len(sources) > MOST_LISTS:
        raise ValueError(f"more than {MOST_LISTS} lists")
    return sources


def read_columns(
    sources: Sequence[ListSource],
    reports: Sequence[ListReport],
    collected: Sequence[Collected],
    key: bytes,
    fast: FastReader | None,
) -> Iterator[Column]:
    """Read the lists, each when its turn comes; hashes are handed over, the rest stays in ``collected``."""
    for position, (source, report, one) in enumerate(zip(sources, reports, collected, strict=True)):
        if fast and source.plain:
            collect_plain(source, report, one, fast)
        else:
            collect(source, report, one, key)
        for code in sorted(one.hashes):
            yield Column(code | position, one.hashes.pop(code))


def collect(source: ListSource, report: ListReport, into: Collected, key: bytes) -> None:
    """Read one list, entry by entry."""
    names = array("Q")
    others: dict[int, array[int]] = {0: names}
    for entry in read_trusted(source, report):
        if type(entry) is str:
            names.append(hash_name(entry.encode(), key))
        elif isinstance(entry, NameEntry):
            code = Member(0, entry.match, entry.allows, entry.important).code
            others.setdefault(code, array("Q")).append(hash_name(entry.name.encode(), key))
        elif isinstance(entry, AddressEntry):
            into.add_network(entry)
        elif isinstance(entry, RuleEntry):
            into.rules.append(entry)
    into.hashes.update(others)


def collect_plain(source: ListSource, report: ListReport, into: Collected, fast: FastReader) -> None:
    """Read a list of plain files, to what ``source.read`` would have led to."""
    source.prepare(report)
    into.hashes[0] = fast.join(
        piece for path in source.plain for piece in fast.read(read_chunks(path), report, path, into.add_network)
    )


def gather_addresses(collected: Sequence[Collected]) -> dict[str, Codes]:
    """Network -> codes of the lists that speak of it."""
    gathered: dict[str, Codes] = {}
    for position, one in enumerate(collected):
        for network, code in sorted(one.addresses):
            gathered[network] = (*gathered.get(network, ()), code | position)
    return gathered


def describe(
    position: int, source: ListSource, report: ListReport, collected: Collected, entries: dict[int, int]
) -> ListOutcome:
    """What the file says of a list, once it was read."""
    distinct = sum(count for code, count in entries.items() if code & 0xFFFF == position)
    info = ListInfo(
        slug=source.slug,
        title=source.title,
        category=source.category,
        source=source.source,
        licence=source.licence,
        date=source.published.isoformat() if source.published else None,
        usage=source.usage,
        lines=report.lines,
        entries=distinct,
        duplicates=report.names - distinct,
        rules=len(collected.rules),
        addresses=len({network for network, _ in collected.addresses}),
        skipped=dict(sorted(report.skipped.items())),
        not_enforceable=dict(sorted(report.not_enforceable.items())),
    )
    return ListOutcome(info, report.examples, tuple(report.warnings))


def find_unknown_categories(settings: PolicySettings, lists: Iterable[ListInfo]) -> tuple[str, ...]:
    """Categories that a profile or an override names and no list fills."""
    known = {info.category for info in lists}
    named = {rule.category for profile in settings.profiles for rule in profile.categories}
    named |= {slug for profile in settings.profiles for override in profile.overrides for slug in override.categories}
    return tuple(sorted(named - known))
