"""What the filter's tests stand on: small UT1 trees, bundles, and a policy, all made by the test."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filter.bundle import Sign
from filter.compiler import compile_names, compile_policy
from filter.lists.entries import Entry, NameEntry
from filter.lists.source import ListReport, ListSource
from filter.settings import NameRule, NetworkSettings, PolicySettings, ProfileSettings, Verdict, category_rules
from tests.filter.lists.files import compress, write_ut1
from tests.filter.lying import Everywhere, truth
from tests.filter.scripted import ScriptedUpstream

__all__ = ["LISTS", "NOON", "SCHOOL", "compress", "make_list", "write_ut1"]

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_list(slug: str, *entries: Entry, category: str | None = None) -> ListSource:
    """A list that is read from memory."""

    def read(report: ListReport) -> Iterator[Entry]:
        report.lines = len(entries)
        report.names = sum(isinstance(entry, str | NameEntry) for entry in entries)
        return iter(entries)

    return ListSource(slug, f"Liste {slug}", category or slug, read, trusts_replies=True)


SCHOOL = PolicySettings(
    profiles=(
        ProfileSettings(
            "ecole",
            "École",
            categories=category_rules(("jeux", "adultes"), ("education",)),
            names=(
                NameRule("bloque.example", Verdict.BLOCK),
                NameRule("jeux.permis.example", Verdict.BLOCK),
                NameRule("permis.example", Verdict.ALLOW),
                NameRule("utile.jeu.example", Verdict.ALLOW),
            ),
        ),
        ProfileSettings("maitres", "Enseignants", categories=category_rules(("adultes",))),
    ),
    default_profile="ecole",
    networks=(NetworkSettings("10.9.0.0/16", "maitres"), NetworkSettings("10.9.7.0/24", "ecole")),
    private_names=("intranet.example",),
)
LISTS = (
    make_list("jeux", "jeu.example", "casse-tete.education.example", "tracker.example", "en.deux.example"),
    make_list("adultes", "nu.example", "en.deux.example"),
    make_list("education", "lecon.jeu.example", "education.example"),
    make_list("presse", "journal.example"),
)


def policy_of(names: Path) -> Path:
    """Where the policy of a names file lies, when nobody says otherwise."""
    return names.with_name(f"{names.name}.policy")


def compile_pair(
    lists: Iterable[ListSource], settings: PolicySettings, names: Path, *, serial: int, sign: Sign | None = None
) -> Path:
    """A names file and, beside it, its policy."""
    report = compile_names(lists, names, serial=serial, compiled_at=NOON, sign=sign)
    compile_policy(settings, policy_of(names), serial=serial, compiled_at=NOON, names_digest=report.digest, sign=sign)
    return names


@pytest.fixture
def bundle_file(tmp_path: Path) -> Path:
    """A small names file, its policy beside it: see LISTS and SCHOOL."""
    return compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)


@pytest.fixture
def compile_lists(tmp_path: Path) -> Callable[..., Path]:
    """``compile_lists(serial=8, jeux=["a.example"])`` -> a names file with these lists, SCHOOL beside it."""

    def compile_to(serial: int = 8, name: str = "autre.preau", **lists: Iterable[str]) -> Path:
        return compile_pair([make_list(s, *n) for s, n in lists.items()], SCHOOL, tmp_path / name, serial=serial)

    return compile_to


@pytest.fixture
def good() -> Iterator[ScriptedUpstream]:
    """A resolver that tells the truth."""
    with ScriptedUpstream() as upstream:
        upstream.scripts = Everywhere(truth)
        yield upstream


@pytest.fixture
def bad() -> Iterator[ScriptedUpstream]:
    """One that does whatever the test lets it do."""
    with ScriptedUpstream() as upstream:
        yield upstream
