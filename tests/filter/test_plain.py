"""What is read in one go is what the long way makes of it: of every answer, and of every damaged one."""

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filter.serving import wire
from filter.serving.resolving.cache import keep
from filter.serving.resolving.plain import MOST_RECORDS, read_plain
from filter.serving.wire import Question

RAW = b"\x07journal\x07exemple\x02fr\0"
OPT = b"\0\0\x29\x04\xd0" + bytes(4)


def question_of(qtype: int) -> Question:
    return Question(RAW + struct.pack("!HH", qtype, wire.IN), "journal.exemple.fr", qtype, wire.IN)


def record(qtype: int, ttl: int, rdata: bytes, *, name: bytes = b"\xc0\x0c", rclass: int = wire.IN) -> bytes:
    return name + struct.pack("!HHIH", qtype, rclass, ttl, len(rdata)) + rdata


def message(qtype: int, *records: bytes, flags: int = 0x8180, authorities: int = 0, tail: bytes = b"") -> bytes:
    counts = (1, len(records) - authorities, authorities, 1 if tail else 0)
    return struct.pack("!6H", 7, flags, *counts) + question_of(qtype).raw + b"".join(records) + tail


def agree(data: bytes, qtype: int) -> bool:
    """Whether it was plain; if so, the long way says the same."""
    question = question_of(qtype)
    plain = read_plain(data, question)
    if plain is None:
        return False
    assert plain.data == data
    for dnssec_ok in (False, True):
        assert plain.kept == keep(wire.read_answer(data), dnssec_ok)
    return True


A, V6 = record(1, 300, bytes([192, 0, 2, 1])), record(28, 300, bytes(15) + b"\1")


@pytest.mark.parametrize(
    ("qtype", "data"),
    [
        (1, message(1, A)),
        (1, message(1, A, A, tail=OPT + b"\0\0")),
        (1, message(1, A, flags=0x81A0)),
        (1, message(1, record(1, 0, bytes(4)), record(1, 1 << 31, bytes(4)), record(1, 1 << 30, bytes(4)))),
        (28, message(28, V6, tail=OPT + b"\0\x08\0\x0a\0\x04abcd")),
    ],
)
def test_addresses_of_the_name_itself_are_plain(qtype: int, data: bytes) -> None:
    assert agree(data, qtype)


@pytest.mark.parametrize(
    ("qtype", "data"),
    [
        (1, message(1)),
        (1, message(1, *[A] * (MOST_RECORDS + 1))),
        (1, message(1, A, flags=0x8380)),
        (1, message(1, A, flags=0x8183)),
        (1, message(1, V6)),
        (1, message(1, record(5, 300, b"\xc0\x0c"))),
        (1, message(1, record(1, 300, bytes(5)))),
        (1, message(1, record(1, 300, bytes(3)), record(1, 300, bytes(5)))),
        (1, message(1, record(1, 300, bytes(4), rclass=3))),
        (1, message(1, record(1, 300, bytes(4), name=b"\xc0\x14"))),
        (1, message(1, A, record(2, 300, b"\xc0\x0c"), authorities=1)),
        (1, message(1, A, tail=OPT[:5] + b"\1" + OPT[6:] + b"\0\0")),
        (1, message(1, A, tail=OPT + b"\0\1")),
        (1, message(1, A, tail=record(1, 300, bytes(4)))),
        (1, message(1, A) + b"\0"),
        (1, message(1, A)[:9] + b"\1" + message(1, A)[10:]),
        (1, message(1, A)[:-1]),
        (16, message(16, record(16, 300, b"\x02hi"))),
    ],
)
def test_everything_else_is_not(qtype: int, data: bytes) -> None:
    assert not agree(data, qtype)


CASES = [message(1, A, A, A, tail=OPT + b"\0\0"), message(28, V6, V6), message(1, A, record(5, 9, b"\xc0\x0c"))]


FLAGS, COUNTS = (2, 3), (6, 7, 8, 9, 10, 11)


@given(st.sampled_from(CASES), st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=3))
@example(CASES[0], [])
def test_damaged_ones_are_read_alike_or_not_at_all(data: bytes, damage: list[tuple[int, int]]) -> None:
    """But for the question, which was compared before, and what says that it is a response to one."""
    body = wire.HEADER.size + len(RAW) + 4
    broken = bytearray(data)
    for at, value in damage:
        if at in COUNTS or body <= at < len(broken):
            broken[at] = value
        elif at in FLAGS:
            broken[at] = value | (0x80 if at == FLAGS[0] else 0)
    try:
        agree(bytes(broken), 28 if data is CASES[1] else 1)
    except wire.WireError as error:
        pytest.fail(f"plain, but malformed: {error}")
