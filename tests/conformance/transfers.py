"""Zone transfers of scenarios: to us, a new version of the list, compiled and put in service while it serves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

from tests.conformance.cases import Json, texts
from tests.conformance.upstream import absolute, parse_records

LONGEST_WALK = 10
"""Steps of a scenario follow each other more closely than that, unless something happens in between."""
SOURCES = ("master", "primary")


def moment_of(steps: Sequence[int]) -> int | None:
    """The last step before the transfer, which scenarios do not tell: where most steps are left out."""
    gaps = [(later - sooner, -sooner) for sooner, later in pairwise(sorted(set(steps)))]
    longest, sooner = max(gaps, default=(0, 0))
    return -sooner if longest > LONGEST_WALK else None


def transferred(block: Mapping[str, str], text: str, entries: Iterable[Json]) -> str | None:
    """What a zone reads once it came from its source; None when it has none, or nothing comes from there."""
    if not any(block.get(source) for source in SOURCES):
        return None
    zone = absolute(block.get("name", "")).lower()
    for entry in entries:
        for question in texts(entry.get("QUESTION")):
            owner, *_, kind = question.split()
            if absolute(owner).lower() == zone and kind.upper() in {"AXFR", "IXFR"}:
                return as_text(apply(zone, text, parse_records(texts(entry.get("ANSWER")))))
    return None


def apply(zone: str, text: str, records: Sequence[dns.rrset.RRset]) -> list[dns.rrset.RRset]:
    """A whole zone, or what goes and what comes (RFC 1995, 4): parts that each begin with an SOA, turn by turn."""
    if len(records) < 3 or records[1].rdtype != dns.rdatatype.SOA:
        return list(records)
    kept = {as_line(each): each for each in read(zone, text)}
    goes = False
    for record in records[1:-1]:
        if record.rdtype == dns.rdatatype.SOA:
            goes = not goes
        elif goes:
            kept.pop(as_line(record), None)
        else:
            kept[as_line(record)] = record
    return [records[0], *(each for each in kept.values() if each.rdtype != dns.rdatatype.SOA)]


def read(zone: str, text: str) -> Iterator[dns.rrset.RRset]:
    """The records of a zone file, each by itself."""
    whole = dns.zone.from_text(f"$TTL 3600\n{text}", dns.name.from_text(zone), relativize=False, check_origin=False)
    for name, ttl, rdata in whole.iterate_rdatas():
        yield dns.rrset.from_rdata(name, ttl, rdata)


def as_line(record: dns.rrset.RRset) -> str:
    return f"{record.name} {dns.rdatatype.to_text(record.rdtype)} {record[0].to_text()}".lower()


def as_text(records: Iterable[dns.rrset.RRset]) -> str:
    return "\n".join(rrset.to_text() for rrset in records) + "\n"
