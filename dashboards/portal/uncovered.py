"""Categories that a profile blocks and that the latest publication has no list for: nothing of them is blocked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dashboards.portal.categories import label
from fleet.filtering.models import Publication
from fleet.filtering.policy.models import FilterProfile


@dataclass(frozen=True, slots=True)
class Coverage:
    """What profiles want blocked, and what of it no list fills."""

    blocked: frozenset[str]
    missing: tuple[str, ...]

    @property
    def told(self) -> str:
        """``16 sur 24 catégories``; without gaps ``24 catégories``."""
        kept, wanted = len(self.blocked) - len(self.missing), len(self.blocked)
        noun = "catégorie" if wanted < 2 else "catégories"
        return f"{kept} sur {wanted} {noun}" if self.missing else f"{wanted} {noun}"


def listed_categories(publication: Publication) -> frozenset[str]:
    """The categories that the lists of a publication fill."""
    return frozenset(str(entry["category"]) for entry in publication.report.get("lists", ()) if entry.get("category"))


def coverage(profiles: Iterable[FilterProfile], latest: Publication | None) -> Coverage:
    """Of all that these profiles block, what the latest publication has no list for. Nothing published: nothing told,
    since everything is missing then and the page says that already.
    """
    blocked = frozenset(slug for profile in profiles for slug in profile.blocked_categories)
    missing = blocked - listed_categories(latest) if latest is not None else ()
    return Coverage(blocked, tuple(sorted(missing)))


def sentence(missing: Sequence[str]) -> str:
    """What to read under an allowed name: nobody looked for it in these categories."""
    names = ", ".join(label(slug) for slug in missing)
    if len(missing) == 1:
        return f"la catégorie {names} n’a pas de liste dans cette publication"
    return f"les catégories {names} n’ont pas de liste dans cette publication"
