"""HTTP of audit: reading the log."""

from typing import Annotated

from fastapi import APIRouter, Path

from fleet.accounts.access import CurrentViewer
from fleet.audit import service
from fleet.audit.schemas import EntryOut
from fleet.audit.service import WantedEntries
from fleet.db import DbSession
from fleet.paging import ListingOut, WantedPage, listing_out

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])
EntryId = Annotated[int, Path(ge=1, le=2**63 - 1)]


@router.get("", response_model=ListingOut[EntryOut])
def list_entries(
    session: DbSession, viewer: CurrentViewer, wanted: WantedEntries, page: WantedPage
) -> dict[str, object]:
    """Who changed what, newest first: all of it for the operator, what is theirs for a collectivity's people."""
    listing = service.list_entries(session, viewer, wanted, page)
    return listing_out(listing) | {"rows": [EntryOut.of(entry, viewer) for entry in listing.rows]}


@router.get("/{entry_id}")
def get_entry(session: DbSession, viewer: CurrentViewer, entry_id: EntryId) -> EntryOut:
    """One entry."""
    return EntryOut.of(service.get_entry(session, viewer, entry_id), viewer)
