"""RuleTable: rules that hashed names cannot say, found by their anchor or by one linear-time set of patterns."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_network
from typing import Final, Protocol

import re2

from filter.lists.entries import Match, RuleEntry

PATTERN_MEMORY = 1 << 18
"""Bytes that RE2 may use for one pattern: hundreds of times what a sensible one needs, and a bound on hostile ones."""
SET_MEMORY = 1 << 23
"""Bytes that RE2 may use for one set of patterns: its program, and a cache of states that is emptied when full."""
SET_PATTERNS = 1000
"""Patterns in one set: more share the work of one reading of the name, but make its states larger."""
LONGEST_PATTERN = 1000

PIECE = re.compile(r"\\[xpP]\{[^}]*\}|\\.|\[\^?\]?(?:\[:\^?\w+:\]|\\.|[^\]])*\]|\{[0-9]+(?:,[0-9]*)?\}|.", re.DOTALL)
"""An escape, a class of characters, a repetition, or one character."""
COLLATING = re.compile(r"\[([.=]).*\1\]")
"""``[.x.]`` and ``[=x=]`` in a class: another syntax, which RE2 reads as the characters that are there."""

Found = tuple[int, RuleEntry]
"""A rule and the position of its list."""


class PatternRefused(ValueError):
    """RE2 cannot, or should not, run the pattern. ``reason`` is stable: bad_pattern, pattern_too_large."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PatternSet(Protocol):
    """What is used of re2.Set."""

    def Match(self, text: str) -> list[int] | None:  # noqa: N802 - the library's name
        """Numbers of all patterns that are found in the text."""
        ...


def check_pattern(pattern: str) -> None:
    """Raise PatternRefused for what RE2 does not know (look-around, back-references) or could only run large.

    RE2 reads a name once, whatever the pattern: time grows with the name's length and with nothing else. What is left
    to bound is memory (``x{1000}{1000}``), so readers call this on every pattern and RuleTable never refuses any.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise PatternRefused("pattern_too_large")
    if not pattern.isascii() or asks_the_impossible(pattern):  # names are ASCII: they travel as punycode
        raise PatternRefused("bad_pattern")
    options = quiet_options(PATTERN_MEMORY)
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        too_large = "too large" in str(error) or "repetition size" in str(error)
        raise PatternRefused("pattern_too_large" if too_large else "bad_pattern") from error
    try:
        compile_set([pattern])
    except re2.error as error:
        raise PatternRefused("pattern_too_large") from error


def asks_the_impossible(pattern: str) -> bool:
    """Whether the pattern asks for a character that is in no name: it is meant for another engine.

    Backslash, ``;`` (options of Pi-hole), a brace that counts nothing (TRE's approximate matches), collating elements.
    RE2 takes them as they stand, and the rule would be counted among those that work though it never can.
    """
    pieces: list[str] = PIECE.findall(pattern)
    return any(piece in {"\\\\", ";", "{"} or COLLATING.search(piece) is not None for piece in pieces)


def quiet_options(memory: int) -> re2.Options:
    """Errors are ours to report, not stderr's, and nothing of what matched is asked for."""
    options = re2.Options()
    options.max_mem = memory
    options.log_errors = False
    options.never_capture = True
    return options


def compile_set(patterns: Sequence[str]) -> PatternSet:
    """One RE2 set of all patterns. Raises re2.error when it does not fit in SET_MEMORY."""
    patterns_set = re2.Set.SearchSet(quiet_options(SET_MEMORY))
    for pattern in patterns:
        patterns_set.Add(pattern)
    patterns_set.Compile()
    made: PatternSet = patterns_set
    return made


def compile_sets(patterns: Sequence[str]) -> Iterator[tuple[Sequence[str], PatternSet]]:
    """Sets of at most SET_PATTERNS each; one that is too large all the same is made in two halves."""
    if len(patterns) > SET_PATTERNS:
        for start in range(0, len(patterns), SET_PATTERNS):
            yield from compile_sets(patterns[start : start + SET_PATTERNS])
        return
    try:
        yield patterns, compile_set(patterns)
    except re2.error:
        if len(patterns) == 1:
            raise
        middle = len(patterns) // 2
        yield from compile_sets(patterns[:middle])
        yield from compile_sets(patterns[middle:])


class RuleTable:
    """Every rule that speaks of a query. Immutable; an empty one costs a test."""

    def __init__(self, rules: Sequence[Found]) -> None:
        self.rules: Final = tuple(rules)
        self.spared: Final = tuple(frozenset(rule.except_below) for _, rule in rules)
        self.at: Final = group((rule.anchor, n) for n, (_, rule) in enumerate(rules) if rule.match is not Match.BELOW)
        self.above: Final = group(
            (rule.anchor, n) for n, (_, rule) in enumerate(rules) if rule.match is not Match.EXACT
        )
        self.everywhere: Final = frozenset(n for n, (_, rule) in enumerate(rules) if is_everywhere(rule))
        self.numbers: Final = group((rule.pattern, n) for n, (_, rule) in enumerate(rules))
        self.sets: Final = tuple(compile_sets(list(self.numbers))) if self.numbers else ()
        self.networks: Final = NetworkTable(rules)

    def matching(self, name: str, qtype: int) -> list[Found]:
        """(list position, rule) of all rules that speak of this lower-case name and type, in the order given."""
        if not self.rules:
            return []
        numbers = self.anchored(name)
        numbers |= self.everywhere
        if self.sets:
            numbers = self.with_patterns(numbers, name)
        if not numbers:
            return []
        return [self.rules[n] for n in sorted(numbers) if self.is_meant(n, name, qtype)]

    def anchored(self, name: str) -> set[int]:
        """Numbers of rules whose anchor is the name or one of its parents, as their match says."""
        numbers = set(self.at.get(name, ()))
        for parent in names_above(name):
            if (above := self.above.get(parent)) is not None:
                numbers.update(above)
        return numbers

    def with_patterns(self, numbers: set[int], name: str) -> set[int]:
        """Without those whose pattern is not found in the name; with those that have nothing but a pattern, found."""
        found = self.patterns_in(name)
        kept = {n for n in numbers if self.rules[n][1].pattern is None or n in found}
        kept.update(n for n in found if self.rules[n][1].anchor is None)
        return kept

    def is_meant(self, number: int, name: str, qtype: int) -> bool:
        """Whether the rule speaks of this type, and does not spare the name."""
        if not speaks_of_type(self.rules[number][1], qtype):
            return False
        spared = self.spared[number]
        return not spared or (name not in spared and spared.isdisjoint(names_above(name)))

    def patterns_in(self, name: str) -> frozenset[int]:
        """Numbers of rules whose pattern is found in the name: one reading of it for each set."""
        return frozenset(
            number
            for patterns, compiled in self.sets
            for index in compiled.Match(name) or ()
            for number in self.numbers[patterns[index]]
        )


class NetworkTable:
    """Rules about answers, found by an address that one leads to."""

    def __init__(self, rules: Iterable[Found]) -> None:
        self.rules: Final = defaultdict[tuple[int, int, int], list[Found]](list)
        for found in rules:
            if (network := found[1].network) is not None:
                parsed = ip_network(network)
                prefix = int(parsed.network_address) >> parsed.max_prefixlen - parsed.prefixlen
                self.rules[parsed.max_prefixlen, parsed.prefixlen, prefix].append(found)
        self.lengths: Final = tuple(sorted({(bits, length) for bits, length, _ in self.rules}, reverse=True))

    def leading_to(self, packed: bytes, qtype: int) -> list[Found]:
        """(list position, rule) of all rules that speak of this address (4 or 16 bytes) in an answer to this type,
        the longest prefix first."""
        width, value = len(packed) * 8, int.from_bytes(packed)
        return [
            found
            for bits, length in self.lengths
            if bits == width
            for found in self.rules.get((bits, length, value >> bits - length), ())
            if speaks_of_type(found[1], qtype)
        ]


def group(pairs: Iterable[tuple[str | None, int]]) -> dict[str, tuple[int, ...]]:
    """Key -> its numbers, in order; pairs without a key are left out."""
    grouped: dict[str, list[int]] = defaultdict(list)
    for key, number in pairs:
        if key is not None:
            grouped[key].append(number)
    return {key: tuple(numbers) for key, numbers in grouped.items()}


def is_everywhere(rule: RuleEntry) -> bool:
    """Whether the rule is about every name, but for those it spares."""
    return rule.anchor is None and rule.pattern is None and rule.network is None


def names_above(name: str) -> Iterator[str]:
    """The parents of a name, longest first, without itself."""
    _, _, parent = name.partition(".")
    while parent:
        yield parent
        _, _, parent = parent.partition(".")


def speaks_of_type(rule: RuleEntry, qtype: int) -> bool:
    """Whether the rule is about this type of record."""
    return (not rule.types or qtype in rule.types) and qtype not in rule.not_types
