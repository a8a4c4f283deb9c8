"""Pages about one school: which one an address means, and a page to choose it when it does not say."""

from uuid import UUID

from fastapi import Request
from fastapi.responses import Response

from dashboards.portal.rendering import render
from fleet.db import DbSession
from fleet.paging import Page
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Viewer

FEW = 12
"""So many schools are listed without a search."""


def school_of(session: DbSession, viewer: Viewer, school_id: UUID | None) -> School | None:
    """The school that an address names, else the only one that the viewer sees; None: there is a choice.

    Raise NotFound for a school that the viewer does not see.
    """
    if school_id is not None:
        return schools.get_school(session, viewer, school_id)
    if viewer.sees_all:
        return None
    own = schools.list_schools(session, viewer, page=Page(size=1))
    return own.rows[0] if own.total == 1 else None


def choose_school(
    request: Request, session: DbSession, viewer: Viewer, q: str, *, title: str, text: str, path: str
) -> Response:
    """The schools to choose from: each leads to ``path`` with ``?school=``."""
    own = schools.list_schools(session, viewer, search=q, page=Page(size=FEW))
    matches = own if q or own.total <= FEW else None
    return render(request, "school_choice.html", matches=matches, q=q, title=title, text=text, path=path)
