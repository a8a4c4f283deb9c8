"""Decisions as the plane remembers them: which counter, and an allowance or the ready parts of a reply (outcome.c)."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from filter.deciding.decisions import Action, Decision
from filter.serving import replies, wire
from filter.serving.replies import Address
from filter.serving.resolving.cache import Found
from filter.serving.wire import ClientQuery, Edns
from filter.settings import BlockMode

HEAD = struct.Struct("<BBBxIIqqq")
VARIANT = struct.Struct("<BxHHHHH")
TTL = struct.Struct("<HI")
NEVER = (1 << 63) - 1
COUNTS_CACHE_HIT, ASKS_PYTHONS_RESOLVERS = 1, 2
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
LARGEST_BODY = 4_096
CONSTANT = (1 << 32) - 1
"""A TTL that never falls below what most_ttl says."""
EVERY_TYPE = (wire.A, wire.AAAA, wire.MX)
"""One of each family that replies tell apart, in the plane's order."""


class Kind(IntEnum):
    """What becomes of a query."""

    ALLOW = 0
    REPLY = 1
    DROP = 2
    PYTHON = 3


@dataclass(frozen=True, slots=True)
class Ends:
    """Until when an outcome holds, and since when its TTLs age: microseconds since 1970 and of the steady clock."""

    wall: int = NEVER
    clock: int = NEVER
    since: int = 0


FOREVER = Ends()
"""As long as its moment."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A reply behind the question."""

    rcode: int
    answers: int
    authorities: int
    body: bytes
    option: bytes
    ttls: tuple[tuple[int, int], ...] = ()
    """(offset in the body, seconds) of what ages."""

    def pack(self) -> bytes:
        sizes = len(self.body), len(self.option), len(self.ttls)
        head = VARIANT.pack(self.rcode, self.answers, self.authorities, *sizes)
        return head + self.body + self.option + b"".join(TTL.pack(*each) for each in self.ttls)


def micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


def pack_outcome(
    kind: Kind, number: int, most_ttl: int, ends: Ends = FOREVER, variants: Sequence[Variant] = (), flags: int = 0
) -> bytes:
    """``number``: of the class that is counted."""
    head = HEAD.pack(kind, flags, len(variants), number, most_ttl, ends.wall, ends.clock, ends.since)
    return head + b"".join(each.pack() for each in variants)


def most_ttl(decision: Decision) -> int:
    """Seconds that an answer may be remembered, the end of the moment aside."""
    return replies.LONGEST_TOLD if decision.ttl is None else min(replies.LONGEST_TOLD, decision.ttl)


def kind_of(decision: Decision) -> Kind:
    """TRUNCATED and aliases to be looked up are Python's."""
    match decision.action:
        case Action.ALLOWED:
            return Kind.ALLOW
        case Action.DROPPED:
            return Kind.DROP
        case Action.TRUNCATED:
            return Kind.PYTHON
        case _ if decision.rewrite is not None and decision.rewrite.target and not decision.rewrite.is_final:
            return Kind.PYTHON
        case _:
            return Kind.REPLY


def decided_variants(
    query: ClientQuery,
    qtypes: Iterable[int],
    decision: Decision,
    block_addresses: Sequence[Address],
    block_mode: BlockMode,
) -> list[Variant]:
    """The reply of a decision for each type, as replies.decided() writes it."""
    asked = (as_asked(query, qtype) for qtype in qtypes)
    return [
        take_apart(each, replies.decided(each, replies.LARGEST, decision, block_addresses, block_mode))
        for each in asked
    ]


def as_asked(query: ClientQuery, qtype: int) -> ClientQuery:
    """The same question with EDNS and without flags, so that everything that can be in the reply is in it."""
    raw = query.question.raw[:-4] + struct.pack("!HH", qtype, wire.IN)
    question = query.question._replace(raw=raw, qtype=qtype)
    return ClientQuery(0, 0, question, Edns(replies.EDNS_VERSION, replies.UDP_SIZE, dnssec_ok=False))


def take_apart(query: ClientQuery, reply: bytes) -> Variant:
    """A reply of ours to as_asked()."""
    _, flags, _, answers, authorities, _ = wire.HEADER.unpack_from(reply)
    start = wire.HEADER.size + len(query.question.raw)
    records, _ = wire.read_records(reply, start, answers + authorities + 1)
    opt = records[-1]
    return Variant(flags & 15, answers, authorities, reply[start : opt.start], reply[opt.rdata : opt.end])


def looked_up_variant(query: ClientQuery, decision: Decision, found: Found) -> Variant:
    """What replies.rewritten() makes of an alias and an answer that was looked up; its TTLs go on ageing."""
    asked = as_asked(query, query.question.qtype)
    reply = replies.rewritten(asked, replies.LARGEST, decision, found)
    variant = take_apart(asked, reply)
    start = wire.HEADER.size + len(asked.question.raw)
    records, _ = wire.read_records(reply, start, variant.answers + variant.authorities)
    aliases = len(records) - len(found.answer.ttls)
    seconds = (*[CONSTANT] * aliases, *(ttl for _, ttl in found.answer.ttls))
    ttls = tuple((record.ttl_offset - start, ttl) for record, ttl in zip(records, seconds, strict=True))
    return replace(variant, ttls=ttls)
