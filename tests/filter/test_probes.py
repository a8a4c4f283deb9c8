"""What tools that test DNS servers ask: every flag, option, opcode and class, over UDP and TCP, of a forwarded zone.

The probes are those of ISC's compliance tester, by their names there; the answers are read by two other libraries.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dnslib
import pytest

from filter.serving.wire import HEADER
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.running import RunningFilter, errors_of
from tests.filter.scripted import ScriptedUpstream

ZONE = "zone.example"
NUMBERS = dns.edns.OptionType.make
COOKIE = dns.edns.GenericOption(NUMBERS(10), bytes(range(1, 9)))
NSID, EXPIRE, UNKNOWN = (dns.edns.GenericOption(NUMBERS(code), b"") for code in (3, 9, 100))
SUBNET = dns.edns.GenericOption(NUMBERS(8), bytes((0, 1, 0, 0)))
QR, TC, RD, RA, AD, CD, Z = 0x8000, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010, 0x0040
AA = 0x0400


@dataclass(frozen=True)
class Probe:
    """One query, and how it may be answered."""

    name: str
    flags: int = RD
    opcode: int = 0
    qtype: str = "SOA"
    edns: int | None = None
    """EDNS version."""
    size: int = 4096
    edns_flags: int = 0
    options: tuple[dns.edns.Option, ...] = ()
    tcp: bool = False
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR

    def pack(self) -> bytes:
        query = dns.message.make_query(ZONE, self.qtype)
        if self.edns is not None:
            query.use_edns(self.edns, self.edns_flags, self.size, options=list(self.options))
        data = bytearray(query.to_wire())
        struct.pack_into("!H", data, 2, self.flags | self.opcode << 11)
        if self.opcode:  # as the tester sends it: a bare header
            data = data[:12]
            data[4:12] = bytes(8)
        return bytes(data)


BAD, NOTIMP = dns.rcode.BADVERS, dns.rcode.NOTIMP
PROBES = (
    Probe("dns"),
    Probe("aa", RD | AA),
    Probe("ad", RD | AD),
    Probe("cd", RD | CD),
    Probe("ra", RD | RA),
    Probe("rd", RD),
    Probe("tc", RD | TC),
    Probe("zflag", RD | Z),
    Probe("opcode", 0, 15, rcode=NOTIMP),
    Probe("opcodeflg", RD | TC | RA | CD | AD | AA | Z, 15, rcode=NOTIMP),
    Probe("type666", qtype="TYPE666"),
    Probe("tcp", tcp=True),
    Probe("edns", edns=0),
    Probe("edns1", edns=1, rcode=BAD),
    Probe("edns@512", qtype="DNSKEY", edns=0, size=512, edns_flags=0x8000),
    Probe("ednsopt", edns=0, options=(UNKNOWN,)),
    Probe("edns1opt", edns=1, options=(UNKNOWN,), rcode=BAD),
    Probe("do", edns=0, edns_flags=0x8000),
    Probe("docd", RD | CD, edns=0, edns_flags=0x8000),
    Probe("edns1do", edns=1, edns_flags=0x8000, rcode=BAD),
    Probe("ednsflags", edns=0, edns_flags=0x0080),
    Probe("optlist", edns=0, options=(NSID, SUBNET, EXPIRE, COOKIE)),
    Probe("ednsnsid", edns=0, options=(NSID,)),
    Probe("ednscookie", edns=0, options=(COOKIE,)),
    Probe("ednsexpire", edns=0, options=(EXPIRE,)),
    Probe("ednssubnet", edns=0, options=(SUBNET,)),
    Probe("edns1nsid", edns=1, options=(NSID,), rcode=BAD),
    Probe("edns1cookie", edns=1, options=(COOKIE,), rcode=BAD),
    Probe("edns1expire", edns=1, options=(EXPIRE,), rcode=BAD),
    Probe("edns1subnet", edns=1, options=(SUBNET,), rcode=BAD),
    Probe("ednstcp", qtype="DNSKEY", edns=0, size=512, edns_flags=0x8000, tcp=True),
    Probe("bind11", 0, edns=0, edns_flags=0x8000, options=(COOKIE,)),
    Probe("dig11", RD | AD, edns=0, options=(COOKIE,)),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFilter]:
    bundle = compile_pair(LISTS, SCHOOL, tmp_path_factory.mktemp("probes") / "b", serial=1)
    with ScriptedUpstream() as upstream:
        upstream.add(f"{ZONE}. 3600 IN SOA ns.{ZONE}. root.{ZONE}. 1 3600 600 86400 60")
        with RunningFilter("--bundle", str(bundle), "--upstream", upstream.address) as running:
            yield running


def exchange(served: RunningFilter, data: bytes, *, tcp: bool) -> bytes:
    return (served.send_tcp if tcp else served.send)([data])[0]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probes(served: RunningFilter, probe: Probe) -> None:
    data = probe.pack()
    reply = exchange(served, data, tcp=probe.tcp)
    dnslib.DNSRecord.parse(reply)
    message = dns.message.from_wire(reply)
    identifier, flags, *counts = HEADER.unpack_from(reply)

    assert message.rcode() == probe.rcode, errors_of(message)
    assert identifier == int.from_bytes(data[:2], "big")
    assert flags & QR
    assert flags >> 11 & 15 == probe.opcode
    assert not flags & (AA | TC | Z)
    assert flags & RD == probe.flags & RD
    assert not flags & AD
    if probe.opcode:
        assert counts == [0, 0, 0, 0]
        return
    assert flags & RA
    assert flags & CD == probe.flags & CD
    assert (message.edns == 0) if probe.edns is not None else (message.edns == -1)
    assert not [option for option in message.options if option.otype != dns.edns.OptionType.EDE]
    assert message.ednsflags & 0xFFFF == (probe.edns_flags & 0x8000 if probe.edns is not None else 0)
    if probe.edns is not None:
        assert 512 <= message.payload <= 1232
    if probe.rcode == dns.rcode.NOERROR:
        found = [dns.rdatatype.to_text(rrset.rdtype) for rrset in message.answer]
        assert found == (["SOA"] if probe.qtype == "SOA" else [])


@pytest.mark.parametrize(
    ("count", "rcode"), [(0, dns.rcode.FORMERR), (2, dns.rcode.FORMERR), (65_535, dns.rcode.FORMERR)]
)
def test_one_question_is_expected(served: RunningFilter, count: int, rcode: dns.rcode.Rcode) -> None:
    question = dns.message.make_query(ZONE, "SOA").to_wire()[12:]
    data = HEADER.pack(7, RD, count, 0, 0, 0) + question * min(count, 2)
    for tcp in (False, True):
        assert dns.message.from_wire(exchange(served, data, tcp=tcp)).rcode() == rcode


@pytest.mark.parametrize("opcode", list(range(1, 16)))
def test_other_opcodes_are_not_implemented(served: RunningFilter, opcode: int) -> None:
    data = bytearray(dns.message.make_query(ZONE, "SOA").to_wire())
    data[2] |= opcode << 3
    reply = exchange(served, bytes(data), tcp=False)
    assert (reply[3] & 15, reply[2] >> 3 & 15) == (dns.rcode.NOTIMP, opcode)


@pytest.mark.parametrize("rclass", [0, 2, 3, 4, 254, 255, 999])
def test_other_classes_are_refused(served: RunningFilter, rclass: int) -> None:
    data = bytearray(dns.message.make_query(ZONE, "SOA").to_wire())
    struct.pack_into("!H", data, len(data) - 2, rclass)
    assert exchange(served, bytes(data), tcp=False)[3] & 15 == dns.rcode.REFUSED


@pytest.mark.parametrize("qtype", ["AXFR", "IXFR"])
def test_zones_are_not_transferred(served: RunningFilter, qtype: str) -> None:
    for tcp in (False, True):
        data = dns.message.make_query(ZONE, qtype).to_wire()
        assert exchange(served, data, tcp=tcp)[3] & 15 in {dns.rcode.REFUSED, dns.rcode.FORMERR}


def test_capitals_come_back_as_they_went(served: RunningFilter) -> None:
    for tcp in (False, True):
        data = dns.message.make_query("zOnE.eXaMpLe", "SOA").to_wire()
        assert exchange(served, data, tcp=tcp)[12:26] == data[12:26]


def test_responses_are_not_answered(served: RunningFilter) -> None:
    """A response sent as a query is silently left; the connection over which it came goes on."""
    response = dns.message.make_response(dns.message.make_query(ZONE, "SOA", id=1)).to_wire()
    query = dns.message.make_query(ZONE, "SOA", id=2).to_wire()
    replies = served.replies_over_tcp([response, query])
    assert next(replies)[:2] == b"\0\2"
    replies.close()  # type: ignore[attr-defined]
