"""What a bad resolver answers, whatever it is asked, and what a good one does."""

import threading
from collections.abc import Callable, Sequence

import dns.flags
import dns.message
import pytest
from dns.message import Message

from filter.plane.choosing import is_compiled
from tests.filter.scripted import Script, answer, pack

PLANES = [
    pytest.param("compiled", marks=pytest.mark.skipif(not is_compiled(), reason="the plane is not compiled")),
    "python",
]
"""Who answers over UDP."""


class Everywhere(dict[str, Script]):
    """One script for every name."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    def get(self, _key: object, _default: object = None) -> Script:
        return self.script


def truth(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, f"{query.question[0].name} 1 IN A 93.184.216.34"))]


def lie(query: Message) -> bytes:
    return pack(answer(query, f"{query.question[0].name} 1 IN A 6.6.6.6"))


def other_id(query: Message, _over_udp: bool) -> Sequence[bytes]:
    data = lie(query)
    return [bytes([data[0] ^ 1]) + data[1:]]


def other_question(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [lie(dns.message.make_query("banque.example", "A", id=query.id))]


def other_type(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [lie(dns.message.make_query(query.question[0].name, "TXT", id=query.id))]


def cut_short(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [lie(query)[:-3]]


def always_truncated(query: Message, _over_udp: bool) -> Sequence[bytes]:
    reply = answer(query)
    reply.flags |= dns.flags.TC
    return [pack(reply)]


def garbage(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [query.id.to_bytes(2, "big") + b"\x81\x80" + b"\xff" * 100]


def tiny(query: Message, over_udp: bool) -> Sequence[bytes]:
    """Less than a header, and with datagrams nothing at all."""
    return [b"", b"x", query.id.to_bytes(2, "big")] if over_udp else [b"x"]


def query_back(query: Message, _over_udp: bool) -> Sequence[bytes]:
    """QR is 0: what came is no response."""
    data = bytearray(lie(query))
    data[2] &= 0x7F
    return [bytes(data)]


def header_only(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [query.id.to_bytes(2, "big") + b"\x81\x80" + bytes(8)]


def counts_without_records(query: Message, _over_udp: bool) -> Sequence[bytes]:
    """More records than there are bytes."""
    data = bytearray(lie(query))
    data[6:12] = b"\xff" * 6
    return [bytes(data)]


def huge(query: Message, over_udp: bool) -> Sequence[bytes]:
    """As large as a message may be, with records that nobody asked for; over UDP cut where a datagram ends."""
    stranger = b"\x06banque\x07example\0\0\x01\0\x01\0\0\0\x3c\0\x04\x06\x06\x06\x06"
    data = bytearray(pack(answer(query)))
    end = len(data)
    count = (65_535 - end) // len(stranger)
    data[6:12] = count.to_bytes(2, "big") + bytes(4)
    return [bytes(data + stranger * count)[: 65_507 if over_udp else 65_535]]


def failing(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, rcode=dns.rcode.SERVFAIL))]


def referral(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, authority=["example. 60 IN NS ns.example."]))]


def silence(_query: Message, _over_udp: bool) -> Sequence[bytes]:
    return []


def flapping(every: int = 40) -> Script:
    """Answers some questions, then none, and so on."""
    count = [0]

    def script(query: Message, over_udp: bool) -> Sequence[bytes]:
        count[0] += 1
        return truth(query, over_udp) if count[0] // every % 2 else []

    return script


def dawdling(seconds: float) -> Script:
    """Answers rightly, one after the other, each too late to be waited for."""
    pause = threading.Event()

    def script(query: Message, over_udp: bool) -> Sequence[bytes]:
        pause.wait(seconds)
        return truth(query, over_udp)

    return script


def truncated_then(script: Script) -> Script:
    """Over UDP everything is cut; over TCP the script speaks."""

    def either(query: Message, over_udp: bool) -> Sequence[bytes]:
        return always_truncated(query, True) if over_udp else script(query, False)

    return either


def told(script: Callable[..., object]) -> str:
    """A script's name, for the ids of tests."""
    return getattr(script, "__name__", "script")
