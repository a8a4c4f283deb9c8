"""HTTP of sources, of what they sent, and of returns to an earlier publication; for the operator's people."""

from uuid import UUID

from fastapi import APIRouter

from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.access import OperatorViewer, PublishingViewer
from fleet.filtering.lists import sources
from fleet.filtering.lists.schemas import ContentOut, HeldOut, SourceChangesIn, SourceIn, SourceOut
from fleet.filtering.lists.terms import Terms
from fleet.filtering.models import FilterSource, Publication, SourceContent
from fleet.filtering.publishing import returning
from fleet.filtering.schemas import PublicationOut
from fleet.paging import ListingOut, WantedPage, listing_out

router = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])


@router.get("/sources", response_model=ListingOut[SourceOut])
def list_sources(session: DbSession, _viewer: OperatorViewer, page: WantedPage) -> dict[str, object]:
    """Where lists come from, by title."""
    return listing_out(sources.list_sources(session, page))


@router.post("/sources", response_model=SourceOut, status_code=201)
def add_source(body: SourceIn, session: DbSession, viewer: PublishingViewer, now: Now) -> FilterSource:
    """A new source: it is fetched at once, or at the end of its quiet hours."""
    return sources.add_source(session, viewer, body.slug, Terms(**body.given()), now)


@router.get("/sources/held", response_model=list[HeldOut])
def list_held(session: DbSession, _viewer: OperatorViewer) -> list[HeldOut]:
    """What waits for a person: lists that changed beyond bounds, or would block what everybody uses."""
    return [HeldOut.of(source, content) for source, content in sources.list_held(session)]


@router.get("/sources/{source_id}", response_model=SourceOut)
def get_source(source_id: UUID, session: DbSession, _viewer: OperatorViewer) -> FilterSource:
    """One source."""
    return sources.get_source(session, source_id)


@router.patch("/sources/{source_id}", response_model=SourceOut)
def change_source(
    source_id: UUID, body: SourceChangesIn, session: DbSession, viewer: PublishingViewer, now: Now
) -> FilterSource:
    """Change, disable or enable a source."""
    return sources.change_source(session, viewer, source_id, body.given(), now)


@router.post("/sources/{source_id}/fetch", response_model=SourceOut, status_code=202)
def fetch_now(source_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> FilterSource:
    """Fetch it now, or at the end of its quiet hours, and publish what it brings."""
    return sources.fetch_now(session, viewer, source_id, now)


@router.get("/sources/{source_id}/contents", response_model=ListingOut[ContentOut])
def list_contents(source_id: UUID, session: DbSession, _viewer: OperatorViewer, page: WantedPage) -> dict[str, object]:
    """What a source sent, newest first."""
    return listing_out(sources.list_contents(session, source_id, page))


@router.post("/contents/{content_id}/approve", response_model=ContentOut)
def approve(content_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> SourceContent:
    """Use what was held, and publish it."""
    return sources.approve(session, viewer, content_id, now)


@router.post("/contents/{content_id}/reject", response_model=ContentOut)
def reject(content_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> SourceContent:
    """Never use what was held."""
    return sources.reject(session, viewer, content_id, now)


@router.post("/publications/{publication_id}/return", response_model=PublicationOut, status_code=202)
def return_to(publication_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> Publication:
    """Publish the content of an earlier publication anew."""
    return returning.return_to(session, viewer, publication_id, now)
