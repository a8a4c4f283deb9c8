"""What a change would do to names that people really ask for: both policies judge them, the differences are told."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from filter.deciding.decisions import Action, Decision, Query
from filter.namecounts import NameCount, read_counts
from filter.names import NameRefused, clean_name
from filter.policy import Policy, Profile, decide
from filter.settings import PolicySettings

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


Move = tuple[str, str]
"""The slugs of the profile that the same clients have before and after."""


def preview(old: Policy, new: Policy, counts: Iterable[NameCount], now: datetime, threshold: int) -> Preview:
    """Judge every name by both at ``now``; a name without a profile of its own is judged in all of them."""
    found: dict[tuple[str, bool], Change] = {}
    judged = set()
    moves = Moves(old, new)
    for count in counts:
        judged.add(count.name)
        for change in changes_of(old, new, count, moves.of(count.profile), now):
            key = change.name, change.blocked
            found[key] = change if key not in found else merge(found[key], change)
    told = [change for change in found.values() if change.clients is None or change.clients >= threshold]
    told.sort(key=lambda change: (-change.queries, change.name))
    return Preview(tuple(told), len(judged), len({name for name, _ in found} - {change.name for change in told}))


class Moves:
    """What clients of each profile get afterwards. An edit for one school gives it a profile of its own, under another
    slug: what was counted under the old slug is judged by what the same networks of this filter get then.
    """

    def __init__(self, old: Policy, new: Policy) -> None:
        self.new = new
        self.known = sorted({slug for slug, room in new.profiles if not room})
        self.networks = moves_of(networks_by_key(old.settings), networks_by_key(new.settings))
        self.networks.add((old.settings.default_profile, new.settings.default_profile))  # whoever is in no network
        self.labels = moves_of(labels_by_key(old.settings), labels_by_key(new.settings))
        self.found: dict[str | None, tuple[Move, ...]] = {}

    def of(self, slug: str | None) -> tuple[Move, ...]:
        """In which profiles a name is judged: where it was asked, or in all when that is unknown."""
        if (moves := self.found.get(slug)) is None:
            moves = self.found[slug] = tuple(sorted(self.find(slug)))
        return moves

    def find(self, slug: str | None) -> Iterable[Move]:
        """Networks first: labels are of devices of all schools. A slug that nobody has any more stands for those that
        were made of the same profile for other schools, else for itself.
        """
        if slug is None:
            return [(each, each) for each in self.known]
        for moves in (self.networks, self.labels):
            if found := {move for move in moves if move[0] == slug}:
                return found
        if slug in self.known:
            return self.akin(slug) or {(slug, slug)}
        return self.akin(slug) or {(slug, self.new.settings.default_profile)}

    def akin(self, slug: str) -> set[Move]:
        """What this filter's networks have of the same profile: ``college`` for ``college@0020001A``."""
        return {move for move in self.networks if move[0].partition("@")[0] == slug.partition("@")[0]}


def moves_of(before: Mapping[str, str], after: Mapping[str, str]) -> set[Move]:
    """The moves of clients that are in both."""
    return {(slug, after[key]) for key, slug in before.items() if key in after}


def networks_by_key(settings: PolicySettings) -> dict[str, str]:
    return {each.cidr: each.profile for each in settings.networks}


def labels_by_key(settings: PolicySettings) -> dict[str, str]:
    return {each.hash: each.profile for each in settings.labels}


def changes_of(old: Policy, new: Policy, count: NameCount, moves: Iterable[Move], now: datetime) -> Iterable[Change]:
    """What changes for one count: one change at most each way, in all profiles where it does."""
    found: dict[bool, Change] = {}
    for move in moves:
        if (change := compare(old, new, count, move, now)) is not None:
            known = found.get(change.blocked)
            profiles = (*known.profiles, *change.profiles) if known else change.profiles
            found[change.blocked] = replace(known or change, profiles=tuple(sorted(set(profiles))))
    return found.values()


def compare(old: Policy, new: Policy, count: NameCount, move: Move, now: datetime) -> Change | None:
    """The change of one name for clients of one profile, if there is one."""
    query = Query(count.name, ASKED_AS[count.qtypes])
    before = decide(query, profile_named(old, move[0]), now)
    after = decide(query, profile_named(new, move[1]), now)
    if (before.action in REACHABLE) == (after.action in REACHABLE):
        return None
    blocked = after.action not in REACHABLE
    return Change(count.name, blocked, (move[1],), count.queries, count.clients, after if blocked else before)


def profile_named(policy: Policy, slug: str) -> Profile:
    """The profile, or the default one for clients of a profile that is not there."""
    return policy.profiles.get((slug, ""), policy.networks.default)


def merge(one: Change, other: Change) -> Change:
    """The same change by another profile or type. Devices may be the same ones: the most of both is certain."""
    clients = other.clients if one.clients is None else max(one.clients, other.clients or 0)
    profiles = tuple(sorted({*one.profiles, *other.profiles}))
    return Change(one.name, one.blocked, profiles, one.queries + other.queries, clients, one.decision)


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
