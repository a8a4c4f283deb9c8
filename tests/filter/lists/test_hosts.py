"""Hosts files: names after an address, each blocked alone."""

from pathlib import Path

import pytest

from filter.lists.hosts import REDIRECTS, read_hosts
from filter.lists.source import REASONS
from tests.filter.lists.files import exact, read_with


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("0.0.0.0 pub.example", ["pub.example"]),
        ("127.0.0.1\tpub.example", ["pub.example"]),
        (":: pub.example", ["pub.example"]),
        ("::1   pub.example trace.example   mesure.example", ["pub.example", "trace.example", "mesure.example"]),
        ("0.0.0.0 pub.example # pages d’accueil", ["pub.example"]),
        ("0.0.0.0 pub.example#autre.example", ["pub.example"]),
        ("0.0.0.0 Pub.Example.", ["pub.example"]),
        ("0.0.0.0 publicité.example", ["xn--publicit-i1a.example"]),
        ("0.0.0.0 imprimante", ["imprimante"]),
        ("0.0.0.0%lo0 pub.example", ["pub.example"]),
        ("fe80::1%lo0 localhost pub.example", ["pub.example"]),
        ("\ufeff0.0.0.0 pub.example\r", ["pub.example"]),
        ("pub.example", ["pub.example"]),
    ],
)
def test_names_are_read(tmp_path: Path, line: str, names: list[str]) -> None:
    entries, report = read_with(read_hosts, tmp_path, f"{line}\n")

    assert entries == [exact(name) for name in names]
    assert (report.names, report.warnings) == (len(names), [])
    assert set(report.skipped) <= {"local_name"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("127.0.0.1 localhost", "local_name"),
        ("127.0.0.1 localhost.localdomain", "local_name"),
        ("255.255.255.255 broadcasthost", "local_name"),
        ("ff02::1 ip6-allnodes", "local_name"),
        ("0.0.0.0 0.0.0.0", "ip_address"),
        ("0.0.0.0 gouv.fr", "public_suffix"),
        ("0.0.0.0 com", "public_suffix"),
        ("0.0.0.0 *.pub.example", "invalid_name"),
        ("0.0.0.0 a..example", "invalid_name"),
        ("0.0.0.0 http://pub.example/", "url"),
        ("127.0.0.1", "bad_record"),
        ("0.0.0.256 pub.example", "no_address"),
        ("serveur pub.example", "no_address"),
        ("serveur", "no_address"),
        ("\xa0", "no_address"),
        ("||pub.example^", "invalid_name"),
    ],
)
def test_what_is_no_name_is_reported_with_its_number(tmp_path: Path, line: str, reason: str) -> None:
    entries, report = read_with(read_hosts, tmp_path, f"# hosts\n0.0.0.0 avant.example\n{line}\n")

    assert entries == [exact("avant.example")]
    assert dict(report.skipped) == {reason: 1}
    assert report.examples[reason] == [(3, line)]
    assert (report.warnings, reason in REASONS) == ([], True)


def test_the_good_names_of_a_line_are_kept(tmp_path: Path) -> None:
    entries, report = read_with(read_hosts, tmp_path, "0.0.0.0 localhost a.example com b.example\n")

    assert entries == [exact("a.example"), exact("b.example")]
    assert dict(report.skipped) == {"local_name": 1, "public_suffix": 1}
    assert report.lines == 1


def test_a_list_leads_nobody_elsewhere(tmp_path: Path) -> None:
    entries, report = read_with(read_hosts, tmp_path, "198.51.100.7 banque.example\n" * 2)

    assert entries == [exact("banque.example")] * 2
    assert report.warnings == [REDIRECTS]
