"""What of an upstream's answer is an answer: the chain that was asked for, and what a negative one needs.

Everything else might be a forger's or a careless server's (RFC 5452, 6): it is neither kept nor passed on.
"""

import struct
from collections.abc import Iterable, Sequence

from filter.serving import wire
from filter.serving.wire import Record, UpstreamAnswer, WireError

Labels = tuple[bytes, ...]

MOST_ALIASES = 16
RRSIG, NSEC, NSEC3 = 46, 47, 50
PROOFS = frozenset({wire.SOA, NSEC, NSEC3})
"""Types of the authority section that tell that something is not there."""


def scrub(answer: UpstreamAnswer, dnssec_ok: bool) -> UpstreamAnswer:
    """The answer without what nobody asked for; raise WireError for an endless chain of aliases.

    Kept as it came when nothing has to go but its end; else written anew, without compression.
    """
    names = chain_of(answer)
    answers = [record for record in answer.answers if belongs(answer, record, names, dnssec_ok)]
    is_negative = not any(record.rtype == answer.question.qtype for record in answers)
    last = names[-1]
    authorities = [
        record
        for record in answer.authorities
        if record.rclass == wire.IN and proves(answer.data, record, last, dnssec_ok, is_negative)
    ]
    if len(answers) == len(answer.answers) and is_prefix(authorities, answer.authorities):
        return with_sections(answer, answer.data, answers, authorities)
    return rewrite(answer, answers, authorities)


def chain_of(answer: UpstreamAnswer) -> list[Labels]:
    """The name that was asked for, then every alias that the answer leads through."""
    name, _ = wire.read_name(answer.data, wire.HEADER.size)
    names = [lowered(name)]
    if answer.question.qtype == wire.CNAME:
        return names
    aliases = aliases_of(answer)
    ends = {lowered(record.owner) for record in answer.answers if record.rtype == answer.question.qtype}
    while names[-1] not in ends and (target := follow(names[-1], aliases)) is not None:
        if target in names or len(names) > MOST_ALIASES:
            raise WireError("aliases without end")
        names.append(target)
    return names


def aliases_of(answer: UpstreamAnswer) -> list[tuple[int, Labels, Labels]]:
    """(type, owner, target) of each CNAME and DNAME of the answer section."""
    return [
        (record.rtype, lowered(record.owner), lowered(read_target(answer.data, record)))
        for record in answer.answers
        if record.rtype in {wire.CNAME, wire.DNAME} and record.rclass == wire.IN
    ]


def follow(name: Labels, aliases: Iterable[tuple[int, Labels, Labels]]) -> Labels | None:
    """Where a name leads: by its own alias, else by that of a parent (RFC 6672)."""
    for rtype, owner, target in aliases:
        if rtype == wire.CNAME and owner == name:
            return target
    for rtype, owner, target in aliases:
        if rtype == wire.DNAME and is_below(name, owner):
            return name[: len(name) - len(owner)] + target
    return None


def belongs(answer: UpstreamAnswer, record: Record, names: Sequence[Labels], dnssec_ok: bool) -> bool:
    """Whether a record of the answer section is on the chain and of a type that was asked for."""
    if record.rclass != wire.IN:
        return False
    rtype, owner = record.rtype, lowered(record.owner)
    if rtype == RRSIG and answer.question.qtype != RRSIG:
        if not dnssec_ok:
            return False
        rtype = covered(answer.data, record)
    if rtype == wire.DNAME and answer.question.qtype != wire.DNAME:
        return any(is_below(name, owner) for name in names)
    return owner in names and rtype in {answer.question.qtype, wire.CNAME}


def proves(data: bytes, record: Record, last: Labels, dnssec_ok: bool, is_negative: bool) -> bool:
    """Whether a record of the authority section says that something is not there, and may say so.

    An SOA is that of a zone which holds the name; signatures and denials are for those who asked for DNSSEC.
    """
    rtype = record.rtype
    if rtype == RRSIG:
        rtype = covered(data, record)
    if rtype not in PROOFS or (record.rtype != wire.SOA and not dnssec_ok):
        return False
    if rtype == wire.SOA:
        owner = lowered(record.owner)
        return is_negative and (owner == last or is_below(last, owner))
    return True


def covered(data: bytes, record: Record) -> int:
    """The type that a signature is of (RFC 4034, 3.1); 0 when it says none."""
    if record.end - record.rdata < 2:
        return 0
    (rtype,) = struct.unpack_from("!H", data, record.rdata)
    return int(rtype)


def is_below(name: Labels, parent: Labels) -> bool:
    return len(name) > len(parent) and name[len(name) - len(parent) :] == parent


def lowered(labels: Labels) -> Labels:
    return tuple(label.lower() for label in labels)


def read_target(data: bytes, record: Record) -> Labels:
    labels, end = wire.read_name(data, record.rdata)
    if end > record.end:
        raise WireError("name beyond its record")
    return labels


def is_prefix(kept: Sequence[Record], all_of_them: Sequence[Record]) -> bool:
    """Whether only the end of a section goes."""
    return list(all_of_them[: len(kept)]) == list(kept)


def rewrite(answer: UpstreamAnswer, answers: Sequence[Record], authorities: Sequence[Record]) -> UpstreamAnswer:
    """The same answer with these records alone, names written out."""
    start = wire.HEADER.size + len(answer.question.raw)
    packed = [pack(answer.data, record) for record in (*answers, *authorities)]
    data = answer.data[:start] + b"".join(packed)
    found, end = wire.read_records(data, start, len(packed))
    if end != len(data):
        raise WireError("answer that cannot be written anew")
    return with_sections(answer, data, found[: len(answers)], found[len(answers) :])


def pack(data: bytes, record: Record) -> bytes:
    rdata = wire.unpack_rdata(data, record)
    fixed = struct.pack("!HHIH", record.rtype, record.rclass, record.ttl, len(rdata))
    return wire.write_name(record.owner) + fixed + rdata


def with_sections(
    answer: UpstreamAnswer, data: bytes, answers: Sequence[Record], authorities: Sequence[Record]
) -> UpstreamAnswer:
    return UpstreamAnswer(
        data, answer.flags, answer.question, tuple(answers), tuple(authorities), answer.extended_rcode, (), answer.ede
    )
