"""explain(): the live decision on a query, and everything that speaks of the name, whether it counted or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from filter.bundle import ListInfo
from filter.deciding.profiles import LONGEST_STRETCH
from filter.deciding.verdicts import Hit, Said
from filter.policy import (
    REWRITES,
    RULES,
    AnswerRecord,
    Case,
    Decision,
    Policy,
    Profile,
    Query,
    decide,
    make_case,
    review_answer,
)
from filter.schedules import next_change
from filter.settings import LessonSettings, ScheduleSettings, Verdict


class Effect(StrEnum):
    """What one entry does in this profile now."""

    BLOCKS = "blocks"
    ALLOWS = "allows"
    LIFTS = "lifts"
    """An exception in a blocked category: it takes back what lists of that category block."""
    NONE = "none"
    """Nothing is said of its category."""


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule that decides about a category."""

    slug: str
    name: str
    active: bool
    changes_at: datetime | None
    """UTC; None: not within a year."""


@dataclass(frozen=True, slots=True)
class Match:
    """One list entry that speaks of the name."""

    suffix: str
    entry: str
    """The list's own line, as far as it is known."""
    list: ListInfo
    effect: Effect
    allows: bool
    important: bool
    layer: str = ""
    """Who says something of its category."""
    schedule: ScheduleState | None = None
    override: str = ""
    """Id of the override that speaks of its category now."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The live decision on a query, with every rule that would speak and every list that knows the name."""

    query: Query
    client: str | None
    profile: Profile
    decision: Decision
    opinions: tuple[Decision, ...]
    """What each rule says by itself, in the order of RULES and REWRITES; the first one mostly is the decision."""
    matches: tuple[Match, ...]
    label: str | None = None
    lesson: LessonSettings | None = None
    """The lesson that runs for these clients."""
    at: datetime | None = None
    """The moment that is asked about."""
    steps: tuple[Decision, ...] = ()
    """What is made of each name and address that an answer leads to, when one was given."""

    @property
    def outcome(self) -> Decision:
        """What happens in the end: the decision, or what stops its answer."""
        stopping = (step for step in self.steps if step.action is not self.decision.action)
        return next(stopping, self.decision)


def explain(
    policy: Policy,
    query: Query,
    client: str | None,
    now: datetime,
    label: str | None = None,
    answer: Sequence[AnswerRecord] = (),
) -> Explanation:
    """Decide as the server does and tell everything that was found on the way.

    ``answer`` is what an upstream said, if that is to be judged too: CNAME steps, targets, addresses.
    """
    profile = policy.profile_for(client, label)
    case = make_case(query, profile, now)
    decision = decide(query, profile, now)
    return Explanation(
        query,
        client,
        profile,
        decision,
        tuple(d for rule in (*RULES, *REWRITES) if (d := rule(case)) is not None),
        tuple(find_matches(case, now)),
        label,
        case.moment.lesson,
        now,
        tuple(review_answer(query, decision, profile, [record], now) for record in answer),
    )


def find_matches(case: Case, now: datetime) -> Iterator[Match]:
    """Every entry of every list for the name and its parents, the most precise first."""
    index = case.profile.shelf.index
    said = case.profile.sayings(now)
    for hit in index.find_hits(case.name, case.qtype, case.suffixes):
        info = index.lists[hit.position]
        about = said.get(info.category, Said(Verdict.NEUTRAL))
        yield Match(
            hit.suffix,
            hit.entry,
            info,
            effect_of(hit, about.verdict),
            hit.allows,
            hit.important,
            about.layer,
            find_schedule(case.profile, info.category, now),
            "" if about.override is None else about.override.id,
        )


def effect_of(hit: Hit, verdict: Verdict) -> Effect:
    if verdict is Verdict.NEUTRAL:
        return Effect.NONE
    if verdict is Verdict.ALLOW:
        return Effect.ALLOWS
    return Effect.LIFTS if hit.allows else Effect.BLOCKS


def find_schedule(profile: Profile, category: str, now: datetime) -> ScheduleState | None:
    """The schedule by which the profile speaks of a category, its state and when that changes."""
    slugs = (rule.schedule for rule in profile.categories if rule.category == category and rule.schedule is not None)
    slug = next(slugs, None)
    return None if slug is None else describe_schedule(profile, slug, now)


def describe_schedule(profile: Profile, slug: str, now: datetime) -> ScheduleState:
    schedule: ScheduleSettings = profile.clocks.schedules[slug]
    span, active = profile.clocks.state(slug, now)
    far = span.until - span.since >= LONGEST_STRETCH
    return ScheduleState(slug, schedule.name, active, next_change(schedule, now) if far else span.until)
