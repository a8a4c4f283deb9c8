"""Whatever bytes a list is made of, no reader fails and no line spoils another.

The files of ``tests/filter/corpus/lists`` are read by every reader; ``./test --long`` changes them at random for
PREAU_LONG seconds a reader (300), elsewhere PREAU_LONG is the number of examples (100).
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.lists.domains import clean_listed
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry
from filter.lists.formats import FORMATS, examine
from filter.lists.lines import HEAD, ListRefused
from filter.lists.source import REASONS, ListReport, Reader
from filter.lists.suffixes import is_known_suffix
from filter.names import NameRefused

CORPUS = Path(__file__).parents[1] / "corpus" / "lists"
FILES = sorted(CORPUS.iterdir())
EXAMPLES = int(os.environ.get("PREAU_LONG", "100"))
SECONDS = int(os.environ.get("PREAU_LONG", "300"))
EVERY_READER = pytest.mark.parametrize("name", sorted(FORMATS))
PIECES = [
    b"\n", b"\r\n", b" ", b"\t", b".", b"..", b"*.", b"*", b"-", b"_", b"#", b"!", b";", b"/", b"//", b"|", b"||", b"^",
    b"@@", b"$", b"~", b",", b"=", b"(", b")", b"[", b"{9}", b"+", b"\\", b'"', b"%", b":", b"0.0.0.0", b"::1", b"/24",
    b"192.0.2.7", b"2001:db8::", b"a.example", b"b.a.example", b"localhost", b"com", b"gouv.fr", b"fr", b"xn--",
    b"\xff", b"xn--a", "é".encode(), "\u200d".encode(), "İ".encode(), "ﷺ".encode(), b"\xf0\x9f\x98\x80", b"a" * 63,
    b"a" * 64, b"x." * 127, b"y" * 1024, b"address=/", b"local=/", b"server=/", b"bogus-nxdomain=", b"$TTL 60\n",
    b"$ORIGIN ", b" CNAME ", b" IN A ", b" AAAA ", b"@ SOA a. b. 1 2 3 4 5\n", b"rpz-passthru.", b".rpz-ip",
    b"24.0.2.0.192", b"TXT", b"$important", b"$badfilter", b"$dnstype=", b"~AAAA", b"$denyallow=", b"$dnsrewrite=",
    b"NOERROR;A;1.2.3.4", b"$client=", b"[Adblock]", b"##", b"<html>", b"/a+b/", b"\xef\xbb\xbf", b"\x00",
]  # fmt: skip
CONTENT = st.one_of(st.binary(max_size=300), st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))


def read_anything(reader: Reader, path: Path, content: bytes) -> tuple[list[Entry], ListReport]:
    """Read the bytes, and hold every entry and reason to what the rest relies on. Raises ListRefused."""
    path.write_bytes(content)
    report = ListReport()
    entries = list(reader(path, report))
    for entry in entries:
        hold(entry)
    assert set(report.skipped) == set(report.examples) <= set(REASONS)
    assert report.names + report.addresses + report.rules == len(entries)
    assert all(number > 0 for examples in report.examples.values() for number, _ in examples)
    return entries, report


def hold(entry: Entry) -> None:
    """An entry that a bundle can take."""
    if isinstance(entry, str | NameEntry):
        name = entry if isinstance(entry, str) else entry.name
        assert name.isascii()
        assert name == name.lower()
        assert 0 < len(name) <= 253
        assert all(0 < len(label) < 64 for label in name.split("."))
        assert (isinstance(entry, NameEntry) and entry.allows) or not is_known_suffix(name)
    elif isinstance(entry, AddressEntry):
        assert str(ip_network(entry.network)) == entry.network
    elif entry.pattern is not None:
        re2.compile(entry.pattern)


@EVERY_READER
@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_the_corpus_is_read(tmp_path: Path, name: str, file: Path) -> None:
    with suppress(ListRefused):
        read_anything(FORMATS[name], tmp_path / "list", file.read_bytes())


@EVERY_READER
@settings(max_examples=EXAMPLES, deadline=None)
@given(content=CONTENT)
def test_no_bytes_make_a_reader_fail(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{name}"
    with suppress(ListRefused):
        read_anything(FORMATS[name], path, content)
    with suppress(ListRefused):
        assert examine(path).format in FORMATS


GOOD = {
    "adblock": b"||avant.example^\n", "addresses": b"192.0.2.1\n", "dnsmasq": b"local=/avant.example/\n",
    "domains": b"avant.example\n", "hosts": b"0.0.0.0 avant.example\n", "wildcards": b"*.avant.example\n",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(GOOD))
@settings(max_examples=EXAMPLES, deadline=None)
@given(content=CONTENT)
def test_no_line_spoils_another(tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes) -> None:
    """Behind the head that tells what a file is, a list goes on to its end whatever it meets."""
    path = tmp_path_factory.getbasetemp() / f"spoil-{name}"
    head = b"# comment\n" * (HEAD // 10 + 1)
    (alone,), _ = read_anything(FORMATS[name], path, head + GOOD[name])

    entries, _ = read_anything(FORMATS[name], path, head + GOOD[name] + content + b"\n" + GOOD[name])

    assert entries[0] == alone
    assert entries[-1] == alone


@EVERY_READER
@pytest.mark.long
@pytest.mark.timeout(SECONDS + 120)
def test_changed_lists_make_no_reader_fail(tmp_path: Path, name: str) -> None:
    """The content that fails is what is left in the file."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # shown when the test fails
    ends = time.monotonic() + SECONDS
    for content in changed_files(random.Random(seed)):
        with suppress(ListRefused):
            read_anything(FORMATS[name], tmp_path / "list", content)
        if time.monotonic() > ends:
            return


def changed_files(chance: random.Random) -> Iterator[bytes]:
    """Files of the corpus with pieces put in, taken out, doubled and swapped, for ever."""
    contents = [path.read_bytes() for path in FILES]
    while True:
        content = bytearray(chance.choice(contents))
        for _ in range(chance.randint(1, 12)):
            at, size = chance.randrange(len(content) + 1), chance.randint(0, 12)
            new = chance.choice(
                (chance.choice(PIECES), chance.randbytes(size), bytes(content[at : at + size * 5]), b"")
            )
            content[at : at + chance.choice((0, 0, 1, size))] = new
        yield bytes(content)


NAME_LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.lists(st.lists(NAME_LABEL, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"])))
WRITERS = {
    "adblock": "||{}^",
    "dnsmasq": "address=/{}/0.0.0.0",
    "domains": "{}",
    "hosts": "0.0.0.0 {}",
    "wildcards": "*.{}",
}


@pytest.mark.parametrize("name", sorted(WRITERS))
@settings(max_examples=EXAMPLES, deadline=None)
@given(names=NAMES, end=st.sampled_from(["\n", "\r\n", " \n", "\n\n# note\n"]))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, names: list[str], end: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"written-{name}"
    content = "".join(WRITERS[name].format(one) + end for one in names)

    entries, report = read_anything(FORMATS[name], path, content.encode())

    match = Match.EXACT if name == "hosts" else Match.WITH_BELOW
    assert [as_entry(entry) for entry in entries] == [NameEntry(one, match) for one in names]
    assert (report.names, dict(report.skipped)) == (len(names), {})


@settings(max_examples=EXAMPLES, deadline=None)
@given(names=NAMES)
def test_a_zone_that_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "written-rpz"
    wanted = sorted(set(names))
    records = "".join(f"{one} CNAME .\n*.{one} CNAME .\n" for one in wanted)
    zone = "$TTL 60\n@ SOA ns.example. moi.example. 1 2 3 4 5\n@ NS ns.example.\n" + records

    entries, _ = read_anything(FORMATS["rpz"], path, zone.encode())

    found = {(entry.name, entry.match) for entry in map(as_entry, entries)}
    both = {(one, match) for one in wanted for match in (Match.EXACT, Match.BELOW)}
    assert found in (both, {(one, Match.WITH_BELOW) for one in wanted})


def as_entry(entry: Entry) -> NameEntry:
    assert isinstance(entry, str | NameEntry)
    return NameEntry(entry) if isinstance(entry, str) else entry


@settings(max_examples=5 * EXAMPLES, deadline=None)
@given(text=st.one_of(st.text(max_size=30), st.text("aB-_.*é。ß/:0", max_size=20)))
def test_normalising_twice_gives_the_same(text: str) -> None:
    reason = "invalid_name"
    try:
        name = clean_listed(text)
        assert clean_listed(name) == name
        hold(name)
    except NameRefused as refusal:
        reason = refusal.reason
    assert reason in REASONS
