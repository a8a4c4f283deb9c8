"""Overrides (dérogations): names or categories, allowed or blocked on a node until a date, for a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from filter.settings import OverrideSettings
from filter.settings import Verdict as Verdict
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering.policy import cleaning, editing, events, policies
from fleet.filtering.policy.layers import without_locked
from fleet.filtering.policy.models import FilterOverride, FilterProfile
from fleet.filtering.policy.places import Found, on_visible_node
from fleet.filtering.searching import matching
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer

LONGEST = timedelta(days=366)
MOST_NAMES = 200
SORTABLE = {"id": FilterOverride.id, "ends": FilterOverride.ends, "created_at": FilterOverride.created_at}


@dataclass(frozen=True, slots=True)
class Wish:
    """What an override would say."""

    verdict: Verdict
    reason: str
    starts: datetime
    ends: datetime
    names: Sequence[str] = ()
    categories: Sequence[str] = ()


def add_override(
    session: Session, viewer: Viewer, found: Found, profile: FilterProfile | None, wish: Wish, now: datetime
) -> FilterOverride:
    """An override for the clients of a profile (None: of all) on a node and below.

    Raise NotAllowed, or Invalid for what is no name, no reason or no period, and for what a node above locked.
    """
    found.must(viewer, Action.EDIT_FILTER)
    policies.lock_for(session, viewer, found.place)
    override = _checked(wish, now)
    override.profile_id = profile.id if profile else None
    place = found.place
    override.collectivity_id, override.school_id, override.room_id = (
        place.collectivity_id,
        place.school_id,
        place.room_id,
    )
    override.by, override.created_at = viewer.name, now
    _check_locks(session, found, profile, override, now)
    session.add(override)
    session.flush()
    events.note(
        session, viewer.name, "override.add", subject_of(override), now, subject_id=override.id,
        after=told(override, found, profile), collectivity_id=place.collectivity_id, school_id=place.school_id,
    )  # fmt: skip
    policies.publish(session, viewer.name, f"Dérogation : {subject_of(override)}", now)
    return override


def _checked(wish: Wish, now: datetime) -> FilterOverride:
    starts = max(wish.starts, now)
    if wish.verdict is Verdict.NEUTRAL:
        raise Invalid("filtering.bad_override", "Une dérogation autorise ou bloque.")
    if wish.ends <= starts:
        raise Invalid("filtering.bad_period", "La dérogation doit finir après avoir commencé, et après maintenant.")
    if wish.ends - starts > LONGEST:
        raise Invalid("filtering.bad_period", f"Une dérogation dure au plus {LONGEST.days} jours.")
    names = cleaning.clean_names(map(cleaning.clean_host, wish.names))
    categories = cleaning.clean_categories(wish.categories)
    if not names and not categories:
        raise Invalid("filtering.bad_override", "Donnez au moins un nom ou une catégorie.")
    if len(names) > MOST_NAMES:
        raise Invalid("filtering.too_many_names", f"Une dérogation porte au plus {MOST_NAMES} noms.")
    return FilterOverride(
        verdict=wish.verdict,
        names=names,
        categories=categories,
        reason=cleaning.clean_text(wish.reason, "une raison", 400),
        starts=starts,
        ends=wish.ends,
    )


def _check_locks(
    session: Session, found: Found, profile: FilterProfile | None, override: FilterOverride, now: datetime
) -> None:
    above = editing.voices_above(session, found, profile, now)
    says = OverrideSettings(
        "", override.verdict, override.starts, override.ends, tuple(override.names), tuple(override.categories)
    )
    kept = without_locked(says, above)
    lost = [*(n for n in says.names if n not in kept.names), *(c for c in says.categories if c not in kept.categories)]
    if lost:
        raise Invalid("filtering.locked", f"Verrouillé plus haut, donc sans effet ici : {', '.join(lost[:10])}.")


def subject_of(override: FilterOverride) -> str:
    """« Autoriser exemple.fr »"""
    word = "Autoriser" if override.verdict is Verdict.ALLOW else "Bloquer"
    things = [*override.names, *override.categories]
    more = f" et {len(things) - 3} autres" if len(things) > 3 else ""
    return f"{word} {', '.join(things[:3])}{more}"


def told(override: FilterOverride, found: Found, profile: FilterProfile | None) -> dict[str, object]:
    """What the history keeps of it."""
    return {
        "verdict": override.verdict.value,
        "names": override.names,
        "categories": override.categories,
        "reason": override.reason,
        "starts": override.starts,
        "ends": override.ends,
        "place": found.label,
        "profile": profile.slug if profile else None,
    }


def list_overrides(
    session: Session,
    viewer: Viewer,
    *,
    now: datetime,
    search: str = "",
    is_ended: bool | None = None,
    is_started: bool | None = None,
    school_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[FilterOverride]:
    """One page of the overrides on nodes that the viewer sees, the last to end first.

    ``is_ended``, ``is_started`` None: whether or not. ``search``: words of their names, categories, reason or school.
    """
    override = FilterOverride
    query = on_visible_node(viewer, select(override), override.collectivity_id, override.school_id)
    if school_id is not None:
        query = query.where(override.school_id == school_id)
    ended = override.revoked_at.is_not(None) | (override.ends <= now)
    if is_ended is not None:
        query = query.where(ended if is_ended else ~ended)
    if is_started is not None:
        query = query.where(override.starts <= now if is_started else override.starts > now)
    texts = (cast(override.names, Text), cast(override.categories, Text), override.reason, override.by)
    query = matching(query, search, override.school_id, *texts)
    return paginate(session, query, page, SORTABLE, "-ends")


def get_override(session: Session, viewer: Viewer, override_id: UUID) -> FilterOverride:
    """The override, if the viewer sees its node; raise NotFound."""
    override = FilterOverride
    query = on_visible_node(viewer, select(override), override.collectivity_id, override.school_id)
    found = session.scalar(query.where(override.id == override_id))
    if found is None:
        raise NotFound("filtering.override_not_found", "Cette dérogation n’existe pas ou ne vous est pas ouverte.")
    return found


def revoke_override(session: Session, viewer: Viewer, override: FilterOverride, now: datetime) -> FilterOverride:
    """Take it back before its end. Raise Conflict when it has ended, NotFound when it went with its room."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    get_override(session, viewer, override.id)  # it may have gone with its room
    session.refresh(override)
    if override.revoked_at is not None or override.ends <= now:
        raise Conflict("filtering.override_ended", "Cette dérogation est déjà finie.")
    override.revoked_at, override.revoked_by = now, viewer.name
    session.flush()
    events.note(
        session, viewer.name, "override.revoke", subject_of(override), now, subject_id=override.id,
        before={"ends": override.ends}, after={"ends": now},
        collectivity_id=override.collectivity_id, school_id=override.school_id,
    )  # fmt: skip
    policies.publish(session, viewer.name, f"Fin de dérogation : {subject_of(override)}", now)
    return override
