"""What a list holds, told before anybody relies on it: entries by kind, lines left out, popular names it would hit."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry
from filter.lists.formats import FORMATS, Recognition, examine
from filter.lists.popular import find_popular, group_of, popular_names
from filter.lists.source import MOST_EXAMPLES, ListReport
from filter.lists.trust import without_leading
from filter.lists.ut1 import read_ut1
from filter.lists.ut1_archive import is_archive, ut1_folder
from filter.names import suffixes
from filter.rules import RuleTable

ADDRESS_TYPE = 1
"""Rules are tried on queries for an A record."""


class Hit(NamedTuple):
    """A popular name that the list would block."""

    name: str
    group: str
    entry: str
    """The first entry that blocks it, as it is compared or, of a rule, as the list writes it."""


@dataclass(frozen=True, slots=True)
class ListCheck:
    """One list, read through."""

    title: str
    format: str
    why: str
    """What tells the format, in French."""
    report: ListReport
    kinds: dict[str, int]
    """Entries by kind: names, exact, below, exceptions, addresses, rules."""
    duplicates: int
    repeated: tuple[str, ...]
    """The first entries that come again."""
    popular: tuple[Hit, ...]


@dataclass(slots=True)
class Findings:
    """What is gathered while a list is read; of each entry only a hash is kept."""

    kinds: Counter[str] = field(default_factory=Counter)
    seen: set[int] = field(default_factory=set)
    duplicates: int = 0
    repeated: list[str] = field(default_factory=list)
    hits: dict[str, str] = field(default_factory=dict)
    """Popular name -> entry."""
    allowed: set[str] = field(default_factory=set)
    rules: list[RuleEntry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Take one entry into account."""
        self.kinds[kind_of(entry)] += 1
        key = hash(entry)
        if key in self.seen:
            self.duplicates += 1
            if len(self.repeated) < MOST_EXAMPLES:
                self.repeated.append(text_of(entry))
            return
        self.seen.add(key)
        if isinstance(entry, str):
            self.hit(entry, Match.WITH_BELOW)
        elif isinstance(entry, RuleEntry):
            self.rules.append(entry)
        elif isinstance(entry, NameEntry) and entry.allows:
            self.allowed.add(entry.name)
        elif isinstance(entry, NameEntry):
            self.hit(entry.name, entry.match)

    def hit(self, name: str, match: Match) -> None:
        for popular in find_popular(name, match):
            self.hits.setdefault(popular, name)

    def find_hits(self) -> tuple[Hit, ...]:
        """The popular names that the whole list blocks, by group; its own exceptions lift them."""
        table = RuleTable([(0, rule) for rule in self.rules])
        found = dict(self.hits)
        for name in popular_names() if self.rules else ():
            rules = [rule for _, rule in table.matching(name, ADDRESS_TYPE)]
            if any(rule.allows for rule in rules):
                found.pop(name, None)
            elif rules:
                found.setdefault(name, rules[0].text)
        hits = [Hit(name, group_of(name), entry) for name, entry in found.items() if not self.allows(name)]
        return tuple(sorted(hits, key=lambda hit: (hit.group, hit.name)))

    def allows(self, name: str) -> bool:
        return any(suffix in self.allowed for suffix in suffixes(name))


def kind_of(entry: Entry) -> str:
    """The kind an entry is counted under."""
    if isinstance(entry, str):
        return "names"
    if isinstance(entry, AddressEntry):
        return "exceptions" if entry.allows else "addresses"
    if entry.allows:
        return "exceptions"
    if isinstance(entry, RuleEntry):
        return "rules"
    return {Match.WITH_BELOW: "names", Match.EXACT: "exact", Match.BELOW: "below"}[entry.match]


def text_of(entry: Entry) -> str:
    """An entry as a person would recognise it."""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, AddressEntry):
        return entry.network
    return entry.text if isinstance(entry, RuleEntry) else entry.name


def check_list(path: Path, given: str | None = None) -> list[ListCheck]:
    """Read a list file, in the format given or the one its content tells; a UT1 folder or archive gives one check for
    each category. Raises ListRefused, and KeyError for a format that is none of FORMATS."""
    if given is None and (path.is_dir() or is_archive(path)):
        with ut1_folder(path) as folder:
            return [check(source.slug, UT1, source.read) for source in read_ut1(folder)]
    recognition = examine(path) if given is None else Recognition(given, "indiqué")
    reader = FORMATS[recognition.format]
    return [check(path.name, recognition, lambda report: reader(path, report))]


UT1 = Recognition("ut1", "un dossier par catégorie")


def check(title: str, recognition: Recognition, read: Callable[[ListReport], Iterator[Entry]]) -> ListCheck:
    """Read one list through. Raises ListRefused."""
    report, findings = ListReport(), Findings()
    for entry in without_leading(read(report), report):
        findings.add(entry)
    return ListCheck(
        title,
        recognition.format,
        recognition.why,
        report,
        dict(findings.kinds),
        findings.duplicates,
        tuple(findings.repeated),
        findings.find_hits(),
    )
