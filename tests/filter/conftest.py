"""What the filter's tests stand on: small UT1 trees, bundles, and a policy, all made by the test."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from filter.compiler import compile_bundle
from filter.lists.source import ListReport, ListSource
from filter.settings import NetworkSettings, PolicySettings, ProfileSettings
from tests.filter.lists.files import compress, write_ut1

__all__ = ["LISTS", "NOON", "SCHOOL", "compress", "make_list", "write_ut1"]

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def make_list(slug: str, *names: str, category: str | None = None) -> ListSource:
    """A list that is read from memory."""

    def read(report: ListReport) -> Iterable[str]:
        report.lines = report.names = len(names)
        return iter(names)

    return ListSource(slug, f"Liste {slug}", category or slug, read)  # type: ignore[arg-type]  # an iterator it is


SCHOOL = PolicySettings(
    profiles=(
        ProfileSettings(
            "ecole",
            "École",
            blocked_categories=("jeux", "adultes"),
            allowed_categories=("education",),
            denied_names=("bloque.example", "jeux.permis.example"),
            allowed_names=("permis.example", "utile.jeu.example"),
        ),
        ProfileSettings("maitres", "Enseignants", blocked_categories=("adultes",)),
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


@pytest.fixture
def bundle_file(tmp_path: Path) -> Path:
    """A small bundle: see SCHOOL and LISTS."""
    path = tmp_path / "ecole.preau"
    compile_bundle(LISTS, SCHOOL, path, serial=7, compiled_at=NOON)
    return path


@pytest.fixture
def compile_lists(tmp_path: Path) -> Callable[..., Path]:
    """``compile_lists(serial=8, jeux=["a.example"])`` -> a bundle with these lists and SCHOOL."""

    def compile_to(serial: int = 8, name: str = "autre.preau", **lists: Iterable[str]) -> Path:
        path = tmp_path / name
        compile_bundle([make_list(s, *n) for s, n in lists.items()], SCHOOL, path, serial=serial, compiled_at=NOON)
        return path

    return compile_to
