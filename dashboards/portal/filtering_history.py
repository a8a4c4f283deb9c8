"""The history of filtering: who changed what, when, what it was before, and the same as a file."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dashboards.portal.filtering_words import EVENTS, KINDS, changes_of
from dashboards.portal.listing import AskedPage, Blank, Search, within
from dashboards.portal.person import Person
from dashboards.portal.rendering import render
from fleet.db import DbSession
from fleet.filtering.policy import events
from fleet.schools import service as schools
from fleet.table_file import as_download

router = APIRouter()
Verb = Annotated[str, Query(pattern=f"^({'|'.join(KINDS).replace('.', '[.]')}|)$")]
Id = Annotated[UUID | None, Blank, Query()]
SORTS = (("-at", "Plus récents"), ("at", "Plus anciens"), ("verb", "Action"), ("by", "Auteur"))


@router.get("/history")
def show_history(
    request: Request,
    session: DbSession,
    viewer: Person,
    page: AskedPage,
    q: Search = "",
    verb: Verb = "",
    subject: Id = None,
    school: Id = None,
) -> Response:
    """What happened where the viewer may look."""
    listing = within(
        lambda wanted: events.list_events(
            session, viewer, search=q, verb=verb, subject_id=subject, school_id=school, page=wanted
        ),
        page,
    )
    return render(
        request,
        "filtering_history.html",
        listing=listing,
        changes={event.id: changes_of(event.before, event.after) for event in listing.rows},
        verbs=EVENTS,
        kinds=KINDS,
        asked={"q": q, "verb": verb, "subject": subject},
        school=schools.get_school(session, viewer, school) if school else None,
        sorts=SORTS,
        sort=page.sort or "-at",
    )


@router.get("/history.csv")
def export_history(
    session: DbSession, viewer: Person, q: Search = "", verb: Verb = "", subject: Id = None, school: Id = None
) -> Response:
    """The same whole, as a file."""
    content = events.export_events(session, viewer, search=q, verb=verb, subject_id=subject, school_id=school)
    return as_download(content, "historique-filtrage.csv")
