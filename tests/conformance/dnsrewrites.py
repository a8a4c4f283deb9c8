"""Kinds dnsrewrite, dnsrewrite_parse: ``$dnsrewrite`` rules, answered by the live path."""

from functools import lru_cache

import dns.message
import dns.rcode
import dns.rdatatype

from filter.lists.entries import RuleEntry
from filter.rules import RuleTable
from tests.conformance.cases import Case, Json, compare, first_of, mapping
from tests.conformance.engine import Engine, ListText, one_profile, read_list, start
from tests.conformance.matching import action_of
from tests.conformance.upstream import answering


@lru_cache(maxsize=8)
def engine_of(text: str) -> Engine:
    lists = [ListText(text, "adblock")]
    return start(lists, one_profile(lists), answering(()))


def check_dnsrewrite(case: Case) -> str:
    """The records of the reply; where none are effective, what else the rules say of the name (``match``)."""
    name, qtype = str(case.query["qname"]), str(case.query["qtype"])
    engine = engine_of(case.text("list"))
    found = engine.explain(name, qtype)
    decision = found.decision
    wanted = records_of(case)
    if not wanted and "rcode" not in case.expect:
        match = case.expect.get("match")
        if match is None:
            rewritten = decision.rewrite is not None and bool(decision.rewrite.records or decision.rewrite.target)
            return compare("rewritten", rewritten, False)
        return compare("match", action_of(found), "block" if match == "hosts" else match)
    reply = engine.ask(name, qtype)
    if reply is None:
        return "no reply"
    return first_of(
        compare("rcode", dns.rcode.to_text(reply.rcode()), str(case.expect.get("rcode", "NOERROR"))),
        compare_records(reply, wanted, qtype),
    )


def records_of(case: Case) -> list[Json]:
    given = case.expect.get("records")
    return [mapping(each) for each in given] if isinstance(given, list) else []


def compare_records(reply: dns.message.Message, wanted: list[Json], qtype: str) -> str:
    """A CNAME stands alone; records of other types than the one asked for say that the type has no data."""
    found = {text_of(rrset.rdtype, rdata.to_text()) for rrset in reply.answer for rdata in rrset}
    given = {(str(each["type"]), str(each["value"])) for each in wanted}
    aliases = {each for each in given if each[0] == "CNAME"}
    effective = aliases or {each for each in given if each[0] == qtype}
    return compare("records", sorted(found), sorted(text_of(*each) for each in effective))


def text_of(rtype: dns.rdatatype.RdataType | str, value: str) -> tuple[str, str]:
    """One record in one notation, whoever wrote it."""
    kind = rtype if isinstance(rtype, str) else dns.rdatatype.to_text(rtype)
    words = value.replace('"', "").split()
    return kind, " ".join(word if "=" in word or word.isdigit() else word.removesuffix(".") for word in words)


def check_parse(case: Case) -> str:
    """Whether the rule is taken, and speaks of the query."""
    entries, report = read_list(f"{case.text('rule')}\n", "adblock")
    valid = bool(entries) and not report.skipped
    why = compare(f"valid ({dict(report.skipped)})", valid, case.expect["valid"])
    if why or "rule_matches" not in case.expect:
        return why
    rules = [(0, entry) for entry in entries if isinstance(entry, RuleEntry)]
    qtype = dns.rdatatype.from_text(str(case.query["qtype"]))
    matching = bool(RuleTable(rules).matching(str(case.query["qname"]), int(qtype)))
    return compare("rule matches", matching, case.expect["rule_matches"])
