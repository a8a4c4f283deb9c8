"""Schedules: the hours of the week by which lines of profiles hold, with the school holidays of zone B."""

from datetime import date
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError
from starlette.datastructures import FormData

from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.person import Person, SentForm, Staff
from dashboards.portal.rendering import render
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.filtering.policy import schedules
from fleet.filtering.policy.models import FilterSchedule
from fleet.filtering.policy.schedule_schemas import ScheduleIn
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/schedules")
DAYS = ("lundi", "mardi", "mercredi", "jeudi", "vendredi", "samedi", "dimanche")
SPARE_ROWS = 2
MOST_ROWS = 20


@router.get("")
def list_schedules(request: Request, session: DbSession, viewer: Staff, now: Now) -> Response:
    """Every schedule, and whether it holds now."""
    rows = schedules.list_schedules(session)
    return render(
        request,
        "filtering_schedules.html",
        rows=[(row, schedules.is_active(row, now), week_of(row)) for row in rows],
        may_edit=viewer.may(Action.EDIT_FILTER),
    )


@router.get("/new")
def show_new(request: Request, viewer: Staff) -> Response:
    """The form of a new one."""
    viewer.must(Action.EDIT_FILTER)
    return show_form(request, viewer, None, FormData([("zone_b", "yes")]))


@router.post("/new")
def add_schedule(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Add it; profiles may name it from then on."""
    viewer.must(Action.EDIT_FILTER)
    reader = Reader(form)
    slug = reader.text("slug", maximum=40, missing="Donnez un identifiant.")
    if slug and not schedules.SLUG.fullmatch(slug):
        reader.problems["slug"] = "Minuscules sans accent, chiffres et tirets seulement."
    try:
        wanted = read_schedule(reader, slug)
        schedules.add_schedule(session, viewer, wanted.says(), zone_b=wanted.zone_b, now=now)
    except FleetError as refused:
        session.rollback()
        return show_form(request, viewer, None, form, refused)
    return RedirectResponse("/filtering/schedules?done=schedule-added", 303)


@router.get("/{schedule_id}")
def show_schedule(request: Request, session: DbSession, viewer: Staff, schedule_id: UUID) -> Response:
    """One schedule, to read or to change."""
    schedule = schedules.get_schedule(session, schedule_id)
    return show_form(request, viewer, schedule, form_of(schedule))


@router.post("/{schedule_id}")
def change_schedule(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, schedule_id: UUID
) -> Response:
    """Change it; every profile that names it follows at once."""
    viewer.must(Action.EDIT_FILTER)
    schedule = schedules.get_schedule(session, schedule_id)
    try:
        wanted = read_schedule(Reader(form), schedule.slug)
        schedules.change_schedule(session, viewer, schedule, wanted.says(), zone_b=wanted.zone_b, now=now)
    except FleetError as refused:
        session.rollback()
        return show_form(request, viewer, schedules.get_schedule(session, schedule_id), form, refused)
    return RedirectResponse("/filtering/schedules?done=schedule-changed", 303)


@router.post("/{schedule_id}/remove")
def remove_schedule(request: Request, session: DbSession, viewer: Person, now: Now, schedule_id: UUID) -> Response:
    """Remove it, unless a profile names it."""
    schedule = schedules.get_schedule(session, schedule_id)
    try:
        schedules.remove_schedule(session, viewer, schedule, now)
    except FleetError as refused:
        session.rollback()
        schedule = schedules.get_schedule(session, schedule_id)
        return show_form(request, viewer, schedule, form_of(schedule), refused)
    return RedirectResponse("/filtering/schedules?done=schedule-removed", 303)


def show_form(
    request: Request,
    viewer: Viewer,
    schedule: FilterSchedule | None,
    form: FormData,
    refused: FleetError | None = None,
) -> Response:
    """The page, with what is kept or what was typed."""
    reader = Reader(form)
    return render(
        request,
        "filtering_schedule.html",
        refused.status if refused else 200,
        schedule=schedule,
        read=reader.raw,
        rows=[{"days": days_of(form, n), "number": n} for n in range(rows_shown(form))],
        days=DAYS,
        may_edit=viewer.may(Action.EDIT_FILTER),
        refused=refused.detail if refused else None,
        problems=refused.problems if isinstance(refused, FormRefused) else {},
    )


def rows_shown(form: FormData) -> int:
    """The rows that say something, and a few to fill."""
    used = [n for n in range(MOST_ROWS) if days_of(form, n) or form.get(f"start-{n}")]
    return min(MOST_ROWS, max(used, default=-1) + 1 + SPARE_ROWS)


def days_of(form: FormData, number: int) -> list[str]:
    return [str(day) for day in form.getlist(f"days-{number}")]


def form_of(schedule: FilterSchedule) -> FormData:
    """The fields of a schedule that is kept."""
    says = schedules.settings_of(schedule)
    fields = [("name", schedule.name), ("zone_b", "yes" if schedule.zone_b else "")]
    fields.append(("in_holidays", "yes" if says.in_holidays else ""))
    for number, week in enumerate(says.weekly):
        fields += [(f"days-{number}", str(day)) for day in week.weekdays]
        fields += [(f"start-{number}", f"{week.start:%H:%M}"), (f"end-{number}", f"{week.end:%H:%M}")]
    fields.append(
        ("holidays", "\n".join(f"{p.first:%d/%m/%Y} {p.last:%d/%m/%Y} {p.name}".strip() for p in says.holidays))
    )
    told = []
    for each in says.exceptions:
        hours = " ".join(f"{start:%H:%M}-{end:%H:%M}" for start, end in each.ranges)
        told.append(" ".join(part for part in (f"{each.day:%d/%m/%Y}", hours, each.name) if part))
    return FormData([*fields, ("exceptions", "\n".join(told))])


def read_schedule(reader: Reader, slug: str) -> ScheduleIn:
    """What was typed; raise FormRefused with a sentence for each wrong field."""
    numbers = [n for n in range(MOST_ROWS) if days_of(reader.form, n) or reader.raw(f"start-{n}")]
    plain = {
        "slug": slug or "x",
        "name": reader.text("name", maximum=80, missing="Donnez un nom à la plage."),
        "weekly": [read_row(reader, n) for n in numbers],
        "zone_b": reader.raw("zone_b") == "yes",
        "in_holidays": reader.raw("in_holidays") == "yes",
        "holidays": [
            period for line in reader.lines("holidays", maximum=20_000) if (period := read_period(reader, line))
        ],
        "exceptions": [
            day for line in reader.lines("exceptions", maximum=20_000) if (day := read_exception(reader, line))
        ],
    }
    reader.check()
    try:
        return ScheduleIn.model_validate(plain)
    except ValidationError as error:
        raise FormRefused(dict(problem_of(each["loc"], numbers) for each in error.errors())) from error


def problem_of(place: tuple[int | str, ...], numbers: list[int]) -> tuple[str, str]:
    """The field of a part that pydantic refused, and what to do."""
    if place[0] == "weekly" and len(place) > 1 and isinstance(place[1], int):
        return f"start-{numbers[place[1]]}", "Donnez un début et une fin différents, par exemple 08:30 et 16:30."
    if place[0] in {"holidays", "exceptions"}:
        return str(place[0]), "Vérifiez les dates et les heures."
    return str(place[0]), "Vérifiez cette valeur."


def read_row(reader: Reader, number: int) -> dict[str, object]:
    """Days and hours of one line of the week; problems are noted."""
    days = [int(day) for day in days_of(reader.form, number) if day in set("0123456")]
    start, end = reader.raw(f"start-{number}"), reader.raw(f"end-{number}")
    if not days:
        reader.problems[f"start-{number}"] = "Cochez au moins un jour pour ces heures."
    if not start or not end:
        reader.problems[f"start-{number}"] = "Donnez l’heure de début et l’heure de fin."
    return {"weekdays": days, "hours": [start, end]}


def read_date(text: str) -> str | None:
    """``24/12/2026`` as ISO 8601; None for what is no date."""
    day, _, rest = text.partition("/")
    month, _, year = rest.partition("/")
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return None


def read_period(reader: Reader, line: str) -> dict[str, str] | None:
    """``19/12/2026 04/01/2027 Noël``"""
    words = line.split()
    first, last = (read_date(word) for word in [*words, "", ""][:2])
    if first is None or last is None:
        reader.problems["holidays"] = f"« {line[:60]} » : écrivez deux dates, comme 19/12/2026 04/01/2027."
        return None
    return {"first": first, "last": last, "name": " ".join(words[2:])[:80]}


def read_exception(reader: Reader, line: str) -> dict[str, object] | None:
    """``18/12/2026 08:00-12:00 Fête de l’école``; without hours, never active that day."""
    words = line.split()
    day = read_date(words[0])
    if day is None:
        reader.problems["exceptions"] = f"« {line[:60]} » : commencez par une date, comme 18/12/2026."
        return None
    hours = [word for word in words[1:] if word[:1].isdigit() and "-" in word and ":" in word]
    name = " ".join(word for word in words[1:] if word not in hours)
    return {"day": day, "hours": [word.split("-", 1) for word in hours], "name": name[:80]}


def week_of(schedule: FilterSchedule) -> list[str]:
    """``lundi, mardi : 8 h 00 – 17 h 00``"""
    told = []
    for week in schedules.settings_of(schedule).weekly:
        names = ", ".join(DAYS[day] for day in week.weekdays)
        told.append(f"{names} : {week.start:%H:%M} – {week.end:%H:%M}")
    return told
