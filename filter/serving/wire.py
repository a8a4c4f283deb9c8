"""DNS messages as bytes: read with every bound checked, never changed more than needed. Writing is replies.py's."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEADER = struct.Struct("!HHHHHH")
TYPE_AND_CLASS = struct.Struct("!HH")
OPT_FIELDS = struct.Struct("!HIH")
ROOT_OPT = b"\0\0\x29"
"""How an OPT record begins: the root's name, the type."""
LONGEST_NAME = 255
MOST_RECORDS = 512
"""Records read in one message; an upstream that sends more is not believed."""

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
A, NS, CNAME, SOA, PTR, MX, AAAA, SRV, DNAME, OPT, SVCB, HTTPS = 1, 2, 5, 6, 12, 15, 28, 33, 39, 41, 64, 65
IXFR, AXFR, ANY = 251, 252, 255
IN = 1
EXTENDED_ERROR = 15
LARGEST_TTL = 2**31 - 1
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_")
PLAIN_BYTES = bytes(PLAIN)


MOST_POINTERS = 32
"""In one name. Servers that compress chain a handful."""
MOST_OTHERS = (0, 1, 3)
"""Records that a query may carry as answers, authorities (IXFR's SOA) and additions (OPT, TSIG, one to spare)."""
NO_RECORDS, OPT_ALONE = [0, 0, 0], [0, 0, 1]


class WireError(ValueError):
    """The bytes are no DNS message."""


def read_name(data: bytes, offset: int) -> tuple[tuple[bytes, ...], int]:
    """The labels at ``offset`` and where the name ends.

    A pointer must lead strictly backwards, so reading ends; and few may follow each other, so it ends soon: a pointer
    to a pointer adds nothing to a name's length.
    """
    labels: list[bytes] = []
    total, end, limit, pointers = 1, 0, offset, 0
    while True:
        if offset >= len(data):
            raise WireError("name beyond the message")
        length = data[offset]
        if length == 0:
            return tuple(labels), end or offset + 1
        if length >= 0xC0:
            if offset + 1 >= len(data):
                raise WireError("pointer beyond the message")
            target = (length & 0x3F) << 8 | data[offset + 1]
            pointers += 1
            if target >= limit or pointers > MOST_POINTERS:
                raise WireError("pointer that does not lead backwards, or one too many")
            end = end or offset + 2
            offset = limit = target
            continue
        total += length + 1
        if length > 63 or total > LONGEST_NAME or offset + 1 + length > len(data):
            raise WireError("label or name too long")
        labels.append(data[offset + 1 : offset + 1 + length])
        offset += 1 + length


def dotted(labels: tuple[bytes, ...]) -> str:
    """The name as filter.names compares them.

    A byte that no host name has becomes ``\\DDD``, so that a dot inside a label is no border between two.
    """
    name = b".".join(labels).lower()
    if len(name.translate(None, PLAIN_BYTES)) == len(labels) - 1:  # dots between labels, and nothing else
        return name.decode("ascii")
    return ".".join(dotted_label(label.lower()) for label in labels)


def dotted_label(label: bytes) -> str:
    if PLAIN.issuperset(label):
        return label.decode("ascii")
    return "".join(chr(byte) if byte in PLAIN else f"\\{byte:03d}" for byte in label)


class Question(NamedTuple):
    """What is asked: the bytes as the client wrote them, and the name as it is compared. A tuple: one is made for
    nearly every query, as are those below."""

    raw: bytes
    """Name, type and class; the client's own capitals."""
    name: str
    qtype: int
    qclass: int

    @property
    def lowered(self) -> bytes:
        """The bytes, capitals folded in the name: equal for equal questions."""
        raw = self.raw
        return raw if raw.islower() else raw[:-4].lower() + raw[-4:]  # lengths of labels are below the capitals


LONGEST_SHORT = 44
"""A length up to this is no character of a host name: what is left between such lengths can be read in one go."""
SHORT_NAMES = bytes(byte + 32 if 65 <= byte <= 90 else byte if byte in PLAIN else ord(".") for byte in range(256))
"""Capitals folded; lengths, and whatever no host name has, as dots."""


def read_question(data: bytes, offset: int = 12) -> tuple[Question, int]:
    """The question and where it ends; a compressed name has nothing to point back to."""
    labels, end, last = 0, offset, len(data) - 5
    while end <= last and (length := data[end]):
        if length > LONGEST_SHORT:
            return read_any_question(data, offset)
        end, labels = end + 1 + length, labels + 1
    if end > last or end - offset >= LONGEST_NAME:
        raise WireError("question beyond the message, or too long")
    name = data[offset + 1 : end].translate(SHORT_NAMES).decode("ascii")
    if name.count(".") != labels - 1:
        return read_any_question(data, offset)
    qtype, qclass = TYPE_AND_CLASS.unpack_from(data, end + 1)
    return Question(data[offset : end + 5], name, qtype, qclass), end + 5


def read_any_question(data: bytes, offset: int) -> tuple[Question, int]:
    """The same label by label: long ones, odd characters, the root."""
    labels, end, last = [], offset, len(data) - 5
    while end <= last and (length := data[end]):
        if length > 63:
            raise WireError("label too long, or pointer in the question")
        labels.append(data[end + 1 : (end := end + 1 + length)])
    if end > last or end - offset >= LONGEST_NAME:
        raise WireError("question beyond the message, or too long")
    qtype, qclass = TYPE_AND_CLASS.unpack_from(data, end + 1)
    return Question(data[offset : end + 5], dotted(tuple(labels)), qtype, qclass), end + 5


class Record(NamedTuple):
    """Where one resource record lies in its message."""

    owner: tuple[bytes, ...]
    rtype: int
    rclass: int
    ttl: int
    start: int
    ttl_offset: int
    rdata: int
    end: int


def read_record(data: bytes, offset: int) -> Record:
    owner, end = read_name(data, offset)
    if end + 10 > len(data):
        raise WireError("record beyond the message")
    rtype, rclass, ttl, length = struct.unpack_from("!HHIH", data, end)
    if end + 10 + length > len(data):
        raise WireError("record data beyond the message")
    return Record(owner, rtype, rclass, ttl, offset, end + 4, end + 10, end + 10 + length)


def read_records(data: bytes, offset: int, count: int) -> tuple[tuple[Record, ...], int]:
    """``count`` records and where they end."""
    if count > MOST_RECORDS:
        raise WireError("too many records")
    records = []
    for _ in range(count):
        record = read_record(data, offset)
        records.append(record)
        offset = record.end
    return tuple(records), offset


class Edns(NamedTuple):
    """The client's OPT record (RFC 6891)."""

    version: int
    size: int
    dnssec_ok: bool


class ClientQuery(NamedTuple):
    """A well-formed query of one question."""

    id: int
    flags: int
    question: Question
    edns: Edns | None

    @property
    def dnssec_ok(self) -> bool:
        return self.edns is not None and self.edns.dnssec_ok


def opcode(flags: int) -> int:
    return flags >> 11 & 15


def read_query(data: bytes) -> ClientQuery:
    """Parse a query; raise WireError for what deserves FORMERR."""
    if len(data) < HEADER.size:
        raise WireError("shorter than a header")
    identifier, flags, questions, *counts = HEADER.unpack_from(data)
    if questions != 1:
        raise WireError("one question is expected")
    if counts == NO_RECORDS:
        question, offset = read_question(data)
        if offset != len(data):
            raise WireError("bytes after the message")
        return ClientQuery(identifier, flags, question, None)
    if any(count > most for count, most in zip(counts, MOST_OTHERS, strict=True)):
        raise WireError("records that no query carries")
    question, offset = read_question(data)
    if counts == OPT_ALONE and data.startswith(ROOT_OPT, offset):
        return ClientQuery(identifier, flags, question, read_last_opt(data, offset + len(ROOT_OPT)))
    records, offset = read_records(data, offset, sum(counts))
    if offset != len(data):
        raise WireError("bytes after the message")
    options = [record for record in records if record.rtype == OPT]
    if len(options) > 1 or (options and options[0].owner):
        raise WireError("one OPT record, of the root, is expected")
    return ClientQuery(identifier, flags, question, read_edns(options[0], data) if options else None)


def read_edns(record: Record, data: bytes) -> Edns:
    """The fields that an OPT record keeps in its class and TTL."""
    check_options(data, record.rdata, record.end)
    return Edns(record.ttl >> 16 & 255, record.rclass, bool(record.ttl & 0x8000))


def read_last_opt(data: bytes, offset: int) -> Edns:
    """The same of an OPT record that ends the message, from its class on."""
    start = offset + OPT_FIELDS.size
    if start > len(data):
        raise WireError("record beyond the message")
    size, ttl, length = OPT_FIELDS.unpack_from(data, offset)
    if start + length != len(data):
        raise WireError("record data beyond the message, or bytes after it")
    check_options(data, start, len(data))
    return Edns(ttl >> 16 & 255, size, bool(ttl & 0x8000))


def check_options(data: bytes, offset: int, end: int) -> None:
    """Options must fit, and are otherwise ignored."""
    while offset < end:
        if offset + 4 > end:
            raise WireError("EDNS option beyond its record")
        offset += 4 + int.from_bytes(data[offset + 2 : offset + 4])
    if offset != end:
        raise WireError("EDNS option beyond its record")


class UpstreamAnswer(NamedTuple):
    """A response as it came, and where its parts are."""

    data: bytes
    flags: int
    question: Question
    answers: tuple[Record, ...]
    authorities: tuple[Record, ...]
    extended_rcode: int
    """The OPT record's share of the response code."""
    additionals: tuple[Record, ...] = ()
    ede: int | None = None
    """The first extended error (RFC 8914) that came with it."""

    @property
    def rcode(self) -> int:
        return self.extended_rcode << 4 | self.flags & 15

    @property
    def truncated(self) -> bool:
        return bool(self.flags & TC)


def read_answer(data: bytes) -> UpstreamAnswer:
    """Parse a response; raise WireError when any part is malformed, whether we need it or not."""
    if len(data) < 12:
        raise WireError("shorter than a header")
    _, flags, questions, answers, authorities, additionals = HEADER.unpack_from(data)
    if questions != 1 or not flags & QR:
        raise WireError("no response to one question")
    question, offset = read_question(data)
    if flags & TC:  # what follows may be cut anywhere; it is asked for again over TCP
        return UpstreamAnswer(data, flags, question, (), (), 0)
    answer_records, offset = read_records(data, offset, answers)
    authority_records, offset = read_records(data, offset, authorities)
    more, _ = read_records(data, offset, additionals)
    opt = next((record for record in more if record.rtype == OPT), None)
    extended, ede = (0, None) if opt is None else (opt.ttl >> 24, read_extended_error(data, opt))
    return UpstreamAnswer(data, flags, question, answer_records, authority_records, extended, more, ede)


def read_extended_error(data: bytes, opt: Record) -> int | None:
    """The number of the first extended error in an OPT record (RFC 8914), if there is one."""
    offset = opt.rdata
    while offset + 4 <= opt.end:
        code, length = struct.unpack_from("!HH", data, offset)
        if code == EXTENDED_ERROR and length >= 2 and offset + 4 + length <= opt.end:
            return int.from_bytes(data[offset + 4 : offset + 6], "big")
        offset += 4 + length
    return None


def read_target(data: bytes, record: Record) -> str:
    """The name that a CNAME or DNAME record's data is."""
    labels, end = read_name(data, record.rdata)
    if end > record.end:
        raise WireError("name beyond its record")
    return dotted(labels)


MD, MF, MB, MG, MR, MINFO, RP, AFSDB, RT, PX, KX = 3, 4, 7, 8, 9, 14, 17, 18, 21, 26, 36
NAMES_IN = {
    **dict.fromkeys((NS, MD, MF, CNAME, MB, MG, MR, PTR, DNAME), (0, 1)),
    **dict.fromkeys((MX, AFSDB, RT, KX), (2, 1)),
    **dict.fromkeys((SOA, MINFO, RP), (0, 2)),
    PX: (2, 2),
    SRV: (6, 1),
}
"""Types whose names may come compressed (RFC 3597, 4) -> bytes before the first name, and how many names there are."""


def unpack_rdata(data: bytes, record: Record) -> bytes:
    """A record's data as it may stand in any other message: its names written out."""
    before, names = NAMES_IN.get(record.rtype, (0, 0))
    offset = record.rdata + before
    parts = [data[record.rdata : offset]]
    for _ in range(names):
        labels, offset = read_name(data, offset)
        parts.append(write_name(labels))
    if offset > record.end:
        raise WireError("name beyond its record")
    return b"".join(parts) + data[offset : record.end]


def write_name(labels: tuple[bytes, ...]) -> bytes:
    """A name, uncompressed."""
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_service(data: bytes, record: Record) -> tuple[str, tuple[bytes, ...]]:
    """Target name (empty: the owner itself) and address hints of an SVCB or HTTPS record (RFC 9460)."""
    if record.rdata + 3 > record.end:
        raise WireError("service binding too short")
    labels, offset = read_name(data, record.rdata + 2)
    hints: list[bytes] = []
    while offset + 4 <= record.end:
        key, length = struct.unpack_from("!HH", data, offset)
        value = data[offset + 4 : offset + 4 + length]
        offset += 4 + length
        if key in HINT_SIZES:
            hints += split_hints(value, HINT_SIZES[key])
    if offset != record.end:
        raise WireError("service parameter beyond its record")
    return dotted(labels), tuple(hints)


HINT_SIZES = {4: 4, 6: 16}
"""SvcParamKey of ipv4hint and ipv6hint -> bytes of an address."""


def split_hints(value: bytes, size: int) -> Iterator[bytes]:
    if len(value) % size:
        raise WireError("address hints of an odd length")
    yield from (value[start : start + size] for start in range(0, len(value), size))
