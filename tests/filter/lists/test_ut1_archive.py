"""The archive that UT1 publishes, and archives that mean harm."""

import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.lists.lines import ListRefused
from filter.lists.source import ListReport
from filter.lists.ut1 import read_ut1
from filter.lists.ut1_archive import LONGEST_HEADER, MOST_MEMBERS, is_archive, unpack_ut1, ut1_folder
from tests.filter.lists.files import write_ut1

Add = Callable[[tarfile.TarFile], None]


def pack(path: Path, *adds: Add, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]  # a mode of its own
        for add in adds:
            add(tar)
    return path


def file(name: str, content: bytes = b"jeu.example\n") -> Add:
    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))

    return add


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Add:
    def add(tar: tarfile.TarFile) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        tar.addfile(member)

    return add


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_an_archive_reads_as_its_folder_does(tmp_path: Path, mode: str) -> None:
    tree = write_ut1(tmp_path / "blacklists", adult=["nu.example"], games=["jeu.example"], publicite=["pub.example"])
    (tree / "porn").symlink_to("adult")
    (tree / "strict").mkdir()
    (tree / "strict" / "usage").write_text("black")
    (tree / "strict" / "domains").symlink_to("../games/domains")
    (tree / "games" / "urls").write_text("site.example/jeux\n")
    (tree / "global_usage").write_text("NAME: games\nNAME FR: Jeux\n")
    (tree / "LICENSE.pdf").write_bytes(b"%PDF")
    archive = pack(tmp_path / "blacklists.tar", lambda tar: tar.add(tree, "blacklists"), mode=mode)

    assert is_archive(archive)
    with ut1_folder(archive) as folder:
        assert "LICENSE.pdf" not in files_in(folder)
        sources = {source.slug: source for source in read_ut1(folder)}
        assert list(sources) == ["adult", "games", "publicite", "strict"]
        assert [source.slug for source in read_ut1(folder, ["porn"])] == ["adult"]
        report = ListReport()
        assert list(sources["games"].read(report)) == ["jeu.example"]
        assert report.not_enforceable["urls"] == 1
        assert list(sources["strict"].read(ListReport())) == ["jeu.example"]
    assert not folder.exists()
    with ut1_folder(tree) as same:
        assert same == tree


def test_the_archive_of_one_category_is_read(tmp_path: Path) -> None:
    archive = pack(tmp_path / "games.tar.gz", file("games/domains"), file("games/usage", b"black"), mode="w:gz")

    with ut1_folder(archive) as folder:
        assert [source.slug for source in read_ut1(folder)] == ["games"]


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (file("../games/domains"), "dangereux"),
        (file("/etc/cron.d/x"), "dangereux"),
        (file("blacklists/games/../../x"), "dangereux"),
        (link("blacklists/games", "/etc"), "dangereux"),
        (link("blacklists/games/domains", "../../etc/passwd"), "dangereux"),
    ],
)
def test_paths_that_lead_outside_are_refused(tmp_path: Path, add: Add, words: str) -> None:
    (tmp_path / "into").mkdir()
    with pytest.raises(ListRefused, match=words):
        unpack_ut1(pack(tmp_path / "x.tar", file("games/domains"), add), tmp_path / "into")
    assert files_in(tmp_path) <= {"x.tar", "into/games/domains"}


def test_only_known_files_are_written_and_no_link_is_made(tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "x.tar",
        link("blacklists/games", "adult"),
        file("blacklists/games/domains"),
        file("blacklists/games/evil.sh"),
        file("blacklists/.git/domains"),
        file("blacklists/a/b/domains"),
        file("blacklists/adult"),
        link("blacklists/adult/domains", "/dev/zero", tarfile.CHRTYPE),
        link("blacklists/adult/usage", "", tarfile.FIFOTYPE),
    )
    into = tmp_path / "into"
    into.mkdir()

    unpack_ut1(archive, into)

    assert files_in(into) == {"games/domains", "aliases.json"}
    assert not any(path.is_symlink() for path in into.rglob("*"))


def test_bounds(tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    large = pack(tmp_path / "large.tar.gz", file("games/domains", b"\n" * 300_000), mode="w:gz")
    with pytest.raises(ListRefused, match="trop grande"):
        unpack_ut1(large, into, most_bytes=100_000)
    many = pack(tmp_path / "many.tar", *[file("x/y/z", b"")] * (MOST_MEMBERS + 1))
    with pytest.raises(ListRefused, match="trop de fichiers"):
        unpack_ut1(many, into)
    long_name = pack(tmp_path / "long.tar", file("g" * (LONGEST_HEADER + 1)))
    with pytest.raises(ListRefused, match="en-tête trop long"):
        unpack_ut1(long_name, into)


@pytest.mark.parametrize(
    "content",
    [b"", b"jeu.example\n" * 100, b"\x00" * 200, gzip.compress(b"x", mtime=0)[:-3], lzma.compress(b"x" * 999)[:-4]],
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert not is_archive(path)
    with pytest.raises(ListRefused), ut1_folder(path) as folder:
        read_ut1(folder)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    archive = pack(tmp_path / "x.tar.gz", file("games/domains", b"jeu.example\n" * 99_999), mode="w:gz")
    archive.write_bytes(archive.read_bytes()[:-40])

    with pytest.raises(ListRefused, match="abîmée"), ut1_folder(archive):
        pass


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(0, 3071), st.integers(0, 255)), max_size=8))
def test_a_damaged_archive_is_refused_or_read(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("tar")
    archive = pack(folder / "x.tar", file("games/domains"), link("jeux", "games"), file("games/usage"))
    content = bytearray(archive.read_bytes())
    for place, value in changes:
        content[place] = value
    archive.write_bytes(content)
    into = folder / "into"
    into.mkdir()

    with suppress(ListRefused):
        unpack_ut1(archive, into)

    assert files_in(folder) <= {"x.tar"} | {f"into/{name}" for name in files_in(into)}
