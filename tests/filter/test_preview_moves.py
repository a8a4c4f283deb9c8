"""Which profile a count is judged in afterwards: what the same clients of this very filter get then."""

from dataclasses import replace
from pathlib import Path

import pytest

from filter.bundle import NamesFile, PolicyFile
from filter.namecounts import NameCount
from filter.policy import Policy
from filter.preview import Moves, preview
from filter.settings import (
    LabelSettings,
    NameRule,
    NetworkSettings,
    PolicySettings,
    ProfileSettings,
    Verdict,
    hash_label,
)
from tests.filter.conftest import NOON, compile_pair, make_list, policy_of

MINE, OTHERS = "5b1c6f0e", "77777777"
DENYING = (NameRule("jeu.example", Verdict.BLOCK),)
LABEL = hash_label("abcdef")


def settings(mine: str, others: str = "college", label: str = "college") -> PolicySettings:
    """Two schools with the same network, each behind its own filter, and one labelled device."""
    profiles = (
        ProfileSettings("college", "Collège"),
        ProfileSettings("college@A", "Collège, A", names=DENYING),
        ProfileSettings("college@B", "Collège, B", names=DENYING),
        ProfileSettings("elementaire", "Élémentaire"),
    )
    return PolicySettings(
        profiles=profiles,
        default_profile="elementaire",
        networks=(
            NetworkSettings("10.0.0.0/24", mine, filter=MINE),
            NetworkSettings("10.0.0.0/24", others, filter=OTHERS),
        ),
        labels=(LabelSettings(LABEL, label),),
    )


def opened(folder: Path, says: PolicySettings, filter_id: str) -> Policy:
    folder.mkdir()
    names = compile_pair([make_list("jeux", "autre.example")], says, folder / "names", serial=1)
    return Policy(NamesFile.open(names), PolicyFile.open(policy_of(names)), filter_id)


@pytest.mark.parametrize(
    ("before", "after", "slug", "expected"),
    [
        ("college", "college", "college", {("college", "college")}),
        ("college", "college@A", "college", {("college", "college@A")}),  # the school has its own from now on
        ("college@A", "college", "college@A", {("college@A", "college")}),  # and no longer has
        ("college@A", "college@A", "college", {("college", "college")}),  # of before: one device has it still
        ("college@A", "college@A", "college@B", {("college@A", "college@A")}),  # another school's, of before
        ("college", "college@A", "elementaire", {("elementaire", "elementaire")}),  # whoever is in no network
        ("college", "college", "disparu", {("disparu", "elementaire")}),
    ],
)
def test_a_count_follows_the_clients_of_its_profile(
    tmp_path: Path, before: str, after: str, slug: str, expected: set[tuple[str, str]]
) -> None:
    moves = Moves(opened(tmp_path / "old", settings(before), MINE), opened(tmp_path / "new", settings(after), MINE))
    assert set(moves.of(slug)) == expected


def test_an_edit_for_the_neighbour_changes_nothing_here(tmp_path: Path) -> None:
    counts = [NameCount("jeu.example", "address", "college", 20, 5)]
    says = settings("college"), settings("college", others="college@B")
    here, there = (
        preview(opened(tmp_path / f"old-{who}", says[0], who), opened(tmp_path / f"new-{who}", says[1], who), counts,
                NOON, 3)
        for who in (MINE, OTHERS)
    )  # fmt: skip
    assert here.changes == ()
    [change] = there.changes
    assert (change.name, change.blocked, change.profiles, change.queries) == ("jeu.example", True, ("college@B",), 20)


def test_labels_count_where_no_network_has_the_profile(tmp_path: Path) -> None:
    old = replace(settings("elementaire"), networks=())
    new = replace(settings("elementaire", label="college@B"), networks=())
    moves = Moves(opened(tmp_path / "old", old, MINE), opened(tmp_path / "new", new, MINE))
    assert set(moves.of("college")) == {("college", "college@B")}


def test_a_profile_that_becomes_two_counts_each_query_once(tmp_path: Path) -> None:
    old = settings("college")
    old = replace(old, networks=(*old.networks, NetworkSettings("10.0.1.0/24", "college", filter=MINE)))
    new = settings("college@A")
    new = replace(new, networks=(*new.networks, NetworkSettings("10.0.1.0/24", "college@B", filter=MINE)))
    counts = [NameCount("jeu.example", "address", "college", 20, 5), NameCount("jeu.example", "other", "college", 2, 4)]
    found = preview(opened(tmp_path / "old", old, MINE), opened(tmp_path / "new", new, MINE), counts, NOON, 3)
    [change] = found.changes
    assert (change.queries, change.clients, change.profiles) == (22, 5, ("college@A", "college@B"))
