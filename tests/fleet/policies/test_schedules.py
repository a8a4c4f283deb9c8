"""Schedules: holidays, exceptions, and what is no schedule."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.schedules import is_active
from filter.settings import DayException, ScheduleSettings, WeeklyRange
from fleet.errors import Conflict, Invalid
from fleet.filtering import service
from fleet.filtering.policy import schedules
from fleet.filtering.policy.models import FilterSchedule
from fleet.filtering.policy.presets import CLASS_HOURS
from fleet.scope import Viewer
from tests.factories import NOON
from tests.fleet.deciding import current_settings


def test_school_hours_know_holidays_and_exceptions(session: Session, staff: Viewer) -> None:
    service.ensure_default_profile(session)
    service.publish_policy(session, None, "essai", NOON)
    hours = next(s for s in current_settings(session).schedules if s.slug == CLASS_HOURS)
    moments = {
        datetime(2026, 11, 24, 9, tzinfo=UTC): True,  # a Tuesday of term
        datetime(2026, 11, 25, 13, tzinfo=UTC): False,  # Wednesday afternoon
        datetime(2026, 12, 22, 9, tzinfo=UTC): False,  # Christmas holidays of zone B
        datetime(2026, 11, 11, 9, tzinfo=UTC): False,  # a public holiday
        datetime(2027, 5, 17, 9, tzinfo=UTC): False,  # Whit Monday of next year
    }
    assert {moment: is_active(hours, moment) for moment in moments} == moments


def test_an_exception_of_ones_own_beats_the_calendar(session: Session, staff: Viewer) -> None:
    service.ensure_default_profile(session)
    [schedule] = schedules.list_schedules(session)
    says = replace(
        schedules.settings_of(schedule), exceptions=(DayException(date(2026, 11, 11), ((time(8), time(12)),)),)
    )
    schedules.change_schedule(session, staff, schedule, says, zone_b=True, now=NOON)
    hours = next(s for s in current_settings(session).schedules if s.slug == CLASS_HOURS)
    assert is_active(hours, datetime(2026, 11, 11, 9, tzinfo=UTC))
    assert schedules.is_active(schedule, datetime(2026, 11, 11, 9, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"timezone": "Europe/Guise"}, "Fuseau horaire inconnu"),
        ({"weekly": (WeeklyRange((0,), time(8), time(8)),)}, "vide"),
        ({"weekly": (WeeklyRange((), time(8), time(9)),)}, "au moins un jour"),
        ({"name": " "}, "un nom"),
        ({"slug": "À l’école"}, "identifiant"),
    ],
)
def test_what_is_no_schedule_is_told_in_french(
    session: Session, staff: Viewer, changes: dict[str, Any], told: str
) -> None:
    says = replace(ScheduleSettings("cantine", "Cantine", weekly=(WeeklyRange((0,), time(12), time(13)),)), **changes)
    with pytest.raises(Invalid, match=told):
        schedules.add_schedule(session, staff, says, zone_b=True, now=NOON)


def test_a_schedule_in_use_stays(session: Session, staff: Viewer) -> None:
    service.ensure_default_profile(session)
    [used] = schedules.list_schedules(session)
    with pytest.raises(Conflict):
        schedules.remove_schedule(session, staff, used, NOON)
    with pytest.raises(Conflict):
        schedules.add_schedule(session, staff, schedules.settings_of(used), zone_b=True, now=NOON)
    spare = schedules.add_schedule(
        session, staff, replace(schedules.settings_of(used), slug="cantine"), zone_b=False, now=NOON
    )
    schedules.remove_schedule(session, staff, spare, NOON)
    assert session.scalars(select(FilterSchedule.slug)).all() == [CLASS_HOURS]
