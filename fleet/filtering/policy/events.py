"""The history of filtering: who changed what, when, and what it was before. Written with the change, never altered."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from fleet.filtering.policy.models import FilterEvent
from fleet.filtering.policy.places import on_visible_node
from fleet.filtering.searching import matching
from fleet.paging import Listing, Page, paginate
from fleet.scope import Viewer
from fleet.table_file import write_table

SORTABLE = {"id": FilterEvent.id, "at": FilterEvent.at, "verb": FilterEvent.verb, "by": FilterEvent.by}
EXPORTED = ("date", "auteur", "action", "objet", "avant", "apres")
PARIS = ZoneInfo("Europe/Paris")
MOST_EXPORTED = 100_000


def note(
    session: Session,
    by: str | None,
    verb: str,
    subject: str,
    now: datetime,
    *,
    subject_id: UUID | None = None,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    collectivity_id: UUID | None = None,
    school_id: UUID | None = None,
) -> None:
    """Add an event to the transaction of the change itself. ``verb`` is ``thing.verb``, ``subject`` what people call
    the thing; ``by`` a person, or None for the program. A collectivity or a school: who may read it besides staff.
    """
    session.add(
        FilterEvent(
            at=now,
            by=by,
            verb=verb,
            subject=subject[:500],
            subject_id=subject_id,
            before=None if before is None else msgspec.to_builtins(dict(before)),
            after=None if after is None else msgspec.to_builtins(dict(after)),
            collectivity_id=collectivity_id,
            school_id=school_id,
        )
    )


def _visible(
    viewer: Viewer, search: str, verb: str, subject_id: UUID | None, school_id: UUID | None
) -> Select[FilterEvent]:
    query = on_visible_node(viewer, select(FilterEvent), FilterEvent.collectivity_id, FilterEvent.school_id)
    if verb:
        query = query.where(FilterEvent.verb.startswith(verb, autoescape=True))
    if subject_id is not None:
        query = query.where(FilterEvent.subject_id == subject_id)
    if school_id is not None:
        query = query.where(FilterEvent.school_id == school_id)
    return matching(query, search, FilterEvent.school_id, FilterEvent.subject, func.coalesce(FilterEvent.by, ""))


def list_events(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    verb: str = "",
    subject_id: UUID | None = None,
    school_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[FilterEvent]:
    """One page of what happened where the viewer may look, newest first. ``verb`` may be its beginning: "lesson.".

    ``search``: words of the thing, of who changed it, or of its school.
    """
    return paginate(session, _visible(viewer, search, verb, subject_id, school_id), page, SORTABLE, "-at")


def export_events(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    verb: str = "",
    subject_id: UUID | None = None,
    school_id: UUID | None = None,
) -> bytes:
    """The same as a CSV file, at most MOST_EXPORTED lines."""
    query = _visible(viewer, search, verb, subject_id, school_id).order_by(FilterEvent.at.desc(), FilterEvent.id)
    return write_table(EXPORTED, map(_exported, session.scalars(query.limit(MOST_EXPORTED))))


def _exported(event: FilterEvent) -> tuple[object, ...]:
    at = event.at.astimezone(PARIS).strftime("%d/%m/%Y %H:%M:%S")
    return (at, event.by or "Préau", event.verb, event.subject, _as_text(event.before), _as_text(event.after))


def _as_text(value: dict[str, object] | None) -> str | None:
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()
