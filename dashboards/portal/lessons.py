"""Lessons: started on one page by whoever leads the school, prolonged, stopped; and those of before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import refusals
from dashboards.portal.forms import Reader
from dashboards.portal.listing import SIZE, AskedPage, Blank, Search, csv_download, every_row, within
from dashboards.portal.person import Person, SentForm
from dashboards.portal.rendering import render, with_query
from dashboards.portal.school_choice import choose_school, school_of
from dashboards.portal.words import LESSON, Word, in_paris
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.filtering.exceptions import lessons, name_lists, rooms
from fleet.filtering.policy.models import Lesson
from fleet.filtering.policy.place_names import school_names
from fleet.filtering.policy.places import find_place
from fleet.paging import Listing, Page
from fleet.schools.models import School
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/filtering/lessons")
SchoolId = Annotated[UUID | None, Blank, Query()]
State = Annotated[str, Query(pattern="^(running|over|all|)$")]
IS_RUNNING = {"running": True, "over": False}
SORTS = (("-starts", "Plus récentes"), ("starts", "Plus anciennes"), ("-ends", "Fin la plus tardive"))
MINUTES = (
    (15, "15 minutes"),
    (30, "30 minutes"),
    (45, "45 minutes"),
    (60, "1 heure"),
    (90, "1 heure 30"),
    (120, "2 heures"),
    (180, "3 heures"),
    (240, "4 heures"),
)
LONGER = ((5, "5 minutes"), (10, "10 minutes"), (15, "15 minutes"), (30, "30 minutes"), (60, "1 heure"))
FIRST = Page(size=SIZE)
MAX_TEXT = 20_000
FIELDS = {
    "filtering.bad_name": "names",
    "lesson.bad_names": "names",
    "lesson.running": "room",
    "lesson.empty_room": "room",
    "filtering.list_not_found": "list",
    "filtering.too_many_lists": "keep",
}
"""Which field a refusal is about."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address asks of the list."""

    q: str = ""
    state: str = ""
    page: Page = FIRST
    again: UUID | None = None
    """A lesson of before that the form starts from."""


def state_of(lesson: Lesson, now: datetime) -> Word:
    """A chip for one lesson."""
    if lesson.runs_at(now):
        return LESSON["running"]
    return LESSON["ended" if lesson.stopped_at is None else "stopped"]


COLUMNS: dict[str, Callable[[Lesson], object]] = {
    "debut": lambda lesson: in_paris(lesson.starts),
    "fin": lambda lesson: in_paris(lesson.stopped_at or lesson.ends),
    "salle": lambda lesson: lesson.room.name,
    "titre": lambda lesson: lesson.title,
    "sites": lambda lesson: " ".join(lesson.names),
    "lancee_par": lambda lesson: lesson.by,
    "arretee_par": lambda lesson: lesson.stopped_by,
}


def reader_of(
    session: DbSession, viewer: Viewer, now: datetime, q: str, state: str, school_id: UUID | None
) -> Callable[[Page], Listing[Lesson]]:
    """The list that an address asks for, page by page."""

    def read(page: Page) -> Listing[Lesson]:
        is_running = IS_RUNNING.get(state)
        return lessons.list_lessons(
            session, viewer, now=now, search=q, is_running=is_running, school_id=school_id, page=page
        )

    return read


@router.get("")
def show_lessons(
    request: Request,
    session: DbSession,
    viewer: Person,
    now: Now,
    page: AskedPage,
    q: Search = "",
    state: State = "",
    school: SchoolId = None,
    again: SchoolId = None,
) -> Response:
    """Everything about the lessons of a school; of several schools, the list of their lessons."""
    place = school_of(session, viewer, school)
    return lessons_page(request, session, viewer, now, place, Asked(q, state, page, again))


@router.get(".csv")
def export_lessons(
    session: DbSession, viewer: Person, now: Now, q: Search = "", state: State = "", school: SchoolId = None
) -> Response:
    """The same list whole, as a file."""
    read = reader_of(session, viewer, now, q, state, school)
    return csv_download("lecons", COLUMNS, every_row(read, "-starts"))


@router.get("/new")
def choose(request: Request, session: DbSession, viewer: Person, q: Search = "", school: SchoolId = None) -> Response:
    """Choose the school that a lesson is for."""
    place = school_of(session, viewer, school)
    if place is not None:
        return RedirectResponse(f"/filtering/lessons?school={place.id}", 303)
    text = "Choisissez l’école : ses salles, ses leçons et ses listes de sites s’affichent ensuite."
    path = "/filtering/lessons/new"
    return choose_school(request, session, viewer, q, title="Lancer une leçon", text=text, path=path)


def lessons_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    now: datetime,
    school: School | None,
    asked: Asked,
    *,
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The page, with what was typed when the form comes back refused."""
    school_id = school.id if school else None
    listing = within(reader_of(session, viewer, now, asked.q, asked.state, school_id), asked.page)
    return render(
        request,
        "lessons.html",
        refused.status if refused else 200,
        school=school,
        listing=listing,
        states={lesson.id: state_of(lesson, now) for lesson in listing.rows},
        schools=school_names(session, (lesson.school_id for lesson in listing.rows)),
        asked=asked,
        sorts=SORTS,
        sort=asked.page.sort or "-starts",
        **(form_of(session, viewer, now, school, asked, reader) if school else {}),
        **refusals.explained(refused, FIELDS),
    )


def form_of(
    session: DbSession, viewer: Viewer, now: datetime, school: School, asked: Asked, reader: Reader | None
) -> dict[str, object]:
    """What starting a lesson in one school needs, and those that run there."""
    running = lessons.list_lessons(
        session, viewer, now=now, is_running=True, school_id=school.id, page=Page(size=100, sort="ends")
    ).rows
    again = lessons.get_lesson(session, viewer, asked.again) if asked.again else None
    before = {"title": again.title, "room": str(again.room_id), "names": "\n".join(again.names)} if again else {}
    return {
        "may_run": viewer.may(Action.RUN_LESSON, school.collectivity_id, school.id),
        "may_edit": viewer.may(Action.EDIT_FILTER, school.collectivity_id, school.id),
        "rooms": rooms.list_rooms(session, viewer, school.id),
        "running": running,
        "busy": {lesson.room_id for lesson in running},
        "lists": name_lists.list_lists(session, viewer, school.id),
        "minutes": MINUTES,
        "longer": LONGER,
        "read": reader.raw if reader else lambda name: before.get(name, ""),
    }


@router.post("")
def start_lesson(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Start it; a form that is refused comes back as it was typed."""
    reader = Reader(form)
    try:
        lesson = start_from(session, viewer, reader, now)
    except FleetError as refused:
        session.rollback()
        school = school_of(session, viewer, reader.identifier("school"))
        return lessons_page(request, session, viewer, now, school, Asked(), reader=reader, refused=refused)
    return done(lesson.school_id, "lesson-started")


def start_from(session: DbSession, viewer: Viewer, reader: Reader, now: datetime) -> Lesson:
    """Read what was typed and start; raise FormRefused or the verb's own refusals."""
    room_id = reader.row("room", "Choisissez la salle.")
    asked = "other" if reader.raw("other") else "minutes"
    minutes = reader.integer(asked, minimum=lessons.SHORTEST, maximum=lessons.LONGEST)
    names, list_id = reader.domains("names", maximum=MAX_TEXT), reader.identifier("list")
    title, keep = reader.text("title", maximum=80), reader.text("keep", maximum=80)
    if not names and list_id is None:
        reader.problems.setdefault("names", "Donnez au moins un site, ou choisissez une liste enregistrée.")
    elif keep and not names:
        reader.problems["keep"] = "Écrivez plus haut les sites à enregistrer sous ce nom."
    reader.check()
    lesson = lessons.start_lesson(
        session, viewer, room_id, minutes=minutes, names=names, list_id=list_id, title=title, now=now
    )
    if keep:
        found = find_place(session, viewer, school_id=lesson.school_id)
        name_lists.save_list(session, viewer, found, keep, names, now)
    return lesson


@router.get("/{lesson_id}/left")
def show_left(request: Request, session: DbSession, viewer: Person, now: Now, lesson_id: UUID) -> Response:
    """The page of the lesson's school, asked again while it runs. Over, it takes all running ones away from the page
    and leaves alone what somebody types below.
    """
    lesson = lessons.get_lesson(session, viewer, lesson_id)
    school = school_of(session, viewer, lesson.school_id)
    page = lessons_page(request, session, viewer, now, school, Asked())
    if not lesson.runs_at(now):
        page.headers.update({"HX-Retarget": "#running", "HX-Reselect": "#running", "HX-Reswap": "outerHTML"})
    return page


@router.post("/{lesson_id}/prolong")
def prolong_lesson(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, lesson_id: UUID
) -> Response:
    """Let it end later."""
    lesson = lessons.get_lesson(session, viewer, lesson_id)
    reader = Reader(form)
    try:
        minutes = reader.integer("longer", minimum=1, maximum=lessons.LONGEST)
        reader.check()
        lessons.prolong_lesson(session, viewer, lesson, minutes, now)
    except FleetError as refused:
        return refused_move(request, session, viewer, now, lesson_id, refused)
    return done(lesson.school_id, "lesson-prolonged")


@router.post("/{lesson_id}/stop")
def stop_lesson(request: Request, session: DbSession, viewer: Person, now: Now, lesson_id: UUID) -> Response:
    """End it now."""
    lesson = lessons.get_lesson(session, viewer, lesson_id)
    try:
        lessons.stop_lesson(session, viewer, lesson, now)
    except FleetError as refused:
        return refused_move(request, session, viewer, now, lesson_id, refused)
    return done(lesson.school_id, "lesson-stopped")


def refused_move(
    request: Request, session: DbSession, viewer: Viewer, now: datetime, lesson_id: UUID, refused: FleetError
) -> Response:
    """The page of the lesson's school as it is now, and why nothing was done."""
    session.rollback()
    lesson = lessons.get_lesson(session, viewer, lesson_id)
    school = school_of(session, viewer, lesson.school_id)
    return lessons_page(request, session, viewer, now, school, Asked(), refused=refused)


@router.post("/lists/{list_id}/remove")
def remove_list(session: DbSession, viewer: Person, now: Now, form: SentForm, list_id: UUID) -> Response:
    """Forget a saved list; lessons that started from it go on."""
    name_lists.remove_list(session, viewer, name_lists.get_list(session, viewer, list_id), now)
    return done(Reader(form).identifier("school"), "list-removed")


def done(school_id: UUID | None, what: str) -> Response:
    return RedirectResponse(with_query("/filtering/lessons", {}, school=school_id, done=what), 303)
