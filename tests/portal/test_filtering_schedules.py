"""Pages of schedules: the week, the holidays, and dates as people write them."""

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboards.portal.filtering_schedules import read_date
from fleet.filtering.policy import schedules
from fleet.filtering.policy.models import FilterProfile, FilterSchedule
from fleet.scope import Viewer
from tests.portal.filtering_pages import read, refuse
from tests.portal.test_forms import send


def test_a_schedule_is_added_changed_and_removed(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    fields = {
        "name": "Midi", "slug": "midi", "days-0": "0", "start-0": "11:30", "end-0": "13:30", "zone_b": "yes",
        "holidays": "01/06/2027 05/06/2027 Pont", "exceptions": "18/12/2026 08:00-12:00 Fête de l’école",
    }  # fmt: skip
    send(api, "/filtering/schedules/new", **fields)
    schedule = session.scalars(select(FilterSchedule).where(FilterSchedule.slug == "midi")).one()
    says = schedules.settings_of(schedule)
    assert [(w.weekdays, f"{w.start:%H:%M}", f"{w.end:%H:%M}") for w in says.weekly] == [((0,), "11:30", "13:30")]
    assert (says.holidays[0].name, says.exceptions[0].name) == ("Pont", "Fête de l’école")
    page = read(api, f"/filtering/schedules/{schedule.id}")
    for told in ('value="11:30"', "01/06/2027 05/06/2027 Pont", "18/12/2026 08:00-12:00 Fête de l’école"):
        assert told in page, told
    assert "Lundi : 11:30 – 13:30" in read(api, "/filtering/schedules")
    send(api, f"/filtering/schedules/{schedule.id}", **{**fields, "start-0": "12:00"})
    session.refresh(schedule)
    assert f"{schedules.settings_of(schedule).weekly[0].start:%H:%M}" == "12:00"
    send(api, f"/filtering/schedules/{schedule.id}/remove")
    used = session.scalars(select(FilterSchedule)).one()
    assert "sert encore dans un profil" in refuse(api, f"/filtering/schedules/{used.id}/remove", 409)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "", "Donnez un nom à la plage."),
        ("slug", "Été", "Minuscules sans accent"),
        ("end-0", "", "Donnez l’heure de début et l’heure de fin."),
        ("end-0", "08:00", "Donnez un début et une fin différents"),
        ("holidays", "demain", "écrivez deux dates"),
        ("exceptions", "31/02/2027", "commencez par une date"),
    ],
)
def test_a_wrong_schedule_comes_back(api: TestClient, staff: Viewer, field: str, value: str, told: str) -> None:
    fields = {"name": "Midi", "slug": "midi", "days-0": "0", "start-0": "08:00", "end-0": "09:00", field: value}
    page = refuse(api, "/filtering/schedules/new", 422, **fields)
    assert told in page
    assert 'value="08:00"' in page


def test_dates_of_schedules_are_those_of_people() -> None:
    assert read_date("24/12/2026") == datetime(2026, 12, 24, tzinfo=UTC).date().isoformat()
    assert [read_date(text) for text in ("", "24", "24/13/2026", "a/b/c", "2026-12-24")] == [None] * 5
