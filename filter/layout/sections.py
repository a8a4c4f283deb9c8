"""What stands behind the header of filter.bundle's files: the table of sections, and the sections that are parsed."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum
from itertools import pairwise
from typing import NamedTuple, Self

from filter.layout.header import HEADER, BundleRefused, Header
from filter.lists.entries import Match

SECTION = struct.Struct("<IIQQ")
ALIGNMENT = 64


class SectionId(IntEnum):
    METADATA = 1
    FANOUT = 2
    HASHES = 3
    SET_IDS = 4
    SET_STARTS = 5
    SET_MEMBERS = 6
    POLICY = 7
    RULES = 8
    ADDRESSES = 9


class Member(NamedTuple):
    """One line of a set: a list that speaks of the name, and how."""

    position: int
    match: Match = Match.WITH_BELOW
    allows: bool = False
    important: bool = False

    @classmethod
    def from_code(cls, code: int) -> Self:
        """Read a number of SET_MEMBERS; raise ValueError for bits that mean nothing."""
        if code >> 20:
            raise ValueError(f"membre d’ensemble inconnu : {code:#x}")
        return cls(code & 0xFFFF, Match(code >> 16 & 3), bool(code >> 18 & 1), bool(code >> 19 & 1))

    @property
    def code(self) -> int:
        return self.position | self.match << 16 | self.allows << 18 | self.important << 19


@dataclass(frozen=True, slots=True)
class ListInfo:
    """Where the names of one list come from and what became of its lines."""

    slug: str
    title: str
    category: str
    """What profiles block and allow; several lists may feed one."""
    source: str = ""
    licence: str = ""
    date: str | None = None
    usage: Sequence[str] = ()
    lines: int = 0
    entries: int = 0
    """Distinct names of this list in the table; one that is both blocked and excepted counts twice."""
    duplicates: int = 0
    rules: int = 0
    addresses: int = 0
    """Distinct networks."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """Reason -> lines left out."""
    not_enforceable: Mapping[str, int] = field(default_factory=dict)
    """``urls`` and ``expressions``: entries that DNS cannot enforce."""

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Self:
        """Read what ``asdict`` wrote; fields that a later version added are ignored. Raise ValueError, TypeError."""
        known = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        for name, kinds in LIST_INFO_KINDS.items():
            if not isinstance(known.get(name, kinds[0]()), kinds):
                raise TypeError(f"liste : {name}")
        return cls(**known)  # type: ignore[arg-type]  # the kinds were just checked


LIST_INFO_KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("slug", "title", "category", "source", "licence"), (str,)),
    **dict.fromkeys(("lines", "entries", "duplicates", "rules", "addresses"), (int,)),
    "date": (str, type(None)),
    "usage": (list,),
    "skipped": (dict,),
    "not_enforceable": (dict,),
}


def canonical_json(value: object) -> bytes:
    """One way to write a value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def find_sections(data: memoryview, header: Header) -> dict[int, memoryview]:
    """Section id -> its bytes, without a copy; raise BundleRefused when the table does not hold together."""
    found: dict[int, memoryview] = {}
    end, last = HEADER.size + SECTION.size * header.sections, 0
    if end > len(data):
        raise BundleRefused("invalid", "table des sections hors du fichier")
    for position in range(header.sections):
        identifier, flags, offset, length = SECTION.unpack_from(data, HEADER.size + SECTION.size * position)
        if identifier <= last or flags or offset < end or offset % ALIGNMENT or offset + length > len(data):
            raise BundleRefused("invalid", f"section {identifier} mal placée")
        found[identifier] = data[offset : offset + length]
        last, end = identifier, offset + length
    return found


def read_sets(starts: memoryview, members: memoryview, lists: int) -> tuple[tuple[Member, ...], ...]:
    """Set id -> its members, one object for all sets that share one; raise ValueError when they make no sense."""
    places = starts.cast("I").tolist()
    codes = members.cast("I").tolist()
    if not places or places[0] or places[-1] != len(codes) or places != sorted(places):
        raise ValueError("ensembles")
    known = {code: Member.from_code(code) for code in set(codes)}
    if any(member.position >= lists for member in known.values()):
        raise ValueError("un ensemble nomme une liste absente")
    every = [known[code] for code in codes]
    return tuple(tuple(every[start:end]) for start, end in pairwise(places))
