"""What a list that is not trusted may say: everything but where a name leads."""

from pathlib import Path

import pytest

from filter.lists.adblock import parse_rule
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from filter.lists.report import check_list
from filter.lists.source import REASONS, ListReport, ListSource
from filter.lists.trust import REASON, read_trusted

ALIAS = RuleReply(ReplyKind.CNAME, "ailleurs.example")
RECORDS = RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(1, "203.0.113.66"),))
RULES: list[tuple[str, list[Entry], int]] = [
    ("||banque.example^$dnsrewrite=203.0.113.66", [NameEntry("banque.example")], 1),
    ("||banque.example^$dnsrewrite=ailleurs.example", [NameEntry("banque.example")], 1),
    ("||banque.example^$important,dnsrewrite=203.0.113.66", [NameEntry("banque.example", important=True)], 1),
    ("203.0.113.66 banque.example", [NameEntry("banque.example", Match.EXACT)], 1),
    ("||jeu.example^", ["jeu.example"], 0),
]


def read(*entries: Entry, trusted: bool = False) -> tuple[list[Entry], ListReport]:
    report = ListReport(rules=sum(isinstance(entry, RuleEntry) for entry in entries))
    source = ListSource("liste", "Liste", "jeux", lambda _report: iter(entries), trusts_replies=trusted)
    return list(read_trusted(source, report)), report


@pytest.mark.parametrize(("line", "expected", "count"), RULES)
def test_replies_that_lead_somewhere_become_blocks(line: str, expected: list[Entry], count: int) -> None:
    entries = parse_rule(line)

    found, report = read(*entries)

    assert (found, report.skipped[REASON], report.rules, report.names) == (expected, count, 0, count)
    assert read(*entries, trusted=True)[0] == list(entries)


@pytest.mark.parametrize("kind", sorted(set(ReplyKind) - {ReplyKind.CNAME, ReplyKind.RECORDS}))
def test_refusals_of_a_kind_stay(kind: ReplyKind) -> None:
    rule = RuleEntry("r", "a.example", reply=RuleReply(kind))

    found, report = read(rule)

    assert (found, report.skipped.total(), report.rules) == ([rule], 0, 1)


def test_a_pattern_and_a_network_lose_their_reply_only() -> None:
    pattern = RuleEntry("p", pattern="^banque", types=(1,), reply=ALIAS)
    network = RuleEntry("n", reply=RECORDS, network="192.0.2.0/24")

    found, report = read(pattern, network)

    assert found == [RuleEntry("p", pattern="^banque", types=(1,)), AddressEntry("192.0.2.0/24")]
    assert (report.skipped[REASON], report.rules, report.addresses) == (2, 1, 1)


def test_what_lifts_a_reply_lifts_the_block_that_it_became() -> None:
    any_reply = RuleEntry("e", "a.example", allows=True, lifts_replies=True)
    this_reply = RuleEntry("e", "a.example", allows=True, lifts_replies=True, reply=ALIAS)

    assert read(any_reply)[0] == [RuleEntry("e", "a.example", allows=True), any_reply]
    assert read(this_reply)[0] == [RuleEntry("e", "a.example", allows=True)]


def test_check_list_says_it(tmp_path: Path) -> None:
    path = tmp_path / "liste.txt"
    path.write_text("||google.com^$dnsrewrite=203.0.113.66\n||jeu.example^\n")

    (check,) = check_list(path)

    assert (check.report.skipped[REASON], check.kinds) == (1, {"names": 2})
    assert [hit.name for hit in check.popular if hit.name == "google.com"] == ["google.com"]
    assert REASON in REASONS
