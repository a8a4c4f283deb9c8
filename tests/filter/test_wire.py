"""Messages as bytes: what is well-formed is read, and whatever comes in, silence or a well-formed reply goes out."""

import asyncio
import random
import struct
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import dns.message
import dns.opcode
import dns.rcode
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filter.metrics import Metrics
from filter.serving import replies, wire
from filter.serving.handler import Handler
from filter.serving.resolving.cache import Cache, keep
from filter.serving.resolving.lookup import Lookup
from filter.serving.wire import Question, UpstreamAnswer, WireError
from filter.updates.pair import open_pair
from tests.filter.asking import Told
from tests.filter.conftest import LISTS, NOON, SCHOOL, compile_pair
from tests.filter.scripted import answer

DNSLIB_LEAK = bytes.fromhex("f5c201000000000000041402000101200000010000000414005a92929292")
"""Makes dnslib raise UnicodeDecodeError."""


def now() -> datetime:
    return NOON


async def forward(question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
    """An upstream that knows one address for every name."""
    address = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + bytes([93, 184, 216, 34])
    return wire.read_answer(wire.HEADER.pack(1, wire.QR | wire.RA, 1, 1, 0, 0) + question.raw + address)


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Handler:
    path = tmp_path_factory.mktemp("wire") / "b"
    compile_pair(LISTS, SCHOOL, path, serial=1)
    metrics = Metrics()
    made = Handler(Lookup(Told(forward), Cache(1 << 20), metrics.count_cache), metrics, now)
    made.policy = open_pair(path).policy
    return made


def errors(handler: Handler) -> float:
    """Queries that ended in a fault of our own."""
    labels = {"action": "failed", "rule": "error", "category": ""}
    return handler.metrics.registry.get_sample_value("filter_queries_total", labels) or 0.0


def ask(handler: Handler, data: bytes) -> bytes | None:
    return asyncio.run(handler.answer(data, "192.0.2.1", over_udp=True))


def check(data: bytes, reply: bytes | None) -> None:
    """Silence for what is no query; otherwise a reply that another library reads, to the same id."""
    if len(data) < 12 or data[2] & 0x80:
        assert reply is None
        return
    assert reply is not None
    assert reply[:2] == data[:2]
    assert reply[2] & 0x80
    assert len(reply) <= 1232
    dns.message.from_wire(reply)


NAME = st.lists(st.binary(min_size=1, max_size=20), max_size=6).map(
    lambda labels: b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
)
QUERY = st.builds(
    lambda identifier, flags, name, qtype, tail: struct.pack("!6H", identifier, flags & 0x7FFF, 1, 0, 0, 0)
    + name + struct.pack("!2H", qtype, 1) + tail,
    st.integers(0, 65_535), st.integers(0, 65_535), NAME, st.integers(0, 300), st.just(b"") | st.binary(max_size=8),
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(data=st.binary(max_size=80) | QUERY)
@example(DNSLIB_LEAK)
@example(struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + b"\xc0\x0c" + struct.pack("!2H", 1, 1))
@example(struct.pack("!6H", 1, 0x100, 1, 0, 0, 0) + b"\x01a\xc0\x0c" + struct.pack("!2H", 1, 1))
@example(struct.pack("!6H", 1, 0x100, 1, 0xFFFF, 0xFFFF, 0xFFFF) + b"\0" + struct.pack("!2H", 1, 1))
def test_whatever_comes_in_silence_or_a_reply_goes_out(handler: Handler, data: bytes) -> None:
    reply = ask(handler, data)

    check(data, reply)
    assert errors(handler) == 0


def mutated(packet: bytes, chance: random.Random) -> bytes:
    data = bytearray(packet)
    for _ in range(chance.randrange(1, 4)):
        match chance.randrange(3):
            case 0:
                data[chance.randrange(len(data))] = chance.randrange(256)
            case 1:
                del data[chance.randrange(len(data)) :]
                data += bytes(chance.randrange(3))
            case _:
                position = chance.randrange(len(data) + 1)
                data[position:position] = chance.randbytes(chance.randrange(1, 5))
        if not data:
            return b""
    return bytes(data)


def test_mutated_queries(handler: Handler) -> None:
    chance = random.Random(8914)
    packets = [
        dns.message.make_query(name, qtype, use_edns=edns, want_dnssec=True).to_wire()
        for name in ("www.jeu.example", "journal.example", "localhost", ".")
        for qtype in ("A", "HTTPS", "ANY")
        for edns in (0, 1)
    ]
    for _ in range(3_000):
        data = mutated(chance.choice(packets), chance)
        check(data, ask(handler, data))
    assert errors(handler) == 0


def test_mutated_answers_are_read_or_refused_by_name() -> None:
    chance = random.Random(9460)
    query = dns.message.make_query("journal.example", "HTTPS")
    packet = answer(
        query,
        "journal.example. 60 IN CNAME a.example.",
        'a.example. 60 IN HTTPS 1 b.example. alpn="h2" ipv4hint=93.184.216.34 ipv6hint=2606:4700::1',
        "b.example. 60 IN A 93.184.216.34",
        authority=["example. 60 IN SOA ns.example. root.example. 1 2 3 4 5"],
    ).to_wire()
    read = 0
    for _ in range(5_000):
        try:
            read += bool(keep(wire.read_answer(mutated(packet, chance)), dnssec_ok=True).message)
        except WireError:
            continue
    assert read > 100


@pytest.mark.parametrize(
    ("data", "labels", "end"),
    [
        (b"\0", (), 1),
        (b"\x01a\x02bc\0", (b"a", b"bc"), 6),
        (b"\x01a\0\x01b\xc0\x00", (b"b", b"a"), 7),
        (b"\x01a\0\xc0\x00\xc0\x03", (b"a",), 7),
    ],
)
def test_names_are_read(data: bytes, labels: tuple[bytes, ...], end: int) -> None:
    start = {7: 3 if b"b" in data else 5}.get(end, 0)

    assert wire.read_name(data, start) == (labels, end)


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (b"", 0),
        (b"\x05ab\0", 0),
        (b"\xc0", 0),
        (b"\xc0\x00", 0),  # to itself
        (b"\xc0\x02\xc0\x00", 2),  # a loop of two
        (b"\x01a\xc0\x00", 0),  # into its own middle
        (b"\xc0\x04\0\0\0", 0),  # forwards
        (b"\x40a\0", 0),  # a label type that nobody uses
        (b"\x80a\0", 0),
        ((b"\x3f" + b"a" * 63) * 4 + b"\0", 0),  # 257 bytes
        (b"\x01a" * 128 + b"\0", 0),
    ],
)
def test_names_that_lead_nowhere_are_refused(data: bytes, start: int) -> None:
    with pytest.raises(WireError):
        wire.read_name(data, start)


def test_the_longest_name_is_read() -> None:
    data = (b"\x3f" + b"a" * 63) * 3 + b"\x3d" + b"b" * 61 + b"\0"

    assert len(data) == 255
    assert wire.read_name(data, 0)[1] == 255


LABELS = st.lists(
    st.builds(
        lambda size, some: (some * size)[:size],
        st.sampled_from([1, 2, 3, 10, 44, 45, 48, 57, 63, 64]),
        st.text("abYZ09-_", min_size=1).map(str.encode) | st.binary(min_size=1, max_size=6),
    ),
    max_size=6,
)


def read(reader: Callable[[bytes, int], tuple[Question, int]], data: bytes) -> tuple[Question, int] | None:
    try:
        return reader(data, wire.HEADER.size)
    except WireError:
        return None


@given(labels=LABELS, rest=st.binary(max_size=6), cut=st.integers(0, 40))
@example(labels=[b"a.b", b"0" * 48], rest=b"\0\1\0\1", cut=0)  # one dot too few, one too many
def test_what_is_read_in_one_go_is_what_is_read_label_by_label(labels: list[bytes], rest: bytes, cut: int) -> None:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    data = bytes(wire.HEADER.size) + name + rest
    data = data[: len(data) - cut]
    assert read(wire.read_question, data) == read(wire.read_any_question, data)


def header(flags: int, *counts: int) -> bytes:
    return struct.pack("!6H", 0x1234, flags, *counts)


QUESTION = b"\x07journal\x07example\x00\x00\x01\x00\x01"
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        (header(0x0100, 1, 0, 0, 0) + QUESTION, dns.rcode.NOERROR),
        (header(0x0300, 1, 0, 0, 0) + QUESTION, dns.rcode.NOERROR),  # TC in a query means nothing
        (header(0x0140, 1, 0, 0, 0) + QUESTION, dns.rcode.NOERROR),  # nor does the reserved bit
        (header(0x0100, 0, 0, 0, 0), dns.rcode.FORMERR),
        (header(0x0100, 2, 0, 0, 0) + QUESTION * 2, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 0) + QUESTION[:-3], dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 0) + QUESTION + b"xx", dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 1) + QUESTION, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 2) + QUESTION + OPT * 2, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 1) + QUESTION + b"\x01x" + OPT, dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\3" + b"\0\1\0", dns.rcode.FORMERR),
        (header(0x0100, 1, 0, 0, 1) + QUESTION + OPT[:-2] + b"\0\4" + b"\0\1\0\0", dns.rcode.NOERROR),
        (header(0x0100, 1, 0, 0, 1) + QUESTION + b"\0" + struct.pack("!HHIH", 41, 1232, 1 << 16, 0), dns.rcode.BADVERS),
        (header(0x0800, 1, 0, 0, 0) + QUESTION, dns.rcode.NOTIMP),  # inverse query
        (header(0x1000, 1, 0, 0, 0) + QUESTION, dns.rcode.NOTIMP),  # status
        (header(0x2000, 1, 0, 0, 0) + QUESTION, dns.rcode.NOTIMP),  # notify
        (header(0x2800, 0, 0, 0, 0), dns.rcode.NOTIMP),  # update
        (header(0x7800, 0, 0, 0, 0), dns.rcode.NOTIMP),
        (header(0x0100, 1, 0, 0, 0) + QUESTION[:-4] + b"\x00\x10\x00\x03", dns.rcode.REFUSED),  # class CHAOS
        (header(0x0100, 1, 0, 0, 0) + QUESTION[:-4] + b"\x00\xfc\x00\x01", dns.rcode.REFUSED),  # zone transfer
        (header(0x0100, 1, 0, 0, 0) + QUESTION[:-4] + b"\x00\xfb\x00\x01", dns.rcode.REFUSED),
    ],
)
def test_what_is_no_ordinary_query_gets_its_error(handler: Handler, data: bytes, rcode: int) -> None:
    reply = ask(handler, data)

    assert reply is not None
    message = dns.message.from_wire(reply)
    assert (message.id, message.rcode()) == (0x1234, rcode)
    assert dns.opcode.from_flags(message.flags) == int.from_bytes(data[2:4], "big") >> 11 & 15


@pytest.mark.parametrize("length", range(12))
def test_what_is_shorter_than_a_header_is_no_message(length: int) -> None:
    for read in (wire.read_query, wire.read_answer):
        with pytest.raises(WireError):
            read(bytes(length))


@pytest.mark.parametrize("data", [b"", b"\x12\x34", bytes(11), header(0x8100, 1, 0, 0, 0) + QUESTION])
def test_fragments_and_responses_get_silence(handler: Handler, data: bytes) -> None:
    assert ask(handler, data) is None


def test_without_a_bundle_nothing_is_answered_unfiltered() -> None:
    metrics = Metrics()
    waiting = Handler(Lookup(Told(forward), Cache(1 << 20), metrics.count_cache), metrics, now)

    reply = ask(waiting, header(0x0100, 1, 0, 0, 1) + QUESTION + OPT)

    assert reply is not None
    message = dns.message.from_wire(reply)
    assert message.rcode() == dns.rcode.SERVFAIL
    assert [(option.code, option.text) for option in message.options] == [(14, "le filtre attend ses listes")]


def test_a_fault_of_ours_is_servfail_and_counted(tmp_path: Path) -> None:
    async def fail(_question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        raise ZeroDivisionError

    compile_pair(LISTS, SCHOOL, tmp_path / "b", serial=1)
    metrics = Metrics()
    broken = Handler(Lookup(Told(fail), Cache(1 << 20), metrics.count_cache), metrics, now)
    broken.policy = open_pair(tmp_path / "b").policy

    reply = ask(broken, header(0x0100, 1, 0, 0, 0) + QUESTION)

    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.SERVFAIL
    assert errors(broken) == 1


def test_a_chain_of_pointers_is_cut_short() -> None:
    """Each hop leads backwards and adds nothing: thousands of them in hundreds of names would hold the filter up."""
    hops = b"".join((0xC000 | max(0, 2 * n - 2)).to_bytes(2, "big") for n in range(1, 200))
    with pytest.raises(WireError):
        wire.read_name(b"\x00\x00" + hops, len(hops))
    labels, _ = wire.read_name(b"\x00\x00" + hops, 2 * (wire.MOST_POINTERS - 1))
    assert labels == ()


@pytest.mark.parametrize("counts", [(1, 0, 0), (0, 2, 0), (0, 0, 4)])
def test_a_query_that_carries_records_is_refused_unread(handler: Handler, counts: tuple[int, int, int]) -> None:
    reply = ask(handler, header(0x0100, 1, *counts) + QUESTION)
    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.FORMERR


def test_a_reason_is_left_out_rather_than_exceed_what_the_client_takes() -> None:
    question = Question(
        b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x00\x00\x01\x00\x01", "x", 1, 1
    )
    query = wire.ClientQuery(1, 0x0100, question, wire.Edns(0, 512, False))
    long = replies.reply(query, 512, 3, extra=replies.Extra(17, "é" * 400))
    assert len(long) <= 512
    assert len(replies.reply(query, 1232, 3, extra=replies.Extra(17, "é" * 400))) <= 1232
    assert len("é" * 80) <= replies.LONGEST_TEXT
