"""Files of every layout that was ever published: filters in schools keep one for years, controllers wrote them."""

from pathlib import Path

import pytest

from filter.bundle import BundleRefused, Member, NamesFile, PolicyFile, SignedFile
from filter.compiler import compile_names, compile_policy
from filter.domains import hash_name
from filter.layout.delta import apply_delta, make_delta
from filter.normalising import normalise
from filter.settings import NameRule, NetworkSettings, PolicySettings, ProfileSettings, Verdict, category_rules
from filter.signing import trust
from tests.filter.bundles import EVERYTHING, KEY
from tests.filter.conftest import NOON, make_list

CONTRACTS = Path(__file__).parent.parent / "contracts"
NAMES, POLICY, DELTA = (CONTRACTS / "bundle-2" / f"school.{kind}" for kind in ("names", "policy", "delta"))
TRUSTED = trust([KEY.public_hex])
BEFORE = (EVERYTHING[0], make_list("presse", "journal.example", "nu.example"))
"""The lists of the night before."""
SETTINGS = PolicySettings(
    profiles=(
        ProfileSettings(
            "ecole",
            "École",
            categories=category_rules(("jeux", "adultes")),
            names=(NameRule("bloque.example", Verdict.BLOCK, layer="Guise"), NameRule("permis.example", Verdict.ALLOW)),
        ),
        ProfileSettings("maitres", "Enseignants", categories=category_rules(("adultes",))),
    ),
    default_profile="ecole",
    networks=(NetworkSettings("10.9.0.0/16", "maitres"),),
)


@pytest.mark.parametrize("kind", [NamesFile, PolicyFile])
def test_layout_1_is_refused_and_says_what_to_do(kind: type[SignedFile]) -> None:
    """It held names and policy in one, without a signature, and was never published outside tests."""
    with pytest.raises(BundleRefused, match="recompilez") as refusal:
        kind.open(CONTRACTS / "bundle-1" / "school.preau")
    assert refusal.value.reason == "older_format"


def test_names_of_layout_2_are_read() -> None:
    names = NamesFile.open(NAMES, TRUSTED)

    found = names.find_set(hash_name(b"en.deux.example", names.header.key))
    assert found is not None
    assert (names.serial, names.compiled_at, names.names) == (7, NOON, 4)
    assert [names.lists[member.position].slug for member in names.sets[found]] == ["adultes", "jeux"]
    assert len(names.rules) == 3
    assert [network for network, _ in names.find_address_sets(bytes([192, 0, 2, 129]))] == [
        "192.0.2.128/25",
        "192.0.2.0/24",
    ]
    exact = names.find_set(hash_name(b"exact.example", names.header.key))
    assert exact is not None
    assert Member(1, important=True) in names.sets[exact]


def test_a_policy_of_layout_2_is_read() -> None:
    policy = PolicyFile.open(POLICY, TRUSTED)

    assert (policy.serial, policy.compiled_at) == (8, NOON)
    assert policy.names_digest == NamesFile.open(NAMES).digest
    assert PolicySettings.from_json(policy.settings) == normalise(SETTINGS)


def test_a_recorded_delta_is_applied(tmp_path: Path) -> None:
    compile_names(BEFORE, tmp_path / "old", serial=6, compiled_at=NOON, sign=KEY.sign)

    apply_delta(tmp_path / "old", DELTA, tmp_path / "new")

    assert (tmp_path / "new").read_bytes() == NAMES.read_bytes()


def test_the_same_lists_still_give_these_bytes(tmp_path: Path) -> None:
    """A change here is a new layout or a new compiler: record it beside this one, never in its place."""
    write_examples(tmp_path)

    assert (tmp_path / "school.names").read_bytes() == NAMES.read_bytes()


def write_examples(folder: Path) -> None:
    """Write what was recorded. A policy's bytes change with every field that settings get; it stays readable."""
    names = compile_names(EVERYTHING, folder / "school.names", serial=7, compiled_at=NOON, sign=KEY.sign)
    compile_policy(
        SETTINGS, folder / "school.policy", serial=8, compiled_at=NOON, names_digest=names.digest, sign=KEY.sign
    )
    compile_names(BEFORE, folder / "old", serial=6, compiled_at=NOON, sign=KEY.sign)
    (folder / "school.delta").write_bytes(make_delta(folder / "old", folder / "school.names"))
