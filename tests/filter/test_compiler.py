"""Lists become a names file and settings a policy file, or neither is touched."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from filter.bundle import BundleRefused, Member, NamesFile, PolicyFile
from filter.compiler import compile_names, compile_policy, find_unknown_categories
from filter.domains import DEFAULT_KEY, hash_name
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry
from filter.lists.lines import ListRefused
from filter.lists.source import ListReport, ListSource
from filter.lists.ut1 import read_ut1
from filter.settings import (
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ProfileSettings,
    SettingsInvalid,
    Verdict,
    category_rules,
)
from tests.filter.conftest import LISTS, NOON, SCHOOL, make_list, write_ut1

COUNTS = ("names", "sets", "rules", "addresses", "size", "digest", "lists")


def test_the_report_tells_what_went_in(tmp_path: Path) -> None:
    lists = [
        make_list("jeux", "a.example", "b.example", "a.example", NameEntry("a.example", allows=True)),
        make_list("presse", "b.example", AddressEntry("192.0.2.0/24"), RuleEntry("/x/", pattern="x")),
    ]

    report = compile_names(lists, tmp_path / "n", serial=3, compiled_at=NOON)

    assert (report.serial, report.names, report.sets, report.lines) == (3, 2, 3, 7)
    assert (report.rules, report.addresses) == (1, 1)
    assert report.size == (tmp_path / "n").stat().st_size
    assert report.digest == NamesFile.open(tmp_path / "n").digest
    jeux, presse = (outcome.info for outcome in report.lists)
    assert (jeux.entries, jeux.duplicates) == (3, 1)
    assert (presse.entries, presse.duplicates, presse.addresses, presse.rules) == (1, 0, 1, 1)


def test_both_ways_give_the_same_bytes_and_report(tmp_path: Path) -> None:
    """A tree with all that goes wrong in one: both readers, both ways to sort."""
    chance = random.Random(20261122)
    odd = [
        "gouv.fr",
        "192.0.2.1",
        "2001:db8::/32",
        "École.example",
        "un mot",
        "# note",
        "",
        "http://x.example/y",
        "é" * 300,
    ]
    trees = {
        slug: "".join(
            f"{chance.choice(odd) if chance.random() < 0.1 else f'n{chance.randrange(3000)}.example'}\n"
            for _ in range(5000)
        )
        for slug in ("adult", "games", "warez")
    }
    sources = [*read_ut1(write_ut1(tmp_path / "ut1", **trees)), *LISTS]
    outcomes = []
    for use_numpy in (True, False):
        out = tmp_path / f"{use_numpy}"
        report = compile_names(sources, out, serial=1, compiled_at=NOON, use_numpy=use_numpy)
        assert report.numpy is use_numpy
        outcomes.append((out.read_bytes(), [getattr(report, name) for name in COUNTS]))

    assert outcomes[0] == outcomes[1]


def test_one_name_in_many_ways_is_one_set(tmp_path: Path) -> None:
    ways = [
        NameEntry("a.example", match, allows, important)
        for match in Match
        for allows in (False, True)
        for important in (False, True)
    ]
    for use_numpy in (True, False):
        compile_names([make_list("x", *ways)], tmp_path / "n", serial=1, compiled_at=NOON, use_numpy=use_numpy)
        names = NamesFile.open(tmp_path / "n")
        found = names.find_set(hash_name(b"a.example", DEFAULT_KEY))
        assert found is not None
        assert set(names.sets[found]) == {Member(0, way.match, way.allows, way.important) for way in ways}


def test_set_ids_grow_to_four_bytes_when_two_are_not_enough(tmp_path: Path) -> None:
    """17 lists and names in every combination of them: more than 65,536 sets."""
    sources = [
        make_list(f"l{bit:02}", *(f"n{number}.example" for number in range(1, 1 << 17) if number >> bit & 1))
        for bit in range(17)
    ]

    report = compile_names(sources, tmp_path / "n", serial=1, compiled_at=NOON)

    names = NamesFile.open(tmp_path / "n")
    assert report.sets == (1 << 17) - 1
    assert names.header.set_id_size == 4
    for number in (1, 8, 65_536, 131_071):
        found = names.find_set(hash_name(f"n{number}.example".encode(), DEFAULT_KEY))
        assert found is not None
        assert sum(1 << member.position for member in names.sets[found]) == number


def fail_in_the_middle(report: ListReport) -> Iterator[Entry]:
    yield "a.example"
    raise ListRefused("fichier abîmé")


def test_a_refused_list_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "n"
    compile_names(LISTS, out, serial=1, compiled_at=NOON)
    before = out.read_bytes()

    with pytest.raises(ListRefused):
        compile_names([ListSource("x", "X", "x", fail_in_the_middle)], out, serial=2, compiled_at=NOON)

    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["n"]


def test_two_lists_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same slug"):
        compile_names([make_list("a"), make_list("a")], tmp_path / "n", serial=1, compiled_at=NOON)


def test_a_policy_says_beside_which_names_it_was_compiled(tmp_path: Path) -> None:
    report = compile_policy(SCHOOL, tmp_path / "p", serial=4, compiled_at=NOON, names_digest="cd" * 32)

    policy = PolicyFile.open(tmp_path / "p")
    assert (policy.serial, policy.digest, policy.names_digest) == (4, report.digest, "cd" * 32)
    assert PolicySettings.from_json(policy.settings).private_names == ("intranet.example",)


def test_settings_that_contradict_themselves_leave_the_policy_as_it_was(tmp_path: Path) -> None:
    wrong = replace(SCHOOL, default_profile="college", networks=(NetworkSettings("10.0.0.0/33", "lycee"),))

    with pytest.raises(SettingsInvalid):
        compile_policy(wrong, tmp_path / "p", serial=1, compiled_at=NOON)

    assert not (tmp_path / "p").exists()


def test_categories_that_no_list_fills_are_told(tmp_path: Path) -> None:
    override = OverrideSettings("d1", Verdict.ALLOW, NOON, NOON, categories=("presse", "absente"))
    profile = ProfileSettings("ecole", "École", category_rules(("jeux", "inconnue")), overrides=(override,))
    compile_names(LISTS, tmp_path / "n", serial=1, compiled_at=NOON)

    unknown = find_unknown_categories(PolicySettings((profile,), "ecole"), NamesFile.open(tmp_path / "n").lists)

    assert unknown == ("absente", "inconnue")


def test_one_file_is_not_taken_for_the_other(tmp_path: Path) -> None:
    compile_names(LISTS, tmp_path / "n", serial=1, compiled_at=NOON)
    with pytest.raises(BundleRefused) as refusal:
        PolicyFile.open(tmp_path / "n")
    assert refusal.value.reason == "wrong_kind"
