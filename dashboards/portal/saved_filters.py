"""Filters that a person keeps: they stand above each list, and one of them may open it."""

from collections.abc import Sequence
from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.forms import Reader
from dashboards.portal.person import Person, SentForm
from fleet.clock import Now
from fleet.db import DbSession
from fleet.saved_filters import service as saved_filters
from fleet.saved_filters.models import ListName, SavedFilter

router = APIRouter(prefix="/saved-filters")


class Kept(NamedTuple):
    """What a list shows of the viewer's filters."""

    list: ListName
    rows: Sequence[SavedFilter]
    opening: str | None
    """Where to go instead: the list was opened bare, and the viewer has a filter for that."""


def kept_filters(request: Request, session: DbSession, viewer: Person) -> Kept:
    """The viewer's filters of the list that is asked for."""
    of = ListName(request.url.path.strip("/"))
    rows = saved_filters.list_saved_filters(session, viewer, of)
    default = next((row for row in rows if row.is_default), None)
    bare = not request.url.query
    return Kept(of, rows, f"/{of.value}?{default.query}" if default and bare else None)


KeptFilters = Annotated[Kept, Depends(kept_filters)]


@router.post("")
def save_filter(session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Keep the filters of an address under a name."""
    reader = Reader(form)
    of = reader.choice("list", ListName, "Cette liste n’existe pas.")
    reader.check()
    saved = saved_filters.save_filter(
        session, viewer, of, reader.raw("name"), reader.raw("query"), now, is_default=reader.raw("is_default") == "yes"
    )
    return RedirectResponse(f"/{of.value}?{saved.query}&done=filter-saved", 303)


@router.post("/{filter_id}/remove")
def remove_filter(session: DbSession, viewer: Person, filter_id: UUID) -> Response:
    """Forget one."""
    of = saved_filters.remove_filter(session, viewer, filter_id)
    return RedirectResponse(f"/{of.value}?done=filter-removed", 303)
