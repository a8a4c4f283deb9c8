"""Publications: asked for, compiled by one worker at a time, kept in pieces that every controller can serve."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from filter.settings import PolicySettings
from fleet.errors import NotFound
from fleet.filtering.models import Publication, PublicationChunk, PublicationState
from fleet.filtering.profiles import policy_settings
from fleet.paging import Listing, Page, paginate

CHUNK = 1024 * 1024
KEPT = 10
"""How many published bundles keep their content: a filter that was half-way through an older one starts anew."""
MOST_ATTEMPTS = 5
"""A compile that kills its worker each time is given up."""
COMPILE_LOCK = 0x50524643  # "PRFC": PostgreSQL advisory lock; freed by the server when its holder dies
WAITING = (PublicationState.REQUESTED, PublicationState.COMPILING)
SORTABLE = {"id": Publication.id, "serial": Publication.serial, "requested_at": Publication.requested_at}


@dataclass(frozen=True, slots=True)
class Order:
    """What one compile needs, read in one transaction; ``attempt`` proves that it is still ours when we are done."""

    publication_id: UUID
    serial: int
    attempt: int
    policy: PolicySettings


@contextlib.contextmanager
def compile_turn(engine: Engine) -> Iterator[bool]:
    """True for the one process whose turn it is, until the block ends or the process dies; False for the others.

    The lock belongs to a connection outside any transaction. Keep-alives tell the server within half a minute that a
    whole machine is gone.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for setting in ("tcp_keepalives_idle = 15", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3"):
            connection.execute(text(f"SET {setting}"))
        lock = {"key": COMPILE_LOCK}
        is_ours = bool(connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), lock))
        try:
            yield is_ours
        finally:
            if is_ours:
                with contextlib.suppress(DBAPIError):  # the server went away, and the lock with it
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), lock)


def add_request(session: Session, by: str | None, now: datetime) -> Publication:
    """A row that asks for a compile. One that nobody started yet serves both: it reads the settings when it starts."""
    query = select(Publication).where(Publication.state == PublicationState.REQUESTED)
    waiting = session.scalar(query.order_by(Publication.serial).limit(1).with_for_update(skip_locked=True))
    if waiting is not None:
        return waiting
    publication = Publication(requested_at=now, requested_by=by)
    session.add(publication)
    session.flush()
    return publication


def add_nightly_request(session: Session, night: date, now: datetime) -> UUID | None:
    """The night's one request; None when it was made before."""
    row = insert(Publication).values(
        state=PublicationState.REQUESTED, requested_at=now, night=night, attempts=0, report={}
    )
    return session.scalar(row.on_conflict_do_nothing(index_elements=["night"]).returning(Publication.id))


def list_waiting(session: Session) -> list[UUID]:
    """Ids of what was asked for and is not done, oldest first."""
    query = select(Publication.id).where(Publication.state.in_(WAITING))
    return list(session.scalars(query.order_by(Publication.serial)))


def start(session: Session, publication_id: UUID, now: datetime) -> Order | None:
    """Take an order while it is our turn; None when it is done already, or was interrupted too often."""
    publication = session.get(Publication, publication_id, with_for_update=True)
    if publication is None or publication.state not in WAITING:
        return None
    if publication.attempts >= MOST_ATTEMPTS:
        publication.state = PublicationState.FAILED
        publication.error = f"La compilation a été interrompue {MOST_ATTEMPTS} fois. Voyez le journal de l’ouvrier."
        return None
    publication.state, publication.started_at = PublicationState.COMPILING, now
    publication.attempts += 1
    if publication.attempts > 1 or _is_overtaken(session, publication):
        # Serials follow the order of compiling, not of asking: what is compiled last is what filters must keep.
        publication.serial = session.scalars(select(NEXT_SERIAL)).one()
    return Order(publication.id, publication.serial, publication.attempts, policy_settings(session))


NEXT_SERIAL = func.nextval(func.pg_get_serial_sequence(Publication.__tablename__, "serial"))


def _is_overtaken(session: Session, publication: Publication) -> bool:
    latest = find_latest(session)
    return latest is not None and latest.serial > publication.serial


def publish(session: Session, order: Order, bundle: Path, report: dict[str, Any], now: datetime) -> bool:
    """Store a bundle and make it current, all at once; False when somebody else has taken the order meanwhile."""
    publication = _ours(session, order)
    if publication is None:
        return False
    digest, size = hashlib.sha256(), 0
    with bundle.open("rb") as file:
        for position, content in enumerate(iter(lambda: file.read(CHUNK), b"")):
            digest.update(content)
            size += len(content)
            values = {"publication_id": publication.id, "position": position, "content": content}
            session.execute(insert(PublicationChunk).values(values))
    publication.state, publication.published_at, publication.report = PublicationState.PUBLISHED, now, report
    publication.digest, publication.size, publication.error = digest.hexdigest(), size, None
    session.flush()
    prune(session)
    return True


def fail(session: Session, order: Order, reason: str) -> None:
    """Note, in French, why there will be no bundle; the one before stays current."""
    publication = _ours(session, order)
    if publication is not None:
        publication.state, publication.error = PublicationState.FAILED, reason


def _ours(session: Session, order: Order) -> Publication | None:
    publication = session.get(Publication, order.publication_id, with_for_update=True, populate_existing=True)
    is_ours = publication is not None and publication.attempts == order.attempt
    return publication if is_ours and publication and publication.state is PublicationState.COMPILING else None


def prune(session: Session) -> None:
    """Drop the content of all but the newest bundles; their rows stay as history."""
    published = select(Publication.id).where(Publication.state == PublicationState.PUBLISHED)
    kept = published.order_by(Publication.serial.desc()).limit(KEPT)
    session.execute(delete(PublicationChunk).where(PublicationChunk.publication_id.not_in(kept)))


def list_publications(session: Session, page: Page = Page()) -> Listing[Publication]:  # noqa: B008 - frozen
    """One page of the history, newest first."""
    return paginate(session, select(Publication), page, SORTABLE, "-serial")


def find_latest(session: Session) -> Publication | None:
    """The current bundle: the highest serial that was published."""
    query = select(Publication).where(Publication.state == PublicationState.PUBLISHED)
    return session.scalar(query.order_by(Publication.serial.desc()).limit(1))


def get_publication(session: Session, publication_id: UUID) -> Publication:
    """The publication; raise NotFound."""
    publication = session.get(Publication, publication_id, populate_existing=True)
    if publication is None:
        raise NotFound("filtering.publication_not_found", "Cette publication n’existe pas.")
    return publication


def read_chunk(session: Session, publication_id: UUID, position: int) -> bytes | None:
    """One mebibyte of a bundle; None when it was pruned."""
    query = select(PublicationChunk.content)
    return session.scalar(
        query.where(PublicationChunk.publication_id == publication_id, PublicationChunk.position == position)
    )
