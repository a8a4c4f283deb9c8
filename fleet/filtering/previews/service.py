"""Previews: before a change counts, gateways judge the names of their own last days by it, and tell which verdicts
change. For whoever may publish: names that schools ask for are shown to nobody else.
"""

import gzip
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from filter.settings import PolicySettings
from fleet.db import after_commit
from fleet.errors import Conflict
from fleet.filtering import tasks
from fleet.filtering.lists import contents
from fleet.filtering.lists.listing import find_folder
from fleet.filtering.models import ContentState, FilterSource
from fleet.filtering.policy import editing, events, policies, profiles
from fleet.filtering.policy.layers import LayerSettings
from fleet.filtering.policy.models import FilterPolicy, FilterProfile
from fleet.filtering.policy.places import Found
from fleet.filtering.previews import applying, asking, preparing, results
from fleet.filtering.previews.applying import publish as publish
from fleet.filtering.previews.models import OPEN_STATES, FilterPreview, PreviewKind, PreviewState
from fleet.filtering.previews.moments import moment_of
from fleet.filtering.previews.results import PreviewResult
from fleet.filtering.publishing import publications
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer

THRESHOLD = 3
"""Devices of one filter that must have asked for a name for it to be told."""
DAYS = 7
MOST_OPEN = 20
OPEN_LOCK = 0x50525057  # "PRPW": PostgreSQL advisory lock, held until the commit
NOTHING = "Ce réglage ne change rien à ce que les filtres font aujourd’hui."
SORTABLE = {"id": FilterPreview.id, "asked_at": FilterPreview.asked_at}


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
    viewer.must(Action.PUBLISH_FILTER)
    current = _current_policy(session)
    latest = publications.find_latest(session)
    tried = try_layer(session, viewer, profile, found, says, now)
    preview = FilterPreview(
        kind=PreviewKind.LAYER,
        subject=tried.subject,
        about={**tried.about, "decisions": current.decisions_digest},
        profile_id=profile.id if profile else None,
        collectivity_id=found.place.collectivity_id,
        school_id=found.place.school_id,
        room_id=found.place.room_id,
        base_names=latest.etag if latest else None,
        base_policy=current.etag,
    )
    _add(session, viewer, preview, judged_at, now)
    if policies.digest_of(tried.settings) == current.settings_digest:
        asking.close(session, preview, PreviewState.DONE, NOTHING)
        return preview
    written = policies.write_file(session, tried.settings, preparing.CANDIDATE, now)
    preview.policy = gzip.compress(written.content, mtime=0)
    preview.policy_tag = f"{written.digest}.{preparing.CANDIDATE}"
    preparing.begin_asking(session, preview, now)
    return preview


@dataclass(frozen=True, slots=True)
class Tried:
    """An edit of a layer that was made and taken back."""

    subject: str
    """What people call the layer."""
    about: dict[str, object]
    """The edit, and what the layer said before."""
    settings: PolicySettings
    """All that would be decided with it."""


def try_layer(
    session: Session, viewer: Viewer, profile: FilterProfile | None, found: Found, says: LayerSettings, now: datetime
) -> Tried:
    """Make an edit and take it back, and with it the lock of policies: all that is told of it is read before that."""
    attempt = session.begin_nested()
    try:
        policies.lock_for(session, viewer, found.place)
        about = applying.about_layer(session, profile, found, says)
        subject = editing.write_layer(session, viewer, found, profile, says, now)
        return Tried(subject, about, profiles.policy_settings(session, now))
    finally:
        attempt.rollback()


def ask_for_content(
    session: Session, viewer: Viewer, content_id: UUID, *, judged_at: datetime | None = None, now: datetime
) -> FilterPreview:
    """Ask what accepting a held content would change. ``content_id`` may be that of the source that is the
    controller's folder: what publishing it as it is would change. Raise NotAllowed, NotFound, or Conflict.
    """
    viewer.must(Action.PUBLISH_FILTER)
    folder = find_folder(session)
    if folder is not None and folder.id == content_id:
        preview = FilterPreview(kind=PreviewKind.CONTENT, subject=folder.title, source_id=folder.id)
    else:
        content = contents.get_content(session, content_id)
        if content.state is not ContentState.HELD:
            raise Conflict("filtering.not_held", "Ce contenu n’attend plus de décision.")
        source = session.get_one(FilterSource, content.source_id)
        preview = FilterPreview(
            kind=PreviewKind.CONTENT, subject=source.title, source_id=source.id, content_id=content.id
        )
    return _prepare_later(session, viewer, preview, judged_at, now)


def ask_for_return(
    session: Session, viewer: Viewer, publication_id: UUID, *, judged_at: datetime | None = None, now: datetime
) -> FilterPreview:
    """Ask what going back to an earlier publication would change. Raise NotAllowed, NotFound, or Conflict."""
    viewer.must(Action.PUBLISH_FILTER)
    earlier = publications.get_publication(session, publication_id)
    if not publications.has_content(session, earlier.id):
        raise Conflict("filtering.content_gone", "Le contenu de cette publication n’est plus gardé.")
    subject = f"Publication {earlier.serial}"
    preview = FilterPreview(kind=PreviewKind.RETURN, subject=subject, publication_id=earlier.id)
    return _prepare_later(session, viewer, preview, judged_at, now)


def _prepare_later(
    session: Session, viewer: Viewer, preview: FilterPreview, judged_at: datetime | None, now: datetime
) -> FilterPreview:
    """The worker makes the candidate names."""
    current = _current_policy(session)
    preview.base_policy, preview.about = current.etag, {"decisions": current.decisions_digest}
    _add(session, viewer, preview, judged_at, now)
    after_commit(session, tasks.prepare_preview.delay, str(preview.id))
    return preview


def _current_policy(session: Session) -> FilterPolicy:
    """What filters judge by now; raise Conflict while there is nothing."""
    current = policies.find_current(session)
    if current is None or publications.find_latest(session) is None:
        raise Conflict("filtering.none_published", "Aucune liste n’est encore publiée : il n’y a rien à comparer.")
    return current


def _add(session: Session, viewer: Viewer, preview: FilterPreview, judged_at: datetime | None, now: datetime) -> None:
    """A question among those that are open, and a line in the history. Raise Conflict when there are too many."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": OPEN_LOCK})
    if asking.count_open(session, now) >= MOST_OPEN:
        raise Conflict(
            "filtering.too_many_previews",
            f"{MOST_OPEN} essais sont déjà en cours. Attendez que l’un se termine (dix minutes au plus), ou "
            "abandonnez-en un.",
        )
    preview.asked_by, preview.asked_at, preview.judged_at = viewer.name, now, moment_of(judged_at, now)
    preview.threshold, preview.days = THRESHOLD, DAYS
    session.add(preview)
    session.flush()
    _note(session, viewer, "preview.ask", preview, now)


def _note(session: Session, viewer: Viewer, verb: str, preview: FilterPreview, now: datetime) -> None:
    after: dict[str, Any] = {"kind": preview.kind, "judged_at": preview.judged_at.isoformat()}
    events.note(session, viewer.name, verb, preview.subject, now, subject_id=preview.id, after=after)


def get_preview(session: Session, viewer: Viewer, preview_id: UUID) -> FilterPreview:
    """The preview; raise NotAllowed, NotFound."""
    viewer.must(Action.PUBLISH_FILTER)
    return asking.must_exist(session.get(FilterPreview, preview_id))


def list_previews(session: Session, viewer: Viewer, page: Page = Page()) -> Listing[FilterPreview]:  # noqa: B008
    """One page of the previews that are kept, newest first. Raise NotAllowed."""
    viewer.must(Action.PUBLISH_FILTER)
    return paginate(session, select(FilterPreview), page, SORTABLE, "-asked_at")


def result_of(session: Session, viewer: Viewer, preview_id: UUID, now: datetime) -> PreviewResult:
    """What the filters answered by now. Raise NotAllowed, NotFound."""
    return results.put_together(session, get_preview(session, viewer, preview_id), now)


def abandon(session: Session, viewer: Viewer, preview_id: UUID, now: datetime) -> None:
    """Ask no further filter; what was answered stays. Raise NotAllowed, NotFound, or Conflict when it is over."""
    get_preview(session, viewer, preview_id)
    preview = session.get_one(FilterPreview, preview_id, with_for_update=True, populate_existing=True)
    if preview.state_at(now) not in OPEN_STATES:
        raise Conflict("filtering.preview_over", "Cet essai est déjà terminé.")
    asking.close(session, preview, PreviewState.ABANDONED)
    _note(session, viewer, "preview.abandon", preview, now)
