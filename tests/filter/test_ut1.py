"""UT1 trees, with the oddities of the real ones, read into names and a report."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import Bundle
from filter.compiler import compile_bundle
from filter.domains import DomainIndex
from filter.lists.lines import LONGEST_LINE, ListRefused, read_lines
from filter.lists.source import ListReport, ListSource
from filter.lists.ut1 import read_ut1
from filter.policy import Action, Policy, Query, decide
from filter.settings import PolicySettings, ProfileSettings
from tests.filter.conftest import NOON, compress, write_ut1

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "ut1"


def read(source: ListSource) -> tuple[list[str], ListReport]:
    report = ListReport()
    return list(source.read(report)), report


def read_text(tmp_path: Path, content: str | bytes) -> tuple[list[str], ListReport]:
    (source,) = read_ut1(write_ut1(tmp_path / "ut1", jeux=content))
    return read(source)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("jeu.example", "jeu.example"),
        ("JEU.Example", "jeu.example"),
        (".afshin.example", "afshin.example"),
        ("*.jeu.example", "jeu.example"),
        ("jeu.example.", "jeu.example"),
        ("  jeu.example \r", "jeu.example"),
        ("_dmarc.jeu.example", "_dmarc.jeu.example"),
        ("xn--jeu-bja.example", "xn--jeu-bja.example"),
        ("École.example", "xn--cole-9oa.example"),
        ("a--b.example", "a--b.example"),
        ("1and1.example", "1and1.example"),
        ("123.example", "123.example"),
        ("blogspot.com", "blogspot.com"),  # a platform: a list may mean to name it
        ("parlement.gouv.fr", "parlement.gouv.fr"),
    ],
)
def test_a_name_is_cleaned(tmp_path: Path, line: str, name: str) -> None:
    names, report = read_text(tmp_path, f"{line}\n")

    assert (names, dict(report.skipped)) == ([name], {})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("192.0.2.17", "ip_address"),
        ("192.0.2", "ip_address"),
        ("2001:db8::1", "ip_address"),
        ("com", "bare_label"),
        ("localhost", "bare_label"),
        ("gouv.fr", "public_suffix"),
        ("co.uk", "public_suffix"),
        ("Com.", "bare_label"),
        ("anything.ck", "public_suffix"),  # *.ck
        ("w-w-i-s-.example", "invalid_name"),
        ("-a.example", "invalid_name"),
        ("a..example", "invalid_name"),
        ("jeu example", "invalid_name"),
        ("jeu.example:8080", "invalid_name"),
        (f"{'a' * 64}.example", "invalid_name"),
        (".".join(["a" * 60] * 5), "too_long"),
        ("jeu.example/page", "url"),
        ("http://jeu.example/", "url"),
        ("|", "invalid_name"),
        ("\x00\x01.example", "invalid_name"),
        ("x" * (LONGEST_LINE + 10), "too_long"),
        ("jeu.123", "invalid_name"),
    ],
)
def test_a_line_that_is_no_name_is_reported_with_its_number(tmp_path: Path, line: str, reason: str) -> None:
    names, report = read_text(tmp_path, f"# liste\n\navant.example\n{line}\napres.example\n")

    assert names == ["avant.example", "apres.example"]
    assert dict(report.skipped) == {reason: 1}
    number, text = report.examples[reason][0]
    assert number == 4
    assert line.startswith(text) or reason == "public_suffix"
    assert report.lines == 3


def test_bytes_that_are_no_text_never_abort_a_list(tmp_path: Path) -> None:
    names, report = read_text(tmp_path, b"avant.example\n\xff\xfe\x80.example\napres.example")

    assert names == ["avant.example", "apres.example"]
    assert dict(report.skipped) == {"not_text": 1}


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "domains"
    path.write_bytes(b"avant.example\n" + b"a" * (5 << 20) + b"\napres.example\n")
    report = ListReport()

    lines = list(read_lines(path, report))

    assert lines == [(1, b"avant.example"), (3, b"apres.example")]
    assert report.skipped["too_long"] == 1


def test_a_file_larger_than_any_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "domains"
    path.write_bytes(b"jeu.example\n" * 100_000)

    with pytest.raises(ListRefused, match="octets"):
        list(read_lines(path, ListReport(), most_bytes=1_000_000))


def test_compressed_lists_are_read_and_a_broken_one_is_refused(tmp_path: Path) -> None:
    tree = write_ut1(tmp_path / "ut1", jeux=["jeu.example"], sports=["sport.example"])
    compress(tree / "jeux" / "domains")
    jeux, sports = read_ut1(tree)
    assert read(jeux)[0] == ["jeu.example"]
    assert read(sports)[0] == ["sport.example"]

    path = tree / "jeux" / "domains.xz"
    path.write_bytes(path.read_bytes()[:-12])
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


LABEL = st.text("ab-_0", min_size=1, max_size=5)
LINE = st.one_of(
    st.lists(LABEL, min_size=1, max_size=4).map(".".join),
    st.lists(LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "fr"])),
    st.sampled_from(["192.0.2.1", "gouv.fr", "com", "# note", "", ".a.fr", "A.fr", "*.b.fr", "a.fr/x", "é.fr"]),
    st.text(max_size=12),
)


def is_label(label: str) -> bool:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789-_")
    return 0 < len(label) < 64 and set(label) <= allowed and label[0] != "-" and label[-1] != "-"


def naive_names(text: str) -> set[str]:
    """What a list means, told in the plainest way, for names of ASCII."""
    found = set()
    for raw in text.encode().split(b"\n"):
        line = raw.strip().decode().strip().lower()
        if not line or line.startswith("#") or not line.isascii():
            continue
        line = line.removesuffix(".").removeprefix("*").removeprefix(".")
        labels = line.split(".")
        if len(labels) > 1 and all(map(is_label, labels)) and not labels[-1].isdigit() and line != "gouv.fr":
            found.add(line)
    return found


@settings(max_examples=150, deadline=None)
@given(lists=st.lists(st.lists(LINE, max_size=15), min_size=1, max_size=3), chance=st.randoms(use_true_random=False))
def test_reader_bundle_and_look_up_equal_a_naive_matcher(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[str]], chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("ut1")
    texts = {f"liste{number}": "\n".join(lines) for number, lines in enumerate(lists)}
    write_ut1(folder / "ut1", **texts)
    blocked = tuple(slug for slug in texts if chance.random() < 0.6)
    policy = PolicySettings((ProfileSettings("ecole", "École", blocked),), "ecole")
    compile_bundle(read_ut1(folder / "ut1"), policy, folder / "b", serial=1, compiled_at=NOON)
    live = Policy(Bundle.open(folder / "b"))
    index = DomainIndex(live.bundle)
    expected = {slug: naive_names(text) for slug, text in texts.items()}

    for name in {*set().union(*expected.values()), "www.a.fr", "b.b.fr", "a.b", "x.a.b", "fr", "gouv.fr"}:
        labels = name.split(".")
        parents = [".".join(labels[start:]) for start in range(len(labels))]
        matches = {(p, slug) for p in parents for slug, names in expected.items() if p in names}
        found = {
            (suffix, live.bundle.lists[member].slug)
            for suffix, set_id in index.matches(name)
            for member in live.bundle.sets[set_id]
        }
        assert found == matches
        is_blocked = any(slug in blocked for _, slug in matches)
        decision = decide(Query(name), live.profile_for(None), NOON)
        assert (decision.action is Action.BLOCKED) == is_blocked, name


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real UT1 lists are not in {REAL}")
def test_the_whole_of_ut1_compiles(tmp_path: Path) -> None:
    policy = PolicySettings((ProfileSettings("ecole", "École", ("gambling", "malware")),), "ecole")

    report = compile_bundle(read_ut1(REAL), policy, tmp_path / "ut1", serial=1, compiled_at=NOON)

    assert report.names > 500_000
    assert report.size < 13 * report.names
    skipped = {o.info.slug: o.info.skipped for o in report.lists}
    assert skipped["bank"] == {"invalid_name": 1}
    assert sum(counts.get("ip_address", 0) for counts in skipped.values()) == 72_179
    live = Policy(Bundle.open(tmp_path / "ut1"))
    profile = live.profile_for(None)
    assert decide(Query("www.bet365.com"), profile, NOON).category == "gambling"
    assert decide(Query("www.education.gouv.fr"), profile, NOON).action is Action.ALLOWED
    assert live.bundle.names == report.names
