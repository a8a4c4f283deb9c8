"""Saved lists of names that lessons start from: a school's own, and the operator's for every school."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering.policy import cleaning, events
from fleet.filtering.policy.models import NameList
from fleet.filtering.policy.places import Found, NodeKind, find_place
from fleet.schools.models import School
from fleet.scope import Action, Viewer, visible_to

MOST_NAMES = 200
MOST_LISTS = 200
"""Of one school."""
EDITING = {NodeKind.OPERATOR: Action.EDIT_FILTER, NodeKind.SCHOOL: Action.RUN_LESSON}
"""Who writes the lists of a node: whoever leads a school writes its own."""


def _visible(viewer: Viewer) -> Select[NameList]:
    """Those of the schools that the viewer sees, and those for every school."""
    schools = visible_to(viewer, select(School.id), collectivity=School.collectivity_id, school=School.id)
    return select(NameList).where(NameList.school_id.is_(None) | NameList.school_id.in_(schools))


def list_lists(session: Session, viewer: Viewer, school_id: UUID | None = None) -> Sequence[NameList]:
    """The lists that the viewer may start from, by name; with ``school_id``, those that serve in that school."""
    query = _visible(viewer)
    if school_id is not None:
        query = query.where(NameList.school_id.is_(None) | (NameList.school_id == school_id))
    return session.scalars(query.order_by(NameList.name, NameList.id)).all()


def get_list(session: Session, viewer: Viewer, list_id: UUID) -> NameList:
    """The list; raise NotFound."""
    found = session.scalar(_visible(viewer).where(NameList.id == list_id))
    if found is None:
        raise NotFound("filtering.list_not_found", "Cette liste de noms n’existe pas ou ne vous est pas ouverte.")
    return found


def save_list(
    session: Session, viewer: Viewer, found: Found, name: str, names: Sequence[str], now: datetime
) -> NameList:
    """Write the list of that name of a school, or (the operator's node) of all; raise Invalid, NotAllowed, Conflict."""
    action = EDITING.get(found.place.kind)
    if action is None:
        raise Invalid("filtering.list_place", "Une liste de noms est celle d’une école, ou de toutes.")
    found.must(viewer, action)
    name = cleaning.clean_text(name, "à la liste un nom", 80)
    wanted = cleaning.clean_names(map(cleaning.clean_host, names))
    if not 1 <= len(wanted) <= MOST_NAMES:
        raise Invalid("lesson.bad_names", f"Une liste de leçon porte de 1 à {MOST_NAMES} noms.")
    saved, before = _named(session, found, name), None
    if saved is None:
        saved = NameList(school_id=found.place.school_id, name=name)
        session.add(saved)
    else:
        before = {"names": saved.names}
    saved.names, saved.updated_at, saved.updated_by = wanted, now, viewer.name
    session.flush()
    events.note(
        session, viewer.name, "name_list.save", name, now, subject_id=saved.id,
        before=before, after={"names": wanted}, school_id=found.place.school_id,
    )  # fmt: skip
    return saved


def _named(session: Session, found: Found, name: str) -> NameList | None:
    """The node's list of this name; raise Conflict when there is none and no room for one more."""
    own = select(NameList).where(NameList.school_id.is_not_distinct_from(found.place.school_id))
    saved = session.scalar(own.where(NameList.name == name).with_for_update())
    if saved is None and (session.scalar(select(func.count()).select_from(own.subquery())) or 0) >= MOST_LISTS:
        raise Conflict("filtering.too_many_lists", f"Il y a déjà {MOST_LISTS} listes de noms : enlevez-en une.")
    return saved


def remove_list(session: Session, viewer: Viewer, saved: NameList, now: datetime) -> None:
    """Lessons that started from it go on."""
    found = find_place(session, viewer, school_id=saved.school_id)
    found.must(viewer, EDITING[found.place.kind])
    events.note(
        session, viewer.name, "name_list.remove", saved.name, now, subject_id=saved.id,
        before={"names": saved.names}, school_id=saved.school_id,
    )  # fmt: skip
    session.delete(saved)
    session.flush()
