"""For which moment verdicts are taken: what a change does in class, not on the evening when somebody prepares it."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from filter.calendar import public_holidays, school_holidays
from fleet.errors import Invalid

PARIS = ZoneInfo("Europe/Paris")
CLASS = time(10)
"""Every school has class then."""
CLASS_DAYS = frozenset({0, 1, 3, 4})
"""Monday, Tuesday, Thursday, Friday: not all schools have class on Wednesdays."""
FARTHEST = timedelta(days=366)


def next_class(now: datetime) -> datetime:
    """The next moment of class, in UTC: a school day of zone B, at 10 in the morning in Paris.

    Beyond what is known of the calendar only week-ends and public holidays are left out.
    """
    day = now.astimezone(PARIS).date()
    while not has_class(day) or datetime.combine(day, CLASS, PARIS) <= now:
        day += timedelta(days=1)
    return datetime.combine(day, CLASS, PARIS).astimezone(UTC)


def has_class(day: date) -> bool:
    """Whether schools of zone B are open."""
    closed = (*school_holidays(day, day), *public_holidays(day.year))
    return day.weekday() in CLASS_DAYS and not any(period.first <= day <= period.last for period in closed)


def moment_of(judged_at: datetime | None, now: datetime) -> datetime:
    """What was asked for, or the next moment of class; raise Invalid for one that is more than a year away."""
    if judged_at is None:
        return next_class(now)
    if abs(judged_at - now) > FARTHEST:
        raise Invalid("filtering.bad_moment", "Choisissez un moment à moins d’un an d’aujourd’hui.")
    return judged_at
