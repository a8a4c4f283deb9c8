"""`preau-filter explain`: all that is told of a name, in French and as JSON."""

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pytest

from filter import cli
from filter.explaining import explain
from filter.lists.entries import NameEntry, RuleEntry
from filter.policy import AnswerRecord, Query
from filter.settings import (
    CategoryRule,
    LabelSettings,
    LessonSettings,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ProfileSettings,
    ScheduleSettings,
    Verdict,
    WeeklyRange,
    hash_label,
)
from filter.updates.pair import open_pair
from tests.filter.conftest import compile_pair, make_list

MONDAY = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BLOCK, ALLOW = Verdict.BLOCK, Verdict.ALLOW
LISTS = [
    replace(make_list("games", "jeu.example"), title="Jeux en ligne", source="UT1", licence="CC-BY-SA-4.0"),
    make_list(
        "publicite", NameEntry("jeu.example", allows=True), RuleEntry("/^pub[0-9]/$important", pattern="^pub[0-9]")
    ),
    make_list("press", "jeu.example"),
]
SETTINGS = PolicySettings(
    profiles=(
        ProfileSettings(
            "eleves", "Élèves",
            categories=(
                CategoryRule("games", BLOCK, "classe", layer="Guise"),
                CategoryRule("publicite", BLOCK, layer="Aisne"),
            ),
            names=(NameRule("bloque.example", BLOCK, "École Jean Macé", "trop lent"),),
            overrides=(OverrideSettings("o1", ALLOW, MONDAY, MONDAY + HOUR, ("ouvert.jeu.example",), reason="exposé"),),
        ),
        ProfileSettings("maitres", "Enseignants"),
    ),
    default_profile="maitres",
    networks=(NetworkSettings("10.2.0.0/24", "eleves", "101"),),
    labels=(LabelSettings(hash_label("k3v9"), "eleves"),),
    schedules=(ScheduleSettings("classe", "Classe", weekly=(WeeklyRange((0,), time(8), time(16)),)),),
    lessons=(LessonSettings("l1", "101", MONDAY + 3 * HOUR, MONDAY + 4 * HOUR, ("carte.example",), "Géographie"),),
)  # fmt: skip


@pytest.fixture
def names(tmp_path: Path) -> Path:
    return compile_pair(LISTS, SETTINGS, tmp_path / "noms", serial=1)


@pytest.fixture
def told(names: Path, capsys: pytest.CaptureFixture[str]) -> "Told":
    return Told(names, capsys)


class Told:
    """What the command writes."""

    def __init__(self, names: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.names, self.capsys = names, capsys

    def __call__(self, *arguments: str, at: str = "2026-11-23T10:00+01:00") -> str:
        assert cli.run(["explain", "--bundle", str(self.names), "--at", at, *arguments], {}) == 0
        return self.capsys.readouterr().out


def test_a_blocked_name(told: Told) -> None:
    assert told("--client", "10.2.0.7", "WWW.Jeu.example.").splitlines() == [
        "www.jeu.example : BLOQUÉ",
        (
            "  règle   : catégorie bloquée par le profil « Jeux en ligne », par « jeu.example », posée par Guise, "
            "plage « Classe »"
        ),
        "  profil  : Élèves (eleves), client 10.2.0.7, salle 101",
        "  liste   : jeu.example est dans « Jeux en ligne » (bloquée, par Guise ; UT1, CC-BY-SA-4.0)",
        "  plage   : « Classe » active jusqu’au 23/11/2026 à 16:00",
        "  liste   : jeu.example est dans « Liste press » (ignorée)",
        "  liste   : jeu.example est dans « Liste publicite » (exception, lève le blocage, par Aisne) : @@jeu.example",
    ]


def test_the_moment_counts_and_is_that_of_the_wall_when_nothing_else_is_said(told: Told) -> None:
    assert told("--client", "10.2.0.7", "jeu.example", at="2026-11-23T16:00").startswith("jeu.example : PERMIS")
    assert told("--client", "10.2.0.7", "jeu.example", at="2026-11-23T15:59").startswith("jeu.example : BLOQUÉ")
    later = told("--client", "10.2.0.7", "jeu.example", at="2026-11-23T16:00")
    assert "« Classe » inactive jusqu’au 30/11/2026 à 08:00" in later
    assert "(ignorée, par Guise ; UT1" in later


def test_an_override_and_what_would_hold_without_it(told: Told) -> None:
    lines = told("--client", "10.2.0.7", "ouvert.jeu.example").splitlines()

    assert lines[0] == "ouvert.jeu.example : PERMIS"
    assert lines[1] == "  règle   : dérogation, jusqu’au 23/11/2026 à 11:00 : exposé"
    assert lines[3].startswith("  aussi   : catégorie bloquée par le profil « Jeux en ligne »")


def test_a_lesson(told: Told) -> None:
    lines = told("--client", "10.2.0.7", "journal.example", at="2026-11-23T13:30").splitlines()

    assert lines[:2] == [
        "journal.example : BLOQUÉ",
        "  règle   : nom étranger à la leçon en cours, jusqu’au 23/11/2026 à 14:00 : Géographie",
    ]
    assert "  leçon   : Géographie, jusqu’au 23/11/2026 à 14:00" in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--label", "K3V9", "jeu.example"], "profil  : Élèves (eleves), client étiquette K3V9"),
        (["jeu.example"], "profil  : Enseignants (maitres), client inconnu : profil par défaut"),
        (["--label", "k3v9", "pub7.example"], "« Liste publicite » (bloquée, par Aisne) : /^pub[0-9]/$important"),
        (["--label", "k3v9", "bloque.example"], "collectivité, posée par École Jean Macé : trop lent"),
        (["dns.google"], "service qui contourne le filtre"),
        (["imprimante"], "imprimante : PERMIS"),
    ],
)  # fmt: skip
def test_who_asks_and_why(told: Told, arguments: list[str], words: str) -> None:
    assert words in told(*arguments)


def test_json_says_as_much(told: Told) -> None:
    values = json.loads(told("--client", "10.2.0.7", "--json", "www.jeu.example"))

    assert values["profile"] == {"slug": "eleves", "name": "Élèves", "room": "101"}
    assert values["decision"] | {"lists": []} == {
        "action": "blocked", "rule": "category_deny", "category": "games", "suffix": "jeu.example",
        "entry": "jeu.example", "lists": [], "layer": "Guise", "schedule": "Classe", "reason": "", "until": None,
        "via": None, "target": None, "records": [],
    }  # fmt: skip
    assert values["matches"][0]["schedule"] == {
        "slug": "classe", "name": "Classe", "active": True, "changes_at": "2026-11-23T15:00:00+00:00",
    }  # fmt: skip
    assert [each["effect"] for each in values["matches"]] == ["blocks", "none", "lifts"]


def test_the_steps_of_an_answer_are_judged_too(names: Path) -> None:
    policy = open_pair(names).policy
    answer = [AnswerRecord("libre.example", ("cdn.example",)), AnswerRecord("cdn.example", ("w.jeu.example",))]

    explanation = explain(policy, Query("libre.example"), "10.2.0.7", MONDAY, answer=answer)

    assert [(step.action.value, step.via) for step in explanation.steps] == [
        ("allowed", None),
        ("blocked", "w.jeu.example"),
    ]
    assert explanation.outcome.via == "w.jeu.example"
