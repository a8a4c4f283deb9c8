"""What one group of clients may reach, ready for look-ups; and what of it holds at a moment."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from filter.deciding.decisions import Decision
from filter.deciding.rewrites import RewriteTable
from filter.deciding.verdicts import NamesIndex, Said, Sayings, Verdicts
from filter.schedules import is_active, next_change
from filter.settings import (
    BlockMode,
    CategoryRule,
    LessonSettings,
    NameRule,
    OverrideSettings,
    PolicySettings,
    ProfileSettings,
    ScheduleSettings,
    Verdict,
    YouTube,
)

LONGEST_STRETCH = timedelta(hours=24)
"""What holds is worked out anew at least this often."""


class Span(NamedTuple):
    """A stretch of time: from ``since`` until just before ``until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True, eq=False)
class Moment:
    """What holds for a profile during a stretch of time in which none of it changes."""

    since: datetime
    until: datetime
    lesson: LessonSettings | None
    lesson_names: frozenset[str]
    overrides: Mapping[str, OverrideSettings]
    """Name -> the override that speaks of it and of everything under it."""
    verdicts: Verdicts


class Clocks:
    """Which schedules are active, shared by all profiles: each is worked out again only when it may have changed."""

    def __init__(self, schedules: Iterable[ScheduleSettings]) -> None:
        self.schedules: Final = {schedule.slug: schedule for schedule in schedules}
        self.known: dict[str, tuple[Span, bool]] = {}

    def state(self, slug: str, now: datetime) -> tuple[Span, bool]:
        """Whether a schedule is active, and the stretch around ``now`` in which that stays so."""
        found = self.known.get(slug)
        if found is None or not found[0].since <= now < found[0].until:
            schedule = self.schedules[slug]
            latest = now + LONGEST_STRETCH
            span = Span(now, min(next_change(schedule, now) or latest, latest))
            found = self.known[slug] = span, is_active(schedule, now)
        return found


class Shelf:
    """What profiles share: look-ups, a verdict table for all that say the same of categories, recent decisions."""

    def __init__(self, index: NamesIndex) -> None:
        self.index: Final = index
        self.decided: Final[dict[tuple[Moment, str, int], Decision]] = {}
        """By moment, name and type: decisions change with nothing else."""
        self.known: dict[tuple[tuple[str, Said], ...], Verdicts] = {}

    def verdicts(self, sayings: Sayings) -> Verdicts:
        key = tuple(sorted((pair for pair in sayings.items() if pair[1].verdict is not Verdict.NEUTRAL), key=first_of))
        if (found := self.known.get(key)) is None:
            found = self.known[key] = Verdicts(self.index, dict(key))
        return found


def first_of(pair: tuple[str, Said]) -> str:
    return pair[0]


@dataclass(frozen=True, eq=False)  # compared by identity: a new policy or new names make new ones
class Profile:
    """One profile for the clients of one room."""

    slug: str
    name: str
    school: str
    """UAI; "" when several schools share the profile."""
    room: str
    categories: tuple[CategoryRule, ...]
    names: Mapping[str, NameRule]
    """Own names; each speaks of what is under it too."""
    overrides: tuple[OverrideSettings, ...]
    lessons: tuple[LessonSettings, ...]
    rewrites: RewriteTable
    safe_search: frozenset[str]
    youtube: YouTube
    block_mode: BlockMode
    closes_bypass: bool
    closed_categories: frozenset[str]
    private_names: frozenset[str]
    clocks: Clocks
    shelf: Shelf
    last: list[Moment] = field(default_factory=list)
    """The moment that was worked out last, if any: the one place that is not constant, and only a memory."""

    def moment(self, now: datetime) -> Moment:
        """What holds at ``now`` (aware)."""
        if self.last and self.last[0].since <= now < self.last[0].until:
            return self.last[0]
        self.last[:] = [self.work_out(now)]
        return self.last[0]

    def work_out(self, now: datetime) -> Moment:
        """Everything that depends on time: schedules, overrides, lessons."""
        dated: list[OverrideSettings | LessonSettings] = [*self.overrides, *self.lessons]
        ends = [now + LONGEST_STRETCH]
        ends += (instant for each in dated for instant in (each.starts, each.ends) if instant > now)
        ends += (self.clocks.state(slug, now)[0].until for slug in self.schedules())
        running = [lesson for lesson in self.lessons if lesson.starts <= now < lesson.ends]
        lesson = max(running, key=lambda each: (each.starts, each.id), default=None)
        return Moment(
            since=now.astimezone(UTC),
            until=min(ends),
            lesson=lesson,
            lesson_names=frozenset(lesson.names if lesson is not None else ()),
            overrides=self.overridden_names(now),
            verdicts=self.shelf.verdicts(self.sayings(now)),
        )

    def schedules(self) -> Iterator[str]:
        return (rule.schedule for rule in self.categories if rule.schedule is not None)

    def active_overrides(self, now: datetime) -> list[OverrideSettings]:
        """Those that hold now. What blocks comes first, so that what allows has the last word."""
        active = [each for each in self.overrides if each.starts <= now < each.ends]
        return sorted(active, key=lambda each: (each.verdict is Verdict.ALLOW, each.starts, each.id))

    def overridden_names(self, now: datetime) -> dict[str, OverrideSettings]:
        return {
            name: override
            for override in self.active_overrides(now)
            if override.verdict is not Verdict.NEUTRAL
            for name in override.names
        }

    def sayings(self, now: datetime) -> dict[str, Said]:
        """What is said of each category: by the profile, by its closing of bypasses, and above all by overrides."""
        said = {rule.category: self.say(rule, now) for rule in self.categories}
        for category in self.closed_categories:
            if category not in said or said[category].verdict is not Verdict.BLOCK:
                said[category] = Said(Verdict.BLOCK)
        for override in self.active_overrides(now):
            for category in override.categories:
                said[category] = Said(override.verdict, override.layer, "", override)
        return said

    def say(self, rule: CategoryRule, now: datetime) -> Said:
        if rule.schedule is None:
            return Said(rule.verdict, rule.layer)
        _, active = self.clocks.state(rule.schedule, now)
        verdict = rule.verdict if active else rule.otherwise
        return Said(verdict, rule.layer, self.clocks.schedules[rule.schedule].name)


def make_profile(settings: ProfileSettings, policy: PolicySettings, clocks: Clocks, shelf: Shelf) -> Profile:
    """The profile of clients that are in no room."""
    by_verdict = sorted(settings.names, key=lambda rule: rule.verdict is Verdict.ALLOW)  # allowed beats denied
    return Profile(
        slug=settings.slug,
        name=settings.name,
        school=settings.school,
        room="",
        categories=settings.categories,
        names={rule.name: rule for rule in by_verdict if rule.verdict is not Verdict.NEUTRAL},
        overrides=settings.overrides,
        lessons=(),
        rewrites=RewriteTable(settings.rewrites),
        safe_search=frozenset(settings.safe_search),
        youtube=settings.youtube,
        block_mode=settings.block_mode,
        closes_bypass=settings.closes_bypass,
        closed_categories=frozenset(policy.closed_categories if settings.closes_bypass else ()),
        private_names=frozenset(policy.private_names),
        clocks=clocks,
        shelf=shelf,
    )


def in_room(profile: Profile, room: str, lessons: tuple[LessonSettings, ...]) -> Profile:
    """The same for the clients of a room: everything is shared but its lessons."""
    return replace(profile, room=room, lessons=lessons, last=[])
