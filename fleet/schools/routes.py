"""HTTP of schools."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from fleet.accounts.access import CurrentViewer
from fleet.db import DbSession
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.schools import service
from fleet.schools.models import School
from fleet.schools.schemas import SchoolOut
from fleet.table_file import Extension, download

router = APIRouter(prefix="/api/v1/schools", tags=["schools"])
Search = Annotated[str, Query(max_length=200, description="Mots du nom, UAI ou commune.")]


class Opening(StrEnum):
    """Which schools a list shows."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"

    @property
    def is_open(self) -> bool | None:
        return {Opening.OPEN: True, Opening.CLOSED: False, Opening.ALL: None}[self]


@router.get("", response_model=ListingOut[SchoolOut])
def list_schools(
    session: DbSession,
    viewer: CurrentViewer,
    page: WantedPage,
    search: Search = "",
    collectivity_id: UUID | None = None,
    state: Opening = Opening.OPEN,
) -> dict[str, object]:
    """The schools that the caller sees, in pages."""
    return listing_out(
        service.list_schools(
            session, viewer, search=search, collectivity_id=collectivity_id, is_open=state.is_open, page=page
        )
    )


@router.get("/export.{extension}", response_class=Response)
def export_schools(
    extension: Extension,
    session: DbSession,
    viewer: CurrentViewer,
    search: Search = "",
    collectivity_id: UUID | None = None,
    state: Opening = Opening.OPEN,
) -> Response:
    """The same list whole, as a table that `preau import schools` reads back."""
    content = service.export_schools(
        session, viewer, search=search, collectivity_id=collectivity_id, is_open=state.is_open
    )
    return download(content, "ecoles", extension)


@router.get("/{school_id}", response_model=SchoolOut)
def get_school(school_id: UUID, session: DbSession, viewer: CurrentViewer) -> School:
    """One school that the caller sees."""
    return service.get_school(session, viewer, school_id)
