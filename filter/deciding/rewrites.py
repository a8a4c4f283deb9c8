"""A school’s own answers: exact names, then deeper wildcards, then others; aliases are followed within a bound."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from filter.deciding.decisions import Rewrite
from filter.lists.entries import ReplyRecord
from filter.names import suffixes
from filter.settings import RewriteSettings

A, AAAA = 1, 28
MOST_STEPS = 16
"""Aliases followed one after the other; whoever writes more has written a loop."""
TYPES = {"A": A, "AAAA": AAAA}


@dataclass(frozen=True, slots=True)
class Answers:
    """What one pattern leads to."""

    pattern: str
    target: str | None
    records: tuple[ReplyRecord, ...]
    kept: frozenset[int]
    """Types for which the upstream's answer stays."""


def read_answers(pattern: str, texts: Iterable[str]) -> Answers:
    """Answers as RewriteSettings writes them; a name beats addresses."""
    records, kept, target = [], set(), None
    for text in texts:
        if text in TYPES:
            kept.add(TYPES[text])
            continue
        try:
            address = ip_address(text)
        except ValueError:
            target = target or text
        else:
            records.append(ReplyRecord(A if address.version == 4 else AAAA, str(address)))
    return Answers(pattern, target, tuple(records), frozenset(kept))


class RewriteTable:
    """Finds the rewrite of a name. An empty one costs a test."""

    def __init__(self, rewrites: Iterable[RewriteSettings]) -> None:
        given: dict[str, list[str]] = {}
        for rewrite in rewrites:
            given.setdefault(rewrite.name, []).extend(rewrite.answers)
        self.known = {pattern: read_answers(pattern, texts) for pattern, texts in given.items()}

    def find_answers(self, name: str) -> Answers | None:
        """The most precise pattern that speaks of a name: itself, then ``*.`` and its longest parent."""
        if (exact := self.known.get(name)) is not None:
            return exact
        _, _, parent = name.partition(".")
        return next((found for above in suffixes(parent) if (found := self.known.get(f"*.{above}"))), None)

    def find(self, name: str, qtype: int) -> tuple[str, Rewrite] | None:
        """(pattern, local answer) for a query; None when the upstream is to answer.

        A pattern that leads to itself, or a name that leads to itself, is an exception: nothing is rewritten.
        """
        if not self.known or (first := self.find_answers(name)) is None:
            return None
        found, target, here = first, None, name
        for _ in range(MOST_STEPS):
            if found.target is None or found.target == here:
                break
            if found.target in (name, found.pattern):
                return None
            target = here = found.target
            if (following := self.find_answers(here)) is None:
                return first.pattern, Rewrite(target)
            found = following
        if found.target is not None:  # an alias of itself on the way, or a loop: the upstream knows what is there
            return None if target is None else (first.pattern, Rewrite(target))
        if qtype in found.kept:
            return None if target is None else (first.pattern, Rewrite(target))
        records = tuple(record for record in found.records if record.qtype == qtype)
        return first.pattern, Rewrite(target, records, is_final=True)
