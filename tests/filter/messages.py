"""Upstream messages of every sort, drawn by lot: chains of aliases, strangers' records, compressed or not, damaged."""

import random
import struct

from tests.filter.zone import ADDRESSES, ADDRESSES6, TARGETS, TTLS

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, DNAME, OPT, RRSIG, NSEC, HTTPS = (
    1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 41, 46, 47, 65,
)  # fmt: skip
SOME_TTLS = (*TTLS, *(60, 299, 300, 599, 600, 601, 3_599, 3_601, 86_399, 86_401, 0x7FFFFFFF) * 6)
"""Mostly such as let an answer be kept."""
Labels = tuple[bytes, ...]


def labels_of(name: str) -> Labels:
    return tuple(label.encode() for label in name.split(".") if label)


class Message:
    """Written from its question on; names point back to what was written before, sometimes."""

    def __init__(self, question: bytes, draw: random.Random) -> None:
        self.draw = draw
        self.data = bytearray(12) + question
        self.known: dict[Labels, int] = {}
        self.remember(self.read(question), 12)
        self.counts = [0, 0, 0]

    def read(self, question: bytes) -> Labels:
        labels, at = [], 0
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length])
            at += length + 1
        self.name: Labels = tuple(labels)
        return self.name

    def remember(self, labels: Labels, offset: int) -> None:
        for number, label in enumerate(labels):
            if offset < 0x4000:
                self.known.setdefault(labels[number:], offset)
            offset += len(label) + 1

    def write_name(self, labels: Labels) -> None:
        draw = self.draw
        if draw.random() < 0.15:
            labels = tuple(label.swapcase() for label in labels)
        start, fresh = len(self.data), len(labels)
        if draw.random() < 0.8:
            fresh = next((n for n in range(len(labels)) if labels[n:] in self.known), len(labels))
        for label in labels[:fresh]:
            self.data += bytes([len(label)]) + label
        tail = labels[fresh:]
        self.data += struct.pack("!H", 0xC000 | self.known[tail]) if tail else b"\0"
        if not tail:
            self.remember(labels, start)

    def write_record(self, section: int, owner: Labels, rtype: int, rclass: int = 1) -> None:
        self.write_name(owner)
        ttl = self.draw.choice(SOME_TTLS) if rtype != OPT else self.draw.choice((0, 0, 0x8000, 1 << 24, 0x10000))
        self.data += struct.pack("!HHIH", rtype, 1232 if rtype == OPT else rclass, ttl, 0)
        start = len(self.data)
        self.write_data(rtype)
        length = len(self.data) - start
        if self.draw.random() < 0.01:
            length += self.draw.choice((-1, 1, 5))
        struct.pack_into("!H", self.data, start - 2, length & 0xFFFF)
        self.counts[section] += 1

    def write_data(self, rtype: int) -> None:
        draw = self.draw
        match rtype:
            case 1:
                self.data += bytes.fromhex(draw.choice(ADDRESSES))
            case 28:
                self.data += bytes.fromhex(draw.choice(ADDRESSES6))
            case 2 | 5 | 12 | 39:
                self.target = labels_of(draw.choice(TARGETS))
                self.write_name(self.target)
            case 6:
                self.write_name(labels_of("ns.example"))
                self.write_name(labels_of("root.example"))
                self.data += struct.pack("!5I", 1, 2, 3, 4, draw.choice(SOME_TTLS))
            case 15 | 33:
                self.data += bytes(2 if rtype == MX else 6)
                self.write_name(labels_of(draw.choice(TARGETS)))
            case 65:
                self.data += b"\0\1"
                self.data += b"".join(bytes([len(each)]) + each for each in labels_of(draw.choice(TARGETS))) + b"\0"
                self.data += b"\0\4\0\4" + bytes.fromhex(draw.choice(ADDRESSES)) if draw.random() < 0.5 else b""
            case 46:
                self.data += struct.pack("!H", draw.choice((A, AAAA, SOA, CNAME, NSEC, DNAME))) + b"signature"
            case 41:
                self.data += b"\0\x0f\0\2\0\x06" if draw.random() < 0.3 else b""
            case _:
                self.data += b"\4text"


def message_for(question: bytes, draw: random.Random, identifier: int = 0) -> bytes:
    """What some resolver might answer, good or bad."""
    made, qtype = Message(question, draw), int.from_bytes(question[-4:-2])
    owner = made.name
    for _ in range(draw.choice((0, 0, 0, 0, 0, 1, 1, 2, 9))):
        made.write_record(0, owner, draw.choice((CNAME, CNAME, CNAME, CNAME, DNAME)))
        owner = made.target if draw.random() < 0.95 else owner
    if draw.random() < 0.7:
        for _ in range(draw.choice((1, 1, 2, 4, 12))):
            made.write_record(0, owner, qtype if qtype not in {0, OPT} else TXT)
    stranger = labels_of(draw.choice((*TARGETS, "banque.example", "", "example", ".".join(map(repr, range(9))))))
    if draw.random() < 0.2:
        rtype = draw.choice((A, AAAA, CNAME, NS, TXT, DNAME, RRSIG, HTTPS, qtype or TXT))
        made.write_record(0, draw.choice((owner, stranger)), rtype, draw.choice((1, 1, 1, 3, 254)))
    for _ in range(draw.choice((0, 1, 1, 2))):
        holder = draw.choice((owner[1:], owner[1:], owner, (), stranger))
        made.write_record(1, holder, draw.choice((SOA, SOA, SOA, NS, RRSIG, NSEC, A)), draw.choice((1, 1, 1, 1, 3)))
    if draw.random() < 0.15:
        made.write_record(2, stranger, draw.choice((A, AAAA, TXT)))
    if draw.random() < 0.7:
        made.write_record(2, (), OPT)
    return finish(made, draw, identifier)


def finish(made: Message, draw: random.Random, identifier: int) -> bytes:
    """The header; and sometimes something is wrong with it, or with any byte."""
    flags = 0x8180 | draw.choice((0, 0, 0x0020, 0x0400, 0x0010, 0x0040)) | draw.choice((0,) * 16 + (3, 3, 3, 2, 9))
    struct.pack_into("!6H", made.data, 0, identifier, flags, 1, *made.counts)
    data = made.data
    if draw.random() < 0.05:
        data += draw.randbytes(draw.randrange(1, 9))
    if draw.random() < 0.12:
        for _ in range(draw.choice((1, 1, 2, 6))):
            data[draw.randrange(4, len(data))] ^= 1 << draw.randrange(8)
    if draw.random() < 0.04:
        del data[draw.randrange(12, len(data)) :]
    return bytes(data)
