"""Kinds match, badfilter_pair, group_policy: lists compiled to a names file, queries decided by the live path."""

from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import dns.edns
import dns.rcode

from filter.explaining import Effect, Explanation
from filter.policy import Action
from filter.settings import BlockMode, LabelSettings, PolicySettings, ProfileSettings, category_rules, hash_label
from tests.conformance.cases import Case, compare, first_of, mapping, texts
from tests.conformance.engine import Engine, ListText, local_top, one_network, one_profile, read_list, start
from tests.conformance.upstream import answering

ALLOWED_LISTS = frozenset({"allowlist"})


@lru_cache(maxsize=8)
def engine_of(lists: tuple[ListText, ...], local: frozenset[str]) -> Engine:
    """Cases of one test share their lists; so they share their engine."""
    return start(lists, one_profile(lists, ALLOWED_LISTS & {each.category for each in lists}, local))


def lists_of(case: Case) -> tuple[ListText, ...]:
    form = case.text("format")
    lists = [ListText(case.text("list"), form)]
    if case.text("allowlist"):
        lists.append(ListText(case.text("allowlist"), form, "allowlist"))
    return tuple(lists)


def check_match(case: Case) -> str:
    """``expect.rule`` is not compared: names are kept as hashes, the line is not."""
    name, qtype = str(case.query["qname"]), str(case.query["qtype"])
    engine = engine_of(lists_of(case), frozenset(local_top(name)))
    client = case.query.get("client_ip")
    return compare_action(case, engine.explain(name, qtype, str(client) if client else None))


def compare_action(case: Case, found: Explanation) -> str:
    decision = found.decision
    wanted, action = case.expect.get("action"), action_of(found)
    if wanted == "hosts":
        if action == "block":
            return ""
        addresses = [r.value for r in decision.rewrite.records] if decision.rewrite else []
        given = case.expect.get("v4") or case.expect.get("v6") or case.expect.get("answers")
        if decision.action is Action.REWRITTEN and (not given or set(addresses) <= set(texts(given))):
            return ""
    return compare(f"action ({decision.rule})", action, wanted)


def action_of(found: Explanation) -> str:
    """A decision in the words of case files. An exception allows by taking back what its list blocks."""
    decision = found.decision
    if decision.action is Action.ALLOWED:
        excepted = any(match.effect in (Effect.LIFTS, Effect.ALLOWS) for match in found.matches)
        return "allow" if excepted or decision.rule != "default" else "none"
    return "rewrite" if decision.action is Action.REWRITTEN else "block"


def check_badfilter_pair(case: Case) -> str:
    """Whether the rule is taken back: by what the reader leaves of both lines, and of the rule alone."""
    rule = case.text("rule")
    alone, report_alone = read_list(f"{rule}\n", "adblock")
    both, report = read_list(f"{rule}\n{case.text('badfilter')}\n", "adblock")
    negated = report.skipped["disabled_rule"] > 0 or len(both) < len(alone)
    if report_alone.skipped and not negated and case.expect.get("negated"):
        return f"negated: False ({dict(report_alone.skipped)}), expected True"
    return compare("negated", negated, case.expect.get("negated"))


def check_group_policy(case: Case) -> str:
    """Groups of lists for each client: profiles by label (the client's name) or by network."""
    engine = start(
        [ListText(str(text), "domains", slug.lower()) for slug, text in mapping(case.data.get("groups")).items()],
        group_settings(case),
        answering(case.lines("upstream_answer")),
        (IPv4Address("0.0.0.0"), IPv6Address("::")),
    )
    name, qtype = str(case.query["qname"]), str(case.query["qtype"])
    reply = engine.ask(name, qtype, "192.0.2.7")
    if reply is None:
        return "no reply"
    blocked = any(isinstance(option, dns.edns.EDEOption) for option in reply.options)  # every refusal says why
    found = [rdata.to_text() for rrset in reply.answer for rdata in rrset]
    wanted = case.expect.get("answers")
    return first_of(
        compare("blocked", blocked, case.expect["action"] == "block"),
        "" if wanted is None else compare("answers", found, wanted),
        compare_rcode(case, dns.rcode.to_text(reply.rcode())),
    )


def compare_rcode(case: Case, found: str) -> str:
    return "" if "rcode" not in case.expect else compare("rcode", found, case.expect["rcode"])


def group_settings(case: Case) -> PolicySettings:
    """One profile: the groups of this case's client, found as its engine finds them (name, pattern, network)."""
    groups = groups_of(case)
    profile = ProfileSettings(
        "client", "Client", categories=category_rules(groups), block_mode=BlockMode.ZERO, closes_bypass=False
    )
    other = ProfileSettings("autre", "Autre", closes_bypass=False)
    label = LabelSettings(hash_label("client"), "client")
    return PolicySettings((other, profile), "autre", (one_network("client", "192.0.2.7"),), (label,))


def groups_of(case: Case) -> list[str]:
    """The groups that the case gives the client. Turning names into labels is the controller's."""
    given = mapping(case.data.get("client_groups"))
    names, address = texts(case.query.get("client_names")), ip_address(str(case.query["client_ip"]))
    found: list[str] = []
    for who, groups in given.items():
        if who == "default":
            continue
        try:
            fits = address in ip_network(who, strict=False)
        except ValueError:
            fits = any(fnmatchcase(name, who) for name in names)
        if fits:
            found += texts(groups)
    return sorted({group.lower() for group in found or texts(given.get("default"))})
