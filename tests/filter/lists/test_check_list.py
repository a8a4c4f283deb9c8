"""`preau-filter check-list`, as a person types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry
from filter.lists.formats import FORMATS, Recognition
from filter.lists.report import check, check_list
from filter.lists.source import REASONS, ListReport
from filter.options import LIST_FORMATS
from tests.filter.lists.files import write_ut1

ROOT = Path(__file__).parents[3]


def check_by_hand(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "filter", "check-list", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def hosts(tmp_path: Path) -> Path:
    path = tmp_path / "hosts.txt"
    path.write_text(
        "# liste\n127.0.0.1 localhost\n0.0.0.0 pub.example\n0.0.0.0 PUB.example\n0.0.0.0 gouv.fr\n0.0.0.0 a..b\n"
        "0.0.0.0 www.lemonde.fr ac-amiens.fr\n"
    )
    return path


def test_the_report_is_french(hosts: Path) -> None:
    done = check_by_hand(str(hosts))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "hosts.txt : format hosts (des 6 premières lignes, 6 commencent par une adresse suivie de noms)",
        "           6  lignes, commentaires à part",
        "           4  noms seuls, sans ce qui est au-dessous",
        "           1  répétitions (pub.example)",
        "Lignes écartées :",
        "           1  nom de la machine elle-même (localhost…)",
        "              ligne 2 : 127.0.0.1 localhost",
        "           1  suffixe public (com, gouv.fr…)",
        "              ligne 5 : 0.0.0.0 gouv.fr",
        "           1  nom invalide",
        "              ligne 6 : 0.0.0.0 a..b",
        "Noms très demandés qu’elle bloquerait (courant) : 1",
        "              lemonde.fr (par www.lemonde.fr)",
        "Noms très demandés qu’elle bloquerait (éducation) : 1",
        "              ac-amiens.fr",
    ]


def test_the_report_is_json(hosts: Path) -> None:
    report = json.loads(check_by_hand("--json", str(hosts)).stdout)

    assert (report["format"], report["lines"], report["entries"]["exact"]) == ("hosts", 6, 4)
    assert report["public_suffixes"] == 1
    assert report["skipped"]["invalid_name"] == {
        "count": 1,
        "meaning": REASONS["invalid_name"],
        "examples": [{"line": 6, "text": "0.0.0.0 a..b"}],
    }
    assert report["duplicates"] == {"count": 1, "examples": ["pub.example"]}
    assert report["popular"][0] == {"name": "lemonde.fr", "group": "courant", "entry": "www.lemonde.fr"}


def test_the_format_may_be_given(hosts: Path) -> None:
    report = json.loads(check_by_hand("--json", "--format", "domains", str(hosts)).stdout)

    assert (report["format"], report["why"], report["entries"]["names"]) == ("domains", "indiqué", 0)
    assert report["skipped"]["invalid_name"]["count"] == 6


def test_what_cannot_be_read_is_one_sentence(hosts: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html>")
    refused, missing, wrong = (
        check_by_hand(str(page)), check_by_hand(str(tmp_path / "rien")), check_by_hand("--format", "csv", str(hosts)),
    )  # fmt: skip

    assert (refused.returncode, missing.returncode, wrong.returncode) == (1, 1, 2)
    assert "page HTML" in refused.stderr
    assert "n’existe pas" in missing.stderr
    assert "« csv » n’existe pas ; au choix : adblock, addresses" in wrong.stderr


def test_a_ut1_tree_is_told_list_by_list(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", jeux=["jeu.example", "google.fr"], sports=["sport.example", "192.0.2.1"])
    (tree / "jeux" / "urls").write_text("site.example/jeux\n")

    report = json.loads(check_by_hand("--json", str(tree)).stdout)

    assert [(one["list"], one["entries"]["names"]) for one in report["lists"]] == [("jeux", 2), ("sports", 1)]
    assert report["lists"][0]["not_enforceable"] == {"urls": 1}
    assert [hit["name"] for hit in report["lists"][0]["popular"]] == ["google.fr"]
    assert "1  adresses de pages, qu’aucun filtre DNS ne peut appliquer" in check_by_hand(str(tree)).stdout


def test_a_line_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("# x\n" * 2000 + "a.example\nb\x1b[31m.example\n")

    assert "b\\x1b[31m.example" in check_by_hand(str(path)).stdout


def test_kinds_and_hits_of_entries() -> None:
    entries: list[Entry] = [
        "jeu.example",
        NameEntry("a.example", Match.EXACT),
        NameEntry("b.example", Match.BELOW),
        NameEntry("google.fr"),
        NameEntry("vikidia.org"),
        NameEntry("fr.vikidia.org", allows=True),
        AddressEntry("192.0.2.0/24"),
        RuleEntry("/wiki(pedia|mini)/", pattern="wiki(pedia|mini)"),
        RuleEntry("@@||wikimini.org^$dnstype=a", anchor="wikimini.org", types=(1,), allows=True),
    ]

    found = check("essai", Recognition("domains", "essai"), lambda report: iter(entries))

    assert found.kinds == {"names": 3, "exact": 1, "below": 1, "exceptions": 2, "addresses": 1, "rules": 1}
    assert {hit.name for hit in found.popular} == {
        "google.fr", "vikidia.org", "wikipedia.org", "fr.wikipedia.org",
    }  # fmt: skip
    assert {hit.entry for hit in found.popular} == {"google.fr", "vikidia.org", "/wiki(pedia|mini)/"}


def test_formats_of_the_command_are_those_that_are_read() -> None:
    assert list(LIST_FORMATS) == sorted(FORMATS)


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_format_reads_a_list_given_as_such(tmp_path: Path, name: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text("; rien\n" if name == "rpz" else "# rien\n")

    (found,) = check_list(path, name)

    assert (found.format, found.kinds, found.report) == (name, {}, ListReport())
