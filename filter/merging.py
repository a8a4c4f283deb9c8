"""The hashes of many lists become one sorted table with its sets, with numpy or without to the same bytes."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from filter.layout.writer import NameTable, fanout_bits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Numbers: TypeAlias = "array[int] | NDArray[np.uint64]"
Codes: TypeAlias = tuple[int, ...]
"""Members of a set (filter.bundle.Member.code), growing."""
SMALL_SETS = 1 << 16


@dataclass(frozen=True, slots=True)
class Column:
    """The names that one list speaks of in one way."""

    code: int
    """filter.bundle.Member.code"""
    hashes: Numbers
    """In any order, repetitions included."""


@dataclass(slots=True)
class Merged:
    """Every name once, in the order of its hash, and its set."""

    hashes: Numbers
    numbers: Numbers
    """Parallel to ``hashes``: which of ``sets``."""
    sets: list[Codes]
    """As they were found; not all of them are still used."""
    entries: dict[int, int]
    """Code -> distinct names."""


class SetNumbers:
    """A number for every set of codes met so far; 0 is the empty one."""

    def __init__(self) -> None:
        self.sets: list[Codes] = [()]
        self.grown: dict[tuple[int, int], int] = {}

    def grow(self, number: int, code: int) -> int:
        """The number of this set with one code more. Columns come one after the other, so no set is made twice."""
        known = self.grown.get((number, code))
        if known is None:
            known = self.grown[number, code] = len(self.sets)
            self.sets.append((*self.sets[number], code))
        return known


def merge_plainly(columns: Iterable[Column]) -> Merged:
    """With Python's own dictionaries and sort: some 200 bytes a name while it runs."""
    numbers = SetNumbers()
    of_name: dict[int, int] = {}
    entries = {}
    for column in columns:
        distinct = set(column.hashes)
        entries[column.code] = len(distinct)
        for value in distinct:
            of_name[value] = numbers.grow(of_name.get(value, 0), column.code)
    ordered = sorted(of_name)
    return Merged(array("Q", ordered), array("Q", map(of_name.__getitem__, ordered)), numbers.sets, entries)


def make_plain_table(merged: Merged, addresses: Mapping[str, Codes]) -> tuple[NameTable, list[tuple[str, int]]]:
    """The table, and (network, set id)."""
    final, mapping, networks = renumber(merged.sets, set(merged.numbers), addresses)
    set_ids = array("H" if len(final) <= SMALL_SETS else "I", map(mapping.__getitem__, merged.numbers))
    return NameTable(merged.hashes.tobytes(), set_ids.tobytes(), set_ids.itemsize, final), networks


def merge_with_numpy(numpy: ModuleType, columns: Iterable[Column]) -> Merged:
    """The same outcome, for millions of names in seconds, at some 30 bytes a name."""
    distinct = [(column.code, sort_distinct(numpy, column.hashes)) for column in columns]
    ordered = sort_distinct(
        numpy, numpy.concatenate([numpy.empty(0, numpy.uint64), *(hashes for _, hashes in distinct)])
    )
    of_name = numpy.zeros(len(ordered), numpy.uint32)
    numbers = SetNumbers()
    for code, hashes in distinct:
        where = numpy.searchsorted(ordered, hashes)
        before = of_name[where]
        after = numpy.zeros(len(numbers.sets), numpy.uint32)
        for number in numpy.flatnonzero(numpy.bincount(before)).tolist():
            after[number] = numbers.grow(number, code)
        of_name[where] = after[before]
    return Merged(ordered, of_name, numbers.sets, {code: len(hashes) for code, hashes in distinct})


def sort_distinct(numpy: ModuleType, hashes: Numbers) -> "NDArray[np.uint64]":
    """Every number once, growing."""
    ordered = numpy.sort(numpy.frombuffer(hashes, numpy.uint64))
    fresh = numpy.empty(len(ordered), bool)
    fresh[:1] = True
    numpy.not_equal(ordered[1:], ordered[:-1], out=fresh[1:])
    distinct: NDArray[np.uint64] = ordered if fresh.all() else ordered[fresh]
    return distinct


def make_numpy_table(
    numpy: ModuleType, merged: Merged, addresses: Mapping[str, Codes]
) -> tuple[NameTable, list[tuple[str, int]]]:
    """The same table as make_plain_table, and its fan-out."""
    used = set(numpy.flatnonzero(numpy.bincount(merged.numbers)).tolist())
    final, mapping, networks = renumber(merged.sets, used, addresses)
    new_number = numpy.zeros(len(merged.sets), "<u2" if len(final) <= SMALL_SETS else "<u4")
    new_number[list(mapping)] = list(mapping.values())
    set_ids = new_number[merged.numbers]
    bits = fanout_bits(len(merged.hashes))
    buckets = numpy.arange(1 << bits, dtype=numpy.uint64) << numpy.uint64(64 - bits if bits else 0)
    fanout = numpy.append(numpy.searchsorted(merged.hashes, buckets), len(merged.hashes)).astype("<u4")
    hashes = numpy.asarray(merged.hashes, "<u8")
    return NameTable(hashes.data, set_ids.data, set_ids.itemsize, final, fanout.data), networks


def renumber(
    sets: list[Codes], used: set[int], addresses: Mapping[str, Codes]
) -> tuple[tuple[Codes, ...], dict[int, int], list[tuple[str, int]]]:
    """The sets that something is in, in an order that does not depend on how they were found; old id -> new id of
    those that names are in; and (network, new id)."""
    of_names = {number: tuple(sorted(sets[number])) for number in used}
    of_networks = {network: tuple(sorted(codes)) for network, codes in addresses.items()}
    final = tuple(sorted({*of_names.values(), *of_networks.values()}))
    new_number = {codes: number for number, codes in enumerate(final)}
    mapping = {number: new_number[codes] for number, codes in of_names.items()}
    return final, mapping, [(network, new_number[codes]) for network, codes in of_networks.items()]
