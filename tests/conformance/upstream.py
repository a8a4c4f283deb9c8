"""The resolver behind the filter, as cases script it: records in zone file notation, answered with their aliases."""

from collections.abc import Iterable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from filter.serving.wire import Question
from tests.conformance.engine import Script

MOST_ALIASES = 16


def parse_records(lines: Iterable[str]) -> list[dns.rrset.RRset]:
    """``owner [ttl] [class] type data``, each line a record; a missing TTL is 3600."""
    found = []
    for line in lines:
        words = line.split()
        owner, rest = words[0], words[1:]
        ttl = int(rest.pop(0)) if rest[0].isdigit() else 3600
        if rest[0].upper() == "IN":
            rest.pop(0)
        rtype = rest.pop(0)
        data = line.split(None, len(words) - len(rest))[-1] if rest else ""
        found.append(
            dns.rrset.from_text_list(absolute(owner), ttl, "IN", rtype, [data], origin=dns.name.root, relativize=False)
        )
    return found


def absolute(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def question_message(question: Question) -> dns.message.Message:
    """The question as another library holds it, capitals and all."""
    header = b"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    return dns.message.from_wire(header + question.raw)


def respond(
    question: Question,
    answer: Iterable[dns.rrset.RRset] = (),
    authority: Iterable[dns.rrset.RRset] = (),
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR,
    *,
    more: Iterable[dns.rrset.RRset] = (),
    authenticated: bool = False,
) -> bytes:
    """A whole message."""
    reply = dns.message.make_response(question_message(question), recursion_available=True)
    reply.set_rcode(rcode)
    reply.answer += list(answer)
    reply.authority += list(authority)
    reply.additional += list(more)
    if authenticated:
        reply.flags |= dns.flags.AD
    return reply.to_wire(max_size=65_535)


def answering(lines: Iterable[str], authority: Iterable[str] = (), additional: Iterable[str] = ()) -> Script:
    """An upstream that knows these records, and follows aliases among them; the other sections it always adds."""
    known = parse_records(lines)
    beside, more = parse_records(authority), parse_records(additional)

    def script(question: Question) -> bytes:
        asked = question_message(question).question[0]
        found = follow(known, asked.name, asked.rdtype)
        return respond(question, found, beside, more=more)

    return script


def follow(
    known: Iterable[dns.rrset.RRset], name: dns.name.Name, rtype: dns.rdatatype.RdataType
) -> list[dns.rrset.RRset]:
    """The records of a name and type, with the aliases that lead there."""
    known = list(known)
    found: list[dns.rrset.RRset] = []
    for _ in range(MOST_ALIASES):
        here = [each for each in known if each.name == name and each.rdtype == rtype]
        alias = next((each for each in known if each.name == name and each.rdtype == dns.rdatatype.CNAME), None)
        if here or alias is None:
            return found + here
        found.append(alias)
        name = alias[0].target
    return found
