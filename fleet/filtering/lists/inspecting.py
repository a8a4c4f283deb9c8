"""What sources send, as lists: which format it is, which lists it holds, and what these would block."""

import contextlib
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

from filter.lists.entries import Entry, NameEntry
from filter.lists.formats import FORMATS, recognise
from filter.lists.lines import ListRefused
from filter.lists.popular import Group, find_popular, group_of
from filter.lists.source import ListReport, ListSource
from filter.lists.trust import read_trusted
from filter.lists.ut1 import read_ut1
from fleet.filtering.lists.holds import ListCount
from fleet.filtering.lists.rule_reach import Reach
from fleet.filtering.models import FilterSource

UT1 = "ut1"
PLAIN = "domains"
MOST_UNPACKED = 2 << 30
"""Bytes of an archive's files."""
MOST_MEMBERS = 10_000


@dataclass(frozen=True, slots=True)
class Description:
    """What the lists of a source are called."""

    slug: str
    title: str
    format: str = ""
    category: str = ""
    categories: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    url: str = ""

    @classmethod
    def of(cls, source: FilterSource) -> Self:
        """A source's own."""
        return cls(
            slug=source.slug,
            title=source.title,
            format=source.format,
            category=source.category,
            categories=source.categories,
            licence=source.licence,
            url=source.url or "",
        )


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a content holds."""

    format: str
    lists: list[ListCount]


def inspect(path: Path, description: Description, workspace: Path) -> Inspection:
    """Read a content from end to end; raise ListRefused when it is no list, or holds none at all."""
    known_format = find_format(path, description.format)
    lists = open_content(path, replace(description, format=known_format), workspace)
    counts = [count_entries(source) for source in lists]
    if not any(entry.names for entry in counts):
        raise ListRefused("aucun nom dans ce qui a été reçu")
    return Inspection(known_format, counts)


def find_format(path: Path, given: str) -> str:
    """The format that was given, else the one that the content shows; raise ListRefused for what is no list at all."""
    with whole_archive():
        is_archive = tarfile.is_tarfile(path)
    if is_archive:
        if given not in {"", UT1}:
            raise ListRefused("une archive est arrivée à la place d’une liste")
        return UT1
    if given == UT1:
        raise ListRefused("l’archive des listes UT1 est attendue (.tar.gz)")
    recognised = recognise(path)
    return given or recognised


def open_content(path: Path, description: Description, workspace: Path) -> list[ListSource]:
    """The lists of a content whose format is known; a tree is unpacked in the workspace. Raise ListRefused."""
    if description.format == UT1:
        tree = unpack(path, workspace / "tree")
        return [prefixed(source, description) for source in map_categories(read_ut1(tree), description.categories)]
    return [
        ListSource(
            slug=description.slug,
            title=description.title,
            category=description.category,
            read=partial(FORMATS[description.format], path),
            source=description.url,
            licence=description.licence,
            plain=(path,) if description.format == PLAIN else (),
        )
    ]


def prefixed(source: ListSource, description: Description) -> ListSource:
    """A list of a tree that is not the controller's own: two trees may both have ``adult``."""
    return replace(
        source,
        slug=f"{description.slug}/{source.slug}",
        source=description.url,
        licence=description.licence or source.licence,
    )


def map_categories(lists: Iterable[ListSource], categories: Mapping[str, str]) -> list[ListSource]:
    """The lists under the names that they have here; what is mapped to "" is left out."""
    named = [replace(source, category=categories.get(source.slug, source.category)) for source in lists]
    return [source for source in named if source.category]


def unpack(path: Path, directory: Path) -> Path:
    """The UT1 tree of an archive; raise ListRefused for a damaged or oversized one.

    Only plain files two folders deep at most are written, under their own names: nothing in an archive leads out.
    """
    directory.mkdir()
    size = 0
    with whole_archive(), tarfile.open(path) as archive:
        for number, member in enumerate(archive):
            target = place_of(member.name)
            if number > MOST_MEMBERS or size + member.size > MOST_UNPACKED:
                raise ListRefused("archive trop grande")
            if target is None or not member.isreg() or (file := archive.extractfile(member)) is None:
                continue
            size += member.size
            (directory / target).parent.mkdir(exist_ok=True)
            with file, (directory / target).open("wb") as out:
                while piece := file.read(1 << 20):
                    out.write(piece)
        check_end(archive)
    return directory


def check_end(archive: tarfile.TarFile) -> None:
    """Read on behind the last file, to the sum of the compressed stream: garbage in the middle ends a tarball early."""
    left = MOST_UNPACKED
    while piece := archive.fileobj.read(1 << 20):
        left -= len(piece)
        if left < 0:
            raise ListRefused("archive trop grande")


@contextlib.contextmanager
def whole_archive() -> Iterator[None]:
    """What a damaged archive raises, in the middle too, is ListRefused."""
    try:
        yield
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        raise ListRefused(f"archive abîmée ({error})") from error


def place_of(name: str) -> str | None:
    """``blacklists/adult/domains`` -> ``adult/domains``, ``blacklists/global_usage`` -> ``global_usage``."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if not parts or ".." in parts or len(parts) > 3 or any("\\" in part or "\0" in part for part in parts):
        return None
    if len(parts) == 3 or (len(parts) == 2 and parts[1] == "global_usage"):
        parts = parts[1:]
    return "/".join(parts)


def count_entries(source: ListSource) -> ListCount:
    """Read one list and count; what would close names that many people use is noted, unless the list allows them."""
    report, reach = ListReport(), Reach()
    number, popular = 0, set[str]()
    blocks = source.usage != ("white",)
    for entry in read_trusted(source, report):
        number += 1
        if blocks:
            popular.update(popular_of(entry))
            reach.add(entry)
    again = read_trusted(source, ListReport()) if reach.allowed else ()
    return ListCount(
        slug=source.slug,
        category=source.category,
        names=number,
        popular=tuple(sorted(popular)),
        education=tuple(sorted(name for name in popular if group_of(name) is Group.EDUCATION)),
        suffixes=report.skipped["public_suffix"],
        by_rule=tuple(sorted(reach.popular())),
        lifts=tuple(sorted(reach.lifts(again))),
        wide=tuple(sorted(reach.wide)),
    )


def popular_of(entry: Entry) -> tuple[str, ...]:
    """Popular names that an entry would block; those of rules are found once all are read (Reach)."""
    if type(entry) is str:
        return find_popular(entry)
    if isinstance(entry, NameEntry) and not entry.allows:
        return find_popular(entry.name, entry.match)
    return ()
