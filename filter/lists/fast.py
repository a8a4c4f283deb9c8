"""Plain lists read with numpy, a quarter of a megabyte at a time: what filter.lists.domains.read_plain gives, hashed.

Nearly every line of a list of millions is a clean name already. Those lines are found, checked and hashed all at once;
every other one goes through ``read_plain_line`` with its number, as it would have without numpy.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from filter.domains import hash_name
from filter.lists.domains import read_plain_line
from filter.lists.entries import AddressEntry
from filter.lists.lines import LONGEST_LINE, MOST_LINES, ListRefused
from filter.lists.siphash import hash_pieces
from filter.lists.source import ListReport
from filter.lists.suffixes import icann_rules

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Hashes: TypeAlias = NDArray[np.uint64]
    Flags: TypeAlias = NDArray[np.bool_]
    Places: TypeAlias = NDArray[np.int64]

AddNetwork = Callable[[AddressEntry], None]
EDGE, SEPARATOR, OTHER, DOT = 1, 2, 4, 8
"""Bits of a byte's class: may not stand at a label's edge; ends a label; is in no usual name; makes two labels."""
LONGEST_USUAL = 63
"""Bytes of a line that goes the short way: no label of it can be too long."""
FRONT = b"\0" * 7 + b"\n"
"""Before each block, so that eight bytes can be read before the end of any name."""
BACK = b"\0" * 8
"""Behind each block, so that eight bytes can be read from anywhere in it."""
SUFFIX_BITS = 20


def make_classes() -> bytes:
    """Byte -> class, for bytes.translate."""
    classes = bytearray([OTHER] * 256)
    for byte in b"abcdefghijklmnopqrstuvwxyz0123456789_":
        classes[byte] = 0
    classes[ord("-")] = EDGE
    classes[ord(".")] = EDGE | SEPARATOR | DOT
    classes[ord("\n")] = classes[ord("\r")] = SEPARATOR
    return bytes(classes)


CLASSES = make_classes()


@dataclass(frozen=True)
class Block:
    """Whole lines of a file, FRONT before and BACK behind them."""

    data: bytes
    starts: "Places"
    """Of every line, in ``data``."""
    ends: "Places"
    """Where its ``\\n`` is."""
    stops: "Places"
    """Where its text ends: before a ``\\r\\n`` too."""

    def line(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.ends[index]]


class FastReader:
    """Reads plain lists into hashes under one key."""

    def __init__(self, numpy: ModuleType, key: bytes) -> None:
        self.numpy = numpy
        self.key = key
        rules = icann_rules()
        self.suffixes = numpy.array(sorted(hash_name(name.encode(), key) for name in rules.exact), numpy.uint64)
        self.suffix_buckets = numpy.zeros(1 << SUFFIX_BITS, bool)
        self.suffix_buckets[(self.suffixes >> numpy.uint64(64 - SUFFIX_BITS)).astype(numpy.int64)] = True
        self.wildcard_tails = [make_tail(numpy, wildcard) for wildcard in sorted(rules.wildcards)]
        self.wildcard_ends = numpy.zeros(1 << 16, bool)
        self.wildcard_ends[[int(tail) >> 48 for _, tail in self.wildcard_tails]] = True

    def read(
        self,
        chunks: Iterable[bytes],
        report: ListReport,
        path: object,
        add: AddNetwork,
        most_lines: int = MOST_LINES,
    ) -> "Iterator[Hashes]":
        """The hashes of a file's names, in their order, a piece at a time; networks are given to ``add``.

        Raises ListRefused for more lines than any list has.
        """
        number = 0
        for text in whole_lines(chunks):
            block = self.split(text)
            yield self.read_block(block, number, report, add)
            number += len(block.starts)
            if number > most_lines:
                raise ListRefused(f"{path} : plus de {most_lines} lignes")

    def join(self, pieces: "Iterable[Hashes]") -> "Hashes":
        """All of them in one."""
        joined: Hashes = self.numpy.concatenate([self.numpy.empty(0, self.numpy.uint64), *pieces])
        return joined

    def split(self, text: bytes) -> Block:
        """Find the lines."""
        np = self.numpy
        data = FRONT + text + BACK
        codes = np.frombuffer(data, np.uint8)
        ends = np.flatnonzero(codes == 10)
        starts, ends = ends[:-1] + 1, ends[1:]
        return Block(data, starts, ends, ends - (codes[ends - 1] == 13))

    def read_block(self, block: Block, number: int, report: ListReport, add: AddNetwork) -> "Hashes":
        """Hashes of the block's names; ``number`` lines came before it."""
        np = self.numpy
        usual = self.find_usual(block)
        chosen = np.flatnonzero(usual)
        hashes = np.zeros(len(usual), np.uint64)
        hashes[chosen] = self.hash(block, chosen)
        suffixes = chosen[self.may_be_suffix(block, chosen, hashes[chosen])]
        usual[suffixes] = False
        count = int(np.count_nonzero(usual))
        report.lines += count
        report.names += count
        for index in np.flatnonzero(~usual & (block.stops > block.starts)).tolist():
            entry = read_plain_line(number + index + 1, block.line(index), report)
            if isinstance(entry, str):
                hashes[index] = hash_name(entry.encode(), self.key)
                usual[index] = True
            elif entry is not None:
                add(entry)
        names: Hashes = hashes[usual]
        return names

    def find_usual(self, block: Block) -> "Flags":
        """Which lines are clean names of two labels or more, none of them long; the last does not end in a digit."""
        np = self.numpy
        codes = np.frombuffer(block.data, np.uint8)
        classes = np.frombuffer(bytearray(block.data.translate(CLASSES)), np.uint8)
        edges, separators = classes & EDGE, classes >> 1 & 1
        classes[1:] |= (edges[1:] & separators[:-1]) * OTHER
        classes[:-1] |= (edges[:-1] & separators[1:]) * OTHER
        if 13 in block.data:
            returns = np.flatnonzero(codes == 13)
            classes[returns[codes[returns + 1] != 10]] |= OTHER
        last = codes[block.stops - 1]
        short = block.stops - block.starts <= LONGEST_USUAL
        met = np.bitwise_or.reduceat(classes[: -len(BACK)], block.starts)
        usual: Flags = (met & (OTHER | DOT) == DOT) & short & ((last < 48) | (last > 57))
        return usual

    def may_be_suffix(self, block: Block, chosen: "Places", hashes: "Hashes") -> "Flags":
        """Which of these lines could be public suffixes; ``read_plain_line`` then says which are."""
        np = self.numpy
        found = self.suffix_buckets[(hashes >> np.uint64(64 - SUFFIX_BITS)).astype(np.int64)]
        places = np.flatnonzero(found)
        nearest = np.searchsorted(self.suffixes[:-1], hashes[places])
        found[places] = self.suffixes[nearest] == hashes[places]
        tails = np.ndarray(len(block.data) - 7, "V8", block.data, strides=(1,))[block.stops[chosen] - 8].view("<u8")
        places = np.flatnonzero(self.wildcard_ends[(tails >> np.uint64(48)).astype(np.int64)])
        for mask, tail in self.wildcard_tails:
            found[places] |= tails[places] & mask == tail
        marked: Flags = found
        return marked

    def hash(self, block: Block, chosen: "Places") -> "Hashes":
        """SipHash-1-3 of these lines."""
        starts = block.starts[chosen]
        return hash_pieces(self.numpy, block.data, starts, block.stops[chosen] - starts, self.key)


def make_tail(numpy: ModuleType, wildcard: str) -> "tuple[np.uint64, np.uint64]":
    """(mask, value) of the last eight bytes of every name under this one."""
    end = f".{wildcard}".encode()[-8:]
    mask = (b"\xff" * len(end)).rjust(8, b"\0")
    return numpy.frombuffer(mask, "<u8")[0], numpy.frombuffer(end.rjust(8, b"\0"), "<u8")[0]


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, cut at ends of lines as filter.lists.lines.split_lines cuts them; the last line gets its end."""
    rest = b""
    for chunk in chunks:
        text = rest + chunk
        end = text.rfind(b"\n") + 1
        rest = text[end:][: LONGEST_LINE + 1]
        if end:
            yield text[:end]
    if rest:
        yield rest + b"\n"
