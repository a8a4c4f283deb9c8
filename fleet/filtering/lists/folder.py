"""The controller's own folder, as a compile found it: against the last publication, before it is published."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict

from sqlalchemy.orm import Session

from filter.bundle import ListInfo, NamesFile
from filter.domains import hash_name
from filter.lists.entries import Match
from filter.lists.popular import Group, group_of, popular_names
from filter.names import suffixes
from filter.settings import SERVICE_PREFIX
from fleet.clock import utc_now
from fleet.filtering.lists.holds import Bounds, ListCount, blocked_categories, find_doubts, sentence
from fleet.filtering.lists.listing import find_folder
from fleet.filtering.policy import profiles
from fleet.filtering.publishing import publications

REPORTED = "folder"
"""Where the report of a publication keeps what the folder held."""
ACCEPT = (
    "Le dossier du contrôleur attend une personne ; la publication précédente reste en service. {reasons} "
    "Vérifiez le dossier (PREAU_UT1_DIR), puis publiez les listes : ce que publie une personne est accepté."
)


class FolderHeld(Exception):
    """The folder changed beyond belief since the last publication; the text says, in French, how and what to do."""


def check_folder(session: Session, names: NamesFile, *, is_accepted: bool) -> list[dict[str, object]]:
    """What the folder holds, for the report of the publication; raise FolderHeld.

    Nothing is held when a person accepts it, nor the first time: there is nothing to compare with, and no filter.
    """
    source, latest = find_folder(session), publications.find_latest(session)
    if source is None:
        return []
    found = list(count_lists(names))
    before = latest.report.get(REPORTED) if latest else None
    if before and not is_accepted:
        blocked = blocked_categories(profiles.policy_settings(session, utc_now()))
        bounds = Bounds(source.shrink_percent, source.growth_percent, source.popular_limit)
        compare(before, found, blocked, bounds)
    return [{key: value for key, value in asdict(entry).items() if value} for entry in found]


def compare(
    before: Sequence[Mapping[str, object]], found: Sequence[ListCount], blocked: Collection[str], bounds: Bounds
) -> None:
    """Raise FolderHeld when what was found should not follow what was there before."""
    counts = [ListCount.from_json({"category": "", "names": 0, **facts}) for facts in before]
    doubts = find_doubts(counts, found, blocked, bounds)
    if doubts:
        raise FolderHeld(ACCEPT.format(reasons=" ".join(sentence(doubt) for doubt in doubts)))


def count_lists(names: NamesFile) -> Iterator[ListCount]:
    """What each list of the folder holds, out of the file that was compiled: fetched ones are ``<source>/<list>``."""
    hit = find_popular_hits(names)
    for position, info in enumerate(names.lists):
        if "/" in info.slug or info.category.startswith(SERVICE_PREFIX):
            continue
        popular = hit.get(position, set()) if closes(info) else set[str]()
        yield ListCount(
            info.slug,
            info.category,
            info.entries,
            popular=tuple(sorted(popular)),
            education=tuple(sorted(name for name in popular if group_of(name) is Group.EDUCATION)),
            suffixes=info.skipped.get("public_suffix", 0),
        )


def closes(info: ListInfo) -> bool:
    """Whether names in it may be blocked: some lists only say what is good."""
    return tuple(info.usage) != ("white",)


def find_popular_hits(names: NamesFile) -> dict[int, set[str]]:
    """Position of a list -> the popular names that it would close."""
    hits: dict[int, set[str]] = {}
    for popular in popular_names():
        for name in suffixes(f"www.{popular}"):
            set_id = names.find_set(hash_name(name.encode(), names.header.key))
            for member in names.sets[set_id] if set_id is not None else ():
                is_own = name.removeprefix("www.") == popular
                if not member.allows and member.match is not (Match.BELOW if is_own else Match.EXACT):
                    hits.setdefault(member.position, set()).add(popular)
    return hits
