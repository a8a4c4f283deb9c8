"""Names that many people need: French education, and sites that a school would miss at once. See data/README.md."""

import lzma
from collections import defaultdict
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import files

from filter.lists.entries import Match
from filter.names import suffixes


class Group(StrEnum):
    """Why a name is here, as reports say it."""

    EDUCATION = "éducation"
    COMMON = "courant"


@cache
def popular_names() -> Mapping[str, Group]:
    """Every name, and the list it is in."""
    data = files("filter.lists") / "data"
    common = data.joinpath("popular.txt").read_text("utf-8")
    education = lzma.decompress(data.joinpath("education.txt.xz").read_bytes()).decode()
    groups = ((Group.COMMON, common), (Group.EDUCATION, education))
    return {name: group for group, text in groups for name in text.splitlines() if name and not name.startswith("#")}


@cache
def names_at_or_below() -> Mapping[str, tuple[str, ...]]:
    """Every popular name and every parent of one -> the popular names that an entry for it would hit."""
    hit: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(popular_names()):
        for parent in suffixes(name):
            hit[parent].append(name)
    return {parent: tuple(names) for parent, names in hit.items()}


def find_popular(name: str, match: Match = Match.WITH_BELOW) -> tuple[str, ...]:
    """The popular names that an entry of a list hits, sorted: itself and, as ``match`` has it, those below.

    ``www.`` before a name is the same site.
    """
    site = name.removeprefix("www.")
    own = (site,) if site in popular_names() and match is not Match.BELOW else ()
    if match is Match.EXACT:
        return own
    return names_at_or_below().get(name, own)


def is_popular(name: str) -> bool:
    """Whether a list that blocks the name, with everything under it, would hit a popular one."""
    return bool(find_popular(name))


def group_of(name: str) -> Group:
    """The list a popular name is in. Raises KeyError for another name."""
    return popular_names()[name]
