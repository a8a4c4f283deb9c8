"""Names files in the database, as a worker leaves them or as a test wants them."""

import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.bundle import NamesFile
from filter.deciding.services import list_sources
from filter.lists.source import ListReport
from fleet.filtering import service, tasks
from fleet.filtering.models import Publication, PublicationChunk, PublicationState
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.publications import CHUNK
from tests.factories import NOON


def write_lists(directory: Path) -> Path:
    """A small UT1 tree of three names."""
    for category, names in {"gambling": "casino.example\njeux.example\n", "liste_bu": "bonjeux.jeux.example\n"}.items():
        (directory / "ut1" / category).mkdir(parents=True)
        (directory / "ut1" / category / "domains").write_text(names)
    return directory / "ut1"


def in_catalogue() -> int:
    """Names of the catalogue of services: every file holds them."""
    return len({entry for source in list_sources() for entry in source.read(ListReport())})


def publish(session: Session) -> Publication:
    """Ask, and do what a worker does."""
    publication = service.request_publication(session, "test", NOON)
    tasks.compile_publication(str(publication.id))
    return service.get_publication(session, publication.id)


def store(session: Session, content: bytes, **overrides: Any) -> Publication:
    """A published file whose content is these bytes."""
    publication = Publication(
        requested_at=NOON, state=PublicationState.PUBLISHED, published_at=NOON, size=len(content),
        digest=hashlib.sha256(content).hexdigest(), **overrides,
    )  # fmt: skip
    session.add(publication)
    session.flush()
    for position in range(0, len(content), CHUNK):
        piece = content[position : position + CHUNK]
        session.add(PublicationChunk(publication_id=publication.id, position=position // CHUNK, content=piece))
    session.flush()
    return publication


def content_of(session: Session, publication: Publication) -> bytes:
    query = select(PublicationChunk.content).where(PublicationChunk.publication_id == publication.id)
    return b"".join(session.scalars(query.order_by(PublicationChunk.position)))


def open_names(publication: Publication, path: Path) -> NamesFile:
    """The published file, opened as a filter opens it, but for its signature."""
    publications.copy_names(publication.id, path)
    return NamesFile.open(path)
