"""DomainIndex: which lists hold a name or one of its parents, looked up in the mapped table of 64-bit hashes."""

from collections.abc import Callable, Iterator

from siphash24 import siphash13

from filter.bundle import NamesFile
from filter.names import suffixes

UNSIGNED = (1 << 64) - 1
DEFAULT_KEY = b"Pr\xc3\xa9au: noms v1\0"
"""Key of bundles whose publisher keeps none of its own. Always the same, so that the same lists give the same bytes."""


def hash_name(name: bytes, key: bytes) -> int:
    """The keyed 64-bit hash of a lower-case name (SipHash-1-3): without the key nobody can aim names at one bucket."""
    value: int = siphash13(name, key=key).intdigest()
    return value & UNSIGNED


class DomainIndex:
    """Looks names up in a bundle. Every parent costs one more probe; nothing of the table is copied."""

    def __init__(self, bundle: NamesFile) -> None:
        self.key = bundle.header.key
        self.find: Callable[[int], int | None] = bundle.find_set

    def find_set(self, name: str) -> int | None:
        """The set of lists that hold exactly this name."""
        return self.find(hash_name(name.encode(), self.key))

    def matches(self, name: str) -> Iterator[tuple[str, int]]:
        """Every (suffix, set id) that the lists hold, longest suffix first."""
        for suffix in suffixes(name):
            found = self.find_set(suffix)
            if found is not None:
                yield suffix, found
