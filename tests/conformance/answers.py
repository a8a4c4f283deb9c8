"""Kinds rebinding, special_use: replies of the live path."""

import dns.message
import dns.rcode
import dns.rdatatype

from filter.addresses import is_private
from filter.settings import RewriteSettings
from tests.conformance.cases import Case, compare, first_of, mapping, texts
from tests.conformance.engine import Engine, one_profile, start
from tests.conformance.upstream import answering


def check_rebinding(case: Case) -> str:
    """No private address comes back, whatever section or record it was in."""
    engine = engine_for(case)
    reply = engine.ask(str(case.query["qname"]), str(case.query["qtype"]))
    if reply is None:
        return "no reply"
    found = sum(len(rrset) for rrset in reply.answer)
    if not case.expect["blocked"]:
        return compare("answers", found, len(case.lines("upstream_answer")))
    return first_of(
        compare_reply(case, reply),
        compare("answers", found, len(texts(case.expect.get("answers")))),
        compare("private addresses", private_addresses(reply), []),
    )


def engine_for(case: Case) -> Engine:
    """``allowed_domains`` are the policy's private names. An answer of the filter's own is a rewrite here; one of the
    network's own resolver (« conditional ») is a private name."""
    config, name = mapping(case.data.get("config")), str(case.query["qname"]).rstrip(".")
    lines = case.lines("upstream_answer")
    script = answering(lines, case.lines("upstream_authority"), case.lines("upstream_additional"))
    private = texts(config.get("allowed_domains"))
    origin = config.get("answer_origin")
    if origin == "conditional":
        private.append(name)
    if origin is None or origin == "conditional":
        return start((), one_profile(private=[each.rstrip(".") for each in private]), script)
    rewrite = RewriteSettings(name, tuple(line.split()[-1] for line in lines))
    return start((), one_profile(rewrites=(rewrite,)), script)


def private_addresses(reply: dns.message.Message) -> list[str]:
    """Of the whole reply, hints of services too."""
    found = []
    for rrset in (*reply.answer, *reply.authority, *reply.additional):
        for rdata in rrset:
            if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA) and is_private(rdata.to_wire() or b""):
                found.append(rdata.to_text())
            if rrset.rdtype in (dns.rdatatype.SVCB, dns.rdatatype.HTTPS) and "hint" in rdata.to_text():
                found.append(rdata.to_text())
    return found


def compare_reply(case: Case, reply: dns.message.Message) -> str:
    """Response code and data, where the case says them."""
    found = sorted(rdata.to_text() for rrset in reply.answer for rdata in rrset)
    wanted = case.expect.get("answers")
    rcode = case.expect.get("rcode")
    return first_of(
        "" if rcode is None else compare("rcode", dns.rcode.to_text(reply.rcode()), rcode),
        "" if wanted is None else compare("answers", found, sorted(texts(wanted))),
    )


def check_special_use(case: Case) -> str:
    """Answered here, or asked of the upstream, as the case says, by a profile as people make it: no way around."""
    engine = start((), one_profile(closes_bypass=True), answering(()))
    reply = engine.ask(str(case.query["qname"]), str(case.query["qtype"]))
    if reply is None:
        return "no reply"
    forwarded = bool(engine.asked)
    return first_of(
        compare_reply(case, reply),
        compare("forwarded", forwarded, False) if case.expect.get("not_forwarded") else "",
        compare("forwarded", forwarded, True) if case.expect.get("forwarded") else "",
    )
