"""Bundles of every layout that was ever published: filters in schools keep one for years, controllers wrote them."""

from pathlib import Path

import pytest

from filter.bundle import Bundle
from filter.compiler import compile_bundle
from filter.policy import Action, Policy, Query, decide
from tests.filter.conftest import LISTS, NOON, SCHOOL

RECORDED = Path(__file__).parent.parent / "contracts" / "bundle-1" / "school.preau"


@pytest.mark.parametrize(
    ("client", "name", "action", "rule"),
    [
        ("192.0.2.1", "bloque.example", Action.BLOCKED, "own_deny"),
        ("192.0.2.1", "www.permis.example", Action.ALLOWED, "own_allow"),
        ("10.9.1.1", "bloque.example", Action.ALLOWED, "default"),  # the teachers' network
        ("192.0.2.1", "rien.example", Action.ALLOWED, "default"),
    ],
)
def test_a_bundle_of_layout_1_is_read_and_decides(client: str, name: str, action: Action, rule: str) -> None:
    bundle = Bundle.open(RECORDED)
    decision = decide(Query(name), Policy(bundle).profile_for(client), NOON)
    assert (bundle.serial, bundle.compiled_at) == (7, NOON)
    assert (decision.action, decision.rule) == (action, rule)


def test_the_same_input_still_gives_these_bytes(tmp_path: Path) -> None:
    """A change here is a new layout or a new compiler: record it beside this one, never in its place."""
    compile_bundle(LISTS, SCHOOL, tmp_path / "b", serial=7, compiled_at=NOON)
    assert (tmp_path / "b").read_bytes() == RECORDED.read_bytes()
