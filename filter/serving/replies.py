"""Replies as bytes: an upstream's answer made ours, a refusal with its reason (RFC 8914), errors."""

import struct
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from filter.deciding.decisions import Action, Decision, Rewrite
from filter.lists.rdata import RecordInvalid, pack_name, pack_record
from filter.lists.titles import TITLES
from filter.serving import wire
from filter.serving.resolving.cache import STALE_TTL, Found
from filter.serving.wire import ClientQuery, Question
from filter.settings import BlockMode

UDP_SIZE = 1232  # what passes every network unfragmented (DNS flag day 2020)
SMALLEST_UDP = 512
LARGEST = 65_535
BLOCKED_TTL = 10
REWRITTEN_TTL = 60
"""Short as well: what leads elsewhere here leads to its own place once the device is at home."""
ANY_TTL = 3_600
LONGEST_TOLD = 600
"""Seconds that a device remembers an answer, at most: so soon a change that nobody planned holds for all. The cache
keeps it as long as the upstream said."""
EDNS_VERSION = 0

LONGEST_TEXT = 160
"""Characters of an explanation: it must leave room in 512 bytes."""
EDE_OPTION = 15
EDE_STALE = 3
EDE_STALE_NXDOMAIN = 19
EDE_NOT_READY = 14
EDE_BLOCKED = 15
EDE_FILTERED = 17
NOBODY_ANSWERED = frozenset({22, 23})

VERSIONS = {wire.A: 4, wire.AAAA: 6}
QUESTION_NAME = b"\xc0\x0c"
"""A pointer to the question's name."""
AUTHORITY_NAME = b"\x06filtre\x05preau\x07invalid\x00"

Address = IPv4Address | IPv6Address


class Extra(NamedTuple):
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
    raw, edns = query.question.raw, query.edns
    opt = b"" if edns is None else pack_opt(rcode, edns.dnssec_ok, extra)
    if extra is not None and edns is not None and 12 + len(raw) + len(opt) > limit:
        opt = pack_opt(rcode, edns.dnssec_ok, None)
    flags |= wire.QR | query.flags & (wire.RD | wire.CD) | rcode & 15
    if 12 + len(raw) + len(body) + len(opt) > limit:
        flags, body, answers, authorities = flags | wire.TC, b"", 0, 0
    header = wire.HEADER.pack(query.id, flags, 1, answers, authorities, 1 if opt else 0)
    return header + raw + body + opt


@lru_cache(maxsize=4_096)
def pack_opt(rcode: int, dnssec_ok: bool, extra: Extra | None) -> bytes:
    option = b""
    if extra is not None:
        info = struct.pack("!H", extra.code) + extra.text.encode()[:LONGEST_TEXT].decode(errors="ignore").encode()
        option = struct.pack("!HH", EDE_OPTION, len(info)) + info
    ttl = rcode >> 4 << 24 | EDNS_VERSION << 16 | (0x8000 if dnssec_ok else 0)
    return struct.pack("!BHHIH", 0, wire.OPT, UDP_SIZE, ttl, len(option)) + option


def record(rtype: int, ttl: int, rdata: bytes, owner: bytes = QUESTION_NAME) -> bytes:
    """A record, by default owned by the name that was asked for."""
    return owner + struct.pack("!HHIH", rtype, wire.IN, ttl, len(rdata)) + rdata


START_OF_AUTHORITY = record(
    wire.SOA, BLOCKED_TTL, AUTHORITY_NAME + AUTHORITY_NAME + struct.pack("!5I", 1, 3600, 600, 86_400, BLOCKED_TTL)
)
"""What lets resolvers behind us keep a negative answer for BLOCKED_TTL seconds (RFC 2308)."""


def forwarded(query: ClientQuery, limit: int, found: Found, most_ttl: int = LONGEST_TOLD) -> bytes:
    """An upstream's answer as ours, to be remembered for ``most_ttl`` seconds at most."""
    answer = found.answer
    wants_ad = query.dnssec_ok or query.flags & wire.AD
    return reply(
        query,
        limit,
        answer.rcode,
        body=answer.aged(found.age, found.is_stale, most_ttl)[answer.body :],
        answers=answer.answers,
        authorities=answer.authorities,
        extra=stale_extra(answer.rcode) if found.is_stale else None,
        flags=wire.RA | (wire.AD if answer.authenticated and wants_ad else 0),
    )


def stale_extra(rcode: int) -> Extra:
    """That an answer is older than it should be (RFC 8914, 4.4 and 4.20)."""
    code = EDE_STALE_NXDOMAIN if rcode == wire.NXDOMAIN else EDE_STALE
    return Extra(code, f"réponse de plus de {STALE_TTL} s, faute de résolveur")


def target_query(query: ClientQuery, target: str) -> ClientQuery:
    """The same question about the name that a rewrite leads to; without DNSSEC, which cannot vouch for the alias."""
    raw = pack_name(target) + query.question.raw[-4:]
    question = Question(raw, target, query.question.qtype, query.question.qclass)
    return ClientQuery(query.id, wire.RD, question, None)


def rewritten(query: ClientQuery, limit: int, decision: Decision, found: Found | None) -> bytes:
    """A local answer: the alias if there is one, then its target's records, ours or those that were looked up.

    Names are written out: offsets of the target's own answer mean nothing behind another question.
    """
    rewrite = decision.rewrite or Rewrite()
    ttl = REWRITTEN_TTL if decision.ttl is None else min(REWRITTEN_TTL, decision.ttl)
    owner, aliases = QUESTION_NAME, []
    if rewrite.target is not None:
        owner = pack_name(rewrite.target)
        aliases = [record(wire.CNAME, ttl, owner)]
    try:
        own = [record(each.qtype, ttl, pack_record(each), owner) for each in rewrite.records]
    except RecordInvalid:  # no reader lets such a record in
        own = []
    if found is None:
        if not aliases and not own:
            return negative(query, limit, wire.NOERROR, explain(decision))
        return reply(query, limit, body=b"".join(aliases + own), answers=len(aliases + own))
    answer = found.answer
    message = answer.aged(found.age, found.is_stale, ttl)
    theirs, _ = wire.read_records(message, answer.body, answer.answers + answer.authorities)
    body = aliases + [record(e.rtype, e.ttl, wire.unpack_rdata(message, e), wire.write_name(e.owner)) for e in theirs]
    answers = len(aliases) + answer.answers
    return reply(query, limit, answer.rcode, body=b"".join(body), answers=answers, authorities=answer.authorities)


def truncated(query: ClientQuery) -> bytes:
    """Nothing but the wish to be asked again over TCP."""
    return reply(query, LARGEST, flags=wire.RA | wire.TC)


def addresses(query: ClientQuery, limit: int, known: Sequence[Address], ttl: int, extra: Extra | None) -> bytes:
    """The addresses of the family asked for; no data for every other type, so that nothing leads around them."""
    version = VERSIONS.get(query.question.qtype)
    chosen = [address.packed for address in known if address.version == version]
    if not chosen:
        return negative(query, limit, wire.NOERROR, extra)
    body = b"".join(record(query.question.qtype, ttl, packed) for packed in chosen)
    return reply(query, limit, body=body, answers=len(chosen), extra=extra)


def negative(query: ClientQuery, limit: int, rcode: int, extra: Extra | None) -> bytes:
    """No such name, or no such data."""
    return reply(query, limit, rcode, body=START_OF_AUTHORITY, authorities=1, extra=extra)


LOOPBACK = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
NO_ADDRESS = (IPv4Address("0.0.0.0"), IPv6Address("::"))  # noqa: S104  # nothing is bound


def decided(
    query: ClientQuery,
    limit: int,
    decision: Decision,
    block_addresses: Sequence[Address],
    block_mode: BlockMode = BlockMode.PAGE,
) -> bytes:
    """The reply that a decision makes by itself: every one but those that need an upstream or no reply at all."""
    extra = explain(decision)
    match decision.action:
        case Action.MINIMAL:
            return reply(query, limit, body=record(13, ANY_TTL, b"\x07RFC8482\x00"), answers=1)  # HINFO
        case Action.LOOPBACK:
            return addresses(query, limit, LOOPBACK, BLOCKED_TTL, None)
        case Action.NODATA:
            return negative(query, limit, wire.NOERROR, extra)
        case Action.REFUSED:
            return reply(query, limit, wire.REFUSED, extra=extra)
        case Action.TRUNCATED:
            return truncated(query)
        case Action.REWRITTEN:
            return rewritten(query, limit, decision, None)
        case Action.BLOCKED if block_mode is BlockMode.ZERO:
            return addresses(query, limit, NO_ADDRESS, BLOCKED_TTL, extra)
        case Action.BLOCKED if block_mode is BlockMode.PAGE and block_addresses:
            return addresses(query, limit, block_addresses, BLOCKED_TTL, extra)
        case _:
            return negative(query, limit, wire.NXDOMAIN, extra)


def explain(decision: Decision) -> Extra:
    """Why, for whoever reads it with kdig or in a browser that shows it. No name: the client knows what it asked."""
    return explain_rule(
        decision.rule, decision.category, decision.lists, bool(decision.via), decision.schedule, decision.reason
    )


@lru_cache(maxsize=1_024)
def explain_rule(
    rule: str, category: str | None, lists: tuple[str, ...], is_led_to: bool, schedule: str, reason: str
) -> Extra:
    """The same, whatever the name was."""
    known = REASONS.get(rule)
    if known is not None:
        code, text = known
        return Extra(code, f"{text} : {reason}" if reason else text)
    if category is None:
        return Extra(EDE_FILTERED, f"nom bloqué par dérogation : {reason}".removesuffix(" : "))
    way = " (par son adresse)" if rule == "address_deny" else " (par un autre nom)" if is_led_to else ""
    return Extra(EDE_FILTERED, explain_category(category, lists, way, schedule, reason))


REASONS = {
    "rebinding": (EDE_BLOCKED, "adresse privée pour un nom public"),
    "special_name": (EDE_BLOCKED, "nom réservé"),
    "canary": (EDE_BLOCKED, "le filtre ne se contourne pas"),
    "bypass": (EDE_BLOCKED, "service qui contourne le filtre"),
    "own_deny": (EDE_FILTERED, "nom bloqué par l’école"),
    "lesson": (EDE_FILTERED, "hors de la leçon en cours"),
    "rewrite": (EDE_FILTERED, "réponse locale"),
    "safe_search": (EDE_FILTERED, "recherche protégée"),
}
"""Rule -> number and words. Lists and overrides are told by explain_category()."""


def explain_category(category: str, lists: tuple[str, ...], way: str, schedule: str, reason: str) -> str:
    """The category, its lists where their titles say more, how the name came to be judged, and by whom."""
    title = TITLES.get(category)
    others = ", ".join(each for each in lists if each != title)
    parts = [f"catégorie : {title or others or category}{way}"]
    for word, value in (("liste", others if title else ""), ("plage", schedule), ("dérogation", reason)):
        parts += [f"{word} : {value}"] if value else []
    return " ; ".join(parts)


def not_ready(query: ClientQuery, limit: int) -> bytes:
    """Nothing is answered unfiltered: until there is a bundle, nothing is answered."""
    return reply(query, limit, wire.SERVFAIL, extra=Extra(EDE_NOT_READY, "le filtre attend ses listes"))


def failed(query: ClientQuery, limit: int, rcode: int, ede: int) -> bytes:
    """No upstream answered, or those that did could not: then ``ede`` is what the first of them said."""
    text = "aucun résolveur n’a répondu" if ede in NOBODY_ANSWERED else "le résolveur n’a pas pu répondre"
    return reply(query, limit, rcode, extra=Extra(ede, text))


def own_text(query: ClientQuery, limit: int, data: bytes) -> bytes:
    """A TXT record of our own, that nobody keeps."""
    return reply(query, limit, body=record(16, 0, data), answers=1)
