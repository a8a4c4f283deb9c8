"""What changes with time: lessons, overrides, categories by schedule. Nothing has to happen for it to change."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from filter.explaining import explain
from filter.policy import LESSON_TTL, AnswerRecord, Policy, Query, decide, review_answer
from filter.settings import (
    CategoryRule,
    LabelSettings,
    LessonSettings,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    ScheduleSettings,
    Verdict,
    WeeklyRange,
    hash_label,
)
from tests.filter.conftest import make_list
from tests.filter.judging import MONDAY, judge, one_profile, open_policy, said

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
LISTS = [make_list("jeux", "jeu.example", "autre.example"), make_list("ecole", "lecon.jeu.example")]
BLOCK, ALLOW, NEUTRAL = Verdict.BLOCK, Verdict.ALLOW, Verdict.NEUTRAL
Open = Callable[..., Policy]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return lambda **fields: open_policy(tmp_path, LISTS, one_profile(**fields))


def lesson(*names: str, starts: datetime = MONDAY, id: str = "l1", room: str = "101") -> LessonSettings:
    return LessonSettings(id, room, starts, starts + HOUR, names, "Géographie", "Mme Petit")


def override(verdict: Verdict, *names: str, id: str = "o1", **fields: object) -> OverrideSettings:
    return OverrideSettings(id, verdict, MONDAY, MONDAY + HOUR, names, reason="exposé", **fields)  # type: ignore[arg-type]


def test_only_the_names_of_a_lesson_while_it_runs(opened: Open) -> None:
    policy = opened(lessons=(lesson("carte.example", "jeu.example"),))
    states = [
        said(judge(policy, name, now=now))
        for now in (MONDAY - SECOND, MONDAY, MONDAY + HOUR - SECOND, MONDAY + HOUR)
        for name in ("journal.example", "www.carte.example")
    ]

    before = after = ["allowed/default"] * 2
    during = ["blocked/lesson", "allowed/default"]
    assert states == [*before, *during, *during, *after]


def test_a_lesson_opens_nothing_and_is_remembered_for_seconds_only(opened: Open) -> None:
    policy = opened(lessons=(lesson("carte.example", "jeu.example", "mask.icloud.com"),))

    assert said(judge(policy, "jeu.example")) == "blocked/category_deny"
    assert said(judge(policy, "mask.icloud.com")) == "nxdomain/canary"
    for name in ("jeu.example", "carte.example", "journal.example"):
        assert judge(policy, name).ttl == LESSON_TTL <= 10
    assert judge(policy, "carte.example", now=MONDAY - SECOND).ttl is None
    told = judge(policy, "journal.example")
    assert (told.reason, told.until) == ("Géographie", MONDAY + HOUR)


def test_a_lesson_beats_overrides_and_own_names(opened: Open) -> None:
    policy = opened(
        lessons=(lesson("carte.example"),),
        overrides=(override(ALLOW, "journal.example"),),
        names=(NameRule("permis.example", ALLOW),),
    )

    assert said(judge(policy, "journal.example")) == said(judge(policy, "permis.example")) == "blocked/lesson"


def test_a_lesson_is_that_of_its_room(opened: Open) -> None:
    policy = opened(
        lessons=(lesson("carte.example"),),
        networks=(NetworkSettings("10.1.0.0/16", "p", "101"), NetworkSettings("10.2.0.0/16", "p", "102")),
        labels=(LabelSettings(hash_label("tablette-7"), "p", "101"),),
    )

    def rule_for(client: str | None, label: str | None = None) -> str:
        return decide(Query("journal.example"), policy.profile_for(client, label), MONDAY).rule

    assert [rule_for("10.1.0.1"), rule_for("10.2.0.1"), rule_for(None)] == ["lesson", "default", "default"]
    assert rule_for("198.51.100.1", "Tablette-7") == "lesson"


def test_of_two_lessons_the_later_holds(opened: Open) -> None:
    first, second = lesson("un.example"), lesson("deux.example", starts=MONDAY + HOUR / 2, id="l2")
    policy = opened(lessons=(first, second))

    assert judge(policy, "un.example").rule == "default"
    assert judge(policy, "un.example", now=MONDAY + HOUR / 2).rule == "lesson"
    assert judge(policy, "deux.example", now=MONDAY + HOUR).rule == "default"


def test_a_site_of_a_lesson_may_stand_on_servers_with_other_names(opened: Open) -> None:
    policy = opened(lessons=(lesson("carte.example"),))
    profile = policy.profile_for("192.0.2.7")
    query = Query("carte.example")
    there = [
        AnswerRecord("carte.example", ("serveur.example",)),
        AnswerRecord("serveur.example", (), (b"\x5d\xb8\xd8\x22",)),
    ]
    blocked = [AnswerRecord("carte.example", ("jeu.example",))]
    decision = decide(query, profile, MONDAY)

    assert review_answer(query, decision, profile, there, MONDAY) is decision
    stopped = review_answer(query, decision, profile, blocked, MONDAY)
    assert (said(stopped), stopped.via, stopped.ttl) == ("blocked/category_deny", "jeu.example", LESSON_TTL)


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ((override(ALLOW, "jeu.example"),), "www.jeu.example", "allowed/override"),
        ((override(BLOCK, "journal.example"),), "journal.example", "blocked/override"),
        ((override(ALLOW, "bloque.example"),), "bloque.example", "allowed/override"),  # what the profile denies
        ((override(BLOCK, "permis.example"),), "permis.example", "blocked/override"),
        ((override(BLOCK, "a.example"), override(ALLOW, "a.example", id="o2")), "a.example", "allowed/override"),
        ((override(BLOCK, "w.a.example"), override(ALLOW, "a.example", id="o2")), "w.a.example", "blocked/override"),
        ((override(ALLOW, "dns.google"),), "dns.google", "nxdomain/bypass"),
        ((override(ALLOW, categories=("jeux",)),), "jeu.example", "allowed/override"),
        ((override(NEUTRAL, categories=("jeux",)),), "jeu.example", "allowed/default"),
        ((override(BLOCK, categories=("ecole",)),), "lecon.jeu.example", "blocked/override"),
        ((override(ALLOW, categories=("jeux",)),), "bloque.example", "blocked/own_deny"),
    ],
)
def test_overrides_while_they_last(opened: Open, given: tuple[OverrideSettings, ...], name: str, expected: str) -> None:
    names = (NameRule("bloque.example", BLOCK), NameRule("permis.example", ALLOW))
    policy, without = opened(overrides=given, names=names), None

    assert said(judge(policy, name)) == expected
    if expected.endswith("override"):
        assert (judge(policy, name).reason, judge(policy, name).until) == ("exposé", MONDAY + HOUR)
    without = opened(names=names)
    for moment in (MONDAY - SECOND, MONDAY + HOUR):
        assert judge(policy, name, now=moment) == judge(without, name, now=moment)


CLASS_HOURS = ScheduleSettings(
    "classe", "Heures de classe", weekly=(WeeklyRange((0, 1, 3, 4), time(8, 30), time(16, 30)),)
)


@pytest.mark.parametrize(("otherwise", "outside"), [(NEUTRAL, "allowed/default"), (ALLOW, "allowed/category_allow")])
def test_a_category_by_schedule(opened: Open, otherwise: Verdict, outside: str) -> None:
    rule = CategoryRule("jeux", BLOCK, "classe", otherwise, "Aisne")
    policy = opened(categories=(rule,), schedules=(CLASS_HOURS,))
    paris = {"7:29": 0, "7:30": 1, "15:29": 1, "15:30": 0}  # UTC; Paris is an hour ahead in winter

    for clock, active in paris.items():
        hours, minutes = map(int, clock.split(":"))
        now = datetime(2026, 11, 23, hours, minutes, tzinfo=UTC)
        assert said(judge(policy, "jeu.example", now=now)) == ("blocked/category_deny" if active else outside), clock
    decision = judge(policy, "jeu.example")
    assert (decision.schedule, decision.layer) == ("Heures de classe", "Aisne")


def test_what_a_moment_remembers_is_what_each_instant_says(opened: Open) -> None:
    """Decisions are remembered from change to change: whatever the order of questions, the answers are the same."""
    fields = {
        "categories": (CategoryRule("jeux", BLOCK, "classe"),),
        "schedules": (CLASS_HOURS,),
        "lessons": (lesson("carte.example", starts=MONDAY + 3 * HOUR),),
        "overrides": (override(ALLOW, "autre.example"), override(BLOCK, "x.example", id="o2")),
    }
    policy = opened(**fields)
    instants = [MONDAY + timedelta(minutes=10 * step) for step in (*range(-60, 90), 3, -3, 77, 12)]
    fresh = [said(judge(opened(**fields), "jeu.example", now=now)) for now in instants[::15]]

    assert [said(judge(policy, "jeu.example", now=now)) for now in instants[::15]] == fresh
    assert [said(judge(policy, "jeu.example", now=now)) for now in reversed(instants[::15])] == fresh[::-1]


def test_explain_tells_the_schedule_and_when_it_changes(opened: Open) -> None:
    policy = opened(categories=(CategoryRule("jeux", BLOCK, "classe"),), schedules=(CLASS_HOURS,))
    (match,) = explain(policy, Query("jeu.example"), "192.0.2.7", MONDAY).matches
    (later,) = explain(policy, Query("jeu.example"), "192.0.2.7", datetime(2026, 11, 21, 9, tzinfo=UTC)).matches

    assert match.schedule is not None
    assert (match.schedule.active, match.schedule.changes_at) == (True, datetime(2026, 11, 23, 15, 30, tzinfo=UTC))
    assert later.schedule is not None
    assert (later.schedule.active, later.schedule.changes_at) == (False, datetime(2026, 11, 23, 7, 30, tzinfo=UTC))
