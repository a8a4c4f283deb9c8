"""Who is asking: a device's label, then its address's smallest network, then the default."""

from dataclasses import replace
from pathlib import Path

import pytest

from filter.bundle import BundleRefused
from filter.policy import Policy
from filter.settings import LabelSettings, NetworkSettings, PolicySettings, ProfileSettings, hash_label
from tests.filter.judging import open_policy

PROFILES = tuple(ProfileSettings(slug, slug.title()) for slug in ("autres", "ecole", "maitres", "tablettes"))
SETTINGS = PolicySettings(
    profiles=PROFILES,
    default_profile="autres",
    networks=(
        NetworkSettings("10.9.0.0/16", "maitres"),
        NetworkSettings("10.9.7.0/24", "ecole", "101"),
        NetworkSettings("10.9.7.128/25", "ecole", "102"),
        NetworkSettings("10.9.7.200", "maitres", "102"),
        NetworkSettings("2001:db8::/32", "ecole"),
        NetworkSettings("2001:db8:1::/48", "maitres"),
    ),
    labels=(LabelSettings(hash_label("k3v9"), "tablettes", "102"),),
)


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return open_policy(tmp_path, [], SETTINGS)


@pytest.mark.parametrize(
    ("client", "slug", "room"),
    [
        (None, "autres", ""),
        ("192.0.2.1", "autres", ""),
        ("10.9.1.1", "maitres", ""),
        ("10.9.7.1", "ecole", "101"),  # the longest prefix wins
        ("10.9.7.129", "ecole", "102"),
        ("10.9.7.200", "maitres", "102"),
        ("10.10.0.1", "autres", ""),
        ("::ffff:10.9.7.1", "ecole", "101"),  # IPv4 on a socket that serves both
        ("2001:db8::1", "ecole", ""),
        ("2001:db8:1::1", "maitres", ""),
        ("2001:db9::1", "autres", ""),
        ("fe80::1%eth0", "autres", ""),
        ("", "autres", ""),
        ("pas une adresse", "autres", ""),
    ],
)
def test_by_address(policy: Policy, client: str | None, slug: str, room: str) -> None:
    profile = policy.profile_for(client)

    assert (profile.slug, profile.room) == (slug, room)


@pytest.mark.parametrize(
    ("label", "slug"),
    [("k3v9", "tablettes"), ("K3V9", "tablettes"), ("inconnue", "ecole"), ("", "ecole"), (None, "ecole")],
)
def test_a_label_comes_before_the_address(policy: Policy, label: str | None, slug: str) -> None:
    assert policy.profile_for("10.9.7.1", label).slug == slug


def test_clients_of_one_room_share_a_profile(policy: Policy) -> None:
    assert policy.profile_for("10.9.7.1") is policy.profile_for("10.9.7.2")
    assert policy.profile_for("10.9.7.1") is not policy.profile_for("10.9.7.129")


def test_a_policy_holds_hashes_of_labels_only(policy: Policy) -> None:
    assert b"k3v9" not in policy.file.settings


@pytest.mark.parametrize("default", ["ecole", "nulle-part"])
def test_a_policy_that_names_what_is_not_there_is_refused(policy: Policy, default: str) -> None:
    """The compiler lets none out; a filter does not take its word for it."""
    text = policy.file.settings.replace(b'"default_profile":"autres"', f'"default_profile":"{default}"'.encode())
    policy.file.settings = text
    if default == "ecole":
        assert Policy(policy.names, policy.file).profile_for(None).slug == "ecole"
    else:
        with pytest.raises(BundleRefused) as refusal:
            Policy(policy.names, policy.file)
        assert refusal.value.reason == "invalid"


TWO_SCHOOLS = replace(
    SETTINGS,
    networks=(
        NetworkSettings("192.168.1.0/24", "autres", "9"),
        NetworkSettings("192.168.1.0/24", "ecole", "101", filter="un"),
        NetworkSettings("192.168.1.0/24", "maitres", "201", filter="deux"),
        NetworkSettings("192.168.2.0/24", "tablettes", filter="deux"),
        NetworkSettings("10.9.0.0/16", "maitres"),
    ),
)


@pytest.mark.parametrize(
    ("filter_id", "address", "slug"),
    [
        ("un", "192.168.1.7", "ecole"),
        ("deux", "192.168.1.7", "maitres"),
        ("trois", "192.168.1.7", "autres"),
        ("", "192.168.1.7", "autres"),
        ("deux", "192.168.2.7", "tablettes"),
        ("un", "192.168.2.7", "autres"),
        ("un", "10.9.0.7", "maitres"),
    ],
)
def test_a_filter_heeds_its_own_networks_and_everybodys(
    tmp_path: Path, filter_id: str, address: str, slug: str
) -> None:
    policy = open_policy(tmp_path, [], TWO_SCHOOLS)
    mine = Policy(policy.names, policy.file, filter_id)
    assert mine.profile_for(address).slug == slug
    assert {each.filter for each in mine.settings.networks} <= {"", filter_id}
