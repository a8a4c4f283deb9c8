"""A DNS server that does what a test tells it, over UDP and TCP on one port: the resolver behind the filter."""

import secrets
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.rrset import RRset

Script = Callable[[Message, bool], Sequence[bytes]]
"""(query, whether it came over UDP) -> the datagrams or messages sent back, in order."""


def free_port() -> int:
    """A port of the loopback that nobody has now, in UDP or TCP.

    Not one of those that the system gives to clients: between now and its use some connection would take it.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)  # every test process has its own luck, whatever seeds it
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind(("127.0.0.1", port))
                udp.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def answer(
    query: Message, *records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, authority: Sequence[str] = ()
) -> Message:
    """A well-formed response with these records, in zone file notation (owner TTL class type data)."""
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(rcode)
    reply.answer += [rrset(line) for line in records]
    reply.authority += [rrset(line) for line in authority]
    return reply


def rrset(line: str) -> RRset:
    owner, ttl, rclass, rtype, data = line.split(maxsplit=4)
    return dns.rrset.from_text(owner, int(ttl), rclass, rtype, data)


def soa_for(name: str) -> str:
    """The SOA of the zone that says that a name has no such data: its top."""
    top = name.rpartition(".")[2]
    return f"{top}. 60 IN SOA ns.{top}. root.{top}. 1 3600 600 86400 60"


def pack(reply: Message) -> bytes:
    """The message's bytes, of any size."""
    return reply.to_wire(max_size=65_535)


class ScriptedUpstream:
    """Answers from ``records`` by name and type, or by a ``script`` for the name; NXDOMAIN otherwise."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.scripts: dict[str, Script] = {}
        self.asked: list[tuple[str, str, str]] = []
        """(transport, name, type) of every query that came."""
        self.client = ("", 0)
        """Who sent the last datagram."""
        self.closed = threading.Event()
        while True:
            self.port = free_port()
            self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self.udp.bind(("127.0.0.1", self.port))
                self.tcp.bind(("127.0.0.1", self.port))
            except OSError:  # somebody took it in between
                self.udp.close()
                self.tcp.close()
                continue
            break
        self.tcp.listen(64)
        self.udp.settimeout(0.1)
        self.tcp.settimeout(0.1)
        self.threads = [threading.Thread(target=serve, daemon=True) for serve in (self.serve_udp, self.serve_tcp)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Go away: later queries meet a closed port."""
        self.closed.set()
        for thread in self.threads:
            thread.join(5)
        self.udp.close()
        self.tcp.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def add(self, *lines: str) -> None:
        """Records in zone file notation, all of the first one's name and type."""
        name, _, _, qtype, *_ = lines[0].split()
        self.records[name.rstrip(".").lower(), qtype] = list(lines)

    def asked_for(self, name: str) -> list[tuple[str, str]]:
        """(transport, type) of each query for this name."""
        return [(transport, qtype) for transport, asked, qtype in self.asked if asked == name]

    def respond(self, data: bytes, over_udp: bool) -> Sequence[bytes]:
        query = dns.message.from_wire(data)
        (question,) = query.question
        name, qtype = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked.append(("udp" if over_udp else "tcp", name, qtype))
        if (script := self.scripts.get(name)) is not None:
            return script(query, over_udp)
        if (records := self.records.get((name, qtype))) is not None:
            return [pack(answer(query, *records))]
        known = any(each == name for each, _ in self.records)
        rcode = dns.rcode.NOERROR if known else dns.rcode.NXDOMAIN
        return [pack(answer(query, rcode=rcode, authority=[soa_for(name)]))]

    def serve_udp(self) -> None:
        while not self.closed.is_set():
            try:
                data, self.client = self.udp.recvfrom(4096)
            except TimeoutError:
                continue
            for reply in self.respond(data, True):
                self.udp.sendto(reply, self.client)

    def serve_tcp(self) -> None:
        while not self.closed.is_set():
            try:
                connection, _ = self.tcp.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(5)
                (length,) = struct.unpack("!H", connection.recv(2, socket.MSG_WAITALL))
                for reply in self.respond(connection.recv(length, socket.MSG_WAITALL), False):
                    connection.sendall(struct.pack("!H", len(reply)) + reply)
