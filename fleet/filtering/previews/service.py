"""Previews: before a change counts, gateways judge the names of their own last days by it, and tell which verdicts
change. For whoever may publish: names that schools ask for are shown to nobody else.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from fleet.filtering.policy.layers import LayerSettings
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.policy.places import Found
from fleet.filtering.previews.models import FilterPreview
from fleet.filtering.previews.results import PreviewResult
from fleet.paging import Listing, Page
from fleet.scope import Viewer


def ask_for_layer(
    session: Session,
    viewer: Viewer,
    profile: FilterProfile | None,
    found: Found,
    says: LayerSettings,
    *,
    judged_at: datetime | None = None,
    now: datetime,
) -> FilterPreview:
    """Ask what an edit of a layer would change; nothing of it is kept but the question.

    ``judged_at`` None: the next moment of class. Raise NotAllowed, Conflict when too many are open, and what
    editing.set_layer raises.
    """
    raise NotImplementedError


def ask_for_content(
    session: Session, viewer: Viewer, content_id: UUID, *, judged_at: datetime | None = None, now: datetime
) -> FilterPreview:
    """Ask what accepting a held content would change. ``content_id`` may be that of the source that is the
    controller's folder. Raise NotAllowed, NotFound, or Conflict.
    """
    raise NotImplementedError


def ask_for_return(
    session: Session, viewer: Viewer, publication_id: UUID, *, judged_at: datetime | None = None, now: datetime
) -> FilterPreview:
    """Ask what going back to an earlier publication would change. Raise NotAllowed, NotFound, or Conflict."""
    raise NotImplementedError


def get_preview(session: Session, viewer: Viewer, preview_id: UUID) -> FilterPreview:
    """The preview; raise NotAllowed, NotFound."""
    raise NotImplementedError


def list_previews(session: Session, viewer: Viewer, page: Page = Page()) -> Listing[FilterPreview]:  # noqa: B008
    """One page of the previews that are kept, newest first. Raise NotAllowed."""
    raise NotImplementedError


def result_of(session: Session, viewer: Viewer, preview_id: UUID, now: datetime) -> PreviewResult:
    """What the filters answered by now. Raise NotAllowed, NotFound."""
    raise NotImplementedError


def abandon(session: Session, viewer: Viewer, preview_id: UUID, now: datetime) -> None:
    """Ask no further filter. Raise NotAllowed, NotFound, or Conflict when it is over already."""
    raise NotImplementedError
