"""What of an upstream's answer reaches a client: what was asked for, and nothing that came along with it."""

from collections.abc import Sequence

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from filter.serving import wire
from filter.serving.resolving.cache import keep
from filter.serving.wire import WireError
from tests.filter.scripted import answer, pack, rrset

SOA = "example. 60 IN SOA ns.example. root.example. 1 2 3 4 60"
NSEC = "a.example. 60 IN NSEC z.example. A RRSIG NSEC"
SIGNED = "20301212121212 20201212121212 1 example. AAAA"
A = "www.example. 60 IN A 93.184.216.34"


def kept(
    records: Sequence[str], authority: Sequence[str] = (), qtype: str = "A", *, dnssec_ok: bool = False
) -> tuple[list[str], list[str]]:
    """Answer and authority section of what is kept, read by another library."""
    query = dns.message.make_query("www.example", qtype)
    found = keep(wire.read_answer(pack(answer(query, *records, authority=authority))), dnssec_ok)
    data = bytearray(found.message)
    wire.HEADER.pack_into(data, 0, 1, wire.QR, 1, found.answers, found.authorities, 0)
    message = dns.message.from_wire(bytes(data))
    sections = (message.answer, message.authority)
    answers, authorities = ([f"{s.name} {dns.rdatatype.to_text(s.rdtype)}" for s in each] for each in sections)
    return answers, authorities


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([A], ["www.example. A"]),
        ([A, "banque.example. 60 IN A 6.6.6.6"], ["www.example. A"]),
        (["banque.example. 60 IN A 6.6.6.6", A], ["www.example. A"]),
        ([A, "www.example. 60 IN AAAA 2001:db8::1"], ["www.example. A"]),
        ([A, f"www.example. 60 IN RRSIG A 8 2 60 {SIGNED}"], ["www.example. A"]),
        (
            ["www.example. 60 IN CNAME x.cdn.example.", "x.cdn.example. 60 IN A 192.0.2.1",
             "y.cdn.example. 60 IN A 6.6.6.6"],
            ["www.example. CNAME", "x.cdn.example. A"],
        ),
        (  # the alias may come last
            ["x.cdn.example. 60 IN A 192.0.2.1", "www.example. 60 IN CNAME x.cdn.example."],
            ["x.cdn.example. A", "www.example. CNAME"],
        ),
        (
            ["example. 60 IN DNAME other.", "www.example. 60 IN CNAME www.other.", "www.other. 60 IN A 192.0.2.1"],
            ["example. DNAME", "www.example. CNAME", "www.other. A"],
        ),
        (["autre. 60 IN DNAME example.", A], ["www.example. A"]),
    ],
)  # fmt: skip
def test_only_the_chain_that_was_asked_for_is_kept(records: list[str], expected: list[str]) -> None:
    assert kept(records)[0] == expected


@pytest.mark.parametrize(
    ("records", "authority", "dnssec_ok", "expected"),
    [
        ([A], ["example. 60 IN NS ns.evil."], True, []),
        ([A], [SOA], True, []),
        ([], [SOA], False, ["example. SOA"]),
        ([], ["evil. 60 IN SOA ns.evil. root.evil. 1 2 3 4 60"], False, []),
        ([], ["x.www.example. 60 IN SOA ns.evil. root.evil. 1 2 3 4 60"], False, []),
        ([], ["example. 60 IN NS ns.evil.", SOA, NSEC], False, ["example. SOA"]),
        ([], ["example. 60 IN NS ns.evil.", SOA, NSEC], True, ["example. SOA", "a.example. NSEC"]),
        ([A], [NSEC, f"a.example. 60 IN RRSIG NSEC 8 2 60 {SIGNED}"], True, ["a.example. NSEC", "a.example. RRSIG"]),
        (["www.example. 60 IN CNAME x.other."],
         ["other. 60 IN SOA n.other. r.other. 1 2 3 4 5"], False, ["other. SOA"]),
        (["www.example. 60 IN CNAME x.other."], [SOA], False, []),
    ],
)  # fmt: skip
def test_of_the_authority_only_what_proves_absence_is_kept(
    records: list[str], authority: list[str], dnssec_ok: bool, expected: list[str]
) -> None:
    assert kept(records, authority, dnssec_ok=dnssec_ok)[1] == expected


@pytest.mark.parametrize(
    "records",
    [
        ["www.example. 60 IN CNAME www.example."],
        ["www.example. 60 IN CNAME b.example.", "b.example. 60 IN CNAME www.example."],
        ["www.example. 60 IN CNAME n0.example.", *(f"n{n}.example. 60 IN CNAME n{n + 1}.example." for n in range(20))],
    ],
)
def test_aliases_without_end_are_no_answer(records: list[str]) -> None:
    with pytest.raises(WireError):
        kept(records)


@pytest.mark.parametrize(
    ("qtype", "line"),
    [
        ("MX", "www.example. 60 IN MX 10 mx.www.example."),
        ("SRV", "www.example. 60 IN SRV 1 2 3 srv.www.example."),
        ("RP", "www.example. 60 IN RP mbox.www.example. txt.www.example."),
        ("AFSDB", "www.example. 60 IN AFSDB 1 db.www.example."),
        ("PX", "www.example. 60 IN PX 10 a.www.example. b.www.example."),
        ("NS", "www.example. 60 IN NS ns.www.example."),
        ("TXT", 'www.example. 60 IN TXT "a" "b"'),
        ("NAPTR", 'www.example. 60 IN NAPTR 1 2 "s" "x" "" y.www.example.'),
        ("HTTPS", 'www.example. 60 IN HTTPS 1 . alpn="h2"'),
    ],
)
def test_records_written_anew_say_the_same(qtype: str, line: str) -> None:
    """Whatever was compressed against what had to go."""
    query = dns.message.make_query("www.example", qtype)
    stray = "x.www.example. 60 IN A 6.6.6.6"
    found = keep(wire.read_answer(pack(answer(query, stray, line))), dnssec_ok=False)
    data = bytearray(found.message)
    wire.HEADER.pack_into(data, 0, 1, wire.QR, 1, found.answers, 0, 0)
    assert dns.message.from_wire(bytes(data)).answer == [rrset(line)]


def test_an_address_hidden_in_what_goes_is_judged_all_the_same() -> None:
    query = dns.message.make_query("www.example", "A")
    found = keep(wire.read_answer(pack(answer(query, A, "x.example. 60 IN A 192.168.1.1"))), dnssec_ok=False)
    assert [record.addresses for record in found.records][-1] == (bytes([192, 168, 1, 1]),)
