"""Answers kept until their TTL, and a while longer in case no upstream can be reached. Bounded in bytes."""

import struct
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from filter.deciding.decisions import AnswerRecord
from filter.serving import wire
from filter.serving.resolving.scrubbing import scrub
from filter.serving.wire import Record, UpstreamAnswer, WireError

LONGEST_TTL = 86_400
LONGEST_NEGATIVE_TTL = 3_600  # RFC 2308 advises one to three hours
STALE_SECONDS = 86_400  # RFC 8767 advises one to three days
STALE_TTL = 30
ADDRESS_TYPES = frozenset({wire.A, wire.AAAA, wire.HTTPS, wire.SVCB})
HOT_HITS = 3
SHORTEST_PREFETCH = 10
"""Seconds of TTL below which an answer is not worth fetching ahead."""
OVERHEAD = 700
"""Bytes that one entry costs beside its message, about."""


class CacheKey(NamedTuple):
    """What must be equal for an answer to serve again."""

    question: bytes
    dnssec_ok: bool
    checking_disabled: bool


class KeptAnswer(NamedTuple):
    """An upstream's answer cut to what a client asked for: question, answer, and the authority it needs."""

    message: bytes
    """From the header on, so that compression pointers hold; header and question are replaced in each reply."""
    body: int
    """Where the answer section starts."""
    rcode: int
    authenticated: bool
    answers: int
    authorities: int
    ttls: tuple[tuple[int, int], ...]
    """(offset, seconds) of each record's TTL."""
    ttl: int
    """Seconds that this answer may be kept."""
    records: tuple[AnswerRecord, ...]
    """What it leads to, for the review; judged anew each time, so that a new bundle applies at once."""

    def aged(self, seconds: int, stale: bool = False, most: int = LONGEST_TTL) -> bytes:
        """The whole message as it reads that many seconds later, with no TTL above ``most``."""
        message = bytearray(self.message)
        for offset, ttl in self.ttls:
            struct.pack_into("!I", message, offset, min(STALE_TTL if stale else max(ttl - seconds, 0), most))
        return bytes(message)


def keep(answer: UpstreamAnswer, dnssec_ok: bool) -> KeptAnswer:
    """Cut an answer down to what was asked for; raise WireError when a record that must be judged cannot be read.

    Addresses are judged wherever they stood: an answer that hides a private one is not believed in the rest.
    """
    scrubbed = scrub(answer, dnssec_ok)
    records = (*scrubbed.answers, *scrubbed.authorities)
    start = 12 + len(answer.question.raw)
    return KeptAnswer(
        message=scrubbed.data[: records[-1].end if records else start],
        body=start,
        rcode=answer.rcode,
        authenticated=bool(answer.flags & wire.AD),
        answers=len(scrubbed.answers),
        authorities=len(scrubbed.authorities),
        ttls=tuple((record.ttl_offset, clamp(record.ttl, LONGEST_TTL)) for record in records),
        ttl=find_ttl(scrubbed),
        records=(
            *(describe(scrubbed.data, record) for record in scrubbed.answers),
            *describe_rest(answer, is_whole=len(scrubbed.answers) == len(answer.answers)),
        ),
    )


def describe_rest(answer: UpstreamAnswer, *, is_whole: bool) -> Iterator[AnswerRecord]:
    """Addresses that are not part of the answer. Their owners are no names that it leads to, and not judged."""
    others = () if is_whole else answer.answers
    for record in (*others, *answer.authorities, *answer.additionals):
        if record.rtype in ADDRESS_TYPES and (addresses := describe(answer.data, record).addresses):
            yield AnswerRecord(answer.question.name, (), addresses)


def describe(data: bytes, record: Record) -> AnswerRecord:
    """What a record leads to: names and addresses that the review judges."""
    owner = wire.dotted(record.owner)
    if record.rclass != wire.IN:
        return AnswerRecord(owner)
    if record.rtype in {wire.A, wire.AAAA}:
        address = data[record.rdata : record.end]
        if len(address) != (4 if record.rtype == wire.A else 16):
            raise WireError("address of an odd length")
        return AnswerRecord(owner, addresses=(address,))
    if record.rtype in {wire.CNAME, wire.DNAME}:
        return AnswerRecord(owner, (wire.read_target(data, record),))
    if record.rtype in {wire.HTTPS, wire.SVCB}:
        target, hints = wire.read_service(data, record)
        return AnswerRecord(owner, (target,) if target else (), hints)
    return AnswerRecord(owner)


def clamp(ttl: int, most: int) -> int:
    """RFC 2181: a TTL with the highest bit set is zero."""
    return 0 if ttl >= 1 << 31 else min(ttl, most)


def find_ttl(answer: UpstreamAnswer) -> int:
    """Seconds that an answer may be kept: the least TTL, or for a negative one what the SOA says (RFC 2308)."""
    if answer.rcode not in {wire.NOERROR, wire.NXDOMAIN}:
        return 0
    ttls = [clamp(record.ttl, LONGEST_TTL) for record in answer.answers]
    is_positive = answer.rcode == wire.NOERROR and any(
        record.rtype == answer.question.qtype for record in answer.answers
    )
    if not is_positive:
        ttls.append(find_negative_ttl(answer))
    return min(ttls)


def find_negative_ttl(answer: UpstreamAnswer) -> int:
    """The lesser of the SOA's TTL and its minimum; without an SOA nothing is kept."""
    soa = next((record for record in answer.authorities if record.rtype == wire.SOA), None)
    if soa is None or soa.end - soa.rdata < 22:
        return 0
    (minimum,) = struct.unpack_from("!I", answer.data, soa.end - 4)
    return min(clamp(soa.ttl, LONGEST_NEGATIVE_TTL), clamp(minimum, LONGEST_NEGATIVE_TTL))


class Found(NamedTuple):
    """A kept answer, its age in seconds, and whether its TTL has passed."""

    answer: KeptAnswer
    age: int
    is_stale: bool
    is_due: bool = False
    """Asked for often, and soon too old: worth fetching before anybody has to wait for it."""


@dataclass(slots=True)
class Entry:
    """An answer, when it came, and how often it has served."""

    answer: KeptAnswer
    stored_at: float
    hits: int = 0
    is_kept: bool = True

    def is_due_at(self, age: int) -> bool:
        """Whether it is soon too old, at that many seconds: who asks often then has it fetched ahead."""
        return self.answer.ttl >= SHORTEST_PREFETCH and age >= self.due_age

    @property
    def due_age(self) -> int:
        """Seconds at which it is; or at which it is too old, when it is not worth fetching ahead."""
        ttl = self.answer.ttl
        return -(-ttl * 9 // 10) if ttl >= SHORTEST_PREFETCH else ttl


class Cache:
    """Least recently used goes first. Time is the caller's, in seconds that never go back."""

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self.kept: OrderedDict[CacheKey, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self.kept)

    def find(self, key: CacheKey, now: float) -> Found | None:
        """The answer, fresh or stale; what is too old even to be stale is dropped."""
        if (entry := self.kept.get(key)) is None:
            return None
        ttl = entry.answer.ttl
        age = int(now - entry.stored_at)
        if age >= ttl + STALE_SECONDS:
            self.drop(key)
            return None
        self.kept.move_to_end(key)
        entry.hits += 1
        is_due = entry.hits > HOT_HITS and entry.is_due_at(age)
        return Found(entry.answer, age, is_stale=age >= ttl, is_due=is_due)

    def use(self, key: CacheKey, entry: Entry, times: int) -> None:
        """An entry that was found here has served that many times more."""
        entry.hits += times
        if entry.is_kept:
            self.kept.move_to_end(key)

    def put(self, key: CacheKey, answer: KeptAnswer, now: float) -> None:
        """Keep an answer that has a TTL; make room for it."""
        self.drop(key)
        if answer.ttl <= 0:
            return
        self.kept[key] = Entry(answer, now)
        self.bytes += cost(key, answer)
        while self.bytes > self.most_bytes and self.kept:
            self.drop(next(iter(self.kept)))

    def drop(self, key: CacheKey) -> None:
        if (entry := self.kept.pop(key, None)) is not None:
            entry.is_kept = False
            self.bytes -= cost(key, entry.answer)


def cost(key: CacheKey, answer: KeptAnswer) -> int:
    """Bytes that an entry occupies, about."""
    return OVERHEAD + len(key.question) + len(answer.message) + 300 * len(answer.records)
