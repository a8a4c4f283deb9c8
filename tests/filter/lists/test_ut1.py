"""UT1 trees, with the oddities of the real ones, read into names and a report."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import NamesFile
from filter.compiler import compile_names
from filter.domains import DEFAULT_KEY, hash_name
from filter.lists.entries import AddressEntry, Entry
from filter.lists.lines import ListRefused
from filter.lists.source import ListReport, ListSource
from filter.lists.ut1 import read_ut1
from tests.filter.conftest import NOON
from tests.filter.lists.files import compress, write_ut1

REAL = Path(__file__).parents[3].parent / "shared" / "data" / "ut1"


def read(source: ListSource) -> tuple[list[Entry], ListReport]:
    report = ListReport()
    return list(source.read(report)), report


def test_names_and_addresses_are_read(tmp_path: Path) -> None:
    content = b"jeu.example\n192.0.2.17\n2001:db8::1\n.Pari.example\ncom\n\xff.example\njeu.example/page\n"
    (source,) = read_ut1(write_ut1(tmp_path / "ut1", jeux=content))

    entries, report = read(source)

    assert entries == ["jeu.example", AddressEntry("192.0.2.17/32"), AddressEntry("2001:db8::1/128"), "pari.example"]
    assert (report.lines, report.names, report.addresses) == (7, 2, 2)
    assert dict(report.skipped) == {"public_suffix": 1, "not_text": 1, "url": 1}
    assert read(source) == (entries, report)
    assert source.plain == (tmp_path / "ut1" / "jeux" / "domains",)


def test_compressed_lists_are_read_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", jeux=["jeu.example"], sports=["sport.example"])
    compress(tree / "jeux" / "domains")
    jeux, sports = read_ut1(tree)
    assert read(jeux)[0] == ["jeu.example"]
    assert read(sports)[0] == ["sport.example"]

    path = tree / "jeux" / "domains.xz"
    path.write_bytes(path.read_bytes()[:-12])
    jeux = read_ut1(tree)[0]
    with pytest.raises(ListRefused, match="xz"):
        read(jeux)


def test_titles_usage_and_what_dns_cannot_enforce(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", jeux=["jeu.example"])
    (tree / "global_usage").write_text("# x\nNAME:\tjeux\nNAME EN: Games\nNAME FR: Jeux en ligne\n")
    (tree / "jeux" / "usage").write_text("black white games")
    (tree / "jeux" / "urls").write_text("site.example/jeux\nautre.example/jeu.html\n")
    (tree / "jeux" / "expressions").write_text("(poker|casino)\n")
    (tree / "jeux" / "very_restrictive_expression").write_text("jeu\n")

    (source,) = read_ut1(tree)
    names, report = read(source)

    assert (source.slug, source.title, source.usage) == ("jeux", "Jeux en ligne", ("black", "white"))
    assert source.licence == "CC BY-SA 4.0"
    assert names == ["jeu.example"]  # urls are never widened to their host
    assert dict(report.not_enforceable) == {"urls": 2, "expressions": 2}


def test_a_category_is_called_the_same_everywhere(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", agressif=["haine.example"], neuf=["neuf.example"])
    (tree / "global_usage").write_text("NAME: agressif\nNAME FR: Agréssif (anglais)\n")

    assert [source.title for source in read_ut1(tree)] == ["Haine et violence", "neuf"]


def test_aliases_are_links_or_noted(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", adult=["nu.example"], redirector=["proxy.example"])
    (tree / "porn").symlink_to("adult")
    (tree / "strict_redirector").mkdir()
    (tree / "strict_redirector" / "usage").write_text("black")
    (tree / "aliases.json").write_text(
        json.dumps({"proxy": "redirector", "strict_redirector/domains": "redirector/domains"})
    )

    assert [source.slug for source in read_ut1(tree)] == ["adult", "redirector", "strict_redirector"]
    assert [source.slug for source in read_ut1(tree, ["porn", "adult"])] == ["adult"]
    assert [source.slug for source in read_ut1(tree, ["proxy"])] == ["redirector"]
    (strict,) = read_ut1(tree, ["strict_redirector"])
    assert read(strict)[0] == ["proxy.example"]


def test_a_category_without_names_says_so(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", jeux=["jeu.example"])
    (tree / "adult").mkdir()
    (tree / "adult" / "urls").write_text("site.example/nu\n")

    names, report = read(read_ut1(tree, ["adult"])[0])

    assert names == []
    assert "domains" in report.warnings[0]


def test_a_folder_whose_name_is_no_category_is_told_once(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", jeux=["jeu.example"], sport=["sport.example"])
    for name in ("Réseaux sociaux", "PUBLICITE\n"):
        (tree / name).mkdir()
        (tree / name / "domains").write_text("autre.example\n")
    (tree / "notes").mkdir()
    first, second = (read(source)[1] for source in read_ut1(tree))
    assert [warning.partition(" laissé")[0] for warning in first.warnings] == [
        "dossier « PUBLICITE? »",
        "dossier « Réseaux sociaux »",
    ]
    assert second.warnings == []


@pytest.mark.parametrize(
    ("content", "categories", "words"),
    [(None, None, "dossier"), ({}, None, "aucune catégorie"), ({"jeux": []}, ["jeu"], "inconnues : jeu .*jeux")],
)
def test_a_folder_that_is_no_ut1_tree_is_refused(
    tmp_path: Path, content: dict[str, list[str]] | None, categories: list[str] | None, words: str
) -> None:
    tree = tmp_path / "ut1"
    if content is not None:
        tree.mkdir()
        write_ut1(tree, **content)
    with pytest.raises(ListRefused, match=words):
        read_ut1(tree, categories)


LABEL = st.text("yz-_0", min_size=1, max_size=5)
LINE = st.one_of(
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "fr"])),
    st.sampled_from(["192.0.2.1", "gouv.fr", "com", "# note", "", ".a.fr", "A.fr", "*.b.fr", "a.fr/x", "a.fr # b"]),
    st.text("yz.\r #", max_size=12),
)


def is_name(line: str) -> bool:
    labels = line.split(".")
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    whole = all(0 < len(label) < 64 and set(label) <= allowed for label in labels)
    edges = all(label.strip("-") == label for label in labels)
    return whole and not labels[-1].isdigit() and (len(labels) > 1 or edges) and line not in {"gouv.fr", "com", "fr"}


def naive_names(text: str) -> set[str]:
    """What a list means, told in the plainest way, for names of ASCII."""
    found = set()
    for raw in text.split("\n"):
        line = raw.split("#")[0].strip().lower().removesuffix(".")
        for start in ("*.", "."):
            line = line.removeprefix(start)
        if line and is_name(line):
            found.add(line)
    return found


@settings(max_examples=100, deadline=None)
@given(lists=st.lists(st.lists(LINE, max_size=15), min_size=1, max_size=3), use_numpy=st.booleans())
def test_reader_bundle_and_look_up_equal_a_naive_matcher(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[str]], use_numpy: bool
) -> None:
    folder = tmp_path_factory.mktemp("ut1")
    texts = {f"liste{number}": "\n".join(lines) for number, lines in enumerate(lists)}
    sources = read_ut1(write_ut1(folder / "ut1", **texts))
    compile_names(sources, folder / "b", serial=1, compiled_at=NOON, use_numpy=use_numpy)
    names = NamesFile.open(folder / "b")
    expected = {slug: naive_names(text) for slug, text in texts.items()}

    for name in {*set().union(*expected.values()), "a.fr", "b.fr", "b.b.fr", "y.z", "fr", "gouv.fr"}:
        set_id = names.find_set(hash_name(name.encode(), DEFAULT_KEY))
        members = () if set_id is None else names.sets[set_id]
        assert {names.lists[member.position].slug for member in members} == {
            slug for slug, listed in expected.items() if name in listed
        }, name


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real UT1 lists are not in {REAL}")
def test_the_whole_of_ut1_is_read(tmp_path: Path) -> None:
    reports = {source.slug: read(source)[1] for source in read_ut1(REAL)}

    assert sum(report.addresses for report in reports.values()) == 72_179
    assert {reason for report in reports.values() for reason in report.skipped} == {"public_suffix"}
    for report in reports.values():
        assert report.lines == report.names + report.addresses + report.skipped.total()
