"""How often names were asked since they were last taken: in memory, bounded, without an address."""

from collections.abc import Callable, Iterator, Mapping

from siphash24 import siphash13

from filter.serving.wire import AAAA, HTTPS, SVCB, A

MOST_PENDING = 20_000
"""Lines in memory between two writes; further names of that half minute are dropped and counted."""
SLOTS = 240
"""Bits of which each device lights one."""
GROUPS: Mapping[int, str] = {A: "address", AAAA: "address", HTTPS: "service", SVCB: "service"}
OTHER = "other"

Key = tuple[str, str, str]
"""(name, group of types, profile)"""
Line = tuple[Key, int, bytes]
"""What was asked, how often, and the bits of the devices that asked."""
BYTES = (SLOTS + 7) // 8


class Tally:
    """What was asked since it was last taken."""

    def __init__(self, key: bytes, dropped: Callable[[int], None]) -> None:
        """``dropped`` is told how many queries found no room."""
        self.dropped = dropped
        self.key = key
        self.pending: dict[Key, list[int]] = {}

    def count(self, name: str, qtype: int, profile: str, client: str, queries: int = 1) -> None:
        """So many more queries. Nothing is written, nothing waits."""
        key = name, GROUPS.get(qtype, OTHER), profile
        if key not in self.pending and len(self.pending) >= MOST_PENDING:
            self.dropped(queries)
            return
        bit = 1 << siphash13(f"{name}\0{client}".encode(), key=self.key).intdigest() % SLOTS
        self.add(key, queries, bit)

    def add(self, key: Key, queries: int, bits: int) -> None:
        """So many more queries, of devices that light these bits."""
        entry = self.pending.get(key)
        if entry is not None:
            entry[0] += queries
            entry[1] |= bits
        elif len(self.pending) < MOST_PENDING:
            self.pending[key] = [queries, bits]
        else:
            self.dropped(queries)

    def take(self, key: bytes) -> Iterator[Line]:
        """All of it, line by line; ``key`` is the one of today, for what comes."""
        pending, self.pending, self.key = self.pending, {}, key
        return ((each, queries, bits.to_bytes(BYTES, "big")) for each, (queries, bits) in pending.items())
