"""The reader with numpy gives what the plain one gives: hashes in their order, networks, counts, examples, numbers."""

import lzma
import random
from collections.abc import Iterator
from pathlib import Path

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.domains import DEFAULT_KEY, hash_name
from filter.lists.domains import read_plain, read_plain_line
from filter.lists.entries import AddressEntry
from filter.lists.fast import FastReader
from filter.lists.lines import ListRefused, read_chunks, split_lines
from filter.lists.siphash import hash_pieces
from filter.lists.source import ListReport

READER = FastReader(numpy, DEFAULT_KEY)
Outcome = tuple[list[int], list[AddressEntry], ListReport]

PIECES = [
    b"a.example", b"b.c.example", b"under_score.example", b"WWW.Upper.FR", b"a-b.c-d.org", b"xn--p1ai.xn--p1ai",
    b"gouv.fr", b"co.uk", b"com", b"x.ck", b"www.ck", b"a.b.ck", b"kobe.jp", b"x.kobe.jp", b"city.kobe.jp", b"a.sch.uk",
    b"192.0.2.1", b"192.0.2.0/24", b"2001:db8::/32", b"1.2.3", b"a.b1", b"a.1", b"localhost",
    b"\n", b"\n", b"\n", b"\n", b"\n\n", b"\r\n", b"\r", b" ", b"\t", b"\x0b", b"\x0c", b"\0",
    b"# note", b"!x", b";x", b"[Adblock]", b"//x", b" # apres", b"#", b"*.", b".", b"..", b"-", b"_", b"/", b"a", b"0",
    b"\xc3\xa9cole.example", b"\xff", b"\xef\xbb\xbf", b"http://x.example/y", b"||x.example^",
    b"l" * 63 + b".example", b"l" * 64 + b".fr", b"l" * 64 + b".example", b"a.exa\rmple", b"a.example\r",
    b"ab." * 20 + b"example", b"ab." * 85, b"x" * 1000, b"y" * 30,
]  # fmt: skip
"""Good lines, bad lines and what joins them."""


def plain(chunks: list[bytes]) -> Outcome:
    report = ListReport()
    found = [read_plain_line(number, line, report) for number, line in enumerate(split_lines(chunks), start=1)]
    hashes = [hash_name(entry.encode(), DEFAULT_KEY) for entry in found if isinstance(entry, str)]
    return hashes, [entry for entry in found if isinstance(entry, AddressEntry)], report


def quick(chunks: Iterator[bytes] | list[bytes]) -> Outcome:
    report, networks, hashes = ListReport(), list[AddressEntry](), list[int]()
    for piece in READER.read(chunks, report, "x", networks.append):
        hashes += piece.tolist()
    return hashes, networks, report


@settings(max_examples=400, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=60), size=st.sampled_from([1, 5, 64, 1 << 18]))
def test_any_lines_in_any_chunks(pieces: list[bytes], size: int) -> None:
    text = b"".join(pieces)
    chunks = [text[start : start + size] for start in range(0, len(text), size)]

    assert quick(chunks) == plain(chunks)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b"\r\r\n"])
@pytest.mark.parametrize("piece", PIECES)
def test_each_line_alone_and_among_others(piece: bytes, end: bytes) -> None:
    for text in (piece, piece + end, b"a.example" + end + piece + end + b"b.example"):
        assert quick([text]) == plain([text])


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(st.text("ab-_.1A \r#", max_size=12), max_size=20))
def test_any_lines_of_few_letters(lines: list[str]) -> None:
    chunks = ["\n".join(lines).encode()]

    assert quick(chunks) == plain(chunks)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=90)), st.binary(min_size=16, max_size=16))
def test_hashes_are_siphash_1_3(pieces: list[bytes], key: bytes) -> None:
    starts = [sum(map(len, pieces[:number])) for number in range(len(pieces))]
    found = hash_pieces(
        numpy,
        b"".join(pieces) + bytes(8),
        numpy.array(starts, numpy.int64),
        numpy.array([len(piece) for piece in pieces], numpy.int64),
        key,
    )

    assert found.tolist() == [hash_name(piece, key) for piece in pieces]


@pytest.mark.parametrize("ending", ["", ".xz"])
def test_a_file_of_several_chunks(tmp_path: Path, ending: str) -> None:
    chance = random.Random(20261122)
    lines = [
        chance.choice((f"n{number}.example", f"N{number}.example", "gouv.fr", "un mot")) for number in range(60_000)
    ]
    text = "\r\n".join(lines).encode()
    path = tmp_path / f"domains{ending}"
    path.write_bytes(lzma.compress(text, preset=0) if ending else text)
    report = ListReport()
    expected = [hash_name(entry.encode(), DEFAULT_KEY) for entry in read_plain(path, report) if isinstance(entry, str)]

    assert quick(read_chunks(path)) == (expected, [], report)
    assert report.skipped["public_suffix"] > 10_000


@pytest.mark.parametrize("lines", [10, 11])
def test_more_lines_than_any_list_has_are_refused(lines: int) -> None:
    pieces = READER.read([b"a.example\n" * lines], ListReport(), "x", list[AddressEntry]().append, most_lines=10)
    if lines == 10:
        assert sum(map(len, pieces)) == 10
    else:
        with pytest.raises(ListRefused):
            list(pieces)
