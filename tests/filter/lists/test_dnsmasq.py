"""dnsmasq configuration, as dnsmasq(8) tells it under --address, --server and --bogus-nxdomain."""

from pathlib import Path

import pytest

from filter.lists.dnsmasq import read_dnsmasq
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry
from filter.lists.hosts import REDIRECTS
from tests.filter.lists.files import read_with


@pytest.mark.parametrize(
    ("line", "entries"),
    [
        ("address=/pub.example/0.0.0.0", ["pub.example"]),
        ("address=/pub.example/::", ["pub.example"]),
        ("address=/pub.example/#", ["pub.example"]),
        ("address=/pub.example/", ["pub.example"]),
        ("address=/a.example/b.example/c.example/127.0.0.1", ["a.example", "b.example", "c.example"]),
        ("address=/pub.example/0.0.0.0,::", ["pub.example"]),
        ("--address=/pub.example/0.0.0.0", ["pub.example"]),
        ("address = /Pub.Example/ # note", ["pub.example"]),
        ("address=/.pub.example/", ["pub.example"]),
        ("local=/pub.example/", ["pub.example"]),
        ("server=/pub.example/trace.example/", ["pub.example", "trace.example"]),
        ("server=/www.pub.example/#", [NameEntry("www.pub.example", allows=True)]),
        ("address=/*.pub.example/", [NameEntry("pub.example", Match.BELOW)]),
        ("address=/*pub.example/", [RuleEntry("*pub.example", pattern=r"pub\.example$")]),
        ("bogus-nxdomain=198.51.100.7", [AddressEntry("198.51.100.7/32")]),
        ("bogus-nxdomain=198.51.100.7/24", [AddressEntry("198.51.100.0/24")]),
        ("ignore-address=2001:db8::1", [AddressEntry("2001:db8::1/128")]),
    ],
)
def test_what_blocks_is_read(tmp_path: Path, line: str, entries: list[Entry]) -> None:
    found, report = read_with(read_dnsmasq, tmp_path, f"# dnsmasq\n{line}\n")

    assert found == entries
    assert (dict(report.skipped), report.warnings) == ({}, [])
    assert report.names + report.addresses + report.rules == len(entries)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("address=/#/0.0.0.0", "too_wide"),
        ("address=/*/", "too_wide"),
        ("address=/*s/", "too_wide"),
        ("address=//0.0.0.0", "unsupported_syntax"),
        ("address=0.0.0.0", "unsupported_syntax"),
        ("address=", "unsupported_syntax"),
        ("address=/com/", "public_suffix"),
        ("address=/*.gouv.fr/", "public_suffix"),
        ("address=/*com/", "public_suffix"),
        ("address=/a..example/", "invalid_name"),
        ("server=/pub.example/192.0.2.1", "unsupported_syntax"),
        ("server=192.0.2.1", "unsupported_syntax"),
        ("cname=a.example,b.example", "unsupported_syntax"),
        ("ipset=/pub.example/pub", "unsupported_syntax"),
        ("no-resolv", "unsupported_syntax"),
        ("pub.example", "unsupported_syntax"),
        ("bogus-nxdomain=0.0.0.0/0", "too_wide"),
        ("bogus-nxdomain=pub.example", "bad_address"),
    ],
)
def test_what_does_not_is_reported(tmp_path: Path, line: str, reason: str) -> None:
    entries, report = read_with(read_dnsmasq, tmp_path, f"local=/avant.example/\n{line}\n")

    assert (entries, dict(report.skipped)) == (["avant.example"], {reason: 1})
    assert report.examples[reason][0][0] == 2


def test_a_list_leads_nobody_elsewhere(tmp_path: Path) -> None:
    entries, report = read_with(read_dnsmasq, tmp_path, "address=/banque.example/198.51.100.7\n")

    assert (entries, report.warnings) == (["banque.example"], [REDIRECTS])
