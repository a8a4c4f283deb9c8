"""When lines hold: weekly hours, school holidays of zone B, exceptions. The operator's, for every profile."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter import schedules as clock
from filter.settings import ScheduleSettings
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering.policy import cleaning, events, policies
from fleet.filtering.policy.decisions import with_calendar
from fleet.filtering.policy.models import FilterLayer, FilterSchedule
from fleet.scope import Action, Viewer

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?", re.ASCII)
MOST_RANGES = 60
MOST_DAYS = 400
GONE = ("filtering.schedule_not_found", "Cette plage horaire n’existe pas.")


def list_schedules(session: Session) -> Sequence[FilterSchedule]:
    """Every schedule by name."""
    return session.scalars(select(FilterSchedule).order_by(FilterSchedule.name, FilterSchedule.id)).all()


def get_schedule(session: Session, schedule_id: UUID) -> FilterSchedule:
    """The schedule; raise NotFound."""
    schedule = session.get(FilterSchedule, schedule_id)
    if schedule is None:
        raise NotFound(*GONE)
    return schedule


def _hold(session: Session, schedule: FilterSchedule) -> None:
    """Read the schedule as it is now, kept from others until the commit. Raise NotFound."""
    policies.lock(session)
    if session.get(FilterSchedule, schedule.id, populate_existing=True) is None:
        raise NotFound(*GONE)


def settings_of(schedule: FilterSchedule) -> ScheduleSettings:
    """What it says, without the calendar that publication adds."""
    return replace(msgspec.convert(schedule.content, ScheduleSettings), slug=schedule.slug, name=schedule.name)


def is_active(schedule: FilterSchedule, now: datetime) -> bool:
    """Whether it holds now, as filters see it."""
    says = settings_of(schedule)
    return clock.is_active(with_calendar(says, now.date()) if schedule.zone_b else says, now)


def add_schedule(
    session: Session, viewer: Viewer, says: ScheduleSettings, *, zone_b: bool, now: datetime
) -> FilterSchedule:
    """A new schedule; raise Invalid with all that is wrong, Conflict for a slug in use."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    says = check(says, zone_b=zone_b, now=now)
    if not SLUG.fullmatch(says.slug):
        raise Invalid("filtering.bad_slug", "L’identifiant compte 1 à 40 minuscules, chiffres ou tirets.")
    if session.scalar(select(FilterSchedule.id).where(FilterSchedule.slug == says.slug)) is not None:
        raise Conflict("filtering.schedule_taken", f"Une plage a déjà l’identifiant « {says.slug} ».")
    schedule = FilterSchedule(slug=says.slug)
    _write(schedule, says, zone_b=zone_b, by=viewer.name, now=now)
    session.add(schedule)
    session.flush()
    events.note(session, viewer.name, "schedule.add", says.name, now, subject_id=schedule.id, after=schedule.content)
    policies.publish(session, viewer.name, f"Nouvelle plage {says.name}", now)
    return schedule


def change_schedule(
    session: Session, viewer: Viewer, schedule: FilterSchedule, says: ScheduleSettings, *, zone_b: bool, now: datetime
) -> None:
    """Say something else under the same slug. Raise Invalid with all that is wrong, NotFound when it went meanwhile."""
    viewer.must(Action.EDIT_FILTER)
    _hold(session, schedule)
    says = check(replace(says, slug=schedule.slug), zone_b=zone_b, now=now)
    before = schedule.content | {"zone_b": schedule.zone_b}
    _write(schedule, says, zone_b=zone_b, by=viewer.name, now=now)
    session.flush()
    events.note(
        session, viewer.name, "schedule.change", says.name, now, subject_id=schedule.id,
        before=before, after=schedule.content | {"zone_b": zone_b},
    )  # fmt: skip
    policies.publish(session, viewer.name, f"Plage {says.name}", now)


def remove_schedule(session: Session, viewer: Viewer, schedule: FilterSchedule, now: datetime) -> None:
    """Raise Conflict while a line names it, NotFound when it went meanwhile."""
    viewer.must(Action.EDIT_FILTER)
    _hold(session, schedule)
    layers = session.scalars(select(FilterLayer), execution_options={"populate_existing": True})
    if any(line.schedule == schedule.slug for layer in layers for line in layer.says.categories):
        raise Conflict("filtering.schedule_used", f"La plage « {schedule.name} » sert encore dans un profil.")
    events.note(
        session, viewer.name, "schedule.remove", schedule.name, now, subject_id=schedule.id, before=schedule.content
    )
    session.delete(schedule)
    session.flush()
    policies.publish(session, viewer.name, f"Plage {schedule.name} enlevée", now)


def check(says: ScheduleSettings, *, zone_b: bool, now: datetime) -> ScheduleSettings:
    """The same with a clean name; raise Invalid, in French, with all that is wrong."""
    says = replace(says, name=cleaning.clean_text(says.name, "à la plage un nom", 80))
    wrong = clock.problems(with_calendar(says, now.date()) if zone_b else says)
    ranges = len(says.weekly) + sum(len(day.ranges) for day in says.exceptions)
    if ranges > MOST_RANGES or len(says.holidays) + len(says.exceptions) > MOST_DAYS:
        wrong.append(f"Au plus {MOST_RANGES} plages et {MOST_DAYS} périodes ou exceptions.")
    if wrong:
        raise Invalid("filtering.bad_schedule", " ".join(dict.fromkeys(wrong)))
    return says


def _write(schedule: FilterSchedule, says: ScheduleSettings, *, zone_b: bool, by: str, now: datetime) -> None:
    schedule.name, schedule.zone_b, schedule.content = says.name, zone_b, msgspec.to_builtins(says)
    schedule.updated_at, schedule.updated_by = now, by
