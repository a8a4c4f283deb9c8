"""HTTP shapes of schedules: hours are written ``["08:30", "17:00"]``, days ``2026-11-24``."""

from datetime import date, datetime, time
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from filter.schedules import RangeInvalid, parse_range
from filter.settings import DayException, Period, ScheduleSettings, WeeklyRange
from fleet.bodies import STRICT
from fleet.filtering.policy.models import FilterSchedule
from fleet.filtering.policy.schemas import Slug, Title


def as_range(given: object) -> object:
    """``["08:30", "17:00"]`` as two times; midnight at the end may be ``24:00``."""
    if not isinstance(given, list) or len(given) != 2 or not all(isinstance(text, str) for text in given):
        raise ValueError("expected two times")
    try:
        return parse_range(*given)
    except RangeInvalid as error:
        raise ValueError(str(error)) from error


def as_date(given: object) -> object:
    return date.fromisoformat(given) if isinstance(given, str) and len(given) == 10 else given


Range = Annotated[tuple[time, time], BeforeValidator(as_range)]
BodyDate = Annotated[date, BeforeValidator(as_date)]
Weekday = Annotated[int, Field(ge=0, le=6)]


def sorted_days(days: list[int]) -> list[int]:
    return sorted(set(days))


class WeeklyIn(BaseModel):
    model_config = STRICT

    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7), AfterValidator(sorted_days)]
    hours: Range


class PeriodIn(BaseModel):
    model_config = STRICT

    first: BodyDate
    last: BodyDate
    name: Annotated[str, Field(max_length=80)] = ""


class ExceptionIn(BaseModel):
    model_config = STRICT

    day: BodyDate
    hours: Annotated[list[Range], Field(max_length=10)] = []
    name: Annotated[str, Field(max_length=80)] = ""


class ScheduleIn(BaseModel):
    """When lines hold. Hours are written ``["08:30", "17:00"]``; 0 is Monday."""

    model_config = STRICT

    slug: Slug
    name: Title
    timezone: Annotated[str, Field(min_length=1, max_length=60)] = "Europe/Paris"
    weekly: Annotated[list[WeeklyIn], Field(max_length=60)] = []
    holidays: Annotated[list[PeriodIn], Field(max_length=200)] = []
    in_holidays: bool = False
    exceptions: Annotated[list[ExceptionIn], Field(max_length=200)] = []
    zone_b: bool = True

    def says(self) -> ScheduleSettings:
        return ScheduleSettings(
            slug=self.slug,
            name=self.name,
            timezone=self.timezone,
            weekly=tuple(WeeklyRange(tuple(w.weekdays), *w.hours) for w in self.weekly),
            holidays=tuple(Period(p.first, p.last, p.name) for p in self.holidays),
            in_holidays=self.in_holidays,
            exceptions=tuple(DayException(e.day, tuple(e.hours), e.name) for e in self.exceptions),
        )


class ScheduleOut(BaseModel):
    id: UUID
    slug: str
    name: str
    zone_b: bool
    content: dict[str, object]
    is_active: bool
    updated_at: datetime
    updated_by: str

    @classmethod
    def of(cls, schedule: FilterSchedule, *, is_active: bool) -> Self:
        row = schedule
        return cls(
            id=row.id, slug=row.slug, name=row.name, zone_b=row.zone_b, content=row.content, is_active=is_active,
            updated_at=row.updated_at, updated_by=row.updated_by,
        )  # fmt: skip
