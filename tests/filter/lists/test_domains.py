"""Plain lists: one name or address on each line, cleaned; what is none is reported with its number."""

from pathlib import Path

import pytest

from filter.lists.domains import read_domains, read_plain, read_plain_line
from filter.lists.entries import AddressEntry
from filter.lists.lines import LONGEST_LINE, read_raw_lines
from filter.lists.source import REASONS, ListReport
from tests.filter.lists.files import read_with


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("jeu.example", "jeu.example"),
        ("JEU.Example", "jeu.example"),
        (".afshin.example", "afshin.example"),
        ("*.jeu.example", "jeu.example"),
        ("jeu.example.", "jeu.example"),
        ("  jeu.example \r", "jeu.example"),
        ("\ufeffjeu.example", "jeu.example"),
        ("jeu.example # depuis 2024", "jeu.example"),
        ("jeu.example# depuis 2024", "jeu.example"),
        ("jeu.example ; note", "jeu.example"),
        ("jeu.example\t! note", "jeu.example"),
        ("_dmarc.jeu.example", "_dmarc.jeu.example"),
        ("xn--jeu-bja.example", "xn--jeu-bja.example"),
        ("École.example", "xn--cole-9oa.example"),
        ("jeu。example", "jeu.example"),  # the full stop of Chinese and Japanese, UTS 46
        ("ﬁlm.example", "film.example"),
        ("straße.example", "xn--strae-oqa.example"),
        ("a--b.example", "a--b.example"),
        ("-a.example", "-a.example"),
        ("a-.example", "a-.example"),
        ("1and1.example", "1and1.example"),
        ("123.example", "123.example"),
        (f"{'a' * 63}.example", f"{'a' * 63}.example"),
        ("blogspot.com", "blogspot.com"),  # a platform: a list may mean to name it
        ("parlement.gouv.fr", "parlement.gouv.fr"),
        ("intranet", "intranet"),  # no top-level domain: nothing public is under it
    ],
)
def test_a_name_is_cleaned(tmp_path: Path, line: str, name: str) -> None:
    entries, report = read_with(read_domains, tmp_path, f"{line}\n")

    assert (entries, dict(report.skipped)) == ([name], {})
    assert (report.lines, report.names) == (1, 1)


@pytest.mark.parametrize(
    ("line", "network"),
    [
        ("192.0.2.17", "192.0.2.17/32"),
        ("192.0.2.17 # serveur", "192.0.2.17/32"),
        ("192.0.2.17/24", "192.0.2.0/24"),
        ("2001:DB8::1", "2001:db8::1/128"),
        ("2001:0db8:0:0:0:0:0:1", "2001:db8::1/128"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_an_address_blocks_the_answers_that_lead_there(tmp_path: Path, line: str, network: str) -> None:
    entries, report = read_with(read_domains, tmp_path, f"{line}\n")

    assert entries == [AddressEntry(network)]
    assert (report.lines, report.names, report.addresses) == (1, 0, 1)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("192.0.2", "bad_address"),
        ("192.0.2.256", "bad_address"),
        ("192.0.2.01", "bad_address"),
        ("2001:db8:::1", "bad_address"),
        ("192.0.2.0/33", "bad_address"),
        ("192.0.0.0/7", "too_wide"),
        ("2000::/3", "too_wide"),
        ("com", "public_suffix"),
        ("gouv.fr", "public_suffix"),
        ("*.co.uk", "public_suffix"),
        ("Com.", "public_suffix"),
        ("anything.ck", "public_suffix"),  # *.ck
        ("公司.cn", "public_suffix"),
        ("localhost", "local_name"),
        ("a..example", "invalid_name"),
        ("..", "invalid_name"),
        ("jeu example", "invalid_name"),
        ("jeu.example:8080", "invalid_name"),
        ("jeu@example.org", "invalid_name"),
        ("jeu.*.example", "invalid_name"),
        ("*jeu.example", "invalid_name"),
        ("||jeu.example^", "invalid_name"),
        ("\xa0", "invalid_name"),
        (f"{'a' * 64}.example", "invalid_name"),
        (f"{'é' * 60}.example", "invalid_name"),
        (".".join(["a" * 60] * 5), "too_long"),
        ("jeu.example/page", "url"),
        ("http://jeu.example/", "url"),
        (f"http://jeu.example/{'a' * 300}", "url"),
        ("|", "invalid_name"),
        ("-----", "invalid_name"),
        ("x" * (LONGEST_LINE + 10), "too_long"),
        ("jeu.123", "invalid_name"),
    ],
)
def test_a_line_that_is_no_name_is_reported_with_its_number(tmp_path: Path, line: str, reason: str) -> None:
    entries, report = read_with(read_domains, tmp_path, f"# liste\n\navant.example\n{line}\napres.example\n")

    assert entries == ["avant.example", "apres.example"]
    assert dict(report.skipped) == {reason: 1}
    number, text = report.examples[reason][0]
    assert number == 4
    assert line.startswith(text)
    assert report.lines == 3
    assert reason in REASONS


@pytest.mark.parametrize("line", ["", " ", "# a.example", "! a.example", "; a.example", "// a", "[Adblock Plus 2.0]"])
def test_comments_are_no_lines(tmp_path: Path, line: str) -> None:
    entries, report = read_with(read_domains, tmp_path, f"{line}\n")

    assert (entries, report) == ([], ListReport())


def test_examples_are_few(tmp_path: Path) -> None:
    _, report = read_with(read_domains, tmp_path, "com\n" * 20)

    assert report.skipped["public_suffix"] == 20
    assert report.examples["public_suffix"] == [(number, "com") for number in range(1, 6)]


def test_the_short_way_and_the_long_way_agree(tmp_path: Path) -> None:
    """A faster reader takes usual lines itself and hands the others to read_plain_line."""
    lines = [
        *("a.fr", "fr", "gouv.fr", "www.ck", "x.ck", "a.1", "1.a", "A.fr", ".a.fr", "a", "-a.fr", "a_.fr", "localhost"),
        "a" * 254,
        "é.fr",
        "a.fr#x",
    ]
    path = tmp_path / "list.txt"
    path.write_text("\n".join([*lines, f"{'a.' * 126}fr", f"{'a.' * 127}fr", " a.fr", "192.0.2.1"]))
    short, long = ListReport(), ListReport()

    entries = [read_plain_line(number, line, long) for number, line in read_raw_lines(path)]

    assert list(read_plain(path, short)) == [entry for entry in entries if entry is not None]
    assert short == long
