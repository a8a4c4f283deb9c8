"""HTTP of previews, for whoever may publish: names that schools ask for are shown to nobody else."""

from uuid import UUID

from fastapi import APIRouter

from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.access import PublishingViewer
from fleet.filtering.policy import profiles
from fleet.filtering.policy.places import find_place
from fleet.filtering.previews import service
from fleet.filtering.previews.models import FilterPreview
from fleet.filtering.previews.results import PreviewResult
from fleet.filtering.previews.schemas import (
    ContentPreviewIn,
    LayerPreviewIn,
    PreviewIn,
    PreviewOut,
    PreviewResultOut,
)
from fleet.paging import ListingOut, WantedPage, listing_out

router = APIRouter(prefix="/api/v1/filtering/previews", tags=["filtering"])


@router.post("", response_model=PreviewOut, status_code=202)
def ask(body: PreviewIn, session: DbSession, viewer: PublishingViewer, now: Now) -> FilterPreview:
    """Ask the gateways which names a change would block or open, judged at ``judged_at`` or the next time of class."""
    if isinstance(body, LayerPreviewIn):
        found = find_place(session, viewer, body.collectivity_id, body.school_id, body.room_id)
        profile = profiles.get_profile(session, body.profile_id) if body.profile_id else None
        return service.ask_for_layer(
            session, viewer, profile, found, body.says(), judged_at=body.judged_at, now=now
        )  # fmt: skip
    if isinstance(body, ContentPreviewIn):
        return service.ask_for_content(session, viewer, body.content_id, judged_at=body.judged_at, now=now)
    return service.ask_for_return(session, viewer, body.publication_id, judged_at=body.judged_at, now=now)


@router.get("", response_model=ListingOut[PreviewOut])
def list_previews(session: DbSession, viewer: PublishingViewer, page: WantedPage) -> dict[str, object]:
    """The questions of the last week, newest first."""
    return listing_out(service.list_previews(session, viewer, page))


@router.get("/{preview_id}", response_model=PreviewResultOut)
def get_result(preview_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> PreviewResult:
    """What the gateways answered by now."""
    return service.result_of(session, viewer, preview_id, now)


@router.post("/{preview_id}/publish", response_model=PreviewOut)
def publish(preview_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> FilterPreview:
    """Do what was asked about, unless it means something else by now."""
    return service.publish(session, viewer, preview_id, now)


@router.post("/{preview_id}/abandon", status_code=204)
def abandon(preview_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> None:
    """Ask no further gateway."""
    service.abandon(session, viewer, preview_id, now)
