"""The lists to compile: what every enabled source last sent that is good, the controller's own folder, services."""

import contextlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from filter.deciding import services
from filter.lists.source import ListSource
from filter.lists.ut1 import read_ut1
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.filtering.lists import contents
from fleet.filtering.lists.inspecting import UT1, Description, map_categories, open_content
from fleet.filtering.models import ContentState, FilterSource, SourceContent

SMALL_SET = Path(__file__).parents[2] / "demo" / "data" / "ut1.tar.xz"
"""Some UT1 categories that ship with Préau: see the licence beside it."""
LOCAL = "local"
"""The slug of the source that is the controller's own folder."""


@dataclass(frozen=True, slots=True)
class Good:
    """A content to compile."""

    content_id: UUID
    description: Description


def ensure_local_source(session: Session, now: datetime) -> None:
    """The controller's own folder is a source like others: made once, then a person may disable it."""
    row = insert(FilterSource).values(
        slug=LOCAL, title="Dossier du contrôleur (UT1)", format=UT1, category="", categories={}, licence="",
        is_internal=False, every_hours=24, shrink_percent=50, growth_percent=200, popular_limit=3, is_enabled=True,
        added_at=now, is_wanted=False, reason="", failures=0,
    )  # fmt: skip
    session.execute(row.on_conflict_do_nothing(index_elements=["slug"]))


@contextlib.contextmanager
def open_lists(config: FleetConfig, workspace: Path, *, accepting: UUID | None = None) -> Iterator[list[ListSource]]:
    """Every list, to be read while the block lasts; raise ListRefused for what cannot be used.

    ``accepting``: as they would be with this held content accepted.
    """
    with transaction(Door.JOBS) as session:
        ensure_local_source(session, utc_now())
        local = find_local(session)
        good = list_good(session, accepting)
    lists = list(services.list_sources())
    for each in good:
        directory = workspace / "sources" / each.description.slug
        directory.mkdir(parents=True)
        contents.copy_content(each.content_id, directory / "content")
        opened = open_content(directory / "content", each.description, directory)
        lists += [under_source(source, each.description.slug) for source in opened]
    if local is None:
        yield lists
        return
    with list_directory(config, workspace) as tree:
        yield lists + map_categories(read_ut1(tree), local)


def under_source(source: ListSource, slug: str) -> ListSource:
    """A fetched list as the file names it, ``<source>/<list>``: one word alone is a list of the controller's folder."""
    return source if source.slug.startswith(f"{slug}/") else replace(source, slug=f"{slug}/{source.slug}")


def find_folder(session: Session) -> FilterSource | None:
    """The source that is the controller's own folder; None when it is disabled."""
    return session.scalar(select(FilterSource).where(FilterSource.slug == LOCAL, FilterSource.is_enabled))


def find_local(session: Session) -> dict[str, str] | None:
    """How the folder's categories are called here; None when it is disabled."""
    return folder.categories if (folder := find_folder(session)) else None


def list_good(session: Session, accepting: UUID | None = None) -> list[Good]:
    """The good contents of enabled sources, in the order of their slugs; ``accepting`` stands for its source's."""
    waiting = select(SourceContent.source_id).where(SourceContent.id == accepting)
    wanted = (SourceContent.state == ContentState.GOOD) & SourceContent.source_id.not_in(waiting)
    query = select(FilterSource, SourceContent.id, SourceContent.format).join(
        SourceContent, SourceContent.source_id == FilterSource.id
    )
    rows = query.where(FilterSource.is_enabled, wanted | (SourceContent.id == accepting)).order_by(FilterSource.slug)
    return [
        Good(content_id, replace(Description.of(source), format=known_format))
        for source, content_id, known_format in session.execute(rows)
    ]


@contextlib.contextmanager
def list_directory(config: FleetConfig, workspace: Path) -> Iterator[Path]:
    """The UT1 tree to read: the configured one, or the small set unpacked in the workspace."""
    if config.ut1_dir is not None:
        yield config.ut1_dir
        return
    with tarfile.open(SMALL_SET) as archive:
        # The argument filter= is younger (3.11.4) than the Python of Debian 12 (3.11.2), which ignores this.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(workspace)  # noqa: S202 - our own archive
    yield workspace / "ut1"
