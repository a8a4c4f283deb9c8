"""Whatever a UT1 folder or archive holds, it is read or refused, and nothing is written beside it.

Trees of ``tests/filter/corpus/ut1`` are JSON: path -> content (Latin-1), or ``{"link": target}``; archives are in
``tests/filter/corpus/archives``. ``./test --long`` changes both at random for PREAU_LONG seconds (300); what fails is
left there, where it stays as a regression test.
"""

import gzip
import hashlib
import io
import json
import lzma
import os
import random
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from filter.bundle import NamesFile
from filter.compiler import compile_names
from filter.lists.formats import FORMATS, examine
from filter.lists.lines import ListRefused
from filter.lists.source import REASONS, ListReport, ListSource
from filter.lists.ut1 import read_ut1
from filter.lists.ut1_archive import is_archive, ut1_folder
from tests.filter.conftest import NOON
from tests.filter.lists.test_fuzz import FILES as LISTS
from tests.filter.lists.test_fuzz import PIECES, changed_files, hold

CORPUS = Path(__file__).parents[1] / "corpus"
TREES, ARCHIVES = CORPUS / "ut1", CORPUS / "archives"
SECONDS = int(os.environ.get("PREAU_LONG", "300"))
Tree = dict[str, str | Mapping[str, str]]
PATHS = (
    "adult/domains", "adult/domains.xz", "adult/usage", "adult/urls", "adult/expressions", "adult/urls.xz",
    "global_usage",
    "adult", "games", "games/domains", "games/very_restrictive_expression", "porn", "strict/domains", "strict/usage",
    "aliases.json", "global_usage/domains", "ADULT/domains", "a b/domains", "é/domains", "doh/domains/x",
    "doh/usage/x",
    "_x/domains", "-/domains", "x" * 70 + "/domains", "liste:/domains", "\n/domains", "\udcff/domains",
    "adult/a/domains",
)  # fmt: skip
TEXTS = (
    "", "jeu.example\n", "nu.example\r\n192.0.2.1\n2001:db8::/32\n",
    "\ufeff".encode().decode("latin-1") + "a.example\n",
    "black", "white black\n", "NAME: adult\nNAME FR: Adultes\n", "NAME FR: rien\nNAME:\nNAME: \x00\n", "<html>",
    "\x00",
    "(a|b", "site.example/page\n", "com\n", "[1]", '{"porn": "adult"}', '{"adult": "porn", "porn": "adult"}',
    "[" * 5000,
    '{"strict/domains": "games/domains"}', '{"strict/domains": "../../x"}', '{"a": 1, "strict/domains": []}', "{}",
    "1",
    lzma.compress(b"jeu.example\n").decode("latin-1"), lzma.compress(b"jeu.example\n")[:-5].decode("latin-1"),
    gzip.compress(b"jeu.example\n", mtime=0).decode("latin-1"), '{"strict/domains": "\\u0000"}', "\xff" * 3000,
)  # fmt: skip
LINKS = ("adult", "../adult/domains", "porn", ".", "..", "/dev/null", "strict", "nulle-part", "domains", "x" * 300)
CONTENTS = (b"jeu.example\n", b"", b"black\n", b"[1]", b"\xff\x00", b"NAME: jeux\nNAME FR: Jeux\n", b"a.example\n" * 99)


def write_tree(folder: Path, tree: Tree) -> None:
    """Make it as far as a disk can hold it: what stands in the way of an earlier part is left out."""
    for name, content in tree.items():
        path = folder / name
        with suppress(OSError, ValueError):
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                path.write_bytes(content.encode("latin-1"))
            else:
                path.symlink_to(content["link"])


def read_folder(folder: Path) -> None:
    """Every category that is read, to the names file that it gives, with and without numpy."""
    usable = [source for source in read_ut1(folder) if is_read(source)]
    names = folder.parent / "names"
    written = []
    for use_numpy in (True, False):
        compile_names(usable, names, serial=1, compiled_at=NOON, use_numpy=use_numpy)
        NamesFile.open(names)
        written.append(names.read_bytes())
    assert written[0] == written[1]


def is_read(source: ListSource) -> bool:
    """Whether a category is no damaged file; what it gives is held to what the rest relies on."""
    report = ListReport()
    try:
        entries = list(source.read(report))
    except ListRefused:
        return False
    for entry in entries:
        hold(entry)
    assert report.names + report.addresses == len(entries)
    assert set(report.skipped) == set(report.examples) <= set(REASONS)
    return True


def try_tree(tree: Tree) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name, "ut1")
        folder.mkdir()
        write_tree(folder, tree)
        with suppress(ListRefused):
            read_folder(folder)


def try_archive(content: bytes) -> None:
    """Read it as it is published: recognised, unpacked and compiled; nothing is left, or written elsewhere."""
    with TemporaryDirectory() as name:
        path = Path(name, "blacklists.tar")
        path.write_bytes(content)
        is_archive(path)
        with suppress(ListRefused), ut1_folder(path) as folder:
            assert not any(each.is_symlink() for each in folder.rglob("*"))
            read_folder(folder)
        assert {each.name for each in Path(name).iterdir()} == {"blacklists.tar"}


def trees() -> list[Tree]:
    return [json.loads(path.read_text("utf-8")) for path in sorted(TREES.iterdir())]


@pytest.mark.parametrize("path", sorted(TREES.iterdir()), ids=lambda path: path.name)
def test_the_trees_of_the_corpus_are_read_or_refused(path: Path) -> None:
    try_tree(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("path", sorted(ARCHIVES.iterdir()), ids=lambda path: path.name)
def test_the_archives_of_the_corpus_are_read_or_refused(path: Path) -> None:
    try_archive(path.read_bytes())


def test_changed_trees_and_archives_are_read_or_refused() -> None:
    chance = random.Random(20261122)
    for _ in range(40):
        try_tree(changed_tree(chance))
        try_archive(changed_archive(chance))


def for_minutes(make: Callable[[random.Random], bytes], attempt: Callable[[bytes], None], left_in: Path) -> None:
    """Try what chance makes for PREAU_LONG seconds; what fails is left in the corpus."""
    seed = time.time_ns()
    print(f"seed {seed}")  # shown when the test fails
    chance = random.Random(seed)
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        content = make(chance)
        try:
            attempt(content)
        except BaseException:
            (left_in / f"found-{hashlib.sha256(content).hexdigest()[:12]}").write_bytes(content)
            raise


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_changed_trees_are_read_or_refused_for_minutes() -> None:
    for_minutes(
        lambda chance: json.dumps(changed_tree(chance), indent=1).encode(),
        lambda content: try_tree(json.loads(content)),
        TREES,
    )


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_changed_archives_are_read_or_refused_for_minutes() -> None:
    for_minutes(changed_archive, try_archive, ARCHIVES)


@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_changed_lists_are_recognised_for_minutes(tmp_path: Path) -> None:
    """Whatever a file is, its format is told or it is refused; compressed it is the same file."""
    path = tmp_path / "list"
    contents: dict[int, Iterator[bytes]] = {}

    def attempt(content: bytes) -> None:
        told = recognised(path, content)
        assert recognised(path, gzip.compress(content, 1)) == told
        assert recognised(path, lzma.compress(content, preset=0)) == told

    for_minutes(lambda chance: next(contents.setdefault(id(chance), changed_files(chance))), attempt, LISTS[0].parent)


def recognised(path: Path, content: bytes) -> str:
    """The format, "" for what is refused; its reader then reads the file, or refuses it too."""
    path.write_bytes(content)
    try:
        found = examine(path)
    except ListRefused:
        return ""
    assert found.why
    with suppress(ListRefused):
        list(FORMATS[found.format](path, ListReport()))
    return found.format


def changed_tree(chance: random.Random) -> Tree:
    """A tree of the corpus with files put in, taken out and changed."""
    tree: Tree = dict(chance.choice(trees()))
    for _ in range(chance.randint(1, 8)):
        name = chance.choice((*PATHS, *tree))
        match chance.randrange(5):
            case 0:
                tree[name] = {"link": chance.choice(LINKS)}
            case 1:
                tree.pop(name, None)
            case 2:
                kept = tree.get(name)
                tree[name] = changed_text(chance, kept if isinstance(kept, str) else "")
            case _:
                tree[name] = chance.choice(TEXTS)
    items = list(tree.items())
    chance.shuffle(items)
    return dict(items)


def changed_text(chance: random.Random, text: str) -> str:
    at = chance.randrange(len(text) + 1)
    return text[:at] + chance.choice(PIECES).decode("latin-1") + text[at + chance.choice((0, 0, 1, 5)) :]


def changed_archive(chance: random.Random) -> bytes:
    """An archive of UT1's own names and others, then bytes changed, inside of its compression or outside."""
    content = chance.choice((made_archive, kept_archive))(chance)
    if chance.random() < 0.7:
        content = changed_bytes(chance, content)
    packed = chance.choice((bytes, gzip.compress, lzma.compress))(content)
    return changed_bytes(chance, packed) if chance.random() < 0.3 else packed


def kept_archive(chance: random.Random) -> bytes:
    return chance.choice([path.read_bytes() for path in sorted(ARCHIVES.iterdir())])


def made_archive(chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    form = chance.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for _ in range(chance.randint(1, 8)):
            with suppress(ValueError):  # a name that this form cannot hold
                add_member(tar, chance)
    return buffer.getvalue()


def add_member(tar: tarfile.TarFile, chance: random.Random) -> None:
    member = tarfile.TarInfo(chance.choice(("", "blacklists/", "./", "x/")) + chance.choice(PATHS))
    kinds = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE)
    member.type = chance.choice((tarfile.REGTYPE, tarfile.REGTYPE, *kinds))
    content = chance.choice(CONTENTS)
    if member.issym() or member.islnk():
        member.linkname = chance.choice((*LINKS, *PATHS))
    member.size = len(content) if member.isreg() else chance.choice((0, 0, 0, 512, 1 << 20))
    if chance.random() < 0.1:
        member.pax_headers = {"size": chance.choice(("x", "-1", "5", "9" * 30)), "path": "a/domains", "mtime": "nan"}
    tar.addfile(member, io.BytesIO(content) if member.isreg() else None)


def changed_bytes(chance: random.Random, content: bytes) -> bytes:
    """A few bytes changed, cut out, doubled; half the time headers get the checksum that fits them."""
    altered = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at, size = chance.randrange(len(altered) + 1), chance.choice((0, 1, 1, 8, 512))
        new = chance.choice((chance.randbytes(size), b"\x00" * size, altered[:512], b"7777777777", b"\x80\xff", b""))
        altered[at : at + size] = new
    if chance.random() < 0.5:
        for start in range(0, len(altered) - 511, 512):
            if altered[start + 257 : start + 262] == b"ustar":
                altered[start + 148 : start + 156] = b"        "
                altered[start + 148 : start + 156] = b"%06o\x00 " % sum(altered[start : start + 512])
    return bytes(altered)
