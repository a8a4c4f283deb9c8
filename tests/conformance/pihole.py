"""Kinds live_dns, regex: a policy of groups in the words of Pi-hole, put into ours, and its live answers."""

import json
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise
from pathlib import Path

import dns.edns
import dns.message
import dns.rcode

from filter.lists.entries import RuleEntry
from filter.rules import PatternRefused, RuleTable, check_pattern
from filter.settings import (
    BlockMode,
    NameRule,
    PolicySettings,
    ProfileSettings,
    Verdict,
    category_rules,
)
from tests.conformance.cases import Case, compare, first_of, mapping, texts
from tests.conformance.engine import Engine, ListText, Script, one_network, pack, start
from tests.conformance.upstream import answering

ZEROS = (IPv4Address("0.0.0.0"), IPv6Address("::"))
EVERYBODY, SECOND, NOTHING = "127.0.0.1", "127.0.0.2", "127.0.0.3"
FORWARDED_BY_DEFAULT = ("mask.icloud.com. 60 IN A 198.51.100.7",)


def check_live(case: Case) -> str:
    """One query of one client, over its transport."""
    engine = engine_of(case.file.parent / case.text("policy"))
    reply = ask(engine, case)
    if reply is None:
        return "no reply"
    expect = case.expect
    found = sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset if rrset.rdtype in (1, 28))
    ede = next((option for option in reply.options if isinstance(option, dns.edns.EDEOption)), None)
    return first_of(
        compare("rcode", dns.rcode.to_text(reply.rcode()), expect["rcode"]) if "rcode" in expect else "",
        compare("answers", found, sorted(texts(expect["answers"]))) if "answers" in expect else "",
        compare("ede", int(ede.code) if ede else None, expect["ede"]) if "ede" in expect else "",
        compare("named", str(expect.get("ede_text", "")) in ((ede.text or "") if ede else ""), True),
    )


def ask(engine: Engine, case: Case) -> dns.message.Message | None:
    query, opcode = case.query, str(case.expect.get("opcode", "QUERY"))
    data = pack(str(query["qname"]), str(query["qtype"]), opcode=opcode)
    reply = engine.answer(data, str(query["client_ip"]), case.expect.get("transport") != "tcp")
    return None if reply is None else dns.message.from_wire(reply)


@lru_cache(maxsize=2)
def engine_of(path: Path) -> Engine:
    """Group 0 has everything, group 2 what its line says, group 3 nothing."""
    given = mapping(json.loads(path.read_text("utf-8")))
    denied = texts(given.get("regex_deny"))
    lists = [
        ListText(lines([*texts(given.get("gravity")), *exceptions(given)]), "adblock", "gravity", "gravity"),
        ListText(lines(map(translate, texts(given.get("regex_allow")))), "adblock", "regex_allow"),
        ListText(lines(map(translate, denied)), "adblock", "regex_deny"),
        ListText(lines(texts(given.get("gravity"))), "adblock", "gravity_2", "gravity"),
        ListText(lines(map(translate, denied[:1])), "adblock", "regex_deny_2"),
    ]
    return start(lists, policy_of(given), upstream_of(mapping(given.get("upstream"))), ZEROS)


def exceptions(given: Mapping[str, object]) -> list[str]:
    return [line for line in texts(given.get("antigravity")) if line.startswith("@@")]


def lines(given: object) -> str:
    return "".join(f"{line}\n" for line in given) if hasattr(given, "__iter__") else ""


def policy_of(given: Mapping[str, object]) -> PolicySettings:
    """Own names are exact and regex lists are categories: what a person allowed there beats what is denied."""
    names = [NameRule(name, Verdict.ALLOW) for name in texts(given.get("exact_allow"))]
    names += [NameRule(name, Verdict.BLOCK) for name in texts(given.get("exact_deny"))]
    everything = ProfileSettings(
        "groupe-0",
        "Groupe 0",
        categories=category_rules(("gravity", "regex_deny"), ("regex_allow",)),
        names=tuple(names),
        block_mode=BlockMode.ZERO,
    )
    second = ProfileSettings(
        "groupe-2",
        "Groupe 2",
        categories=category_rules(("gravity_2", "regex_deny_2")),
        block_mode=BlockMode.ZERO,
        closes_bypass=False,  # it allows mask.icloud.com
    )
    nothing = ProfileSettings("groupe-3", "Groupe 3", closes_bypass=False)
    networks = (
        one_network("groupe-0", EVERYBODY), one_network("groupe-2", SECOND), one_network("groupe-3", NOTHING)
    )  # fmt: skip
    return PolicySettings(
        (everything, second, nothing), "groupe-0", networks, private_names=("ftl",), closed_categories=()
    )


def translate(regex: str) -> str:
    """``regex;querytype=A;reply=NXDOMAIN`` as the adblock rules that say the same."""
    pattern, *options = regex.split(";")
    types, replies = [], []
    for option in options:
        key, _, value = option.partition("=")
        if key == "querytype":
            negated, words = value.startswith("!"), value.removeprefix("!").split(",")
            types = [f"~{word}" if negated else word for word in words if word != "ANY"]
        elif key == "reply":
            replies.append({"NODATA": "NOERROR"}.get(value, value.upper() if value.isalpha() else value))
    condition = [f"dnstype={'|'.join(types)}"] if types else []
    rules = []
    for reply in replies or [""]:
        modifiers = ",".join([*condition, *([f"dnsrewrite={reply}"] if reply else [])])
        rules.append(f"/{pattern}/" + (f"${modifiers}" if modifiers else ""))
    return "\n".join(rules)


def upstream_of(given: Mapping[str, object]) -> Script:
    """``name: address`` or ``name: CNAME a ... CNAME z``."""
    records = list(FORWARDED_BY_DEFAULT)
    for name, value in given.items():
        text = str(value)
        if not text.startswith("CNAME"):
            records.append(f"{name}. 60 IN {'AAAA' if ':' in text else 'A'} {text}")
            continue
        chain = [name, *(word for word in text.replace("CNAME", " ").split() if word != "...")]
        records += [f"{owner}. 60 IN CNAME {target}." for owner, target in pairwise(chain)]
    return answering(dict.fromkeys(records))


def check_regex(case: Case) -> str:
    """Whether our engine takes the pattern and finds it, as the reader of lists hands it over: in any case."""
    pattern = f"(?i){case.text('regex')}"
    invalid, match = False, False
    try:
        check_pattern(pattern)
    except PatternRefused:
        invalid = True
    else:
        match = bool(RuleTable([(0, RuleEntry(pattern, pattern=pattern))]).matching(case.text("subject"), 1))
    return first_of(
        compare("invalid", invalid, case.expect["invalid"]),
        compare("match", match, case.expect["match"]),
    )
