"""What a change would do to names that people ask for: told before it does it, above a threshold of devices."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypedDict

import pytest

from filter.namecounts import FILE, NameCounts
from filter.preview import CountsInvalid, load_counts
from filter.settings import CategoryRule, PolicySettings, Verdict, category_rules
from tests.filter.conftest import NOON, SCHOOL, compile_pair, make_list
from tests.filter.test_blockpage import MIDDAY
from tests.filter.test_commands import preau_filter

Pairs = tuple[Path, Path]


class Told(TypedDict):
    """What ``--json`` says."""

    judged: int
    withheld: int
    blocked: list[dict[str, object]]
    allowed: list[dict[str, object]]


def start_counts(folder: Path) -> NameCounts:
    """A started store whose key is always the same: with some keys two of five devices light one bit and count once."""
    counts = NameCounts(folder, 7, lambda: NOON, lambda _queries: None)
    counts.key = bytes(16)
    counts.start()
    return counts


@pytest.fixture
def pairs(tmp_path: Path) -> Pairs:
    """Before and after: jeu2 newly in a list, jeu1 no longer."""
    old = [make_list("jeux", "jeu1.example", "jeu.example")]
    new = [make_list("jeux", "jeu2.example", "jeu.example")]
    return (
        compile_pair(old, SCHOOL, tmp_path / "old", serial=1),
        compile_pair(new, SCHOOL, tmp_path / "new", serial=2),
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Counts of a filter: jeu2 asked by 5 devices of school, jeu1 by 4, rare.jeu2 by 2."""
    counts = start_counts(tmp_path)
    for name, clients in (("www.jeu2.example", 5), ("jeu1.example", 4), ("rare.jeu2.example", 2), ("jeu.example", 9)):
        for client in range(clients):
            for _ in range(10):
                counts.count(name, 1, "ecole", f"10.0.0.{client}")
            counts.count(name, 65, "ecole", f"10.0.0.{client}")
    for client in range(9):
        counts.count("www.jeu2.example", 1, "maitres", f"10.9.0.{client}")  # teachers are not blocked there
    counts.flush()
    return tmp_path / FILE


def run(pairs: Pairs, counts: Path, *options: str) -> Told:
    old, new = pairs
    done = preau_filter("preview", "--from", str(old), "--to", str(new), "--names", str(counts), "--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    told: Told = json.loads(done.stdout)
    return told


def test_names_whose_verdict_changes_are_told(pairs: Pairs, store: Path) -> None:
    values = run(pairs, store)
    (blocked,) = values["blocked"]
    (allowed,) = values["allowed"]
    assert blocked == {
        "name": "www.jeu2.example",
        "queries": 55,
        "clients": 5,
        "profiles": ["ecole"],
        "rule": "category_deny",
        "category": "jeux",
        "lists": ["Liste jeux"],
        "suffix": "jeu2.example",
        "layer": "",
    }
    assert (allowed["name"], allowed["queries"], allowed["clients"]) == ("jeu1.example", 44, 4)
    assert (values["judged"], values["withheld"]) == (4, 1)


def test_a_name_that_few_devices_asked_for_is_never_told(pairs: Pairs, store: Path) -> None:
    assert "rare" not in str(run(pairs, store))
    assert "rare" in str(run(pairs, store, "--threshold", "2"))
    assert run(pairs, store, "--threshold", "6")["blocked"] == []


def test_text_says_it_in_french(pairs: Pairs, store: Path) -> None:
    done = preau_filter("preview", "--from", str(pairs[0]), "--to", str(pairs[1]), "--names", str(store))
    assert done.stdout == (
        "4 noms jugés par les deux publications.\n"
        "1 nom nouvellement bloqué, 55 requêtes :\n"
        "         55  www.jeu2.example (jeux : Liste jeux, par jeu2.example, 5 appareils ; ecole)\n"
        "1 nom nouvellement permis, 44 requêtes :\n"
        "         44  jeu1.example (jeux : Liste jeux, 4 appareils ; ecole)\n"
        "1 nom tu : moins de 3 appareils l’ont demandé.\n"
    )


def test_lines_of_text_are_judged_in_every_profile(pairs: Pairs, tmp_path: Path) -> None:
    (tmp_path / "noms.tsv").write_text("\ufeff# nom, requêtes, appareils\nJEU2.example\t12\njeu1.example\t3\t2\n\n")
    values = run(pairs, tmp_path / "noms.tsv")
    assert [(each["name"], each["queries"], each["clients"]) for each in values["blocked"]] == [
        ("jeu2.example", 12, None)
    ]
    assert values["allowed"] == []
    assert values["withheld"] == 1


@pytest.mark.parametrize(
    "text", ["jeu.example", "jeu.example\tbeaucoup", "pas un nom\t3", "a.example\t1\tx", "\xff\xfe"]
)
def test_what_is_no_count_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "noms.tsv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CountsInvalid):
        list(load_counts(path))


def scheduled(profile: int, settings: PolicySettings) -> PolicySettings:
    """The profile's categories blocked at midday only."""
    profiles = list(settings.profiles)
    rules = (CategoryRule("jeux", Verdict.BLOCK, schedule="midi"),)
    profiles[profile] = replace(profiles[profile], categories=rules)
    return replace(settings, profiles=tuple(profiles), schedules=(MIDDAY,))


def test_a_change_of_policy_alone_and_at_another_time(tmp_path: Path, store: Path) -> None:
    lists = [make_list("jeux", "jeu.example")]
    old = compile_pair(lists, SCHOOL, tmp_path / "old", serial=1)
    new = compile_pair(lists, scheduled(0, SCHOOL), tmp_path / "new", serial=2)
    at_noon = run((old, new), store, "--at", "2026-11-23T12:30+01:00")
    at_ten = run((old, new), store, "--at", "2026-11-23T10:00+01:00")
    assert at_noon["allowed"] == []
    assert [each["name"] for each in at_ten["allowed"]] == ["jeu.example"]


def test_a_profile_that_is_gone_is_judged_by_the_default_one(
    tmp_path: Path, compile_lists: Callable[..., Path]
) -> None:
    counts = start_counts(tmp_path)
    for client in range(4):
        counts.count("jeu.example", 1, "disparu", f"10.0.0.{client}")
    counts.flush()
    lists = [make_list("jeux", "jeu.example")]
    (first, *others) = SCHOOL.profiles
    opened = replace(SCHOOL, profiles=(replace(first, categories=category_rules()), *others))
    pairs = (
        compile_pair(lists, SCHOOL, tmp_path / "old", serial=1),
        compile_pair(lists, opened, tmp_path / "new", serial=2),
    )
    assert [each["name"] for each in run(pairs, tmp_path / FILE)["allowed"]] == ["jeu.example"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["preview"], "il manque --from, --to, --names"),
        (["preview", "--from", "A", "--to", "A", "--names", "A", "--threshold", "peu"], "--threshold peu"),
        (["preview", "--from", "A", "--to", "A", "--names", "/nulle/part"], "/nulle/part n’existe pas"),
        (["preview", "--from", "A", "--to", "A", "--names", "A"], "ni décomptes d’un filtre, ni texte"),
    ],
)
def test_what_cannot_be_previewed_is_one_sentence(bundle_file: Path, arguments: list[str], words: str) -> None:
    done = preau_filter(*(str(bundle_file) if argument == "A" else argument for argument in arguments))
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
