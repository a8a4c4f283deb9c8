"""Deltas: what turns the last few names files into the newest, made once, when that is published."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from filter.bundle import BundleRefused
from filter.layout.delta import DeltaRefused, make_delta
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import NotFound
from fleet.filtering.models import DeltaChunk, Publication, PublicationDelta
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.publications import CHUNK

log = logging.getLogger(__name__)

FROM_LAST = 3
"""From how many of the last names files there is a delta: a filter that was off for a long week-end has one of them."""
WORTHWHILE = 0.5
"""A delta is kept when it is at most this part of the whole."""


@dataclass(frozen=True, slots=True)
class Delta:
    """From which file, and what to do with it."""

    from_etag: str
    content: bytes


def make_deltas(new: Path, workspace: Path) -> list[Delta]:
    """Deltas from the last published names files to a new one. No transaction is open while they are made."""
    with transaction(Door.JOBS) as session:
        old = publications.list_last(session, FROM_LAST)
    found = []
    for publication in old:
        path = workspace / f"old-{publication.serial}"
        try:
            publications.copy_names(publication.id, path)
            content = make_delta(path, new)
        except (NotFound, BundleRefused, DeltaRefused):  # that filter takes the whole
            continue
        path.unlink()
        if len(content) <= new.stat().st_size * WORTHWHILE:
            found.append(Delta(publication.etag, content))
    return found


def store(session: Session, publication: Publication, found: list[Delta]) -> None:
    """Keep the deltas of a publication; those to earlier ones lead nowhere any more."""
    session.execute(delete(PublicationDelta).where(PublicationDelta.publication_id != publication.id))
    for each in found:
        row = PublicationDelta(publication_id=publication.id, from_etag=each.from_etag, size=len(each.content))
        session.add(row)
        session.flush()
        for position, start in enumerate(range(0, len(each.content), CHUNK)):
            piece = each.content[start : start + CHUNK]
            session.execute(insert(DeltaChunk).values(delta_id=row.id, position=position, content=piece))


def find_delta(session: Session, publication: Publication, from_etag: str) -> PublicationDelta | None:
    """What turns the file that a filter has into this publication's."""
    query = select(PublicationDelta).where(PublicationDelta.publication_id == publication.id)
    return session.scalar(query.where(PublicationDelta.from_etag == from_etag))


def read_delta(delta_id: UUID) -> Iterator[bytes]:
    """A delta, a piece at a time, each read in a transaction of its own."""
    query = select(DeltaChunk.content).where(DeltaChunk.delta_id == delta_id)
    position = 0
    while True:
        with transaction(Door.FILTERS) as session:
            content = session.scalar(query.where(DeltaChunk.position == position))
        if content is None:
            return
        yield content
        position += 1
