"""Records of a response policy zone: what triggers each, and what is to be answered then."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import NamedTuple

from filter.lists.domains import NARROWEST
from filter.lists.entries import Match, ReplyKind, ReplyRecord, RuleReply
from filter.lists.records import HTTPS, MX, PTR, SRV, SVCB, TXT, read_record, read_target, read_type
from filter.lists.refused import RuleRefused
from filter.lists.source import ListReport
from filter.lists.suffixes import is_known_suffix
from filter.lists.zonefile import ROOT, Origin, Plain, Record, Refusal, qualify, read_records, unescape
from filter.names import ADDRESS, LONGEST, VALID

NOT_HERE = ("rpz-client-ip", "rpz-nsip", "rpz-nsdname")
"""Triggers on who asks (profiles say that here) and on name servers (a forwarder never meets them)."""
ADDRESSES = "rpz-ip"
BLOCK = RuleReply(ReplyKind.NXDOMAIN)
"""Handed over as a plain name: how blocked names are answered is the profile's choice."""
TCP_ONLY = RuleReply(ReplyKind.TRUNCATE)
ACTIONS = {
    "": BLOCK,
    "*": RuleReply(ReplyKind.NODATA),
    "rpz-drop": RuleReply(ReplyKind.DROP),
    "rpz-tcp-only": TCP_ONLY,
}
"""Target of a CNAME, without the dot at its end -> what is answered."""
PASSTHRU = "rpz-passthru"
NAME_AT = {PTR: 0, MX: 1, SRV: 3, SVCB: 1, HTTPS: 1}
"""Type -> which of its fields is a name, relative perhaps."""
LONGEST_TEXT = 200
MATCHES = (Match.EXACT, Match.BELOW)
"""Of a trigger without and with ``*``."""
Action = RuleReply | ReplyRecord | None
OF_THE_ZONE = frozenset(("SOA", "NS", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "ZONEMD"))
"""Records that keep the zone itself together."""


class Trigger(NamedTuple):
    """What a record is about."""

    name: str
    is_wildcard: bool


class Found(NamedTuple):
    """One record, understood."""

    record: Record | Plain
    subject: Trigger | str
    """A trigger on names, or the network of one on addresses."""
    action: Action


def read_triggers(lines: Iterable[tuple[int, bytes]], report: ListReport) -> Iterator[Found]:
    """Every record that says what to do when; what is refused, or cannot be enforced here, goes to the report."""
    apex: str | None = None
    origin = ""
    for record in read_records(lines):
        if isinstance(record, Origin):
            origin = record.name
            continue
        if isinstance(record, Record) and record.type in OF_THE_ZONE:
            apex = record.owner if record.type == "SOA" else apex
            continue
        report.lines += 1
        if isinstance(record, Refusal):
            report.skip(record.reason, record.number, record.text)
            continue
        apex = origin if apex is None else apex
        try:
            if not isinstance(record, Plain):
                yield read_found(record, apex, report)
            elif origin == apex and "rpz-" not in record.owner:
                yield Found(record, read_trigger(record.owner), BLOCK)
            else:
                owner, is_absolute = qualify(record.owner, origin)
                whole = Record(record.number, text_of(record), owner, is_absolute, origin, "CNAME", ROOT)
                yield read_found(whole, apex, report)
        except RuleRefused as refusal:
            report.skip(refusal.reason, record.number, text_of(record))


def read_found(record: Record, apex: str, report: ListReport) -> Found:
    """One record's trigger and action. Raises RuleRefused."""
    owner = record.owner
    if record.is_absolute:
        if not apex or not owner.endswith(f".{apex}"):
            raise RuleRefused("out_of_zone")
        owner = owner[: -len(apex) - 1]
    kind = owner.rpartition(".")[2]
    if kind in NOT_HERE:
        report.not_enforceable[kind] += 1
        raise RuleRefused("not_enforceable_trigger")
    if kind == ADDRESSES:
        return Found(record, read_network(owner.removesuffix(f".{ADDRESSES}")), read_action(record, owner))
    trigger = read_trigger(owner)
    return Found(record, trigger, read_action(record, trigger.name))


def read_trigger(owner: str) -> Trigger:
    """``example.org`` or ``*.example.org``. Raises RuleRefused."""
    name = owner.removeprefix("*.")
    if owner == "*":
        raise RuleRefused("too_wide")
    if len(name) > LONGEST or VALID.fullmatch(name) is None:
        raise RuleRefused("invalid_name")
    if ADDRESS.fullmatch(name):
        raise RuleRefused("ip_address")
    if is_known_suffix(name):
        raise RuleRefused("public_suffix")
    return Trigger(name, name != owner)


def read_network(owner: str) -> str:
    """``24.0.2.0.192`` is 192.0.2.0/24, ``48.zz.db8.2001`` is 2001:db8::/48. Raises RuleRefused."""
    length, *parts = owner.split(".")
    parts.reverse()
    if len(parts) == 4 and "zz" not in parts:
        text = ".".join(parts)
    else:
        text = ":".join("" if part == "zz" else part for part in parts)
        text = f":{text}" if parts[:1] == ["zz"] else text
        text = f"{text}:" if parts[-1:] == ["zz"] else text
    try:
        network = ip_network(f"{text}/{int(length)}")
    except ValueError as error:
        raise RuleRefused("bad_address") from error
    if network.prefixlen < NARROWEST[network.version]:
        raise RuleRefused("too_wide")
    return str(network)


def read_action(record: Record, name: str) -> Action:
    """What is answered; None lets the name through. Raises RuleRefused."""
    if record.type == "CNAME":
        return read_cname(record, name)
    qtype = read_type(record.type)
    fields = [unescape(word) if qtype == TXT else word.replace('"', "") for word in record.fields]
    at = NAME_AT.get(qtype)
    if at is not None and at < len(fields) and fields[at] != ".":
        fields[at] = qualify(fields[at], record.origin)[0]
    return read_record(qtype, fields)


def read_cname(record: Record, name: str) -> Action:
    """The actions that zones write as the target of a CNAME; a target of the trigger's own name lets it through, as
    in the first edition of the format."""
    if len(record.fields) != 1:
        raise RuleRefused("bad_record")
    target = "" if record.fields == ROOT else qualify(record.fields[0], record.origin)[0]
    if target in (PASSTHRU, name):
        return None
    if target in ACTIONS:
        return ACTIONS[target]
    if target.startswith("rpz-"):  # an action of another edition, or one without its last dot
        raise RuleRefused("bad_record")
    if target.startswith("*."):
        return RuleReply(ReplyKind.CNAME, f"*.{read_target(target[2:])}")
    return RuleReply(ReplyKind.CNAME, read_target(target))


def text_of(record: Record | Plain) -> str:
    """What explains the entry to a person: the record's first line."""
    if isinstance(record, Plain):
        return f"{record.owner} CNAME ."
    return record.text[:LONGEST_TEXT] or f"{record.owner}. {record.type} {' '.join(record.fields)}"
