"""The tables of a names file as changes of an older one's: found, written short, and woven into the new tables."""

import struct
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import accumulate, pairwise

from filter.bundle import NamesFile
from filter.layout.sections import SectionId

COUNTS = struct.Struct("<II")
UNSIGNED = 1 << 32
BLOCK = 1 << 14
"""Names that are compared or renumbered at once."""
MOST_MORE = 1_000_000
"""Names that a delta adds to a small table; to a large one twice as many as it has. Beyond, the whole file is better,
and nobody's small delta takes memory without end."""


class DeltaRefused(Exception):
    """The delta is not used; the whole file does instead. The text says why, in French."""


@dataclass(frozen=True, slots=True)
class Change:
    """From the old tables to the new ones."""

    removed: Sequence[int]
    """Positions in the old table, growing."""
    added: Sequence[int]
    """Hashes, growing."""
    new_ids: Sequence[int]
    """Old set id -> new one."""
    places: Sequence[int]
    """Positions in the new table of names whose set is another one than ``new_ids`` says, growing."""
    place_ids: Sequence[int]
    added_ids: Sequence[int]


def find_change(old: NamesFile, new: NamesFile) -> Change:
    """Compare two files, a block of hashes at a time."""
    new_ids = map_sets(old, new)
    removed, added, places, place_ids, added_ids = (array(code) for code in "IQIII")
    for old_range, new_range in blocks(old.hashes, new.hashes):
        before, after = old.hashes[old_range].tolist(), new.hashes[new_range].tolist()
        after_ids = new.set_ids[new_range].tolist()
        expected = [new_ids[number] for number in old.set_ids[old_range]]
        if before == after and expected == after_ids:
            continue
        kept, known = set(after), dict(zip(before, expected, strict=True))
        removed.extend(position for position, value in enumerate(before, old_range.start) if value not in kept)
        for position, value, number in zip(range(new_range.start, new_range.stop), after, after_ids, strict=True):
            if value not in known:
                added.append(value)
                added_ids.append(number)
            elif known[value] != number:
                places.append(position)
                place_ids.append(number)
    return Change(removed, added, new_ids, places, place_ids, added_ids)


def blocks(old: memoryview, new: memoryview) -> Iterator[tuple[slice, slice]]:
    """Ranges of both tables that hold the hashes between two values, so that all of both is covered."""
    start, other = 0, 0
    while start < len(old):
        end = min(start + BLOCK, len(old))
        other_end = bisect_left(new, old[end], other) if end < len(old) else len(new)
        yield slice(start, end), slice(other, other_end)
        start, other = end, other_end
    if other < len(new):
        yield slice(start, start), slice(other, len(new))


def map_sets(old: NamesFile, new: NamesFile) -> list[int]:
    """Old set id -> id of the set of the same lists in the new file; 0 when there is none any more."""
    position = {info.slug: number for number, info in enumerate(new.lists)}
    known = {frozenset(members): number for number, members in enumerate(new.sets)}
    moved = (
        [m._replace(position=position.get(old.lists[m.position].slug, -1)) for m in members] for members in old.sets
    )
    return [known.get(frozenset(members), 0) for members in moved]


def write_hashes_part(change: Change) -> bytes:
    """The HASHES part of a delta."""
    counts = COUNTS.pack(len(change.removed), len(change.added))
    return counts + write_growing(change.removed) + write_growing(change.added)


def write_set_ids_part(change: Change) -> bytes:
    """The SET_IDS part of a delta."""
    counts = COUNTS.pack(len(change.new_ids), len(change.places))
    shifts = array("I", ((new - old) % UNSIGNED for old, new in enumerate(change.new_ids)))
    ids = write_varints(change.place_ids) + write_varints(change.added_ids)
    return counts + shifts.tobytes() + write_growing(change.places) + ids


def check_counts(names: int, removed: int, added: int) -> None:
    """Raise DeltaRefused for more changes than a table of so many names takes."""
    if removed > names or added > 2 * names + MOST_MORE:
        raise DeltaRefused("plus de noms retirés ou ajoutés que la table n’en admet : le fichier entier est préférable")


def read_hashes_part(part: memoryview, names: int) -> "tuple[array[int], array[int]]":
    """Positions removed from the old table of so many names, and hashes added.

    Raises DeltaRefused, struct.error, OverflowError.
    """
    removed_count, added_count = COUNTS.unpack_from(part)
    check_counts(names, removed_count, added_count)
    numbers = Varints(part[COUNTS.size :])
    removed, added = numbers.read_growing(removed_count), numbers.read_growing(added_count)
    numbers.end()
    if removed and removed[-1] >= names:
        raise DeltaRefused("nom hors des tables")
    return removed, added


def read_set_ids_part(part: memoryview, removed: Sequence[int], added: Sequence[int], old: NamesFile) -> Change:
    """The whole change; raise DeltaRefused, struct.error, OverflowError."""
    count, exceptions = COUNTS.unpack_from(part)
    sets = len(old.sets)
    if count != sets:
        raise DeltaRefused("ensembles d’un autre fichier")
    if exceptions > old.names - len(removed) + len(added):
        raise DeltaRefused("plus de noms déplacés que la table n’en a")
    end = COUNTS.size + 4 * sets
    shifts = struct.unpack_from(f"<{sets}I", part, COUNTS.size)
    numbers = Varints(part[end:])
    places = numbers.read_growing(exceptions)
    place_ids, added_ids = numbers.read(exceptions), numbers.read(len(added))
    numbers.end()
    new_ids = [(old + shift) % UNSIGNED for old, shift in enumerate(shifts)]
    return Change(removed, added, new_ids, places, place_ids, added_ids)


def write_varints(numbers: Iterable[int]) -> bytes:
    written = bytearray()
    for number in numbers:
        rest = number
        while rest > 127:
            written.append(rest & 127 | 128)
            rest >>= 7
        written.append(rest)
    return bytes(written)


def write_growing(numbers: Sequence[int]) -> bytes:
    return write_varints([*numbers[:1], *(after - before for before, after in pairwise(numbers))])


class Varints:
    """Reads varints one after the other; never more than there are bytes."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.place = 0

    def read(self, count: int) -> "array[int]":
        """So many numbers, of eight bytes each; raise DeltaRefused when they are not all there, OverflowError."""
        return array("Q", self.each(count))

    def each(self, count: int) -> Iterator[int]:
        if count > len(self.data) - self.place:
            raise DeltaRefused("suite de nombres coupée")
        return (self.read_one() for _ in range(count))

    def read_one(self) -> int:
        number = 0
        for shift in range(0, 70, 7):
            byte = self.data[self.place]
            self.place += 1
            number |= (byte & 127) << shift
            if byte < 128:
                return number
        raise DeltaRefused("nombre trop long")

    def read_growing(self, count: int) -> "array[int]":
        """So many numbers, none smaller than the one before; raise DeltaRefused, OverflowError."""
        return array("Q", accumulate(self.each(count)))

    def end(self) -> None:
        """Raise DeltaRefused when bytes are left."""
        if self.place != len(self.data):
            raise DeltaRefused("octets de trop")


class Tables:
    """The new file's tables, given out in pieces: of the old ones and of what changed."""

    def __init__(self, old: NamesFile, change: Change, fanout_bits: int, set_id_size: int) -> None:
        self.old = old
        self.change = change
        self.bits = fanout_bits
        self.set_id_size = set_id_size
        self.names = old.names - len(change.removed) + len(change.added)

    def size(self, section: int) -> int:
        """Bytes of a section."""
        entry = {SectionId.FANOUT: 4, SectionId.HASHES: 8, SectionId.SET_IDS: self.set_id_size}
        return entry[SectionId(section)] * ((1 << self.bits) + 1 if section == SectionId.FANOUT else self.names)

    def pieces(self, section: int) -> Iterator[bytes | memoryview]:
        """The content of a section."""
        makers = {SectionId.FANOUT: self.fanout, SectionId.HASHES: self.hashes, SectionId.SET_IDS: self.set_ids}
        return makers[SectionId(section)]()

    def runs(self) -> Iterator[tuple[int, int, bool]]:
        """(start, end, whether the next added name comes then): what is kept of the old table, in its order."""
        places, place = array("Q"), 0
        for value in self.change.added:
            place = bisect_left(self.old.hashes, value, place)
            places.append(place)
        start = 0
        for position, is_removed in merge(((p, False) for p in places), ((p, True) for p in self.change.removed)):
            yield start, position, not is_removed
            start = position + is_removed
        yield start, self.old.names, False

    def hashes(self) -> Iterator[bytes | memoryview]:
        """HASHES: runs of the old table, and the added ones between them."""
        added = iter(self.change.added)
        for start, end, adds in self.runs():
            yield self.old.hashes[start:end]
            if adds:
                yield struct.pack("<Q", next(added))

    def set_ids(self) -> Iterator[bytes | memoryview]:
        """SET_IDS, before the exceptions of ``patches``."""
        added = iter(self.change.added_ids)
        new_ids = self.change.new_ids
        same = self.set_id_size == self.old.header.set_id_size and list(new_ids) == list(range(len(new_ids)))
        code = self.code
        for start, end, adds in self.runs():
            if same:
                yield self.old.set_ids[start:end]
            else:
                for part in range(start, end, BLOCK):
                    numbers = self.old.set_ids[part : min(part + BLOCK, end)]
                    yield array(code, map(new_ids.__getitem__, numbers)).tobytes()
            if adds:
                yield array(code, [next(added)]).tobytes()

    @property
    def code(self) -> str:
        """Of a set id, for array and struct."""
        return "H" if self.set_id_size == 2 else "I"

    def patches(self) -> Iterator[tuple[int, bytes]]:
        """(byte of SET_IDS, what stands there instead)."""
        for position, number in zip(self.change.places, self.change.place_ids, strict=True):
            if position >= self.names:
                raise DeltaRefused("nom hors des tables")
            yield position * self.set_id_size, struct.pack(f"<{self.code}", number)

    def fanout(self) -> Iterator[bytes | memoryview]:
        """FANOUT: the old one, moved by what changed in the buckets before; counted anew when their number changed."""
        shift = 64 - self.bits
        if self.bits != self.old.header.fanout_bits:
            yield self.count_buckets(shift)
            return
        changed = merge(
            ((self.old.hashes[position] >> shift, -1) for position in self.change.removed),
            ((value >> shift, 1) for value in self.change.added),
        )
        start, moved = 0, 0
        for bucket, more in changed:
            yield self.moved_fanout(start, bucket + 1, moved)
            start, moved = bucket + 1, moved + more
        yield self.moved_fanout(start, (1 << self.bits) + 1, moved)

    def moved_fanout(self, start: int, end: int, moved: int) -> bytes | memoryview:
        """Part of the old fan-out, its positions moved."""
        part = self.old.fanout[start:end]
        return part if moved == 0 else array("I", [position + moved for position in part]).tobytes()

    def count_buckets(self, shift: int) -> bytes:
        """The whole fan-out, from the hashes themselves."""
        counts = array("i", bytes(4 * ((1 << self.bits) + 1)))
        for value in self.old.hashes:
            counts[(value >> shift) + 1] += 1
        for position in self.change.removed:
            counts[(self.old.hashes[position] >> shift) + 1] -= 1
        for value in self.change.added:
            counts[(value >> shift) + 1] += 1
        return array("I", accumulate(counts)).tobytes()
