"""What was previewed is made to count: exactly that, and only while it still means what was asked about."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from fleet.errors import Conflict
from fleet.filtering import service as filtering
from fleet.filtering.lists import sources
from fleet.filtering.lists.listing import find_folder
from fleet.filtering.policy import editing, policies, profiles
from fleet.filtering.policy.layers import LayerSettings
from fleet.filtering.policy.models import FilterEvent, FilterPolicy, FilterProfile
from fleet.filtering.policy.places import Found, find_place
from fleet.filtering.policy.revisions import revision_at
from fleet.filtering.previews import asking
from fleet.filtering.previews.models import OPEN_STATES, FilterPreview, PreviewKind, PreviewState
from fleet.filtering.publishing import publications, returning
from fleet.scope import Action, Viewer

GONE = "Ce que visait cet essai n’existe plus : recommencez depuis la page d’origine."
CHANGED = (
    "Quelqu’un a changé ce réglage depuis l’essai : rien n’est publié. Reprenez le formulaire, qui montre l’état du "
    "moment, et demandez un nouvel essai."
)


def about_layer(
    session: Session, profile: FilterProfile | None, found: Found, says: LayerSettings
) -> dict[str, object]:
    """What a preview of a layer remembers: the edit, whose it is, and what the layer said before."""
    layer = editing.find_layer(session, found, profile)
    place = found.place
    ids = (profile.id if profile else None, place.collectivity_id, place.school_id, place.room_id)
    return {
        "says": msgspec.to_builtins(says),
        "before": revision_at(layer),
        "ids": [str(each or "") for each in ids],
    }


def publish(session: Session, viewer: Viewer, preview_id: UUID, now: datetime) -> FilterPreview:
    """Do what was asked about; a question that is still open ends.

    Raise NotAllowed, NotFound, Conflict when it came to nothing, was published, or means something else by now, and
    what the change itself raises.
    """
    viewer.must(Action.PUBLISH_FILTER)
    policies.lock(session)
    preview = session.get(FilterPreview, preview_id, with_for_update=True, populate_existing=True)
    preview = asking.must_exist(preview)
    _check_state(preview)
    if preview.kind is PreviewKind.LAYER:
        _set_layer(session, viewer, preview, now)
    elif preview.kind is PreviewKind.CONTENT:
        _accept(session, viewer, preview, now)
    else:
        returning.return_to(session, viewer, _there(preview.publication_id), now)
    if preview.state in OPEN_STATES:
        asking.close(session, preview, PreviewState.DONE)
    preview.about = {**preview.about, "published": {"by": viewer.name, "at": now.isoformat()}}
    session.flush()
    return preview


def _check_state(preview: FilterPreview) -> None:
    if "published" in preview.about:
        raise Conflict("filtering.preview_published", "Ce changement est déjà publié.")
    if preview.state in {PreviewState.ABANDONED, PreviewState.FAILED}:
        raise Conflict("filtering.preview_over", "Cet essai n’a pas abouti : recommencez depuis la page d’origine.")


def _set_layer(session: Session, viewer: Viewer, preview: FilterPreview, now: datetime) -> None:
    ids = (preview.profile_id, preview.collectivity_id, preview.school_id, preview.room_id)
    if preview.says is None or [str(each or "") for each in ids] != preview.about.get("ids"):
        raise Conflict("filtering.preview_gone", GONE)  # a row that is gone leaves its id empty: that means all of them
    found = find_place(session, viewer, *ids[1:])
    profile = profiles.get_profile(session, preview.profile_id) if preview.profile_id else None
    layer = editing.find_layer(session, found, profile)
    if revision_at(layer) != preview.about.get("before"):
        raise Conflict("filtering.layer_changed", CHANGED)
    editing.set_layer(session, viewer, found, profile, preview.says, now)


def _accept(session: Session, viewer: Viewer, preview: FilterPreview, now: datetime) -> None:
    folder = find_folder(session)
    if folder is not None and preview.source_id == folder.id:
        filtering.request_publication(session, viewer.name, now, expects=_judged(preview))
    else:
        sources.approve(session, viewer, _there(preview.content_id), now)


def _judged(preview: FilterPreview) -> str | None:
    """Digest of the lists that filters were asked about; None: they were not compiled yet. When there was nothing to
    ask, they are those in force.
    """
    tag = preview.names_tag or (preview.base_names if preview.state is PreviewState.DONE else None)
    return tag.partition(".")[0] if tag else None


def _there(row_id: UUID | None) -> UUID:
    if row_id is None:
        raise Conflict("filtering.preview_gone", GONE)
    return row_id


def lists_changed(session: Session, preview: FilterPreview) -> bool:
    """Whether other lists are in force than those that the filters compared with."""
    latest = publications.find_latest(session)
    known = preview.published_by is None and preview.base_names is not None
    return known and latest is not None and latest.etag != preview.base_names


def settings_changed(session: Session, preview: FilterPreview) -> bool:
    """Whether people decided otherwise since it was asked: then some filters may have compared with what was there
    before, others with what came since. Lessons, which begin and end all day, do not count.
    """
    if preview.decisions is None or preview.published_by is not None:
        return False
    latest = select(FilterPolicy.decisions_digest).order_by(FilterPolicy.serial.desc()).limit(1)
    excepted = exists().where(FilterEvent.verb.startswith("override."), FilterEvent.at > preview.asked_at)
    return session.scalar(latest) != preview.decisions or bool(session.scalar(select(excepted)))
