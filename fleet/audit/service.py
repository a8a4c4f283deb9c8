"""Reading the log: which entries there are, for whoever may look. Nothing here writes; triggers do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from fleet.actors import ActorKind
from fleet.audit.models import AuditEntry
from fleet.errors import NotAllowed, NotFound
from fleet.paging import Listing, Page, paginate
from fleet.scope import MAY, Action, Viewer, visible_to

SORTABLE = {
    "id": AuditEntry.id,
    "at": AuditEntry.id,  # numbered as they are written: the same order, and an index has it
    "actor": AuditEntry.actor_name,
    "operation": AuditEntry.operation,
    "table": AuditEntry.table_name,
    "subject": AuditEntry.subject,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; what is None or "" asks nothing."""

    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    kind: ActorKind | None = None
    actor: str = ""
    """Id of a person, a device…"""
    operation: str = ""
    """The beginning of an operation: "tickets." """
    action: str = ""
    table: str = ""
    row: str = ""
    """Id of a row of that table."""
    collectivity: UUID | None = None
    school: UUID | None = None
    search: str = ""
    """Part of the actor's name, of the row's, or of the operation's."""


EVERYTHING = Wanted()


def wanted_entries(
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    kind: ActorKind | None = None,
    actor: Annotated[str, Query(max_length=64)] = "",
    operation: Annotated[str, Query(max_length=80)] = "",
    action: Annotated[str, Query(max_length=40)] = "",
    table: Annotated[str, Query(max_length=63)] = "",
    row: Annotated[str, Query(max_length=80)] = "",
    collectivity: UUID | None = None,
    school: UUID | None = None,
    search: Annotated[str, Query(max_length=120)] = "",
) -> Wanted:
    """The entries that an address asks for."""
    return Wanted(since, until, kind, actor, operation, action, table, row, collectivity, school, search)


WantedEntries = Annotated[Wanted, Depends(wanted_entries)]


def reading_viewer(viewer: Viewer) -> Viewer:
    """The viewer with those grants only that let them read the log; raise NotAllowed when none does."""
    grants = tuple(grant for grant in viewer.grants if grant.role in MAY[Action.READ_AUDIT])
    if not grants:
        raise NotAllowed("audit.not_allowed", "Le journal est réservé aux collectivités et à l’équipe technique.")
    return replace(viewer, grants=grants)


def _visible(viewer: Viewer) -> Select[AuditEntry]:
    reader = reading_viewer(viewer)
    return visible_to(reader, select(AuditEntry), collectivity=AuditEntry.collectivity_id, school=AuditEntry.school_id)


def _matching(viewer: Viewer, wanted: Wanted) -> Select[AuditEntry]:
    query = _visible(viewer)
    equal = {
        AuditEntry.actor_kind: wanted.kind,
        AuditEntry.actor_id: wanted.actor,
        AuditEntry.action: wanted.action,
        AuditEntry.table_name: wanted.table,
        AuditEntry.row_id: wanted.row,
        AuditEntry.collectivity_id: wanted.collectivity,
        AuditEntry.school_id: wanted.school,
    }
    for column, value in equal.items():
        if value:
            query = query.where(column == value)
    if wanted.since is not None:
        query = query.where(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEntry.at < wanted.until)
    if wanted.operation:
        query = query.where(AuditEntry.operation.startswith(wanted.operation, autoescape=True))
    return _searching(query, wanted.search)


def _searching(query: Select[AuditEntry], search: str) -> Select[AuditEntry]:
    columns = (AuditEntry.subject, AuditEntry.actor_name, AuditEntry.operation, AuditEntry.row_id)
    for word in search.replace("\x00", " ").split():  # PostgreSQL knows no NUL
        query = query.where(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    return query


def list_entries(
    session: Session,
    viewer: Viewer,
    wanted: Wanted = EVERYTHING,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[AuditEntry]:
    """One page of the entries that the viewer may read, newest first; raise NotAllowed."""
    return paginate(session, _matching(viewer, wanted), page, SORTABLE, "-at")


def iterate_entries(session: Session, viewer: Viewer, wanted: Wanted, most: int | None = None) -> Iterator[AuditEntry]:
    """The same one after the other, oldest first, without holding them all in memory; at most ``most``."""
    query = _matching(viewer, wanted).order_by(AuditEntry.id).limit(most)
    yield from session.scalars(query.execution_options(yield_per=1000))


def get_entry(session: Session, viewer: Viewer, entry_id: int) -> AuditEntry:
    """One entry; raise NotFound when there is none or the viewer may not read it."""
    entry = session.scalar(_visible(viewer).where(AuditEntry.id == entry_id))
    if entry is None:
        raise NotFound("audit.not_found", "Cette entrée du journal n’existe pas.")
    return entry
