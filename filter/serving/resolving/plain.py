"""The commonest answer, addresses of the very name that was asked for, read and cut in one go.

Whatever is unusual in any way is read record by record (filter.serving.wire), judged by what belongs to the question
(filter.serving.resolving.scrubbing) and then kept: of what is read here, that would make the same.
"""

import struct
from typing import NamedTuple

from filter.deciding.decisions import AnswerRecord
from filter.serving import wire
from filter.serving.resolving.cache import LONGEST_TTL, KeptAnswer, clamp
from filter.serving.wire import Question

MOST_RECORDS = 16
RECORDS = {wire.A: struct.Struct("!HHHIH4s"), wire.AAAA: struct.Struct("!HHHIH16s")}
"""A pointer to the question's name, type, class, TTL, length of the data, and the data."""
BEFORE_TTL, BEFORE_DATA = 6, 12
"""Bytes of a record."""
QUESTION_NAME = 0xC00C
UNUSUAL = 0x7A0F
"""Of the flags: opcode, TC and response code."""
NO_EXTENDED_CODE = 1 << 24


class Plain(NamedTuple):
    """Such an answer."""

    data: bytes
    """As it came."""
    kept: KeptAnswer


def read_plain(data: bytes, question: Question) -> Plain | None:
    """Read a response to this question (its capitals aside); None for what is not as plain as that."""
    raw, name, qtype, qclass = question
    _, flags, _, answers, authorities, additionals = wire.HEADER.unpack_from(data)
    record, body = RECORDS.get(qtype), wire.HEADER.size + len(raw)
    if record is None or flags & UNUSUAL or not 0 < answers <= MOST_RECORDS or authorities or additionals > 1:
        return None
    end = body + answers * record.size
    if len(data) < end or not ends_plainly(data, end, additionals):
        return None
    least, place, ttls, records = LONGEST_TTL, body + BEFORE_TTL, [], []
    for owner, rtype, rclass, ttl, length, address in record.iter_unpack(data[body:end]):
        if owner != QUESTION_NAME or rtype != qtype or rclass != qclass or length != record.size - BEFORE_DATA:
            return None
        seconds = clamp(ttl, LONGEST_TTL)
        ttls.append((place, seconds))
        records.append(AnswerRecord(name, (), (address,)))
        least, place = min(least, seconds), place + record.size
    is_authentic = bool(flags & wire.AD)
    return Plain(
        data, KeptAnswer(data[:end], body, wire.NOERROR, is_authentic, answers, 0, tuple(ttls), least, tuple(records))
    )


def ends_plainly(data: bytes, end: int, additionals: int) -> bool:
    """Whether nothing follows the answers but an OPT record that extends no response code."""
    if not additionals:
        return len(data) == end
    rest = end + len(wire.ROOT_OPT)
    if not data.startswith(wire.ROOT_OPT, end) or len(data) < rest + wire.OPT_FIELDS.size:
        return False
    _, ttl, length = wire.OPT_FIELDS.unpack_from(data, rest)
    return bool(ttl < NO_EXTENDED_CODE) and len(data) == rest + wire.OPT_FIELDS.size + length
