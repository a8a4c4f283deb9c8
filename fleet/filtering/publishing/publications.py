"""Publications: asked for, compiled by one worker at a time, kept in pieces that every controller can serve."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import NotFound
from fleet.filtering.models import Publication, PublicationChunk, PublicationState
from fleet.filtering.waiting import announce
from fleet.paging import Listing, Page, paginate

CHUNK = 1024 * 1024
KEPT = 10
"""How many published files keep their content: a filter that was half-way through an older one starts anew."""
MOST_ATTEMPTS = 5
"""A compile that kills its worker each time is given up."""
WAITING = (PublicationState.REQUESTED, PublicationState.COMPILING)
DONE = (PublicationState.PUBLISHED, PublicationState.UNCHANGED, PublicationState.FAILED)
PAUSED = "Un retour à une publication antérieure est en place : publiez pour reprendre les listes du moment."
ACCEPTS = "accepts_folder"
EXPECTS = "expects"
"""In the report of a request, until it is compiled."""
SORTABLE = {"id": Publication.id, "serial": Publication.serial, "requested_at": Publication.requested_at}


@dataclass(frozen=True, slots=True)
class Order:
    """What one compile needs, read in one transaction; ``attempt`` proves that it is still ours when we are done."""

    publication_id: UUID
    serial: int
    attempt: int
    returns_to: UUID | None
    """The publication whose content is published anew; None: what the lists hold."""
    accepts_folder: bool = False
    """A person asked, and so takes the controller's own folder as it is."""
    expects: str | None = None
    """Digest of the only content that is wanted: that of a preview."""


def add_request(
    session: Session, by: str | None, now: datetime, *, accepts_folder: bool = False, expects: str | None = None
) -> Publication:
    """A row that asks for a compile. One that nobody started yet serves both: it reads the sources when it starts.

    ``accepts_folder``: a person asks for the very lists, and so answers for the controller's own folder. ``expects``:
    digest of the only content that is wanted; such a request serves nobody else, who wants whatever the lists hold.
    """
    waiting = None if expects else _find_request(session)
    publication = waiting or Publication(requested_at=now, requested_by=by)
    if accepts_folder:
        publication.report = {ACCEPTS: True} | ({EXPECTS: expects} if expects else {})
    session.add(publication)
    session.flush()
    return publication


def _find_request(session: Session) -> Publication | None:
    """What was asked for and not started, of whatever the lists hold."""
    query = select(Publication).where(
        Publication.state == PublicationState.REQUESTED, Publication.returns_to.is_(None),
        Publication.night.is_(None), ~Publication.report.has_key(EXPECTS),
    )  # fmt: skip
    return session.scalar(query.order_by(Publication.serial).limit(1).with_for_update(skip_locked=True))


def add_nightly_request(session: Session, night: date, now: datetime) -> UUID | None:
    """The night's one request; None when it was made before."""
    row = insert(Publication).values(
        state=PublicationState.REQUESTED, requested_at=now, night=night, attempts=0, report={}
    )
    return session.scalar(row.on_conflict_do_nothing(index_elements=["night"]).returning(Publication.id))


def add_return(session: Session, earlier: Publication, by: str, now: datetime) -> Publication:
    """A row that asks for the content of an earlier publication under a new serial."""
    publication = Publication(requested_at=now, requested_by=by, returns_to=earlier.id)
    session.add(publication)
    session.flush()
    return publication


def list_waiting(session: Session) -> list[UUID]:
    """Ids of what was asked for and is not done, oldest first."""
    query = select(Publication.id).where(Publication.state.in_(WAITING))
    return list(session.scalars(query.order_by(Publication.serial)))


def start(session: Session, publication_id: UUID, now: datetime) -> Order | None:
    """Take an order while it is our turn; None when there is nothing to do.

    It is done already, was interrupted too often, or is a night's while a return is in force: what a person went away
    from does not come back by itself.
    """
    publication = session.get(Publication, publication_id, with_for_update=True)
    if publication is None or publication.state not in WAITING:
        return None
    if publication.attempts >= MOST_ATTEMPTS:
        publication.state = PublicationState.FAILED
        publication.error = f"La compilation a été interrompue {MOST_ATTEMPTS} fois. Voyez le journal de l’ouvrier."
        return None
    latest = find_latest(session)
    if publication.night is not None and latest is not None and latest.returns_to is not None:
        publication.state, publication.report = PublicationState.UNCHANGED, {"note": PAUSED}
        return None
    publication.state, publication.started_at = PublicationState.COMPILING, now
    publication.attempts += 1
    if publication.attempts > 1 or (latest is not None and latest.serial > publication.serial):
        # Serials follow the order of compiling, not of asking: what is compiled last is what filters must keep.
        publication.serial = session.scalars(select(NEXT_SERIAL)).one()
    asked = publication.report or {}
    return Order(
        publication.id, publication.serial, publication.attempts, publication.returns_to,
        asked.get(ACCEPTS, False), asked.get(EXPECTS),
    )  # fmt: skip


NEXT_SERIAL = func.nextval(func.pg_get_serial_sequence(Publication.__tablename__, "serial"))


def publish(
    session: Session, order: Order, names: Path, digest: str, report: dict[str, object], now: datetime
) -> Publication | None:
    """Store a names file and make it current, all at once; None when somebody else has taken the order meanwhile.

    ``digest`` is that of the file's content. Every filter that waits is told once this is committed.
    """
    publication = _ours(session, order)
    if publication is None:
        return None
    size = 0
    with names.open("rb") as file:
        for position, content in enumerate(iter(lambda: file.read(CHUNK), b"")):
            size += len(content)
            values = {"publication_id": publication.id, "position": position, "content": content}
            session.execute(insert(PublicationChunk).values(values))
    publication.state, publication.published_at, publication.report = PublicationState.PUBLISHED, now, report
    publication.digest, publication.size, publication.error = digest, size, None
    session.flush()
    prune(session)
    announce(session)
    return publication


def leave_unchanged(session: Session, order: Order, digest: str, report: dict[str, object]) -> None:
    """Note that the lists hold what is published already: the publication before stays in force."""
    publication = _ours(session, order)
    if publication is not None:
        publication.state, publication.digest, publication.report = PublicationState.UNCHANGED, digest, report
        publication.error = None


def fail(session: Session, order: Order, reason: str) -> None:
    """Note, in French, why there will be no names file; the one before stays current."""
    publication = _ours(session, order)
    if publication is not None:
        publication.state, publication.error = PublicationState.FAILED, reason


def _ours(session: Session, order: Order) -> Publication | None:
    publication = session.get(Publication, order.publication_id, with_for_update=True, populate_existing=True)
    is_ours = publication is not None and publication.attempts == order.attempt
    return publication if is_ours and publication and publication.state is PublicationState.COMPILING else None


def prune(session: Session) -> None:
    """Drop the content of all but the newest files, and those that somebody returns to; their rows stay as history."""
    published = select(Publication.id).where(Publication.state == PublicationState.PUBLISHED)
    kept = published.order_by(Publication.serial.desc()).limit(KEPT)
    wanted = select(Publication.returns_to).where(Publication.state.in_(WAITING), Publication.returns_to.is_not(None))
    gone = PublicationChunk.publication_id.not_in(kept) & PublicationChunk.publication_id.not_in(wanted)
    session.execute(delete(PublicationChunk).where(gone))


def list_publications(session: Session, page: Page = Page()) -> Listing[Publication]:  # noqa: B008 - frozen
    """One page of the history, newest first."""
    return paginate(session, select(Publication), page, SORTABLE, "-serial")


def find_latest(session: Session) -> Publication | None:
    """The current names file: the highest serial that was published."""
    query = select(Publication).where(Publication.state == PublicationState.PUBLISHED)
    return session.scalar(query.order_by(Publication.serial.desc()).limit(1))


def latest_etag(session: Session) -> str | None:
    """The tag of the current names file alone: hundreds of filters look at the same moment."""
    columns = select(Publication.digest, Publication.serial).where(Publication.state == PublicationState.PUBLISHED)
    row = session.execute(columns.order_by(Publication.serial.desc()).limit(1)).first()
    return None if row is None else f"{row.digest}.{row.serial}"


def list_last(session: Session, number: int) -> list[Publication]:
    """The last published, newest first."""
    query = select(Publication).where(Publication.state == PublicationState.PUBLISHED)
    return list(session.scalars(query.order_by(Publication.serial.desc()).limit(number)))


def has_content(session: Session, publication_id: UUID) -> bool:
    """Whether its file is still here."""
    query = select(PublicationChunk.position).where(PublicationChunk.publication_id == publication_id)
    return session.scalar(query.limit(1)) is not None


def list_kept(session: Session) -> frozenset[UUID]:
    """Ids of the publications whose file is still here."""
    return frozenset(session.scalars(select(PublicationChunk.publication_id).distinct()))


def get_publication(session: Session, publication_id: UUID) -> Publication:
    """The publication; raise NotFound."""
    publication = session.get(Publication, publication_id, populate_existing=True)
    if publication is None:
        raise NotFound("filtering.publication_not_found", "Cette publication n’existe pas.")
    return publication


def read_chunk(session: Session, publication_id: UUID, position: int) -> bytes | None:
    """One mebibyte of a names file; None behind its end, and when it was pruned."""
    query = select(PublicationChunk.content)
    return session.scalar(
        query.where(PublicationChunk.publication_id == publication_id, PublicationChunk.position == position)
    )


def read_pieces(publication_id: UUID) -> Iterator[bytes]:
    """A names file, a mebibyte at a time, each read in a transaction of its own."""
    position = 0
    while True:
        with transaction(Door.JOBS) as session:
            content = read_chunk(session, publication_id, position)
        if content is None:
            return
        yield content
        position += 1


def copy_names(publication_id: UUID, path: Path) -> None:
    """Write a names file to a file of our own; raise NotFound when it was pruned, before or meanwhile."""
    with transaction(Door.JOBS) as session:
        size = get_publication(session, publication_id).size
    with path.open("wb") as file:
        for content in read_pieces(publication_id):
            file.write(content)
    if path.stat().st_size != size:
        path.unlink()
        raise NotFound("filtering.content_gone", "Le contenu de cette publication n’est plus là.")
