"""Schedules against a naive minute-by-minute calendar, and the school calendar they use."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.calendar import KNOWN_UNTIL, ZONE_B, closed_days, easter, is_known, public_holidays, school_holidays
from filter.schedules import RangeInvalid, is_active, next_change, parse_range, problems
from filter.settings import DayException, Period, ScheduleSettings, WeeklyRange

PARIS = ZoneInfo("Europe/Paris")
FIRST, LAST = date(2025, 1, 1), date(2027, 12, 31)
CLOCK_CHANGES = [
    date(2025, 3, 30),
    date(2025, 10, 26),
    date(2026, 3, 29),
    date(2026, 10, 25),
    date(2027, 3, 28),
    date(2027, 10, 31),
]
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
SCHOOL_DAY = WeeklyRange((0, 1, 3, 4), time(8, 30), time(16, 30))
NIGHT = WeeklyRange((4,), time(22), time(6))


def at(text: str) -> datetime:
    """A Paris wall clock; the first pass of an hour that comes twice."""
    return datetime.fromisoformat(text).replace(tzinfo=PARIS)


def schedule(*weekly: WeeklyRange, **fields: object) -> ScheduleSettings:
    return ScheduleSettings("s", "S", weekly=weekly, **fields)  # type: ignore[arg-type]  # keyword overrides


def paint(settings: ScheduleSettings, days: Iterable[date]) -> set[tuple[date, int]]:
    """The naive calendar: every (day, minute) of the wall clock at which the schedule holds, walked one by one."""
    exceptions = {exception.day: exception for exception in settings.exceptions}

    def on_holiday(day: date) -> bool:
        return not settings.in_holidays and any(p.first <= day <= p.last for p in settings.holidays)

    painted = set()
    for day in {d + offset * DAY for d in days for offset in (-1, 0)}:
        if day in exceptions:
            ranges = list(exceptions[day].ranges)
        elif on_holiday(day):
            ranges = []
        else:
            ranges = [(r.start, r.end) for r in settings.weekly if day.weekday() in r.weekdays]
        for start, end in ranges:
            minute, where = start.hour * 60 + start.minute, day
            while True:
                painted.add((where, minute))
                minute += 1
                if minute == 24 * 60:
                    minute, where = 0, where + DAY
                    if where in exceptions or (on_holiday(where) and day not in exceptions):
                        break
                if minute == end.hour * 60 + end.minute:
                    break
    return painted


def minutes_of(day: date) -> Iterable[datetime]:
    """Every minute that really passes on this day in Paris: 23, 24 or 25 hours of them."""
    now = datetime.combine(day, time(0), PARIS).astimezone(UTC)
    end = datetime.combine(day + DAY, time(0), PARIS).astimezone(UTC)
    while now < end:
        yield now
        now += MINUTE


def differs(settings: ScheduleSettings, days: Iterable[date]) -> list[datetime]:
    days = list(days)
    painted = paint(settings, days)
    found = []
    for day in days:
        for now in minutes_of(day):
            local = now.astimezone(PARIS)
            if is_active(settings, now) != ((local.date(), local.hour * 60 + local.minute) in painted):
                found.append(now)
    return found


clocks = st.builds(time, st.sampled_from([0, 1, 2, 3, 8, 12, 17, 22, 23]), st.sampled_from([0, 1, 30, 59]))
dates = st.dates(FIRST, LAST)
near_changes = st.sampled_from([day + offset * DAY for day in CLOCK_CHANGES for offset in (-1, 0, 1)])
weeklies = st.builds(
    WeeklyRange, st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True).map(tuple), clocks, clocks
)
exceptions = st.builds(
    DayException, dates | near_changes, st.lists(st.tuples(clocks, clocks), max_size=2).map(tuple), st.just("")
)
periods = st.builds(lambda first, length: Period(first, first + length * DAY), dates | near_changes, st.integers(0, 16))
schedules = st.builds(
    ScheduleSettings,
    st.just("s"),
    st.just("S"),
    st.just("Europe/Paris"),
    st.lists(weeklies, max_size=3).map(tuple),
    st.lists(periods, max_size=2).map(tuple) | st.just(ZONE_B),
    st.booleans(),
    st.lists(exceptions, max_size=3, unique_by=lambda e: e.day).map(tuple),
)


@settings(max_examples=40, deadline=None)
@given(schedules, st.lists(dates, max_size=2))
def test_every_minute_of_the_days_that_matter_is_that_of_the_naive_calendar(
    drawn: ScheduleSettings, sampled: list[date]
) -> None:
    edges = [day for period in drawn.holidays[:2] for day in (period.first, period.last, period.last + DAY)]
    edges += [e.day + offset * DAY for e in drawn.exceptions for offset in (0, 1)]
    assert differs(drawn, sorted({*CLOCK_CHANGES, *sampled, *edges})) == []


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=8, deadline=None)
@given(schedules)
def test_every_minute_of_three_years_is_that_of_the_naive_calendar(drawn: ScheduleSettings) -> None:
    assert differs(drawn, [FIRST + n * DAY for n in range((LAST - FIRST).days + 1)]) == []


@settings(max_examples=60, deadline=None)
@given(schedules, dates | near_changes, st.integers(0, 24 * 60 - 1))
def test_the_next_change_is_the_first_minute_that_differs(drawn: ScheduleSettings, day: date, minute: int) -> None:
    now = datetime.combine(day, time(0), PARIS).astimezone(UTC) + minute * MINUTE
    active, horizon = is_active(drawn, now), now + 3 * DAY
    found, walked = next_change(drawn, now), now
    while walked < horizon and is_active(drawn, walked) is active:
        walked += MINUTE
    if walked < horizon:
        assert found == walked
    else:
        assert found is None or found >= horizon


def test_a_school_day_is_active_from_its_start_to_just_before_its_end() -> None:
    week = schedule(SCHOOL_DAY)
    assert not is_active(week, at("2026-09-07T08:29:59"))
    assert is_active(week, at("2026-09-07T08:30"))
    assert is_active(week, at("2026-09-07T16:29:59"))
    assert not is_active(week, at("2026-09-07T16:30"))
    assert not is_active(week, at("2026-09-09T10:00"))  # a Wednesday


def test_a_range_across_midnight_goes_on_into_the_next_day() -> None:
    week = schedule(NIGHT)
    assert is_active(week, at("2026-09-11T22:00"))
    assert is_active(week, at("2026-09-12T05:59"))
    assert not is_active(week, at("2026-09-12T06:00"))
    assert not is_active(week, at("2026-09-11T05:00"))


def test_equal_times_are_a_whole_day() -> None:
    week = schedule(WeeklyRange((2,), time(0), time(0)))
    assert is_active(week, at("2026-09-09T00:00"))
    assert is_active(week, at("2026-09-09T23:59:59"))
    assert not is_active(week, at("2026-09-10T00:00"))


def test_holidays_silence_the_week_and_an_exception_beats_both() -> None:
    allday = WeeklyRange(tuple(range(7)), time(0), time(0))
    opened = DayException(date(2026, 12, 22), ((time(14), time(16)),), "Centre de loisirs")
    closed = DayException(date(2026, 12, 18), (), "Journée pédagogique")
    week = schedule(allday, holidays=ZONE_B, exceptions=(opened, closed))
    assert is_active(week, at("2026-12-17T12:00"))
    assert not is_active(week, at("2026-12-18T12:00"))
    assert not is_active(week, at("2026-12-21T12:00"))
    assert is_active(week, at("2026-12-22T15:00"))
    assert not is_active(week, at("2026-12-22T16:00"))
    assert is_active(schedule(allday, holidays=ZONE_B, in_holidays=True), at("2026-12-21T12:00"))


def test_a_night_that_runs_into_the_holidays_stops_at_midnight() -> None:
    week = schedule(NIGHT, holidays=ZONE_B)  # the Toussaint starts on Saturday 17 October 2026
    assert is_active(week, at("2026-10-16T23:59"))
    assert not is_active(week, at("2026-10-17T00:00"))


def test_an_exceptions_own_night_runs_into_the_holidays() -> None:
    feast = DayException(date(2026, 12, 24), ((time(20), time(1)),))
    week = schedule(holidays=ZONE_B, exceptions=(feast,))
    assert is_active(week, at("2026-12-25T00:59"))
    assert not is_active(week, at("2026-12-25T01:00"))


def test_the_hour_that_does_not_exist() -> None:
    starts, ends, within = (
        schedule(WeeklyRange((6,), start, end))
        for start, end in ((time(2, 30), time(4)), (time(1), time(2, 30)), (time(2, 15), time(2, 45)))
    )
    gap = datetime(2026, 3, 29, 1, 0, tzinfo=UTC)  # 02:00 becomes 03:00
    assert (is_active(starts, gap - MINUTE), is_active(starts, gap)) == (False, True)
    assert (is_active(ends, gap - MINUTE), is_active(ends, gap)) == (True, False)
    assert not any(is_active(within, now) for now in minutes_of(date(2026, 3, 29)))
    assert next_change(starts, gap - timedelta(hours=3)) == gap


def test_the_hour_that_comes_twice_is_judged_twice() -> None:
    week = schedule(WeeklyRange((6,), time(2, 15), time(2, 45)))
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert is_active(week, first)
    assert not is_active(week, first + timedelta(minutes=30))
    assert is_active(week, first + timedelta(hours=1))


def test_the_next_change_may_be_in_the_second_pass_of_an_hour() -> None:
    week = schedule(WeeklyRange((6,), time(2, 15), time(2, 45)))
    between = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)  # 02:50, and 02:00 comes again
    assert next_change(week, between) == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)


def test_a_schedule_without_ranges_never_changes() -> None:
    assert next_change(schedule(), at("2026-09-07T08:00")) is None
    assert next_change(schedule(WeeklyRange(tuple(range(7)), time(0), time(0))), at("2026-09-07T08:00")) is None


def test_a_change_months_away_is_found() -> None:
    week = schedule(SCHOOL_DAY, holidays=ZONE_B)
    assert next_change(week, at("2026-07-04T12:00")) == at("2026-09-01T08:30")


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("08:30", "17:00", (time(8, 30), time(17))),
        ("8:30", "17:00", (time(8, 30), time(17))),
        ("22:00", "06:00", (time(22), time(6))),
        ("18:00", "24:00", (time(18), time(0))),
        ("00:00", "24:00", (time(0), time(0))),
        ("00:00", "00:00", (time(0), time(0))),
    ],
)
def test_ranges_as_people_write_them(start: str, end: str, expected: tuple[time, time]) -> None:
    assert parse_range(start, end) == expected


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("24:00", "25:00"),
        ("08:60", "09:00"),
        ("00:00:01", "01:00"),
        ("10:00", "10:00"),
        ("", "10:00"),
        ("-1:00", "2:00"),
    ],
)
def test_ranges_that_say_nothing_are_refused(start: str, end: str) -> None:
    with pytest.raises(RangeInvalid):
        parse_range(start, end)


def test_problems_are_said_all_at_once() -> None:
    wrong = ScheduleSettings(
        "s",
        "S",
        timezone="Europe/Laon",
        weekly=(WeeklyRange((), time(8), time(9)), WeeklyRange((7,), time(8, 0, 1), time(9))),
        holidays=(Period(date(2026, 1, 2), date(2026, 1, 1), "Noël"),),
        exceptions=(DayException(date(2026, 1, 5), ((time(9), time(9)),)), DayException(date(2026, 1, 5))),
    )
    assert len(problems(wrong)) == 7
    assert problems(schedule(SCHOOL_DAY, NIGHT, holidays=ZONE_B, exceptions=closed_days(2026))) == []


@pytest.mark.parametrize(
    ("year", "expected"), [(2024, (3, 31)), (2025, (4, 20)), (2026, (4, 5)), (2027, (3, 28)), (2038, (4, 25))]
)
def test_easter(year: int, expected: tuple[int, int]) -> None:
    assert easter(year) == date(year, *expected)


def test_public_holidays_of_2027() -> None:
    days = {period.first.isoformat()[5:]: period.name for period in public_holidays(2027)}
    assert len(days) == 11
    assert days["05-06"] == "Ascension"
    assert days["05-17"] == "Lundi de Pentecôte"


def test_two_holidays_on_one_day_are_one() -> None:
    assert [p.name for p in public_holidays(2008) if p.first == date(2008, 5, 1)] == ["Fête du Travail, Ascension"]


def test_zone_b_periods_follow_each_other_and_start_on_a_day_off() -> None:
    for period, after in pairwise(ZONE_B):
        assert period.first <= period.last < after.first
    for period in ZONE_B:
        assert period.first.weekday() == 5 or "Ascension" in period.name
    assert all((period.last + DAY).weekday() == 0 for period in ZONE_B if "été" not in period.name)


def test_nothing_is_guessed_after_the_last_known_day() -> None:
    assert is_known(KNOWN_UNTIL)
    assert not is_known(KNOWN_UNTIL + DAY)
    assert school_holidays(KNOWN_UNTIL + DAY) == ()
    assert [p.name for p in school_holidays(date(2027, 2, 25), date(2027, 2, 25))] == ["Vacances d’hiver"]
