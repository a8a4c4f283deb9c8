"""What is told of the lists of a source: by the last publication, by its contents, and between two of these."""

from collections.abc import Mapping
from typing import Any

from fleet.filtering.lists.catalogue import SKIPPED_TITLES
from fleet.filtering.lists.holds import sentence
from fleet.filtering.lists.listing import LOCAL
from fleet.filtering.models import FilterSource, Publication, SourceContent

LOCAL_LISTS = "https://dsi.ut-capitole.fr/blacklists/"
"""What lists of the controller's own folder say of where they come from."""


def reasons_of(content: SourceContent) -> list[str]:
    """Why it was held, in French."""
    return [sentence(doubt) for doubt in content.doubts]


def lists_of(latest: Publication | None, source: FilterSource) -> list[dict[str, Any]]:
    """What the current names file says of the lists of a source. The controller's own lists have no prefix."""
    if latest is None:
        return []
    told = [each for each in latest.report.get("lists", ()) if isinstance(each, dict)]
    if source.slug == LOCAL:
        return [each for each in told if each.get("source") == LOCAL_LISTS and "/" not in each["slug"]]
    return [each for each in told if each["slug"] == source.slug or each["slug"].startswith(f"{source.slug}/")]


def entries_of(lists: list[dict[str, Any]]) -> int:
    return sum(int(each.get(kind, 0)) for each in lists for kind in ("entries", "rules", "addresses"))


def popular_of(content: SourceContent | None) -> list[str]:
    """Names that many people use and that the content in use blocks."""
    lists = content.report.get("lists", ()) if content else ()
    return sorted({name for each in lists for name in (*each.get("popular", ()), *each.get("education", ()))})


def skipped_of(lists: list[dict[str, Any]]) -> list[tuple[str, int, list[str]]]:
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


def compare(good: SourceContent | None, held: SourceContent) -> list[dict[str, Any]]:
    """Each list before and after, with the popular names that it would newly block; those that change most first."""
    before, after = by_list(good), by_list(held)
    told = []
    for slug in dict.fromkeys([*after, *before]):
        was, becomes = before.get(slug, {}), after.get(slug, {})
        known = set(names_in(was))
        told.append({
            "slug": slug, "category": (becomes or was).get("category", ""), "before": was.get("names", 0),
            "after": becomes.get("names", 0), "blocked": [name for name in names_in(becomes) if name not in known],
        })  # fmt: skip
    changed = [row for row in told if row["blocked"] or row["before"] != row["after"]]
    return sorted(changed, key=lambda row: (-len(row["blocked"]), -abs(row["after"] - row["before"])))


def by_list(content: SourceContent | None) -> Mapping[str, dict[str, Any]]:
    return {each["slug"]: each for each in content.report.get("lists", ())} if content else {}


def names_in(row: Mapping[str, Any]) -> list[str]:
    return sorted({*row.get("popular", ()), *row.get("education", ())})
