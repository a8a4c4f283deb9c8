"""Editing what each node says of profiles. Every change is published in its own transaction, and reads what it changes
behind the lock of policies: of two at once, the second builds on the first.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.doors import Door, for_a_while
from fleet.errors import Conflict, Invalid
from fleet.filtering.policy import cleaning, decisions, events, policies
from fleet.filtering.policy.layers import SILENT, LayerSettings, Voice, merge_lines
from fleet.filtering.policy.models import FilterLayer, FilterProfile, FilterSchedule
from fleet.filtering.policy.places import OPERATOR, OPERATOR_NAME, Found, on_visible_node
from fleet.filtering.policy.profiles import list_profiles
from fleet.filtering.policy.revisions import check_revision
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer

SORTABLE = {"id": FilterLayer.id, "updated_at": FilterLayer.updated_at}
MOST_PROFILES = 100
OPERATOR_FOUND = Found(OPERATOR, OPERATOR_NAME)


def add_profile(session: Session, viewer: Viewer, slug: str, name: str, now: datetime) -> FilterProfile:
    """A profile of which nothing is said yet. Raise Conflict for a slug in use or too many profiles."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    known = list_profiles(session)
    if any(profile.slug == slug for profile in known):
        raise Conflict("filtering.profile_taken", f"Un profil a déjà l’identifiant « {slug} ».")
    if len(known) >= MOST_PROFILES:
        raise Conflict("filtering.too_many_profiles", f"Il y a déjà {MOST_PROFILES} profils.")
    profile = FilterProfile(slug=slug, name=clean_profile_name(name), updated_at=now)
    session.add(profile)
    session.flush()
    after = {"slug": slug, "name": profile.name}
    events.note(session, viewer.name, "profile.add", profile.name, now, subject_id=profile.id, after=after)
    policies.publish(session, viewer.name, f"Nouveau profil {profile.name}", now)
    return profile


def rename_profile(session: Session, viewer: Viewer, profile: FilterProfile, name: str, now: datetime) -> None:
    """Give it another name."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    session.refresh(profile)
    cleaned = clean_profile_name(name)
    if cleaned != profile.name:
        events.note(
            session, viewer.name, "profile.rename", cleaned, now, subject_id=profile.id,
            before={"name": profile.name}, after={"name": cleaned},
        )  # fmt: skip
    profile.name, profile.updated_at = cleaned, now
    policies.publish(session, viewer.name, f"Profil renommé : {cleaned}", now)


def clean_profile_name(name: str) -> str:
    return cleaning.clean_text(name, "au profil un nom", 80, code="filtering.bad_profile_name")


def list_layers(
    session: Session,
    viewer: Viewer,
    *,
    profile_id: UUID | None = None,
    school_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[FilterLayer]:
    """One page of the layers of the nodes that the viewer sees; the operator's are for those who see all."""
    query = on_visible_node(viewer, select(FilterLayer), FilterLayer.collectivity_id, FilterLayer.school_id)
    if profile_id is not None:
        query = query.where(FilterLayer.profile_id == profile_id)
    if school_id is not None:
        query = query.where(FilterLayer.school_id == school_id)
    return paginate(session, query, page, SORTABLE, "-updated_at")


def find_layer(session: Session, found: Found, profile: FilterProfile | None) -> FilterLayer | None:
    """What this node says of the profile, or of all profiles (None), as the database has it now.

    Who makes a new layer of it holds the lock of policies from before this look: else what another says is lost.
    """
    place, layer = found.place, FilterLayer
    query = select(layer).where(
        layer.profile_id == profile.id if profile else layer.profile_id.is_(None),
        layer.collectivity_id.is_not_distinct_from(place.collectivity_id),
        layer.school_id.is_not_distinct_from(place.school_id),
        layer.room_id.is_not_distinct_from(place.room_id),
    )
    return session.scalar(query, execution_options={"populate_existing": True})


def set_layer(
    session: Session, viewer: Viewer, found: Found, profile: FilterProfile | None, says: LayerSettings, now: datetime,
    *, seen: str | None = None,
) -> None:  # fmt: skip
    """Write what a node says of a profile (None: of all), in place of what it said, and publish it.

    Nothing at all: it is silent. ``seen`` is the revision that it replaces. Raise NotAllowed, Outdated when another
    was written since ``seen``, or Invalid for what is wrong or locked above.
    """
    subject = write_layer(session, viewer, found, profile, says, now, seen=seen)
    policies.publish(session, viewer.name, f"Réglage : {subject}", now)


def write_layer(
    session: Session, viewer: Viewer, found: Found, profile: FilterProfile | None, says: LayerSettings, now: datetime,
    *, seen: str | None = None,
) -> str:  # fmt: skip
    """The same without publishing it, for who publishes it or only wants to know what it would change; what people
    call the layer.
    """
    found.must(viewer, Action.EDIT_FILTER)
    policies.lock_for(session, viewer, found.place)
    layer = find_layer(session, found, profile)
    check_revision(layer, seen)
    before = layer.says if layer is not None else SILENT
    wanted = cleaning.mark_layer(
        cleaning.clean_layer(says, session.scalars(select(FilterSchedule.slug))), before, viewer.name, now
    )
    _check_locks(session, found, profile, wanted, before, now)
    _store(session, found, profile, layer, wanted, viewer.name, now)
    subject = f"{profile.name if profile else 'Tous les profils'}, {found.label}"
    events.note(
        session, viewer.name, "layer.set", subject, now, subject_id=profile.id if profile else None,
        before=_told(before), after=_told(wanted),
        collectivity_id=found.place.collectivity_id, school_id=found.place.school_id,
    )  # fmt: skip
    if profile is not None:
        with for_a_while(session, Door.JOBS):  # the profile is everybody's, the layer is this node's
            profile.updated_at = now
    return subject


def _told(says: LayerSettings) -> dict[str, object]:
    """A layer as JSON, without the parts that say nothing."""
    plain: dict[str, object] = msgspec.to_builtins(says)
    return {part: value for part, value in plain.items() if value}


def _store(
    session: Session,
    found: Found,
    profile: FilterProfile | None,
    layer: FilterLayer | None,
    says: LayerSettings,
    by: str,
    now: datetime,
) -> None:
    place = found.place
    if layer is None:
        layer = FilterLayer(
            profile_id=profile.id if profile else None,
            collectivity_id=place.collectivity_id,
            school_id=place.school_id,
            room_id=place.room_id,
        )
    layer.content, layer.updated_at, layer.updated_by = msgspec.to_builtins(says), now, by
    if not says.is_silent:
        session.add(layer)
    elif layer in session:
        session.delete(layer)
    session.flush()
    if profile is not None:
        session.expire(profile, ["layer"])


def _check_locks(
    session: Session,
    found: Found,
    profile: FilterProfile | None,
    wanted: LayerSettings,
    before: LayerSettings,
    now: datetime,
) -> None:
    """Raise Invalid for new lines that a node above locked. Lines that were there before the lock stay, void."""
    above = voices_above(session, found, profile, now)
    standing = merge_lines([*above, Voice("", wanted)])
    heard = {
        *(("categories", key) for key, said in standing.categories.items() if said.layer == ""),
        *(("names", key) for key, said in standing.names.items() if said.layer == ""),
        *(("engines", key) for key, said in standing.engines.items() if said.layer == ""),
        *(("rewrites", key) for key, said in standing.rewrites.items() if said.layer == ""),
        *((said.line.key, said.line.key) for said in (standing.youtube, standing.block_mode, standing.bypass)
          if said is not None and said.layer == ""),
    }  # fmt: skip
    old = {(part, line.key) for part, line in cleaning.lines_of(before)}
    void = [line.key for part, line in cleaning.lines_of(wanted) if (part, line.key) not in heard | old]
    if void:
        raise Invalid("filtering.locked", f"Verrouillé plus haut, donc sans effet ici : {', '.join(void[:10])}.")


def voices_above(session: Session, found: Found, profile: FilterProfile | None, now: datetime) -> Sequence[Voice]:
    """Who speaks before this node does, of the profile or (None) of all."""
    place = found.place
    tree = decisions.tree_with(session, found, now)
    path = tree.path_to(place)
    keys = [(who, node) for node in path for who in ((None, profile.id) if profile else (None,))]
    own = (profile.id if profile else None, place)
    return [
        Voice(tree.label_of(node), spoken.says)
        for who, node in keys[: keys.index(own)]
        if (spoken := tree.spoken.get((who, node))) is not None
    ]
