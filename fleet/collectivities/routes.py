"""HTTP of collectivities."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from fleet.accounts.access import CurrentViewer
from fleet.collectivities import service
from fleet.collectivities.models import CollectivityKind
from fleet.collectivities.schemas import CollectivityBrief, CollectivityDetail, CollectivityOut
from fleet.db import DbSession
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.table_file import Extension, download

router = APIRouter(prefix="/api/v1/collectivities", tags=["collectivities"])
Search = Annotated[str, Query(max_length=200, description="Mots du nom, code INSEE ou SIREN.")]


@router.get("", response_model=ListingOut[CollectivityOut])
def list_collectivities(
    session: DbSession,
    viewer: CurrentViewer,
    page: WantedPage,
    search: Search = "",
    kind: CollectivityKind | None = None,
) -> dict[str, object]:
    """The collectivities that the caller sees, in pages."""
    return listing_out(service.list_collectivities(session, viewer, search=search, kind=kind, page=page))


@router.get("/export.{extension}", response_class=Response)
def export_collectivities(
    extension: Extension,
    session: DbSession,
    viewer: CurrentViewer,
    search: Search = "",
    kind: CollectivityKind | None = None,
) -> Response:
    """The same list whole, as a table."""
    content = service.export_collectivities(session, viewer, search=search, kind=kind)
    return download(content, "collectivites", extension)


@router.get("/{collectivity_id}")
def get_collectivity(collectivity_id: UUID, session: DbSession, viewer: CurrentViewer) -> CollectivityDetail:
    """One collectivity that the caller sees."""
    row = service.get_collectivity(session, viewer, collectivity_id)
    groups = [CollectivityBrief.model_validate(group) for group in row.groups]
    return CollectivityDetail(**CollectivityOut.model_validate(row).model_dump(), groups=groups)
