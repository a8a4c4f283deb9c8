"""Lists and settings become one file, or none at all."""

from pathlib import Path

import pytest

from filter.bundle import Bundle
from filter.compiler import compile_bundle
from filter.domains import DomainIndex
from filter.lists.lines import ListRefused
from filter.lists.source import ListReport, ListSource
from filter.settings import NetworkSettings, PolicySettings, ProfileSettings, SettingsInvalid
from tests.filter.conftest import LISTS, NOON, SCHOOL, make_list


def test_report_tells_what_went_in(tmp_path: Path) -> None:
    lists = [make_list("jeux", "a.example", "b.example", "a.example"), make_list("presse", "b.example")]

    report = compile_bundle(lists, SCHOOL, tmp_path / "b", serial=3, compiled_at=NOON)

    assert (report.serial, report.names, report.sets, report.lines) == (3, 2, 2, 4)
    assert report.size == (tmp_path / "b").stat().st_size
    jeux, presse = (outcome.info for outcome in report.lists)
    assert (jeux.entries, jeux.duplicates) == (2, 1)
    assert (presse.entries, presse.duplicates) == (1, 0)
    assert report.unknown_categories == ("adultes", "education")


def test_plain_and_numpy_reports_agree(tmp_path: Path) -> None:
    first, second = (
        compile_bundle(LISTS, SCHOOL, tmp_path / "b", serial=1, compiled_at=NOON, use_numpy=use_numpy)
        for use_numpy in (True, False)
    )

    assert (first.numpy, second.numpy) == (True, False)
    assert first.lists == second.lists
    assert (first.names, first.sets, first.size) == (second.names, second.sets, second.size)


def test_set_ids_grow_to_four_bytes_when_two_are_not_enough(tmp_path: Path) -> None:
    """17 lists and names in every combination of them: more than 65,536 sets."""
    sources = [
        make_list(f"l{bit:02}", *(f"n{number}.example" for number in range(1, 1 << 17) if number >> bit & 1))
        for bit in range(17)
    ]
    policy = PolicySettings((ProfileSettings("ecole", "École", ("l03",)),), "ecole")

    report = compile_bundle(sources, policy, tmp_path / "b", serial=1, compiled_at=NOON)

    bundle = Bundle.open(tmp_path / "b")
    assert report.sets == (1 << 17) - 1
    assert bundle.header.set_id_size == 4
    index = DomainIndex(bundle)
    for number in (1, 8, 65_536, 131_071):
        found = index.find_set(f"n{number}.example")
        assert found is not None
        assert sum(1 << member for member in bundle.sets[found]) == number


def fail_in_the_middle(report: ListReport):  # type: ignore[no-untyped-def]
    yield "a.example"
    raise ListRefused("fichier abîmé")


def test_a_refused_list_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "b"
    compile_bundle(LISTS, SCHOOL, out, serial=1, compiled_at=NOON)
    before = out.read_bytes()

    with pytest.raises(ListRefused):
        compile_bundle([ListSource("x", "X", "x", fail_in_the_middle)], SCHOOL, out, serial=2, compiled_at=NOON)

    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_settings_that_contradict_themselves_are_told_all_at_once(tmp_path: Path) -> None:
    policy = PolicySettings(
        profiles=(
            ProfileSettings("ecole", "École", denied_names=("pas un nom",)),
            ProfileSettings("ecole", "École", allowed_names=("10.0.0.1",)),
        ),
        default_profile="college",
        networks=(
            NetworkSettings("10.0.0.0/33", "ecole"),
            NetworkSettings("10.0.0.0/24", "lycee"),
            NetworkSettings("10.0.0.7/24", "ecole"),
        ),
    )

    with pytest.raises(SettingsInvalid) as problems:
        compile_bundle(LISTS, policy, tmp_path / "b", serial=1, compiled_at=NOON)

    for words in ("pas un nom", "10.0.0.1", "double : ecole", "inconnu : college", "inconnu : lycee", "10.0.0.0/33",
                  "réseau en double : 10.0.0.0/24"):  # fmt: skip
        assert words in str(problems.value)


def test_two_lists_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same slug"):
        compile_bundle([make_list("a"), make_list("a")], SCHOOL, tmp_path / "b", serial=1, compiled_at=NOON)
