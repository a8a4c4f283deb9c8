"""What a change would do to names that people really ask for: both policies judge them, the differences are told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filter.deciding.decisions import Action, Decision, Query
from filter.namecounts import NameCount, read_counts
from filter.names import NameRefused, clean_name
from filter.policy import Policy, Profile, decide

DEFAULT_THRESHOLD = 3
"""Devices that asked: names that fewer know are told to nobody."""
ASKED_AS: Mapping[str, int] = {"address": 1, "service": 65, "other": 16}
"""Group of types -> the type that stands for it."""
REACHABLE = frozenset({Action.ALLOWED, Action.REWRITTEN, Action.TRUNCATED})
SQLITE = b"SQLite format 3\0"


class CountsInvalid(ValueError):
    """The file holds no counts; the text says, in French, why."""


@dataclass(frozen=True, slots=True)
class Change:
    """A name whose verdict changes, in one profile or several that agree."""

    name: str
    blocked: bool
    """By the new files; False: it was blocked and no longer is."""
    profiles: tuple[str, ...]
    queries: int
    clients: int | None
    decision: Decision
    """The one that blocks: the new one of a newly blocked name, else the old one."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would change, the most asked for first."""

    changes: tuple[Change, ...]
    names: int
    """Distinct names that were judged."""
    withheld: int
    """Names that change and that too few devices asked for to be told."""

    def newly(self, *, blocked: bool) -> list[Change]:
        return [change for change in self.changes if change.blocked is blocked]


def preview(old: Policy, new: Policy, counts: Iterable[NameCount], now: datetime, threshold: int) -> Preview:
    """Judge every name by both at ``now``; a name without a profile of its own is judged in all of them."""
    found: dict[tuple[str, bool], Change] = {}
    judged = set()
    for count in counts:
        judged.add(count.name)
        for slug in profiles_of(count, new):
            change = compare(old, new, count, slug, now)
            if change is not None:
                key = change.name, change.blocked
                found[key] = change if key not in found else merge(found[key], change)
    told = [change for change in found.values() if change.clients is None or change.clients >= threshold]
    told.sort(key=lambda change: (-change.queries, change.name))
    return Preview(tuple(told), len(judged), len({name for name, _ in found} - {change.name for change in told}))


def profiles_of(count: NameCount, policy: Policy) -> list[str]:
    """In which profiles a name is judged: the one it was asked in, if it is still there; all, when that is unknown."""
    known = sorted({slug for slug, room in policy.profiles if not room})
    if count.profile is None:
        return known
    return [count.profile if count.profile in known else policy.settings.default_profile]


def compare(old: Policy, new: Policy, count: NameCount, slug: str, now: datetime) -> Change | None:
    """The change of one name in one profile, if there is one."""
    query = Query(count.name, ASKED_AS[count.qtypes])
    before = decide(query, profile_named(old, slug), now)
    after = decide(query, profile_named(new, slug), now)
    if (before.action in REACHABLE) == (after.action in REACHABLE):
        return None
    blocked = after.action not in REACHABLE
    return Change(count.name, blocked, (slug,), count.queries, count.clients, after if blocked else before)


def profile_named(policy: Policy, slug: str) -> Profile:
    """The profile, or the default one for clients of a profile that is not there."""
    return policy.profiles.get((slug, ""), policy.networks.default)


def merge(one: Change, other: Change) -> Change:
    """The same change by another profile or type. Devices may be the same ones: the most of both is certain."""
    clients = other.clients if one.clients is None else max(one.clients, other.clients or 0)
    profiles = tuple(sorted({*one.profiles, *other.profiles}))
    is_new_line = one.clients is not None  # a line without a profile is one line in all of them
    queries = one.queries + other.queries if is_new_line else max(one.queries, other.queries)
    return Change(one.name, one.blocked, profiles, queries, clients, one.decision)


def load_counts(path: Path) -> Iterable[NameCount]:
    """A filter's own store, or lines ``name<TAB>queries[<TAB>clients]``; raise CountsInvalid or OSError."""
    with path.open("rb") as file:
        is_store = file.read(len(SQLITE)) == SQLITE
    return read_counts(path) if is_store else read_lines(path)


def read_lines(path: Path) -> list[NameCount]:
    """Each name once; raise CountsInvalid, naming the line."""
    counts: dict[str, NameCount] = {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise CountsInvalid(f"{path} : ni décomptes d’un filtre, ni texte") from error
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            count = read_line(line)
        except (NameRefused, ValueError) as error:
            raise CountsInvalid(f"{path}, ligne {number} : attendu NOM, tabulation, REQUÊTES") from error
        known = counts.get(count.name)
        counts[count.name] = count if known is None else add(known, count)
    return list(counts.values())


def read_line(line: str) -> NameCount:
    name, queries, *rest = line.split("\t")
    clients = int(rest[0]) if rest and rest[0].strip() else None
    return NameCount(clean_name(name), "address", None, int(queries), clients)


def add(one: NameCount, other: NameCount) -> NameCount:
    clients = other.clients if one.clients is None else max(one.clients, other.clients or 0)
    return NameCount(one.name, one.qtypes, one.profile, one.queries + other.queries, clients)
