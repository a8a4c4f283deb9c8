"""`preau-filter addresses`: what a firewall closes, as lines and as commands of nftables."""

import subprocess
from pathlib import Path

import pytest

from filter.lists.entries import AddressEntry
from tests.filter.conftest import SCHOOL, compile_pair, make_list
from tests.filter.test_commands import preau_filter
from tests.requirements import find, needs

LISTS = (
    make_list("doh", AddressEntry("192.0.2.0/25"), AddressEntry("192.0.2.128/25"), AddressEntry("2001:db8::53/128")),
    make_list(
        "vpn",
        AddressEntry("198.51.100.0/30"),
        AddressEntry("198.51.100.1/32", allows=True),
        AddressEntry("192.0.2.7/32"),
    ),
    make_list("jeux", "jeu.example", AddressEntry("203.0.113.9/32")),
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return compile_pair(LISTS, SCHOOL, tmp_path / "b", serial=1)


def test_networks_of_a_category_a_line_each(bundle: Path) -> None:
    told = preau_filter("addresses", "--bundle", str(bundle)).stdout
    assert told.splitlines() == ["192.0.2.0/24", "2001:db8::53/128"]
    told = preau_filter("addresses", "--bundle", str(bundle), "--category", "doh,vpn").stdout
    assert told.splitlines() == ["192.0.2.0/24", "198.51.100.0/32", "198.51.100.2/31", "2001:db8::53/128"]


def test_a_category_without_a_list_is_an_error_not_an_open_door(bundle: Path) -> None:
    done = preau_filter("addresses", "--bundle", str(bundle), "--category", "absente")
    assert (done.returncode, done.stdout) == (1, "")
    assert "catégorie sans liste ici : absente (il y a doh, jeux, vpn)" in done.stderr
    assert "--nft a;b" in preau_filter("addresses", "--bundle", str(bundle), "--nft", "a;b").stderr


@needs("nft", "ip", root=True)
def test_nftables_takes_the_commands_twice(bundle: Path) -> None:
    """In a network namespace of its own: the second time replaces what the first one set."""
    commands = preau_filter("addresses", "--bundle", str(bundle), "--category", "doh,vpn", "--nft", "doh").stdout
    script = f"{find('nft')} -f - <<'END' && {find('nft')} -f - <<'END' && {find('nft')} list ruleset\n"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{script}{commands}END\n{commands}END\n"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "192.0.2.0/24" in done.stdout
    assert "2001:db8::53" in done.stdout
    assert "set doh_ipv4" in done.stdout
