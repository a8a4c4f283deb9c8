"""DomainIndex: which sets of list entries hold a name or one of its parents, in the mapped table of 64-bit hashes."""

from collections.abc import Callable, Iterator, Sequence

from siphash24 import siphash13

from filter.bundle import NamesFile
from filter.names import suffixes

UNSIGNED = (1 << 64) - 1
MOST_CLEAN = 16_384
DEFAULT_KEY = b"Pr\xc3\xa9au: noms v1\0"
"""Key of bundles whose publisher keeps none of its own. Always the same, so that the same lists give the same bytes."""


def hash_name(name: bytes, key: bytes) -> int:
    """The keyed 64-bit hash of a lower-case name (SipHash-1-3): without the key nobody can aim names at one bucket."""
    value: int = siphash13(name, key=key).intdigest()
    return value & UNSIGNED


class DomainIndex:
    """Looks names up in a names file. Every parent costs one more probe; nothing of the table is copied."""

    def __init__(self, names: NamesFile) -> None:
        self.key = names.header.key
        self.find: Callable[[int], int | None] = names.find_set
        self.clean: set[str] = set()
        """Parents that no list holds: most names share theirs with many others."""

    def find_sets(self, names: Sequence[str]) -> list[tuple[str, int]]:
        """Every (suffix, set id) that the lists hold, in the order given: a name, then its parents."""
        found, key, find, clean = [], self.key, self.find, self.clean
        for suffix in names:
            if suffix in clean:
                continue
            set_id = find(siphash13(suffix.encode(), key=key).intdigest() & UNSIGNED)
            if set_id is not None:
                found.append((suffix, set_id))
            elif suffix is not names[0]:
                if len(clean) >= MOST_CLEAN:
                    clean.clear()
                clean.add(suffix)
        return found

    def find_set(self, name: str) -> int | None:
        """The set of entries for exactly this name."""
        return self.find(hash_name(name.encode(), self.key))

    def matches(self, name: str) -> Iterator[tuple[str, int]]:
        """Every (suffix, set id) that the lists hold, longest suffix first."""
        yield from self.find_sets(tuple(suffixes(name)))
