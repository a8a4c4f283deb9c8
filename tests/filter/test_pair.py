"""Names and policy opened together, and let go together."""

import gc
import shutil
import weakref
from pathlib import Path

import pytest

from filter.bundle import BundleRefused
from filter.deciding.decisions import Query
from filter.policy import decide
from filter.signing import SigningKey, trust
from filter.updates.pair import make_pair, open_pair, policy_beside
from tests.filter.bundles import KEY
from tests.filter.conftest import LISTS, NOON, SCHOOL, compile_pair


def test_a_pair_that_is_replaced_goes_at_once(bundle_file: Path) -> None:
    """Without waiting for the garbage collector: each refresh would leave a whole mapped file behind meanwhile."""
    gc.collect()
    gc.disable()
    try:
        pair = open_pair(bundle_file)
        for client in ("10.0.0.1", "10.9.0.1"):
            for name in ("www.jeu.example", "nu.example", "permis.example", "libre.example"):
                decide(Query(name), pair.policy.profile_for(client), NOON)
        names, policy = weakref.ref(pair.names), weakref.ref(pair.policy)
        del pair
        assert (names(), policy()) == (None, None)
    finally:
        gc.enable()


def test_a_new_policy_judges_by_the_same_look_ups_and_new_names_by_their_own(bundle_file: Path, tmp_path: Path) -> None:
    """Rules and patterns are not prepared anew for a change of policy: each costs a tenth of a second."""
    first = open_pair(bundle_file)
    newer = open_pair(compile_pair(LISTS, SCHOOL, tmp_path / "newer", serial=8))

    second = make_pair(first.names, newer.settings, before=first)
    third = make_pair(newer.names, newer.settings, before=second)

    assert second.policy.index is first.policy.index
    assert second.policy.profiles["ecole", ""].shelf.index is first.policy.index
    assert third.policy.index.names is newer.names


def test_the_policy_lies_beside_the_names_or_where_it_is_said(bundle_file: Path, tmp_path: Path) -> None:
    assert policy_beside(bundle_file) == tmp_path / "ecole.preau.policy"
    shutil.move(policy_beside(bundle_file), tmp_path / "ailleurs")
    with pytest.raises(FileNotFoundError):
        open_pair(bundle_file)
    assert open_pair(bundle_file, tmp_path / "ailleurs").settings.serial == 7


def test_with_trusted_keys_both_files_are_signed_or_refused(bundle_file: Path, tmp_path: Path) -> None:
    signed = compile_pair(LISTS, SCHOOL, tmp_path / "signed", serial=8, sign=KEY.sign)
    assert open_pair(signed, verify=trust([KEY.public_hex])).names.serial == 8
    with pytest.raises(BundleRefused, match="signature"):
        open_pair(bundle_file, verify=trust([KEY.public_hex]))
    with pytest.raises(BundleRefused, match="signature"):
        open_pair(signed, policy_beside(bundle_file), verify=trust([KEY.public_hex]))
    with pytest.raises(BundleRefused, match="clé inconnue"):
        open_pair(signed, verify=trust([SigningKey.generate().public_hex]))
