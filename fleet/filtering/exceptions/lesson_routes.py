"""HTTP of lessons and of the lists of names that they start from."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.exceptions import lessons, name_lists
from fleet.filtering.exceptions.schemas import LessonIn, LessonOut, NameListIn, NameListOut, ProlongIn
from fleet.filtering.policy.models import Lesson, NameList
from fleet.filtering.policy.places import find_place
from fleet.paging import ListingOut, WantedPage, listing_out

router = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])


@router.get("/lessons", response_model=ListingOut[LessonOut])
def list_lessons(
    session: DbSession,
    viewer: CurrentViewer,
    now: Now,
    page: WantedPage,
    running: bool | None = None,
    school_id: UUID | None = None,
) -> dict[str, object]:
    """The lessons of the schools that the caller sees, the latest first."""
    return listing_out(
        lessons.list_lessons(session, viewer, now=now, is_running=running, school_id=school_id, page=page)
    )


@router.post("/lessons", response_model=LessonOut, status_code=201)
def start_lesson(body: LessonIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Lesson:
    """Let a room reach these names only, for some minutes: gateways have it a moment later."""
    return lessons.start_lesson(
        session,
        viewer,
        body.room_id,
        minutes=body.minutes,
        names=body.names,
        list_id=body.list_id,
        title=body.title,
        now=now,
    )


@router.get("/lessons/{lesson_id}", response_model=LessonOut)
def get_lesson(lesson_id: UUID, session: DbSession, viewer: CurrentViewer) -> Lesson:
    """One lesson."""
    return lessons.get_lesson(session, viewer, lesson_id)


@router.post("/lessons/{lesson_id}/prolong", response_model=LessonOut)
def prolong_lesson(lesson_id: UUID, body: ProlongIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Lesson:
    """Let it end later."""
    lesson = lessons.get_lesson(session, viewer, lesson_id)
    return lessons.prolong_lesson(session, viewer, lesson, body.minutes, now)


@router.post("/lessons/{lesson_id}/stop", response_model=LessonOut)
def stop_lesson(lesson_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> Lesson:
    """End it now."""
    return lessons.stop_lesson(session, viewer, lessons.get_lesson(session, viewer, lesson_id), now)


@router.get("/name-lists", response_model=list[NameListOut])
def list_lists(session: DbSession, viewer: CurrentViewer, school_id: UUID | None = None) -> Sequence[NameList]:
    """The lists that the caller may start a lesson from."""
    return name_lists.list_lists(session, viewer, school_id)


@router.put("/name-lists", response_model=NameListOut)
def save_list(body: NameListIn, session: DbSession, viewer: CurrentViewer, now: Now) -> NameList:
    """Write the list of that name, of a school or of all."""
    found = find_place(session, viewer, school_id=body.school_id)
    return name_lists.save_list(session, viewer, found, body.name, body.names, now)


@router.delete("/name-lists/{list_id}", status_code=204)
def remove_list(list_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> None:
    """Lessons that started from it go on."""
    name_lists.remove_list(session, viewer, name_lists.get_list(session, viewer, list_id), now)
