"""Replies as bytes: an upstream's answer made ours, a refusal with its reason (RFC 8914), errors."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from filter import wire
from filter.cache import STALE_TTL, Found
from filter.policy import Action, Decision
from filter.wire import ClientQuery

UDP_SIZE = 1232  # what passes every network unfragmented (DNS flag day 2020)
SMALLEST_UDP = 512
LARGEST = 65_535
BLOCKED_TTL = 10
ANY_TTL = 3_600
EDNS_VERSION = 0

LONGEST_TEXT = 160
"""Characters of an explanation: it must leave room in 512 bytes."""
EDE_OPTION = 15
EDE_STALE = 3
EDE_NOT_READY = 14
EDE_BLOCKED = 15
EDE_FILTERED = 17

QUESTION_NAME = b"\xc0\x0c"
"""A pointer to the question's name."""
AUTHORITY_NAME = b"\x06filtre\x05preau\x07invalid\x00"

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Extra:
    """An extended error: a number that programs know, a sentence for people."""

    code: int
    text: str = ""


def size_limit(query: ClientQuery, over_udp: bool) -> int:
    """The largest reply that this client takes."""
    if not over_udp:
        return LARGEST
    return SMALLEST_UDP if query.edns is None else max(SMALLEST_UDP, min(query.edns.size, UDP_SIZE))


def error(data: bytes, rcode: int) -> bytes:
    """A bare header: for what could not be parsed, or is not spoken here."""
    identifier, flags, *_ = wire.HEADER.unpack_from(data)
    return wire.HEADER.pack(identifier, wire.QR | flags & (0x7800 | wire.RD) | rcode & 15, 0, 0, 0, 0)


def reply(
    query: ClientQuery,
    limit: int,
    rcode: int = wire.NOERROR,
    *,
    body: bytes = b"",
    answers: int = 0,
    authorities: int = 0,
    extra: Extra | None = None,
    flags: int = wire.RA,
) -> bytes:
    """A whole reply: the client's id and question as it wrote them, the sections given, OPT if the client sent one.

    What does not fit is left out whole, and TC says so.
    """
    opt = b"" if query.edns is None else pack_opt(query, rcode, extra)
    if extra is not None and 12 + len(query.question.raw) + len(opt) > limit:
        opt = opt and pack_opt(query, rcode, None)
    flags |= wire.QR | query.flags & (wire.RD | wire.CD) | rcode & 15
    if 12 + len(query.question.raw) + len(body) + len(opt) > limit:
        flags, body, answers, authorities = flags | wire.TC, b"", 0, 0
    header = wire.HEADER.pack(query.id, flags, 1, answers, authorities, 1 if opt else 0)
    return header + query.question.raw + body + opt


def pack_opt(query: ClientQuery, rcode: int, extra: Extra | None) -> bytes:
    option = b""
    if extra is not None:
        info = struct.pack("!H", extra.code) + extra.text.encode()[:LONGEST_TEXT].decode(errors="ignore").encode()
        option = struct.pack("!HH", EDE_OPTION, len(info)) + info
    ttl = rcode >> 4 << 24 | EDNS_VERSION << 16 | (0x8000 if query.dnssec_ok else 0)
    return struct.pack("!BHHIH", 0, wire.OPT, UDP_SIZE, ttl, len(option)) + option


def record(rtype: int, ttl: int, rdata: bytes) -> bytes:
    """A record owned by the name that was asked for."""
    return QUESTION_NAME + struct.pack("!HHIH", rtype, wire.IN, ttl, len(rdata)) + rdata


def start_of_authority() -> bytes:
    """What lets resolvers behind us keep a negative answer for BLOCKED_TTL seconds (RFC 2308)."""
    numbers = struct.pack("!5I", 1, 3600, 600, 86_400, BLOCKED_TTL)
    return record(wire.SOA, BLOCKED_TTL, AUTHORITY_NAME + AUTHORITY_NAME + numbers)


def forwarded(query: ClientQuery, limit: int, found: Found) -> bytes:
    """An upstream's answer as ours."""
    answer = found.answer
    wants_ad = query.dnssec_ok or query.flags & wire.AD
    return reply(
        query,
        limit,
        answer.rcode,
        body=answer.aged(found.age, stale=found.is_stale),
        answers=answer.answers,
        authorities=answer.authorities,
        extra=Extra(EDE_STALE, f"réponse de plus de {STALE_TTL} s, faute de résolveur") if found.is_stale else None,
        flags=wire.RA | (wire.AD if answer.authenticated and wants_ad else 0),
    )


def addresses(query: ClientQuery, limit: int, known: Sequence[Address], ttl: int, extra: Extra | None) -> bytes:
    """The addresses of the family asked for; no data for every other type, so that nothing leads around them."""
    version = {wire.A: 4, wire.AAAA: 6}.get(query.question.qtype)
    chosen = [address.packed for address in known if address.version == version]
    if not chosen:
        return negative(query, limit, wire.NOERROR, extra)
    body = b"".join(record(query.question.qtype, ttl, packed) for packed in chosen)
    return reply(query, limit, body=body, answers=len(chosen), extra=extra)


def negative(query: ClientQuery, limit: int, rcode: int, extra: Extra | None) -> bytes:
    """No such name, or no such data."""
    return reply(query, limit, rcode, body=start_of_authority(), authorities=1, extra=extra)


LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))


def decided(query: ClientQuery, limit: int, decision: Decision, block_addresses: Sequence[Address]) -> bytes:
    """The reply that a decision other than ALLOWED makes."""
    extra = explain(decision)
    match decision.action:
        case Action.MINIMAL:
            return reply(query, limit, body=record(13, ANY_TTL, b"\x07RFC8482\x00"), answers=1)  # HINFO
        case Action.LOOPBACK:
            return addresses(query, limit, LOOPBACK, BLOCKED_TTL, None)
        case Action.NODATA:
            return negative(query, limit, wire.NOERROR, extra)
        case Action.BLOCKED if block_addresses:
            return addresses(query, limit, block_addresses, BLOCKED_TTL, extra)
        case _:
            return negative(query, limit, wire.NXDOMAIN, extra)


def explain(decision: Decision) -> Extra:
    """Why, for whoever reads it with kdig or in a browser that shows it. No name: the client knows what it asked."""
    match decision.rule:
        case "rebinding":
            return Extra(EDE_BLOCKED, "adresse privée pour un nom public")
        case "own_deny":
            return Extra(EDE_FILTERED, "nom bloqué par l’école")
        case "special_name":
            return Extra(EDE_BLOCKED, "nom réservé")
        case _:
            titles = ", ".join(decision.lists)
            way = " (par un autre nom)" if decision.via else ""
            return Extra(EDE_FILTERED, f"catégorie : {titles}{way}")


def not_ready(query: ClientQuery, limit: int) -> bytes:
    """Nothing is answered unfiltered: until there is a bundle, nothing is answered."""
    return reply(query, limit, wire.SERVFAIL, extra=Extra(EDE_NOT_READY, "le filtre attend ses listes"))


def failed(query: ClientQuery, limit: int, rcode: int, ede: int) -> bytes:
    """No upstream answered."""
    return reply(query, limit, rcode, extra=Extra(ede, "aucun résolveur n’a répondu"))
