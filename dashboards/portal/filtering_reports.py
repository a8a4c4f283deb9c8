"""What is told of the lists of a source: by the last publication, by its contents, and between two of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict

from fleet.filtering.lists.catalogue import SKIPPED_TITLES
from fleet.filtering.lists.holds import reasons
from fleet.filtering.lists.listing import LOCAL
from fleet.filtering.models import FilterSource, Publication, SourceContent

LOCAL_LISTS = "https://dsi.ut-capitole.fr/blacklists/"
"""What lists of the controller's own folder say of where they come from."""


class CompiledList(TypedDict, total=False):
    """One list in the report of a publication; what is empty was left out."""

    slug: str
    title: str
    category: str
    source: str
    usage: list[str]
    lines: int
    entries: int
    duplicates: int
    rules: int
    addresses: int
    skipped: dict[str, int]
    warnings: list[str]
    examples: dict[str, list[tuple[int, str]]]
    """Reason -> the first lines left out for it: number and text."""


class CountedList(TypedDict, total=False):
    """One list in the report of a content: a ``ListCount`` as the database keeps it."""

    slug: str
    category: str
    names: int
    popular: list[str]
    education: list[str]


@dataclass(frozen=True, slots=True)
class Compared:
    """One list in two contents: how many names it has, and the popular ones that it would newly block."""

    slug: str
    category: str
    before: int
    after: int
    blocked: tuple[str, ...]

    @property
    def differs(self) -> bool:
        return bool(self.blocked) or self.before != self.after


def reasons_of(content: SourceContent) -> list[str]:
    """Why it was held, in French."""
    return reasons(content.doubts)


def lists_of(latest: Publication | None, source: FilterSource) -> list[CompiledList]:
    """What the current names file says of the lists of a source. The controller's own lists have no prefix."""
    if latest is None:
        return []
    told: list[CompiledList] = latest.report.get("lists", [])
    if source.slug == LOCAL:
        return [each for each in told if each.get("source") == LOCAL_LISTS and "/" not in each["slug"]]
    return [each for each in told if each["slug"] == source.slug or each["slug"].startswith(f"{source.slug}/")]


def entries_of(lists: list[CompiledList]) -> int:
    return sum(each.get("entries", 0) + each.get("rules", 0) + each.get("addresses", 0) for each in lists)


def popular_of(content: SourceContent | None) -> list[str]:
    """Names that many people use and that the content in use blocks."""
    return sorted({name for each in by_list(content).values() for name in names_in(each)})


def skipped_of(lists: list[CompiledList]) -> list[tuple[str, int, list[str]]]:
    """Why lines were left out, how many, and examples: the commonest reason first."""
    counts: dict[str, int] = {}
    examples: dict[str, list[str]] = {}
    for each in lists:
        for reason, number in each.get("skipped", {}).items():
            counts[reason] = counts.get(reason, 0) + number
        for reason, lines in each.get("examples", {}).items():
            examples.setdefault(reason, []).extend(f"{text} (ligne {line})" for line, text in lines)
    told = sorted(counts.items(), key=lambda pair: -pair[1])
    return [(SKIPPED_TITLES.get(reason, reason), number, examples.get(reason, [])[:5]) for reason, number in told]


def compare(good: SourceContent | None, held: SourceContent) -> list[Compared]:
    """Each list before and after, with the popular names that it would newly block; those that change most first."""
    before, after = by_list(good), by_list(held)
    told = [compare_list(slug, before.get(slug, {}), after.get(slug, {})) for slug in dict.fromkeys([*after, *before])]
    changed = [row for row in told if row.differs]
    return sorted(changed, key=lambda row: (-len(row.blocked), -abs(row.after - row.before)))


def compare_list(slug: str, was: CountedList, becomes: CountedList) -> Compared:
    """One list before and after; one that came or left has nothing on the other side."""
    known = set(names_in(was))
    return Compared(
        slug,
        (becomes or was).get("category", ""),
        was.get("names", 0),
        becomes.get("names", 0),
        tuple(name for name in names_in(becomes) if name not in known),
    )


def by_list(content: SourceContent | None) -> Mapping[str, CountedList]:
    return {each["slug"]: each for each in content.report.get("lists", ())} if content else {}


def names_in(row: CountedList) -> list[str]:
    return sorted({*row.get("popular", ()), *row.get("education", ())})
