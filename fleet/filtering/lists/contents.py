"""What sources sent, in compressed pieces that every worker can read; one content of a source is the good one."""

import hashlib
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import NotFound
from fleet.filtering.lists.downloading import Known
from fleet.filtering.models import ContentChunk, ContentState, SourceContent

CHUNK = 1024 * 1024
"""Bytes of a piece before it is compressed; the last one has fewer."""
WHOLE = (ContentState.FETCHED, ContentState.HELD, ContentState.GOOD, ContentState.REJECTED)
WITHOUT_PIECES = (ContentState.REJECTED, ContentState.REPLACED)


def find_content(session: Session, source_id: UUID, state: ContentState) -> SourceContent | None:
    """The one content of a source in that state: partial, fetched, held or good."""
    query = select(SourceContent).where(SourceContent.source_id == source_id, SourceContent.state == state)
    return session.scalar(query.order_by(SourceContent.fetched_at.desc()).limit(1))


def get_content(session: Session, content_id: UUID) -> SourceContent:
    """The content; raise NotFound."""
    content = session.get(SourceContent, content_id, with_for_update=True, populate_existing=True)
    if content is None:
        raise NotFound("filtering.content_not_found", "Ce contenu n’existe pas.")
    return content


def what_is_known(session: Session, source_id: UUID) -> Known:
    """What the source's server need not send again: the newest whole content, and the part of one that was cut."""
    whole = find_newest(session, source_id)
    partial = find_content(session, source_id, ContentState.PARTIAL)
    tag = resume_tag(partial) if partial else None
    return Known(
        etag=whole.etag if whole else None,
        last_modified=whole.last_modified if whole else None,
        partial_tag=tag,
        received=count_pieces(session, partial.id) * CHUNK if partial and tag else 0,
    )


def resume_tag(partial: SourceContent) -> str | None:
    """What proves that the rest belongs to this part: a strong tag, else the date (RFC 9110, 13.1.5)."""
    if partial.etag:
        return None if partial.etag.startswith("W/") else partial.etag
    return partial.last_modified


def find_newest(session: Session, source_id: UUID) -> SourceContent | None:
    """The last whole content that is still of interest."""
    query = select(SourceContent).where(SourceContent.source_id == source_id, SourceContent.state.in_(WHOLE))
    return session.scalar(query.order_by(SourceContent.fetched_at.desc()).limit(1))


def find_same(session: Session, source_id: UUID, digest: str) -> SourceContent | None:
    """A content with the same bytes that is in use, waits, or was rejected. One that was replaced may come back."""
    query = select(SourceContent).where(SourceContent.source_id == source_id, SourceContent.digest == digest)
    return session.scalar(query.where(SourceContent.state.in_(WHOLE)).limit(1))


def count_pieces(session: Session, content_id: UUID) -> int:
    query = select(func.count()).select_from(ContentChunk)
    return session.scalar(query.where(ContentChunk.content_id == content_id)) or 0


class StoredBody:
    """Takes a download, a piece at a time, each in a transaction of its own: a killed worker loses one piece at most.

    A Sink of fleet.filtering.lists.downloading. Pieces are full ones; `complete` alone stores the rest, so that a part
    always ends where the next try begins.
    """

    def __init__(self, source_id: UUID, now: datetime) -> None:
        self.source_id = source_id
        self.now = now
        self.content_id: UUID | None = None
        self.position = 0
        self.rest = bytearray()

    def begin(self, etag: str | None, last_modified: str | None, *, resumes: bool) -> None:
        """Go on behind the pieces that are here, or drop them."""
        with transaction(Door.JOBS) as session:
            partial = find_content(session, self.source_id, ContentState.PARTIAL)
            if resumes and partial is not None:
                self.position = count_pieces(session, partial.id)
            else:
                drop(session, self.source_id, ContentState.PARTIAL)
                partial = SourceContent(source_id=self.source_id, state=ContentState.PARTIAL, fetched_at=self.now)
                session.add(partial)
            partial.etag, partial.last_modified = etag, last_modified
            session.flush()
            self.content_id = partial.id

    def write(self, data: bytes) -> None:
        """Keep what fills a piece."""
        self.rest += data
        while len(self.rest) >= CHUNK:
            self.store(bytes(self.rest[:CHUNK]))
            del self.rest[:CHUNK]

    def store(self, piece: bytes) -> None:
        """One full piece, in a transaction of its own."""
        row = ContentChunk(content_id=self.content_id, position=self.position, content=zlib.compress(piece, 6))
        with transaction(Door.JOBS) as session:
            session.add(row)
        self.position += 1

    def read(self) -> Iterator[bytes]:
        """All that came so far."""
        if self.content_id is not None:
            yield from read_pieces(self.content_id)
            yield bytes(self.rest)

    def forget(self) -> None:
        """Drop the part that is here."""
        with transaction(Door.JOBS) as session:
            drop(session, self.source_id, ContentState.PARTIAL)

    def complete(self, digest: str, size: int) -> UUID | None:
        """The body is whole and right: give the content's id. None, and forget it, when the same is here already: a
        server that knows no ETag sends it again and again.
        """
        with transaction(Door.JOBS) as session:
            content = get_content(session, self.content_id) if self.content_id else None
            if content is None:
                return None
            if (same := find_same(session, self.source_id, digest)) is not None:
                renew(session, same, content)
                return None
            if self.rest:
                row = ContentChunk(content_id=content.id, position=self.position, content=zlib.compress(self.rest, 6))
                session.add(row)
            drop(session, self.source_id, ContentState.FETCHED)
            content.state, content.digest, content.size = ContentState.FETCHED, digest, size
            return content.id


def renew(session: Session, same: SourceContent, again: SourceContent) -> None:
    """The same bytes came once more: what the server calls them now is what is asked with from now on."""
    same.etag, same.last_modified, same.fetched_at = again.etag, again.last_modified, again.fetched_at
    session.delete(again)
    if same.state is ContentState.GOOD:  # the source took back what was doubtful
        replace_state(session, same.source_id, ContentState.HELD)
        prune(session, same.source_id)


def drop(session: Session, source_id: UUID, state: ContentState) -> None:
    """Forget the source's contents in that state, pieces and all."""
    session.execute(delete(SourceContent).where(SourceContent.source_id == source_id, SourceContent.state == state))


def forget(content_id: UUID) -> None:
    """Drop one content, pieces and all, if it is still there."""
    with transaction(Door.JOBS) as session:
        session.execute(delete(SourceContent).where(SourceContent.id == content_id))


def read_pieces(content_id: UUID) -> Iterator[bytes]:
    """The content, a piece at a time, each read in a transaction of its own."""
    position = 0
    query = select(ContentChunk.content).where(ContentChunk.content_id == content_id)
    while True:
        with transaction(Door.JOBS) as session:
            piece = session.scalar(query.where(ContentChunk.position == position))
        if piece is None:
            return
        yield zlib.decompress(piece)
        position += 1


def copy_content(content_id: UUID, path: Path) -> str:
    """Write the content to a file; its SHA-256, hex. Raise NotFound when a newer one pushed it out meanwhile."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in read_pieces(content_id):
            digest.update(piece)
            file.write(piece)
    with transaction(Door.JOBS) as session:
        content = get_content(session, content_id)
        if content.digest not in {None, digest.hexdigest()}:
            raise NotFound("filtering.content_gone", "Ce contenu n’est plus là.")
    return digest.hexdigest()


def replace_state(session: Session, source_id: UUID, state: ContentState) -> None:
    """What was in that state has been replaced; it stays as history."""
    rows = update(SourceContent).where(SourceContent.source_id == source_id, SourceContent.state == state)
    session.execute(rows.values(state=ContentState.REPLACED))


def accept(session: Session, content: SourceContent) -> None:
    """From now on this is what is compiled."""
    replace_state(session, content.source_id, ContentState.GOOD)
    content.state = ContentState.GOOD
    session.flush()
    prune(session, content.source_id)


def prune(session: Session, source_id: UUID) -> None:
    """Drop the pieces of contents that are compiled no more."""
    gone = select(SourceContent.id).where(SourceContent.source_id == source_id, SourceContent.state.in_(WITHOUT_PIECES))
    session.execute(delete(ContentChunk).where(ContentChunk.content_id.in_(gone)))


def forget_validators(session: Session, source_id: UUID) -> None:
    """What is here came from another address: the next fetch is unconditional and starts at the beginning."""
    drop(session, source_id, ContentState.PARTIAL)
    drop(session, source_id, ContentState.FETCHED)
    rows = update(SourceContent).where(SourceContent.source_id == source_id)
    session.execute(rows.values(etag=None, last_modified=None))
