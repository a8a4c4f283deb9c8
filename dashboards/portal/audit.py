"""The journal: who changed what, from where, what it was before; searched, sorted, and handed out as a file."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from dashboards.portal.audit_words import (
    ACTIONS,
    ACTORS,
    TABLES,
    action_word,
    actor_name,
    actor_word,
    changes_of,
    path_of,
    table_name,
)
from dashboards.portal.listing import AskedPage, Blank, Search, within
from dashboards.portal.person import Person
from dashboards.portal.rendering import render
from dashboards.portal.words import PARIS
from fleet.actors import ActorKind
from fleet.audit import service
from fleet.audit.service import Wanted
from fleet.audit.wording import COLUMNS, cells_of
from fleet.db import DbSession
from fleet.table_file import as_download, write_table

router = APIRouter(prefix="/journal")
SORTS = (("-at", "Plus récentes"), ("at", "Plus anciennes"), ("actor", "Auteur"), ("subject", "Objet"))
MOST_EXPORTED = 100_000
Day = Annotated[date | None, Blank, Query()]
Id = Annotated[UUID | None, Blank, Query()]
Name = Annotated[str, Query(max_length=80)]
EntryId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters as they were typed."""

    q: str
    kind: ActorKind | None
    table: str
    action: str
    since: date | None
    until: date | None
    actor: str
    row: str
    operation: str
    school: UUID | None
    collectivity: UUID | None

    @property
    def wanted(self) -> Wanted:
        """Days are those of a clock in Paris; the last one is included."""
        end = self.until + timedelta(days=1) if self.until and self.until < date.max else None
        return Wanted(
            midnight(self.since), midnight(end), self.kind, self.actor, self.operation, self.action, self.table,
            self.row, self.collectivity, self.school, self.q,
        )  # fmt: skip


def midnight(day: date | None) -> datetime | None:
    """The moment a day begins in Paris; None before the calendar that UTC has."""
    return datetime.combine(day, time(), PARIS) if day is not None and day.year > 1 else None


def asked_entries(
    q: Search = "",
    kind: Annotated[ActorKind | None, Blank, Query()] = None,
    table: Name = "",
    action: Name = "",
    since: Day = None,
    until: Day = None,
    actor: Name = "",
    row: Name = "",
    operation: Name = "",
    school: Id = None,
    collectivity: Id = None,
) -> Asked:
    return Asked(q, kind, table, action, since, until, actor, row, operation, school, collectivity)


AskedEntries = Annotated[Asked, Depends(asked_entries)]


@router.get("")
def show_journal(
    request: Request, session: DbSession, viewer: Person, page: AskedPage, asked: AskedEntries
) -> Response:
    """The entries that this person may read."""
    return render(
        request,
        "audit.html",
        listing=within(lambda page: service.list_entries(session, viewer, asked.wanted, page), page),
        asked=asked,
        tables=sorted(TABLES.items(), key=lambda item: item[1]),
        actions=[(key, word.text) for key, word in ACTIONS.items()],
        kinds=[(key, word.text) for key, word in ACTORS.items()],
        action_word=action_word,
        actor_word=actor_word,
        actor_name=actor_name,
        table_name=table_name,
        sorts=SORTS,
        sort=page.sort or "-at",
    )


@router.get(".csv")
def export_journal(session: DbSession, viewer: Person, asked: AskedEntries) -> Response:
    """The same whole, oldest first, as a file."""
    entries = service.iterate_entries(session, viewer, asked.wanted, MOST_EXPORTED)
    cells = (cells_of(entry, with_address=viewer.sees_all) for entry in entries)
    return as_download(write_table(COLUMNS, cells), "journal.csv")


@router.get("/{entry_id}")
def show_entry(request: Request, session: DbSession, viewer: Person, entry_id: EntryId) -> Response:
    """One entry: all that is known of a change."""
    entry = service.get_entry(session, viewer, entry_id)
    return render(
        request,
        "audit_entry.html",
        entry=entry,
        changes=changes_of(entry),
        path=path_of(entry),
        action=action_word(entry.action),
        actor=actor_word(entry.actor_kind),
        actor_name=actor_name(entry),
        table=table_name(entry.table_name),
    )
