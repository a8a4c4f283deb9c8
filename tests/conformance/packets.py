"""Kind wire: bytes sent to a process that serves, which answers each query in good form, nothing else, and lives."""

import socket
from collections.abc import Iterator, Sequence
from functools import partial

import dns.exception
import dns.message
import dnslib

from filter.serving import wire
from tests.conformance.cases import Case, Outcome, compare, first_of, guarded
from tests.conformance.engine import one_profile
from tests.conformance.served import Served
from tests.conformance.upstream import answering

SENTINEL = "sentinelle.invalid"
"""A name that is answered at once, without a resolver."""


def run_packets(cases: Sequence[Case]) -> Iterator[Outcome]:
    """All on one process."""
    with Served((), one_profile(), answering(())) as served:
        for case in cases:
            yield Outcome(case, guarded(partial(check_packet, served), case))


def check_packet(served: Served, case: Case) -> str:
    """Reading ends, in a message or in WireError; the process answers a query, and answers on after anything."""
    data = bytes.fromhex(case.text("hex"))
    for read in (wire.read_query, wire.read_answer):
        try:
            read(data)
        except wire.WireError:
            continue
    before = served.crashes
    is_query = len(data) >= wire.HEADER.size and not data[2] & 0x80
    why = check_reply(data, served.answer(data)) if is_query else check_silence(served, data)
    return first_of(
        why,
        compare("exceptions", served.crashes - before, 0.0),
        "" if len(data) < wire.HEADER.size or "counts" not in case.expect else compare_header(case, data),
    )


def check_reply(data: bytes, reply: bytes) -> str:
    """Two libraries that are not ours read it; it is a response, to that query."""
    dns.message.from_wire(reply)
    dnslib.DNSRecord.parse(reply)
    return first_of(
        compare("id", reply[:2], data[:2]),
        compare("response", bool(reply[2] & 0x80), True),
        compare("opcode", reply[2] & 0x78, data[2] & 0x78),
        compare("length", len(reply) <= 1232, True),
    )


def check_silence(served: Served, data: bytes) -> str:
    """What is no query gets no reply: none comes before that of the query sent after it."""
    after = dns.message.make_query(SENTINEL, "A")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(8)
        client.connect(("127.0.0.1", served.process.port))
        client.send(data)
        client.send(after.to_wire())
        return compare("reply", client.recv(65_535)[:2], after.id.to_bytes(2, "big"))


def compare_header(case: Case, data: bytes) -> str:
    """Header fields, as the case's own reader has them."""
    _, flags, *counts = wire.HEADER.unpack_from(data)
    return first_of(
        compare("qr", bool(flags & wire.QR), case.expect.get("qr")),
        compare("opcode", wire.opcode(flags), case.expect.get("opcode")),
        compare("rcode", flags & 15, case.expect.get("rcode")),
        compare("counts", list(counts), case.expect["counts"]),
    )
