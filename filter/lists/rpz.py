"""Response policy zones (draft-vixie-dnsop-dns-rpz): triggers on names, and on addresses in answers.

Within a zone an exact trigger beats a wildcard, and the longer wildcard the shorter. A bundle has no order of rules
within a list, so the reader sees to it that of two triggers with different actions only the one that wins matches: a
wildcard spares (``except_below``) the names of other triggers below it. That is also what zones mean by a wildcard:
below a name that exists, ``*`` of its parent does not match (RFC 4592, though a name that exists only because
something is below it hides nothing here). Where both block alike nothing is spared: what hangs below a blocked name
would be let through for no reason that a school could follow.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from filter.lists.entries import AddressEntry, Entry, NameEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from filter.lists.lines import read_raw_lines
from filter.lists.rpz_records import BLOCK, MATCHES, TCP_ONLY, Action, Found, Trigger, read_triggers, text_of
from filter.lists.source import ListReport
from filter.lists.zonefile import LONGEST_LINE, PLAIN, Plain, Record
from filter.rules import names_above

MOST_NODES = 20_000
"""Triggers of one zone that are more than a block: every gateway holds them in memory."""
MOST_EXCEPTIONS = 10_000
TOO_MANY = "plus de réponses particulières qu’un filtre n’en tient : ce qui est en trop est bloqué, sans elles"


@dataclass(slots=True)
class Node:
    """A trigger that does more than block, with all its records."""

    number: int
    text: str
    reply: RuleReply | None = None
    """None: the name is let through."""
    records: list[ReplyRecord] = field(default_factory=list)
    spared: set[str] = field(default_factory=set)
    """Names below a wildcard that have triggers of their own."""
    is_void: bool = False
    """An earlier record blocks the same trigger."""


@dataclass(slots=True)
class Zone:
    """What must be known of the whole zone before its plain triggers can be read."""

    nodes: dict[Trigger | str, Node] = field(default_factory=dict)
    """Of names, and of networks that have a reply of their own."""
    below: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Name -> names of nodes below it."""


def read_rpz(path: Path, report: ListReport) -> Iterator[Entry]:
    """The entries of a zone, in two readings: the first gathers what is more than a block, which is little."""
    zone = gather(read_triggers(unusual_lines(path), ListReport()))
    yield from read_blocks(zone, read_triggers(read_raw_lines(path, longest=LONGEST_LINE), report), report)
    for trigger, node in zone.nodes.items():
        yield from read_node(zone, trigger, node, report)


def unusual_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a zone without the plain ones, but for those whose owner the next line inherits."""
    waiting: tuple[int, bytes] | None = None
    for number, line in read_raw_lines(path, longest=LONGEST_LINE):
        if PLAIN(line):
            waiting = (number, line)
            continue
        stripped = line.lstrip()
        if not stripped or stripped.startswith(b";"):
            continue
        if waiting is not None and line[:1].isspace():
            yield waiting
        waiting = None
        yield number, line


def gather(triggers: Iterable[Found]) -> Zone:
    """The nodes of a zone: of one trigger the first record counts, and all records that go with it."""
    zone = Zone()
    for record, subject, action in triggers:
        if is_plain(subject, action):
            continue
        node = zone.nodes.get(subject)
        if node is None and len(zone.nodes) < MOST_NODES:
            node = zone.nodes[subject] = Node(record.number, text_of(record))
            node.reply = action if isinstance(action, RuleReply) else None
            if isinstance(subject, Trigger):
                for parent in names_above(subject.name):
                    zone.below[parent].add(subject.name)
        if node and isinstance(action, ReplyRecord) and (node.records or node.number == record.number):
            node.records.append(action)
    return zone


def read_blocks(zone: Zone, triggers: Iterable[Found], report: ListReport) -> Iterator[Entry]:
    """Everything of a zone but its nodes, as it is read; names that have a trigger of their own are noted with the
    nodes that must spare them."""
    networks: set[str] = set()
    wildcards = {
        trigger.name: node
        for trigger, node in zone.nodes.items()
        if isinstance(trigger, Trigger) and trigger.is_wildcard
    }
    for record, subject, action in triggers:
        node = zone.nodes.get(subject)
        if node is not None:
            check_duplicate(node, record, subject, action, report)
        if isinstance(subject, str):
            if node is None or (node.is_void and record.number < node.number):
                yield from read_address(record, subject, action, networks, report)
        elif node is not None:
            if node.is_void and record.number < node.number:
                yield from read_block(zone, record, subject, report)
        elif action is BLOCK:
            if wildcards:
                spare(subject.name, wildcards)
            yield from read_block(zone, record, subject, report)
        else:
            yield from read_surplus(record, subject, action, report)


def read_address(
    record: Record | Plain, network: str, action: Action, networks: set[str], report: ListReport
) -> Iterator[AddressEntry]:
    """An answer that leads there is blocked or kept; beyond MOST_NODES it has no reply of its own."""
    if action is TCP_ONLY:
        report.skip("too_many_rules", record.number, text_of(record))
        return
    if network in networks:
        if not isinstance(action, ReplyRecord):
            report.skip("duplicate", record.number, text_of(record))
        return
    networks.add(network)
    if not is_plain(network, action):
        report.warn(TOO_MANY)
    report.addresses += 1
    yield AddressEntry(network, allows=action is None)


def is_plain(subject: Trigger | str, action: Action) -> bool:
    """Whether an entry without a rule says it: a name's block, a network's block or exception."""
    return action is BLOCK or (action is None and isinstance(subject, str))


def check_duplicate(
    node: Node, record: Record | Plain, subject: Trigger | str, action: Action, report: ListReport
) -> None:
    """Of two records that contradict each other the first counts."""
    if is_plain(subject, action) and record.number < node.number:
        node.is_void = True
    elif record.number != node.number and not (node.records and isinstance(action, ReplyRecord)):
        report.skip("duplicate", record.number, text_of(record))


def spare(name: str, wildcards: dict[str, Node]) -> None:
    """Have the nearest wildcard above leave this name alone."""
    for parent in names_above(name):
        if parent in wildcards:
            wildcards[parent].spared.add(name)
            return


def read_block(zone: Zone, record: Record | Plain, trigger: Trigger, report: ListReport) -> Iterator[Entry]:
    """A trigger that just blocks."""
    spared = zone.below.get(trigger.name) if trigger.is_wildcard else None
    if spared:
        yield from make_rule(Node(record.number, text_of(record), BLOCK, spared=spared), trigger, None, report)
        return
    report.names += 1
    yield NameEntry(trigger.name, MATCHES[trigger.is_wildcard])


def read_surplus(record: Record | Plain, trigger: Trigger, action: Action, report: ListReport) -> Iterator[Entry]:
    """A trigger beyond MOST_NODES: blocked or let through, without a reply of its own."""
    if action is TCP_ONLY:
        report.skip("too_many_rules", record.number, text_of(record))
        return
    if action is not None:
        report.warn(TOO_MANY)
    report.names += 1
    yield NameEntry(trigger.name, MATCHES[trigger.is_wildcard], allows=action is None)


def read_node(zone: Zone, trigger: Trigger | str, node: Node, report: ListReport) -> Iterator[Entry]:
    """A trigger that lets through, or has a reply of its own."""
    if node.is_void:
        report.skip("duplicate", node.number, node.text)
        return
    reply = RuleReply(ReplyKind.RECORDS, records=tuple(node.records)) if node.records else node.reply
    if isinstance(trigger, str):
        report.rules += 1
        yield RuleEntry(node.text, reply=reply, network=trigger)
        return
    if trigger.is_wildcard:
        node.spared |= zone.below.get(trigger.name, set())
    if reply is None and not node.spared:
        report.names += 1
        yield NameEntry(trigger.name, MATCHES[trigger.is_wildcard], allows=True)
        return
    yield from make_rule(node, trigger, reply, report, allows=reply is None)


def make_rule(
    node: Node, trigger: Trigger, reply: RuleReply | None, report: ListReport, *, allows: bool = False
) -> Iterator[RuleEntry]:
    """A rule, unless it spares more names than a rule may."""
    if len(node.spared) > MOST_EXCEPTIONS:
        report.skip("too_many_rules", node.number, node.text)
        return
    report.rules += 1
    yield RuleEntry(
        node.text,
        anchor=trigger.name,
        match=MATCHES[trigger.is_wildcard],
        except_below=tuple(sorted(node.spared)),
        allows=allows,
        reply=reply,
    )
