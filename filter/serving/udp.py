"""UDP by asyncio: what serves where no compiled loop does. Answers leave from where the query came to."""

import asyncio
import logging
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from filter.metrics import Metrics
from filter.serving.sockets import IP_PKTINFO, Listening, is_wildcard

log = logging.getLogger("filter")

MOST_PENDING = 4_000
MOST_AT_ONCE = 64
"""Datagrams read before others have their turn."""
LARGEST = 4_096
"""Bytes of a query; what is longer is cut, and refused as malformed."""
ANCILLARY = socket.CMSG_SPACE(20)

Sender = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]
Later: TypeAlias = Callable[[Callable[[bytes | None], None]], None]
"""Gives a reply to whom it is told, once an upstream has answered."""
Answer: TypeAlias = Callable[[bytes, str], bytes | Later | None]
"""(query, client) -> its reply, none, or what waits for it; filter.serving.ready.ReadyReplies.answer."""
Admit = Callable[[bytes, str], bytes | None]
"""(query, client) -> None: answer it; bytes: send these instead; nothing when they are empty."""


def admit_all(_query: bytes, _client: str) -> bytes | None:
    return None


class UdpListener:
    """One socket. With too many queries that wait new ones of them are dropped, since their clients ask again."""

    def __init__(self, listening: Listening, answer: Answer, metrics: Metrics, admit: Admit = admit_all) -> None:
        self.sock = listening.sock
        self.answer = answer
        self.metrics = metrics
        self.admit = admit
        self.outgoing: list[tuple[bytes, Sender, Ancillary]] = []
        self.pending = 0
        self.is_closed = False
        self.idle = asyncio.Event()
        self.tells_address = is_wildcard(self.sock)

    def start(self) -> None:
        """Answer from now on."""
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.sock.fileno(), self.read)

    async def finish(self) -> None:
        """Take no more, and answer what was taken."""
        self.loop.remove_reader(self.sock.fileno())
        while self.pending:
            self.idle.clear()
            await self.idle.wait()
        self.flush()

    def close(self) -> None:
        """Answer no more; the socket stays whoever's it is."""
        self.flush()
        self.loop.remove_reader(self.sock.fileno())
        self.is_closed = True

    def read(self) -> None:
        """Take what has come."""
        ancillary: Ancillary = []
        for _ in range(MOST_AT_ONCE):
            try:
                if self.tells_address:
                    data, ancillary, _, sender = self.sock.recvmsg(LARGEST, ANCILLARY)
                else:
                    data, sender = self.sock.recvfrom(LARGEST)
            except BlockingIOError:
                return
            except OSError:  # a client that went away (ICMP); nothing to do
                continue
            self.take(data, sender, ancillary)

    def take(self, data: bytes, sender: Sender, ancillary: Ancillary) -> None:
        instead = self.admit(data, sender[0])
        if instead is not None:
            if instead:
                self.send(instead, sender, ancillary)
            return
        reply = self.answer(data, sender[0])
        if isinstance(reply, bytes):
            self.send(reply, sender, ancillary)
        elif reply is not None:
            self.wait_for(reply, sender, ancillary)

    def wait_for(self, reply: Later, sender: Sender, ancillary: Ancillary) -> None:
        if self.pending >= MOST_PENDING:
            self.metrics.dropped.labels("overload").inc()
            return
        self.pending += 1
        reply(partial(self.respond, sender, ancillary))

    def respond(self, sender: Sender, ancillary: Ancillary, reply: bytes | None) -> None:
        self.pending -= 1
        if reply is not None and not self.is_closed:
            self.send(reply, sender, ancillary)
        if not self.pending:
            self.idle.set()

    def send(self, reply: bytes, sender: Sender, ancillary: Ancillary) -> None:
        if not self.outgoing:
            self.loop.call_soon(self.flush)
        self.outgoing.append((reply, sender, ancillary))

    def flush(self) -> None:
        """Send what gathered since the loop last looked for events: a client of this machine wakes up once for it.

        From the address that was asked; a reply that cannot leave is lost, and its client asks again.
        """
        outgoing, self.outgoing = self.outgoing, []
        for reply, sender, ancillary in outgoing:
            try:
                if ancillary:
                    self.sock.sendmsg([reply], [source_of(each) for each in ancillary], 0, sender)
                else:
                    self.sock.sendto(reply, sender)
            except OSError:
                self.metrics.dropped.labels("unsent").inc()


def source_of(received: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """Where a reply leaves from: the address that its query came to, over whatever way leads back (ip(7))."""
    level, kind, data = received
    if (level, kind) != (socket.IPPROTO_IP, IP_PKTINFO):
        return received  # IPv6: address and interface, which an address of one link needs
    _, local, _ = struct.unpack("=I4s4s", data[:12])
    return level, kind, struct.pack("=I4s4s", 0, local, bytes(4))
