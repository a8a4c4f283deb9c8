"""A query as it goes to a resolver, and what makes a message its answer (RFC 5452)."""

import secrets
import struct
from typing import NamedTuple

from filter.serving import wire
from filter.serving.wire import Question, WireError

UDP_SIZE = 1232
OPT = struct.Struct("!BHHIH")
PADDING = 12
PADDED_TO = 128
"""Bytes of which an encrypted query is a multiple (RFC 8467, 4.1)."""


class CaseLost(WireError):
    """The answer is right but for its capitals: a guess, or a server that does not give them back."""


class Asked(NamedTuple):
    """What is asked of a resolver."""

    question: Question
    dnssec_ok: bool = False
    checking_disabled: bool = False

    def pack(self, identifier: int, raw: bytes | None = None, *, padded: bool = False) -> bytes:
        """A recursive query with EDNS; AD asks whether the data was validated (RFC 6840, 5.7).

        ``raw`` is the question to write, when its capitals are mixed.
        """
        flags = wire.RD | wire.AD | (wire.CD if self.checking_disabled else 0)
        question = self.question.lowered if raw is None else raw
        options = b""
        if padded:
            missing = -(wire.HEADER.size + len(question) + 15) % PADDED_TO
            options = struct.pack("!HH", PADDING, missing) + bytes(missing)
        ttl = 0x8000 if self.dnssec_ok else 0
        opt = OPT.pack(0, wire.OPT, UDP_SIZE, ttl, len(options)) + options
        return wire.HEADER.pack(identifier, flags, 1, 0, 0, 1) + question + opt


def mix_case(question: bytes) -> bytes:
    """The question's letters, each a capital or not by chance: so many more bits that a forger must guess."""
    bits = secrets.randbits(len(question))
    name = bytes(
        byte ^ 0x20 if 0x61 <= byte <= 0x7A and bits >> position & 1 else byte  # lengths of labels lie below letters
        for position, byte in enumerate(question[:-4])
    )
    return name + question[-4:]


def is_answer(data: bytes, identifier: int, question: bytes) -> bool:
    """Whether a message is a response to exactly this query; anything else is somebody guessing.

    Raise CaseLost when nothing but capitals differ in a question that has some.
    """
    if len(data) < wire.HEADER.size or int.from_bytes(data[:2]) != identifier or data[2] & 0xF8 != wire.QR >> 8:
        return False
    if data.startswith(question, wire.HEADER.size):
        return True
    answered = data[wire.HEADER.size : wire.HEADER.size + len(question)]
    name, kind = question[:-4], question[-4:]
    if answered[:-4].lower() != name.lower() or answered[-4:] != kind:
        return False
    if name != name.lower():
        raise CaseLost("capitals were not given back")
    return True
