"""When a schedule is active: weeks, holidays and exceptions on the wall clock of its time zone. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from filter.settings import DayException, ScheduleSettings

DAY = timedelta(days=1)
HORIZON = timedelta(days=366)
"""How far next_change() looks."""
MIDNIGHT = time(0)
Ranges = tuple[tuple[time, time], ...]


class RangeInvalid(ValueError):
    """Two times that make no range; the text says why, in French."""


def is_active(schedule: ScheduleSettings, now: datetime) -> bool:
    """Whether the schedule holds at ``now`` (an aware datetime); seconds count, the end is excluded.

    Only what the wall clock of the zone shows matters. When clocks go forward a range that starts in the hour that
    does not exist starts as soon as it is over, one that ends in it ends when it begins, and one that lies within it
    does not take place that day. When clocks go back a range in the hour that comes twice takes place twice, and one
    that starts (or ends) in the middle of that hour pauses (or resumes) as the clock says.

    A range belongs to the day it starts on. What of it lies after midnight is cut off by an exception for the new
    day, and by a holiday unless the range is an exception's own.
    """
    local = now.astimezone(ZoneInfo(schedule.timezone))
    today, clock = local.date(), local.time()
    if any(start <= clock < end or (start <= clock and end <= start) for start, end in ranges_of(schedule, today)):
        return True
    if find_exception(schedule, today) is not None:
        return False
    yesterday = today - DAY
    if is_closed(schedule, today) and find_exception(schedule, yesterday) is None:
        return False
    return any(end <= start and clock < end for start, end in ranges_of(schedule, yesterday))


def ranges_of(schedule: ScheduleSettings, day: date) -> Ranges:
    """The ranges that start on this day. One whose end is not after its start ends on the next day."""
    if (exception := find_exception(schedule, day)) is not None:
        return exception.ranges
    if is_closed(schedule, day):
        return ()
    weekday = day.weekday()
    return tuple((r.start, r.end) for r in schedule.weekly if weekday in r.weekdays)


def find_exception(schedule: ScheduleSettings, day: date) -> DayException | None:
    return next((exception for exception in schedule.exceptions if exception.day == day), None)


def is_closed(schedule: ScheduleSettings, day: date) -> bool:
    """Whether the week does not hold because the day is in the holidays."""
    return not schedule.in_holidays and any(period.first <= day <= period.last for period in schedule.holidays)


def next_change(schedule: ScheduleSettings, now: datetime) -> datetime | None:
    """The next instant (UTC) at which is_active() is another than at ``now``; None: not within a year."""
    if not schedule.weekly and not schedule.exceptions:
        return None
    active = is_active(schedule, now)
    zone = ZoneInfo(schedule.timezone)
    today = now.astimezone(zone).date()
    for offset in range(HORIZON.days + 1):
        instants = sorted(i for i in instants_of(schedule, today + offset * DAY, zone) if now < i <= now + HORIZON)
        for instant in instants:
            if is_active(schedule, instant) is not active:
                return instant
    return None


def instants_of(schedule: ScheduleSettings, day: date, zone: ZoneInfo) -> Iterator[datetime]:
    """Every instant of a day at which something may change: midnight, starts, ends, and clocks being changed."""
    ranges = ranges_of(schedule, day) + ranges_of(schedule, day - DAY)
    for clock in {MIDNIGHT, *(moment for pair in ranges for moment in pair)}:
        for fold in (0, 1):  # an hour that comes twice
            yield datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC)
    if (change := find_clock_change(day, zone)) is not None:
        yield change


@lru_cache(maxsize=4096)
def find_clock_change(day: date, zone: ZoneInfo) -> datetime | None:
    """The instant (UTC, to the second) on this day at which the zone's offset changes."""
    low = datetime.combine(day, MIDNIGHT, zone).astimezone(UTC)
    high = datetime.combine(day + DAY, MIDNIGHT, zone).astimezone(UTC)
    before = low.astimezone(zone).utcoffset()
    if high.astimezone(zone).utcoffset() == before:
        return None
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def parse_range(start: str, end: str) -> tuple[time, time]:
    """``08:30``, ``17:00``; an end at or before the start is the next day's. Raises RangeInvalid.

    Midnight at the end may be written ``24:00``. A whole day is ``00:00`` to ``24:00`` (or ``00:00``, which is all
    that a form's time field can say); any other range of equal times is taken for a mistake.
    """
    first, last = parse_time(start), MIDNIGHT if end.strip() == "24:00" else parse_time(end)
    if first == last and first != MIDNIGHT:
        raise RangeInvalid(f"La plage commence et finit à {start.strip()} : elle est vide.")
    return first, last


def parse_time(text: str) -> time:
    """``HH:MM``, to the minute."""
    hours, _, minutes = text.strip().partition(":")
    if not (len(minutes) == 2 and 1 <= len(hours) <= 2 and (hours + minutes).isascii() and (hours + minutes).isdigit()):
        raise RangeInvalid(f"« {text} » n’est pas une heure à la minute (attendu : 08:30).")
    if int(hours) > 23 or int(minutes) > 59:
        raise RangeInvalid(f"« {text} » n’est pas une heure du jour (de 00:00 à 23:59).")
    return time(int(hours), int(minutes))


def problems(schedule: ScheduleSettings) -> list[str]:
    """What is wrong with a schedule, in French; empty when it can be used."""
    found = [] if is_zone(schedule.timezone) else [f"Fuseau horaire inconnu : « {schedule.timezone} »."]
    for weekly in schedule.weekly:
        if not weekly.weekdays or not set(weekly.weekdays) <= set(range(7)):
            found.append("Une plage doit avoir au moins un jour, de 0 (lundi) à 6 (dimanche).")
        found += problems_of_range(weekly.start, weekly.end)
    for period in schedule.holidays:
        if period.last < period.first:
            found.append(f"La période « {period.name} » finit ({period.last}) avant de commencer ({period.first}).")
    for exception in schedule.exceptions:
        for start, end in exception.ranges:
            found += [f"Le {exception.day} : {text}" for text in problems_of_range(start, end)]
    days = [exception.day for exception in schedule.exceptions]
    found += [f"Deux exceptions pour le {day}." for day in sorted({day for day in days if days.count(day) > 1})]
    return found


def problems_of_range(start: time, end: time) -> list[str]:
    if start.tzinfo is not None or end.tzinfo is not None:
        return ["Les heures sont celles du fuseau de la plage : elles n’en portent pas d’autre."]
    if any(moment.second or moment.microsecond for moment in (start, end)):
        return ["Les heures se disent à la minute."]
    if start == end != MIDNIGHT:
        return [f"La plage commence et finit à {start:%H:%M} : elle est vide (une journée va de 00:00 à 24:00)."]
    return []


def is_of_calendar(instant: datetime) -> bool:
    """Whether the instant can be told in every time zone: the first and the last year of all end early in some."""
    return date.min.year < instant.year < date.max.year


def is_zone(name: str) -> bool:
    """Whether the system knows this time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
