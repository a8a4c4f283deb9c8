"""Lessons: for a while, a room reaches some names only. Started by whoever leads the school, ended by themselves."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session, joinedload

from fleet.devices.models import Device, DeviceStatus
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering.exceptions import name_lists
from fleet.filtering.policy import cleaning, events, policies
from fleet.filtering.policy.models import FilterLabel, FilterNetwork, FilterRoom, Lesson
from fleet.filtering.policy.places import Found, find_place, get_room
from fleet.filtering.searching import matching
from fleet.paging import Listing, Page, paginate
from fleet.schools.models import School
from fleet.scope import Action, Viewer, visible_to

SHORTEST, LONGEST = 5, 240
"""Minutes."""
MOST_NAMES = 200
SORTABLE = {"id": Lesson.id, "starts": Lesson.starts, "ends": Lesson.ends}


def start_lesson(
    session: Session,
    viewer: Viewer,
    room_id: UUID,
    *,
    minutes: int,
    names: Sequence[str] = (),
    list_id: UUID | None = None,
    title: str = "",
    now: datetime,
) -> Lesson:
    """Let a room reach only these names, and those of a saved list, for some minutes.

    Raise NotFound for a room the viewer does not see, NotAllowed, Invalid for no name or a wrong duration, Conflict
    when the room is in a lesson already or nothing is known to be in it.
    """
    found = find_place(session, viewer, room_id=room_id)
    found.must(viewer, Action.RUN_LESSON)
    _check_minutes(minutes)
    saved = name_lists.get_list(session, viewer, list_id) if list_id is not None else None
    wanted = cleaning.clean_names([*map(cleaning.clean_host, names), *(saved.names if saved else ())])
    if not 1 <= len(wanted) <= MOST_NAMES:
        raise Invalid("lesson.bad_names", f"Une leçon ouvre de 1 à {MOST_NAMES} noms.")
    policies.lock(session)  # two clicks start one lesson
    room = get_room(session, viewer, room_id)  # it may be gone since
    _check_clients(session, room)
    if (running := find_running(session, room_id, now)) is not None:
        raise Conflict(
            "lesson.running", f"Une leçon est déjà en cours dans cette salle : {running.title or 'sans nom'}."
        )
    lesson = Lesson(
        school_id=room.school_id,
        room=room,
        title=cleaning.clean_text(title, "à la leçon un nom", 80) if title.strip() else (saved.name if saved else ""),
        names=wanted,
        starts=now,
        ends=now + timedelta(minutes=minutes),
        by=viewer.name,
    )
    session.add(lesson)
    session.flush()
    _note(session, viewer, "lesson.start", found, lesson, now, after={"names": wanted, "ends": lesson.ends})
    policies.publish(session, viewer.name, f"Leçon : {found.label}", now)
    return lesson


def _check_minutes(minutes: int) -> None:
    if not SHORTEST <= minutes <= LONGEST:
        raise Invalid("lesson.bad_duration", f"Une leçon dure de {SHORTEST} à {LONGEST} minutes.")


def _check_clients(session: Session, room: FilterRoom) -> None:
    networks = select(FilterNetwork.id).where(
        FilterNetwork.room_id == room.id, FilterNetwork.school_id == room.school_id
    )
    labels = select(FilterLabel.device_id).join(Device, Device.id == FilterLabel.device_id)
    labels = labels.where(FilterLabel.room_id == room.id, Device.school_id == room.school_id)
    labels = labels.where(Device.status != DeviceStatus.RETIRED)
    if session.scalar(networks.limit(1)) is None and session.scalar(labels.limit(1)) is None:
        raise Conflict(
            "lesson.empty_room", "Aucun réseau ni appareil n’est rattaché à cette salle : dites-le à l’ADICA."
        )


def find_running(session: Session, room_id: UUID, now: datetime) -> Lesson | None:
    """The lesson that runs in a room."""
    query = select(Lesson).where(Lesson.room_id == room_id, Lesson.stopped_at.is_(None), Lesson.ends > now)
    return session.scalar(query.limit(1))


def prolong_lesson(session: Session, viewer: Viewer, lesson: Lesson, minutes: int, now: datetime) -> Lesson:
    """Let it end that many minutes later, at most LONGEST from now. Raise Conflict when it is over."""
    found = _running(session, viewer, lesson, now)
    ends = lesson.ends + timedelta(minutes=minutes)
    if minutes < 1 or ends - now > timedelta(minutes=LONGEST):
        raise Invalid("lesson.bad_duration", f"Une leçon finit au plus dans {LONGEST} minutes.")
    before, lesson.ends = {"ends": lesson.ends}, ends
    session.flush()
    _note(session, viewer, "lesson.prolong", found, lesson, now, before=before, after={"ends": ends})
    policies.publish(session, viewer.name, f"Leçon prolongée : {found.label}", now)
    return lesson


def stop_lesson(session: Session, viewer: Viewer, lesson: Lesson, now: datetime) -> Lesson:
    """End it now. Raise Conflict when it is over."""
    found = _running(session, viewer, lesson, now)
    lesson.stopped_at, lesson.stopped_by = now, viewer.name
    session.flush()
    _note(session, viewer, "lesson.stop", found, lesson, now, before={"ends": lesson.ends}, after={"ends": now})
    policies.publish(session, viewer.name, f"Leçon arrêtée : {found.label}", now)
    return lesson


def _running(session: Session, viewer: Viewer, lesson: Lesson, now: datetime) -> Found:
    policies.lock(session)
    found = find_place(session, viewer, room_id=lesson.room_id)  # a lesson goes with its room
    found.must(viewer, Action.RUN_LESSON)
    session.refresh(lesson, ["ends", "stopped_at"])
    if not lesson.runs_at(now):
        raise Conflict("lesson.over", "Cette leçon est finie.")
    return found


def _note(
    session: Session,
    viewer: Viewer,
    verb: str,
    found: Found,
    lesson: Lesson,
    now: datetime,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    subject = f"{lesson.title or 'Leçon'}, {found.label}"
    events.note(
        session, viewer.name, verb, subject, now, subject_id=lesson.id, before=before, after=after,
        school_id=lesson.school_id,
    )  # fmt: skip


def list_lessons(
    session: Session,
    viewer: Viewer,
    *,
    now: datetime,
    search: str = "",
    is_running: bool | None = None,
    school_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[Lesson]:
    """One page of the lessons of the schools that the viewer sees, the latest first, their room loaded.

    ``search``: words of their title, names, school, or of who started them.
    """
    query = select(Lesson).join(School, School.id == Lesson.school_id).options(joinedload(Lesson.room))
    query = visible_to(viewer, query, collectivity=School.collectivity_id, school=School.id)
    if school_id is not None:
        query = query.where(Lesson.school_id == school_id)
    runs = Lesson.stopped_at.is_(None) & (Lesson.ends > now)
    if is_running is not None:
        query = query.where(runs if is_running else ~runs)
    query = matching(query, search, Lesson.school_id, Lesson.title, cast(Lesson.names, Text), Lesson.by)
    return paginate(session, query, page, SORTABLE, "-starts")


def get_lesson(session: Session, viewer: Viewer, lesson_id: UUID) -> Lesson:
    """The lesson, if the viewer sees its school; its room loaded. Raise NotFound."""
    query = select(Lesson).join(School, School.id == Lesson.school_id).options(joinedload(Lesson.room))
    query = visible_to(viewer, query, collectivity=School.collectivity_id, school=School.id)
    lesson = session.scalar(query.where(Lesson.id == lesson_id))
    if lesson is None:
        raise NotFound("lesson.not_found", "Cette leçon n’existe pas ou ne vous est pas ouverte.")
    return lesson
