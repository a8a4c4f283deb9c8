"""Files are read line by line, whatever their compression, and refused whole when they are no text."""

import gzip
import lzma
from pathlib import Path

import pytest

from filter.lists.domains import read_domains
from filter.lists.lines import (
    HEAD,
    LONGEST_LINE,
    ListRefused,
    read_chunks,
    read_lines,
    read_raw_lines,
    split_lines,
)
from filter.lists.source import ListReport
from tests.filter.lists.files import read_with


def write(folder: Path, content: bytes, name: str = "list.txt") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_blank_lines_comments_and_ends_of_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf# note\r\n\r\n \t\na.example\r\n  b.example \n\xe2\x80\x8b\n! c.example")
    report = ListReport()

    lines = list(read_lines(path, report, comments=b"#!"))

    assert lines == [(4, b"a.example"), (5, b"b.example"), (6, b"\xe2\x80\x8b")]
    assert report.lines == 3


def test_a_line_without_an_end_is_not_held_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path, b"avant.example\n" + b"a" * (5 << 20) + b"\napres.example\n")
    report = ListReport()

    assert list(read_lines(path, report)) == [(1, b"avant.example"), (3, b"apres.example")]
    assert dict(report.skipped) == {"too_long": 1}
    assert max(len(line) for _, line in read_raw_lines(path)) == LONGEST_LINE + 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 1000])
def test_lines_do_not_depend_on_how_a_stream_is_cut(size: int) -> None:
    content = b"a\n\nbb\r\n" + b"c" * 30 + b"\nd" + b"e" * 30
    chunks = [content[at : at + size] for at in range(0, len(content), size)]

    assert list(split_lines(chunks, longest=10)) == [b"a", b"", b"bb\r", b"c" * 11, b"d" + b"e" * 10]


@pytest.mark.parametrize("pack", [bytes, lzma.compress, gzip.compress])
def test_compression_is_told_by_the_first_bytes(tmp_path: Path, pack: type[bytes]) -> None:
    content = b"".join(b"nom%d.example\n" % number for number in range(100_000))

    assert b"".join(read_chunks(write(tmp_path, pack(content)))) == content


def test_xz_streams_may_follow_one_another(tmp_path: Path) -> None:
    packed = lzma.compress(b"a.example\n") + b"\x00" * 8 + lzma.compress(b"b.example\n")

    assert b"".join(read_chunks(write(tmp_path, packed))) == b"a.example\nb.example\n"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (lzma.compress(b"jeu.example\n")[:-12], "xz"),
        (lzma.compress(b"jeu.example\n" * 99)[:40], "xz"),
        (lzma.compress(b"jeu.example\n") + b"suite", "xz"),
        (gzip.compress(b"jeu.example\n", mtime=0)[:-4], "gzip"),
        (gzip.compress(b"jeu.example\n", mtime=0)[:-8] + b"\x00" * 8, "gzip"),
        (b"<!DOCTYPE html>\n<title>Connexion</title>", "HTML"),
        (b"\xef\xbb\xbf\r\n  <html lang=fr>", "HTML"),
        (b"<?xml version='1.0'?>", "HTML"),
        (b"PK\x03\x04\x14\x00", "binaire"),
        (b"%PDF-1.7\n\x01", "binaire"),
        (b"jeu.example\n\x7fELF", "binaire"),
        ("jeu.example\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_list_is_refused_whole(tmp_path: Path, content: bytes, word: str) -> None:
    with pytest.raises(ListRefused, match=word):
        list(read_chunks(write(tmp_path, content, f"list.{word}")))


def test_a_broken_byte_further_on_costs_its_line_alone(tmp_path: Path) -> None:
    content = (
        b"# en-t\xc3\xaate\n" * (HEAD // 10) + b"avant.example\nb\x00d.example\n<html>\n\xff.example\napres.example\n"
    )

    names, report = read_with(read_domains, tmp_path, content)

    assert names == ["avant.example", "apres.example"]
    assert dict(report.skipped) == {"invalid_name": 2, "not_text": 1}


def test_a_file_larger_than_any_list_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, b"jeu.example\n" * 100_000)

    with pytest.raises(ListRefused, match="octets"):
        list(read_lines(path, ListReport(), most_bytes=1_000_000))
    with pytest.raises(ListRefused, match="lignes"):
        list(read_raw_lines(path, most_lines=99_999))
    packed = write(tmp_path, gzip.compress(b"\n" * 2_000_000), "bomb.gz")
    with pytest.raises(ListRefused, match="octets"):
        list(read_lines(packed, ListReport(), most_bytes=1_000_000))


def test_an_xz_file_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 28}]
    packed = lzma.compress(b"jeu.example\n", filters=filters)

    with pytest.raises(ListRefused, match="xz"):
        list(read_chunks(write(tmp_path, packed)))
