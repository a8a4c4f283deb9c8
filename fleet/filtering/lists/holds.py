"""Holds: a list that changed beyond belief, or would close what everybody uses, waits for a person."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import msgspec

from filter.settings import PolicySettings, Verdict

FEW = 200
"""Names below which a list may grow or shrink as it likes: a handful doubles easily."""
MOST_NAMES_TOLD = 200
SENTENCES = {
    "education": "La liste « {name} » bloquerait des sites de l’éducation ({after})",
    "popular": "La liste « {name} » bloquerait des sites très fréquentés ({after})",
    "rules": "Une règle de la liste « {name} » fermerait des sites très fréquentés ou de l’éducation ({after})",
    "lifts": "Des exceptions de la liste « {name} » ouvriraient beaucoup de ce qui est bloqué ({after})",
    "wide": "La liste « {name} » bloquerait des réseaux très larges, où vivent beaucoup de sites ({after})",
}
"""Kind of doubt that names what it is about -> how to say it; the names follow."""


@dataclass(frozen=True, slots=True)
class ListCount:
    """What one list of a content holds."""

    slug: str
    category: str
    names: int
    popular: tuple[str, ...] = ()
    """Names that many people use, or that teaching needs, and that this list would block."""
    education: tuple[str, ...] = ()
    """Those that teaching needs."""
    suffixes: int = 0
    """Lines that are public suffixes, all left out."""
    by_rule: tuple[str, ...] = ()
    """Names as in ``popular`` that a rule (a pattern, a reply of its own) would close."""
    lifts: tuple[str, ...] = ()
    """Exceptions that lift much of the list, or nobody knows how much."""
    wide: tuple[str, ...] = ()
    """Networks so wide that many sites live there."""

    @classmethod
    def from_json(cls, facts: Mapping[str, object]) -> Self:
        """Read what `asdict` gave and the database kept."""
        return msgspec.convert(facts, cls)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a person allows a source."""

    shrink_percent: int
    growth_percent: int
    popular_limit: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to hold a content. ``kind``: shrunk, grew, gone, popular, education, rules, lifts, wide, suffixes."""

    kind: str
    list: str
    before: int = 0
    after: int = 0
    names: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, facts: Mapping[str, object]) -> Self:
        """Read what `to_json` gave and the database kept."""
        return msgspec.convert(facts, cls)

    def to_json(self) -> dict[str, object]:
        """As the database keeps it."""
        return {key: value for key, value in asdict(self).items() if value}


def find_doubts(
    before: Sequence[ListCount] | None, after: Sequence[ListCount], blocked: Collection[str], bounds: Bounds
) -> list[Doubt]:
    """Why a content should wait. ``before`` is the last good one (None: this is the first), ``blocked`` the categories
    that somebody blocks: a name that is popular in a list of social networks closes nothing where these are allowed.
    """
    doubts = [] if before is None else find_changes(before, after, bounds)
    was = [entry for entry in before or () if entry.category in blocked]
    old = {name for entry in was for name in (*entry.popular, *entry.education, *entry.by_rule)}
    seen = {text for entry in was for text in (*entry.lifts, *entry.wide)}
    new = [entry for entry in after if entry.category in blocked]
    popular = sum(len(set(entry.popular) - old) for entry in new)
    for entry in new:
        lessons = set(entry.education) - old
        doubts += told("education", entry, lessons)
        if popular > bounds.popular_limit:
            doubts += told("popular", entry, set(entry.popular) - old - lessons)
        doubts += told("rules", entry, set(entry.by_rule) - old)
        doubts += told("lifts", entry, set(entry.lifts) - seen)
        doubts += told("wide", entry, set(entry.wide) - seen)
    doubts += [Doubt("suffixes", entry.slug, after=entry.suffixes) for entry in after if entry.suffixes > entry.names]
    return doubts


def told(kind: str, entry: ListCount, found: Collection[str]) -> list[Doubt]:
    """One doubt about what was found, or none."""
    names = tuple(sorted(found)[:MOST_NAMES_TOLD])
    return [Doubt(kind, entry.slug, after=len(found), names=names)] if found else []


def blocked_categories(settings: PolicySettings) -> frozenset[str]:
    """Categories that somebody blocks, were it for an hour a week."""
    rules = (rule for profile in settings.profiles for rule in profile.categories)
    found = {rule.category for rule in rules if Verdict.BLOCK in (rule.verdict, rule.otherwise)}
    overrides = (override for profile in settings.profiles for override in profile.overrides)
    found |= {slug for override in overrides if override.verdict is Verdict.BLOCK for slug in override.categories}
    return frozenset(found.union(settings.closed_categories))


def find_changes(before: Sequence[ListCount], after: Sequence[ListCount], bounds: Bounds) -> list[Doubt]:
    """Lists that shrank or grew beyond bounds, or are gone."""
    doubts = []
    present = {entry.slug: entry.names for entry in after}
    for entry in before:
        was, now = entry.names, present.get(entry.slug, 0)
        if max(was, now) < FEW:
            continue
        if entry.slug not in present:
            doubts.append(Doubt("gone", entry.slug, was))
        elif now * 100 < was * bounds.shrink_percent:
            doubts.append(Doubt("shrunk", entry.slug, was, now))
        elif now * 100 > was * bounds.growth_percent:
            doubts.append(Doubt("grew", entry.slug, was, now))
    return doubts


def sentence(doubt: Doubt) -> str:
    """What a person reads of a doubt."""
    name, before, after = doubt.list, doubt.before, doubt.after
    if doubt.kind == "gone":
        return f"La liste « {name} » ({names(before)}) a disparu."
    if doubt.kind in {"shrunk", "grew"}:
        verb = "rétréci" if doubt.kind == "shrunk" else "grandi"
        return f"La liste « {name} » a {verb} : {names(before)} avant, {names(after)} maintenant."
    if doubt.kind == "suffixes":
        return f"La liste « {name} » contient surtout des suffixes publics ({after}) : ce n’est pas une liste de sites."
    shown = ", ".join(doubt.names[:10])
    return SENTENCES[doubt.kind].format(name=name, after=after) + f" : {shown}{'…' if after > 10 else ''}."


def reasons(doubts: Iterable[Mapping[str, object]]) -> list[str]:
    """What a person reads of the doubts that the database kept."""
    return [sentence(Doubt.from_json(each)) for each in doubts]


def names(number: int) -> str:
    """``12 000 noms``, with a narrow no-break space."""
    return f"{number:,} nom{'s' if number > 1 else ''}".replace(",", "\u202f")
