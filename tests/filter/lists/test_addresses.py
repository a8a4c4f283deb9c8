"""Lists of addresses, networks and ranges."""

from pathlib import Path

import pytest

from filter.lists.addresses import read_addresses
from filter.lists.entries import AddressEntry
from tests.filter.lists.files import read_with


@pytest.mark.parametrize(
    ("line", "networks"),
    [
        ("192.0.2.1", ["192.0.2.1/32"]),
        ("192.0.2.0/24 ; SBL256894", ["192.0.2.0/24"]),
        ("192.0.2.7/24", ["192.0.2.0/24"]),
        ("192.0.2.0/255.255.255.0", ["192.0.2.0/24"]),
        ("192.0.2.1,80,botnet", ["192.0.2.1/32"]),
        ("192.0.2.1#x", ["192.0.2.1/32"]),
        ("2001:DB8::/48", ["2001:db8::/48"]),
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("192.0.2.0-192.0.2.255", ["192.0.2.0/24"]),
        ("192.0.2.1-192.0.2.4", ["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/32"]),
        ("2001:db8::-2001:db8::1", ["2001:db8::/127"]),
    ],
)
def test_networks_are_read(tmp_path: Path, line: str, networks: list[str]) -> None:
    entries, report = read_with(read_addresses, tmp_path, f"; DROP\n# liste\n{line}\n")

    assert entries == [AddressEntry(network) for network in networks]
    assert (report.lines, report.addresses, dict(report.skipped)) == (1, len(networks), {})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0.0.0.0/0", "too_wide"),
        ("::/0", "too_wide"),
        ("0.0.0.0-255.255.255.255", "too_wide"),
        ("192.0.2.1/40", "bad_address"),
        ("192.0.2", "bad_address"),
        ("192.0.2.9-192.0.2.1", "bad_address"),
        ("192.0.2.9-2001:db8::", "bad_address"),
        ("-", "bad_address"),
        ("jeu.example", "bad_address"),
        (",", "bad_address"),
    ],
)
def test_the_rest_is_reported(tmp_path: Path, line: str, reason: str) -> None:
    entries, report = read_with(read_addresses, tmp_path, f"192.0.2.1\n{line}\n")

    assert (entries, dict(report.skipped)) == ([AddressEntry("192.0.2.1/32")], {reason: 1})
    assert report.examples[reason] == [(2, line)]
