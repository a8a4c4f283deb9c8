"""What happens to a query: the table of RULES, decide() and review_answer(), and the Policy of a pair of open files."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from filter.addresses import is_private, readings
from filter.bundle import BundleRefused, NamesFile, PolicyFile
from filter.clients import NetworkInvalid, Networks
from filter.deciding.bypass import BYPASS_NAMES
from filter.deciding.decisions import ALLOWED_BY_DEFAULT, LESSON_TTL, Action, AnswerRecord, Decision, Query, Rewrite
from filter.deciding.listreplies import action_for_target, under_target
from filter.deciding.profiles import Clocks, Moment, Profile, Shelf, in_room, make_profile
from filter.deciding.safesearch import rewrite_for
from filter.deciding.special import CANARIES, is_public, special_action
from filter.deciding.verdicts import NamesIndex
from filter.lists.entries import ReplyRecord
from filter.names import name_and_parents
from filter.schedules import is_of_calendar, problems
from filter.settings import (
    LabelSettings,
    LessonSettings,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    SettingsInvalid,
    Verdict,
    hash_label,
)

__all__ = [
    "ALLOWED_BY_DEFAULT", "LESSON_TTL", "REWRITES", "RULES", "Action", "AnswerRecord", "Case", "Decision", "Policy",
    "Profile", "Query", "Rewrite", "decide", "make_case", "review_answer",
]  # fmt: skip

A, AAAA, QTYPE_ANY = 1, 28, 255
MOST_DECIDED = 2048
"""Decisions remembered by a policy; some 500 bytes each."""
CLOSED_NAMES = CANARIES | BYPASS_NAMES
VERDICTS = {Verdict.ALLOW: (Action.ALLOWED, "own_allow"), Verdict.BLOCK: (Action.BLOCKED, "own_deny")}


class Case(NamedTuple):
    """A query with everything that rules look at."""

    name: str
    qtype: int
    suffixes: tuple[str, ...]
    """The name, then its parents."""
    profile: Profile
    moment: Moment
    """What holds for the profile now."""


Rule = Callable[[Case], Decision | None]


def answer_any_minimally(case: Case) -> Decision | None:
    return Decision(Action.MINIMAL, "any") if case.qtype == QTYPE_ANY else None


def answer_special_name(case: Case) -> Decision | None:
    found = special_action(case.suffixes, case.qtype, case.profile.private_names)
    return None if found is None else Decision(found[0], "special_name", suffix=found[1])


def close_bypass(case: Case) -> Decision | None:
    """Other people's encrypted DNS and relays: a negative answer, which makes software stay with this resolver."""
    if not case.profile.closes_bypass:
        return None
    if CLOSED_NAMES.isdisjoint(case.suffixes):
        return None
    suffix = next(name for name in case.suffixes if name in CLOSED_NAMES)
    return Decision(Action.NXDOMAIN, "canary" if suffix in CANARIES else "bypass", suffix=suffix)


def keep_to_lesson(case: Case) -> Decision | None:
    """A name of the lesson goes on to the rules that follow; every other is blocked."""
    lesson = case.moment.lesson
    if lesson is None or not case.moment.lesson_names.isdisjoint(case.suffixes):
        return None
    return Decision(Action.BLOCKED, "lesson", reason=lesson.title, until=lesson.ends, ttl=LESSON_TTL)


def apply_override(case: Case) -> Decision | None:
    known = case.moment.overrides
    if not known or (suffix := next((name for name in case.suffixes if name in known), None)) is None:
        return None
    override = known[suffix]
    action = Action.ALLOWED if override.verdict is Verdict.ALLOW else Action.BLOCKED
    return Decision(
        action, "override", suffix=suffix, layer=override.layer, reason=override.reason, until=override.ends
    )


def judge_own_name(case: Case) -> Decision | None:
    known = case.profile.names
    if not known or (suffix := next((name for name in case.suffixes if name in known), None)) is None:
        return None
    own = known[suffix]
    action, rule = VERDICTS[own.verdict]
    return Decision(action, rule, suffix=suffix, layer=own.layer, reason=own.reason)


def judge_lists(case: Case) -> Decision | None:
    return case.moment.verdicts.judge(case.name, case.qtype, case.suffixes)


RULES: tuple[Rule, ...] = (
    answer_any_minimally,  # cheapest, needs no profile; one small record leads nowhere
    answer_special_name,  # safety: what is no public name never leaves, and nobody can say otherwise
    close_bypass,  # before any allowance: a way around the filter would make every rule below pointless
    keep_to_lesson,  # before overrides and own names: while it runs, only its names; it can narrow but never open
    apply_override,  # a dated exception is there to change what the profile says, so it comes before it
    judge_own_name,  # a person's word beats every list; the longer name beats the shorter
    judge_lists,  # last, and dearest: a probe for each parent of the name
)
"""Whether a name may be reached. The first rule that speaks wins."""
JUDGING_TARGETS: tuple[Rule, ...] = tuple(rule for rule in RULES if rule not in (answer_any_minimally, keep_to_lesson))
"""For where an answer leads. Not the lesson: it speaks of what is asked, and sites of a lesson stand on servers with
other names."""


def rewrite_by_hand(case: Case) -> Decision | None:
    found = case.profile.rewrites.find(case.name, case.qtype)
    if found is None:
        return None
    pattern, rewrite = found
    if rewrite.target is not None and (safe := enforce_safe_search(case._replace(name=rewrite.target))) is not None:
        return safe  # an alias of a search engine leads to its safe variant too
    if rewrite.target is None and not rewrite.records:
        return Decision(Action.NODATA, "rewrite", suffix=pattern)
    return Decision(Action.REWRITTEN, "rewrite", suffix=pattern, rewrite=rewrite)


def enforce_safe_search(case: Case) -> Decision | None:
    """Types other than addresses have no data: an HTTPS record, say, would lead around the safe variant."""
    safe = rewrite_for(case.name, case.profile.safe_search, case.profile.youtube)
    if safe is None:
        return None
    records = tuple(ReplyRecord(AAAA if ":" in each else A, each) for each in safe.addresses)
    rewrite = Rewrite(safe.target or None, tuple(r for r in records if r.qtype == case.qtype), not safe.target)
    if case.qtype not in (A, AAAA) or not (rewrite.target or rewrite.records):
        return Decision(Action.NODATA, "safe_search", suffix=case.name)
    return Decision(Action.REWRITTEN, "safe_search", suffix=case.name, rewrite=rewrite)


REWRITES: tuple[Rule, ...] = (
    enforce_safe_search,  # first, and after RULES: neither an own answer nor an allowance leads around a safe variant
    rewrite_by_hand,  # a person's own answer, for every other name
)
"""Where an allowed name leads. The first that speaks wins; none: to what the upstream says."""


def decide(query: Query, profile: Profile, now: datetime) -> Decision:
    """What happens to a query."""
    return decide_at(query, profile, profile.moment(now))


def decide_at(query: Query, profile: Profile, moment: Moment) -> Decision:
    """The same, at a moment of the profile. The same names are asked for again and again: the last answers are
    remembered."""
    key = moment, query.name, query.qtype
    known = profile.shelf.decided
    if (decision := known.get(key)) is None:
        if len(known) >= MOST_DECIDED:
            known.clear()
        case = Case(query.name, query.qtype, name_and_parents(query.name), profile, moment)
        decision = known[key] = judge(case)
    return decision


def judge(case: Case) -> Decision:
    """RULES, then REWRITES for what is allowed."""
    decision = first(RULES, case) or ALLOWED_BY_DEFAULT
    if decision.action is Action.ALLOWED:
        decision = first(REWRITES, case) or decision
    return decision if case.moment.lesson is None else decision._replace(ttl=LESSON_TTL)


def make_case(query: Query, profile: Profile, now: datetime) -> Case:
    return Case(query.name, query.qtype, name_and_parents(query.name), profile, profile.moment(now))


def first(rules: Iterable[Rule], case: Case) -> Decision | None:
    for rule in rules:
        if (decision := rule(case)) is not None:
            return decision
    return None


def review_answer(
    query: Query, decision: Decision, profile: Profile, records: Iterable[AnswerRecord], now: datetime
) -> Decision:
    """Judge where an answer leads; return its decision, or the one that stops it.

    Names on the way are judged like queries and addresses by IP lists, unless a person allowed the name that was asked
    for. A public name with a private address is answered by nothing, whoever allowed it. For a rewritten name ``query``
    is about its target.
    """
    trusted = decision.rule in {"own_allow", "override"} and decision.category is None
    seen, judges_addresses = {query.name}, profile.shelf.index.knows_addresses
    case: Case | None = None  # most answers are public addresses of the name itself, and nothing is to be judged
    for record in records:
        if any(map(is_private, record.addresses)) and is_public(name_and_parents(query.name), profile.private_names):
            return Decision(Action.NODATA, "rebinding", via=record.owner, ttl=decision.ttl)
        if trusted or not (judges_addresses or record.targets or record.owner not in seen):
            continue
        case = case or make_case(query, profile, now)
        if (stopped := judge_record(record, case, seen)) is not None:
            return stopped._replace(ttl=decision.ttl)
    return decision


def judge_record(record: AnswerRecord, case: Case, seen: set[str]) -> Decision | None:
    """What stands against the names and addresses of one record; ``seen`` are names that were judged before."""
    for name in (record.owner, *record.targets):
        if name in seen:
            continue
        seen.add(name)
        judged = first(JUDGING_TARGETS, case._replace(name=name, suffixes=name_and_parents(name)))
        if judged is not None and judged.action is not Action.ALLOWED:
            return under_target(judged, name)._replace(action=action_for_target(judged), via=name)
    for address in record.addresses:
        for reading in readings(address):
            judged = case.moment.verdicts.judge_address(reading, case.name, case.qtype, case.suffixes)
            if judged is not None:
                return judged._replace(rule="address_deny", action=action_for_target(judged), via=record.owner)
    return None


class Policy:
    """The profiles and networks of a policy file, judging by a names file. Either may be newer than the other."""

    def __init__(
        self,
        names: NamesFile,
        policy: PolicyFile,
        filter_id: str = "",
        index: NamesIndex | None = None,
        zones: Iterable[str] = (),
    ) -> None:
        """Make ready; raise BundleRefused for a policy that is unusable. Verdicts of lists are worked out when met.

        ``filter_id``: which filter this is, for the networks that one alone heeds. ``index``: the look-ups of these
        names, when an earlier policy has made them already. ``zones``: names that resolvers of this gateway's own
        network answer for (--forward), which are private names here.
        """
        self.names = names
        self.file = policy
        try:
            said = PolicySettings.from_json(policy.settings)
            private = tuple(sorted({*said.private_names, *zones}))
            self.settings = replace(said, networks=networks_of(said, filter_id), private_names=private)
            self.index = index or NamesIndex(names)
            self.profiles = make_profiles(self.settings, Clocks(self.settings.schedules), Shelf(self.index))
            self.networks = Networks(
                [(each.cidr, self.profiles[each.profile, each.room]) for each in self.settings.networks],
                self.profiles[self.settings.default_profile, ""],
            )
            self.labels = {each.hash: self.profiles[each.profile, each.room] for each in self.settings.labels}
            check_times(self.settings)
        except (SettingsInvalid, NetworkInvalid, KeyError) as error:
            raise BundleRefused("invalid", f"politique inutilisable : {error}") from error

    def knows_label(self, label: str) -> bool:
        """Whether a device of this label is known."""
        return hash_label(label) in self.labels

    def profile_for(self, address: str | None, label: str | None = None) -> Profile:
        """The profile of a device's label, else of its address's network, else the default."""
        if label is not None and (known := self.labels.get(hash_label(label))) is not None:
            return known
        return self.networks.default if address is None else self.networks.find(address)


def networks_of(settings: PolicySettings, filter_id: str) -> tuple[NetworkSettings, ...]:
    """The networks that this filter heeds: everybody's and its own. Its own beats everybody's of the same addresses."""
    mine = [each for each in settings.networks if each.filter and each.filter == filter_id]
    taken = {each.cidr for each in mine}
    return (*(each for each in settings.networks if not each.filter and each.cidr not in taken), *mine)


def make_profiles(settings: PolicySettings, clocks: Clocks, shelf: Shelf) -> Mapping[tuple[str, str], Profile]:
    """(slug, room) -> profile, for every room that clients are in; room "" for those that are in none."""
    known = {each.slug: make_profile(each, settings, clocks, shelf) for each in settings.profiles}
    lessons: dict[str, list[LessonSettings]] = {}
    for lesson in settings.lessons:
        lessons.setdefault(lesson.room, []).append(lesson)
    clients: list[NetworkSettings | LabelSettings] = [*settings.networks, *settings.labels]
    found = {(slug, ""): profile for slug, profile in known.items()}
    for slug, room in {(each.profile, each.room) for each in clients if each.room}:
        found[slug, room] = in_room(known[slug], room, tuple(lessons.get(room, ())))
    return found


def check_times(settings: PolicySettings) -> None:
    """Raise SettingsInvalid for schedules and dates that every query would fail on."""
    wrong = [text for schedule in settings.schedules for text in problems(schedule)]
    known = {schedule.slug for schedule in settings.schedules}
    named = {rule.schedule for profile in settings.profiles for rule in profile.categories if rule.schedule is not None}
    wrong += [f"plage inconnue : {slug}" for slug in sorted(named - known)]
    dated: list[OverrideSettings | LessonSettings] = list(settings.lessons)
    dated += [override for profile in settings.profiles for override in profile.overrides]
    wrong += [f"{each.id} : date sans fuseau" for each in dated if None in (each.starts.tzinfo, each.ends.tzinfo)]
    wrong += [f"{each.id} : date hors du calendrier" for each in dated if not is_told(each)]
    if wrong:
        raise SettingsInvalid(" ; ".join(wrong))


def is_told(dated: OverrideSettings | LessonSettings) -> bool:
    return is_of_calendar(dated.starts) and is_of_calendar(dated.ends)
