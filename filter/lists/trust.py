"""Where a list may lead people: without trust, its own answers become plain blocks of the same names."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from filter.lists.entries import AddressEntry, Entry, NameEntry, ReplyKind, RuleEntry
from filter.lists.source import ListReport, ListSource

LEADING = frozenset((ReplyKind.CNAME, ReplyKind.RECORDS))
"""Replies that lead somewhere. The others say no in one way or another, which is all that a block does."""
REASON = "reply_not_trusted"


def read_trusted(source: ListSource, report: ListReport) -> Iterator[Entry]:
    """The entries of a list as they may be used: all of them, or without replies that lead somewhere."""
    entries = source.read(report)
    return entries if source.trusts_replies else without_leading(entries, report)


def without_leading(entries: Iterable[Entry], report: ListReport) -> Iterator[Entry]:
    """What a list that is not trusted may say of the same names; replies taken away are counted.

    Whatever lifts such replies lifts the blocks that they became.
    """
    for entry in entries:
        if isinstance(entry, RuleEntry):
            yield from rule_without_leading(entry, report)
        else:
            yield entry


def rule_without_leading(rule: RuleEntry, report: ListReport) -> Iterator[Entry]:
    """What one rule becomes."""
    leads = rule.reply is not None and rule.reply.kind in LEADING
    if rule.lifts_replies and (leads or rule.reply is None):
        yield replace(rule, lifts_replies=False, reply=None)
    if leads and not rule.allows:
        report.skipped[REASON] += 1
        yield as_plain(replace(rule, reply=None), report)
    elif not leads:
        yield rule


def as_plain(rule: RuleEntry, report: ListReport) -> Entry:
    """A rule without a reply as the cheapest entry that says it."""
    bare = RuleEntry(rule.text, anchor=rule.anchor, match=rule.match, important=rule.important)
    if rule.anchor is not None and rule == bare:
        report.rules, report.names = report.rules - 1, report.names + 1
        return NameEntry(rule.anchor, rule.match, important=rule.important)
    if rule.network is not None and rule == RuleEntry(rule.text, network=rule.network):
        report.rules, report.addresses = report.rules - 1, report.addresses + 1
        return AddressEntry(rule.network)
    return rule
