"""UDP and TCP sockets <-> bytes. Every wait has an end and every crowd a limit."""

import asyncio
import errno
import logging
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

from filter.config import Endpoint
from filter.metrics import Metrics

log = logging.getLogger("filter")

Answer = Callable[[bytes, str, bool], Awaitable[bytes | None]]

MOST_UDP_PENDING = 4_000
MOST_CONNECTIONS = 1_000
MOST_CONNECTIONS_PER_CLIENT = 100  # a whole school may stand behind one address
MOST_PIPELINED = 64
IDLE_SECONDS = 10.0
MESSAGE_SECONDS = 5.0
"""For a whole message, not for each read: one byte a second keeps nobody busy."""
WRITE_SECONDS = 5.0
RECEIVE_BUFFER = 4 << 20
"""Bytes of queries that may wait while one is answered; the system may grant less."""


class PortTaken(Exception):
    """An address could not be bound; the text says which and why."""


class UdpListener(asyncio.DatagramProtocol):
    """One task a query; too many at once and new ones are dropped, since their clients ask again."""

    def __init__(self, answer: Answer, metrics: Metrics) -> None:
        self.answer = answer
        self.metrics = metrics
        self.pending: set[asyncio.Task[None]] = set()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)  # uvloop's and asyncio's share no base class

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if len(self.pending) >= MOST_UDP_PENDING:
            self.metrics.dropped.labels("overload").inc()
            return
        task = asyncio.create_task(self.respond(data, address))
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)

    async def respond(self, data: bytes, address: tuple[str, int]) -> None:
        reply = await self.answer(data, address[0], True)
        if reply is not None and self.transport is not None and not self.transport.is_closing():
            self.transport.sendto(reply, address)

    def error_received(self, _error: Exception) -> None:
        """A client that went away (ICMP); nothing to do."""


class TcpListener:
    """Queries one after the other on a connection, answered in the order their answers come (RFC 7766)."""

    def __init__(self, answer: Answer, metrics: Metrics) -> None:
        self.answer = answer
        self.metrics = metrics
        self.clients: Counter[str] = Counter()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its last."""
        client = str((writer.get_extra_info("peername") or ("",))[0])
        if self.clients.total() >= MOST_CONNECTIONS or self.clients[client] >= MOST_CONNECTIONS_PER_CLIENT:
            self.metrics.dropped.labels("connections").inc()
            writer.transport.abort()
            return
        self.clients[client] += 1
        self.metrics.tcp_connections.set(self.clients.total())
        try:
            await self.converse(reader, writer, client)
        except (OSError, EOFError):  # gone, silent or too slow: TimeoutError and IncompleteReadError are among them
            pass
        finally:
            self.clients[client] -= 1
            if not self.clients[client]:
                del self.clients[client]
            self.metrics.tcp_connections.set(self.clients.total())
            writer.close()

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: str) -> None:
        """Read queries until the client closes; raise OSError or EOFError when it is gone, silent or too slow."""
        room = asyncio.Semaphore(MOST_PIPELINED)
        pending: set[asyncio.Task[None]] = set()
        try:
            while (data := await read_message(reader)) is not None:
                await room.acquire()
                task = asyncio.create_task(self.respond(data, client, writer, room))
                pending.add(task)
                task.add_done_callback(pending.discard)
            if pending:  # what was asked before the client closed its side is still answered
                await asyncio.wait(pending)
        finally:
            for task in pending:
                task.cancel()

    async def respond(self, data: bytes, client: str, writer: asyncio.StreamWriter, room: asyncio.Semaphore) -> None:
        try:
            reply = await self.answer(data, client, False)
            if reply is None or writer.is_closing():
                return
            writer.write(struct.pack("!H", len(reply)) + reply)
            async with asyncio.timeout(WRITE_SECONDS):
                await writer.drain()
        except OSError:  # the client does not read: nothing it asks is worth keeping
            writer.transport.abort()
        finally:
            room.release()


async def read_message(reader: asyncio.StreamReader) -> bytes | None:
    """One length-prefixed message, or None when the client closed between two; raise TimeoutError or EOFError."""
    async with asyncio.timeout(IDLE_SECONDS):
        first = await reader.read(1)
    if not first:
        return None
    async with asyncio.timeout(MESSAGE_SECONDS):
        (length,) = struct.unpack("!H", first + await reader.readexactly(1))
        return await reader.readexactly(length)


class DnsServer:
    """All listening sockets of one filter."""

    def __init__(self, answer: Answer, metrics: Metrics) -> None:
        self.answer = answer
        self.metrics = metrics
        self.udp: list[asyncio.DatagramTransport] = []
        self.tcp: list[asyncio.Server] = []

    async def listen(self, endpoint: Endpoint) -> None:
        """Bind one address for UDP and TCP; raise PortTaken."""
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: UdpListener(self.answer, self.metrics), sock=bind_udp(endpoint)
            )
        except OSError as error:
            raise PortTaken(describe(endpoint, "UDP", error)) from error
        self.udp.append(transport)
        try:
            listener = TcpListener(self.answer, self.metrics)
            self.tcp.append(await asyncio.start_server(listener.serve, *endpoint, backlog=512))
        except OSError as error:
            raise PortTaken(describe(endpoint, "TCP", error)) from error

    async def close(self) -> None:
        """Stop listening."""
        for transport in self.udp:
            transport.close()
        for server in self.tcp:
            server.close()


def bind_udp(endpoint: Endpoint) -> socket.socket:
    """A bound UDP socket; raise OSError. One for ``::`` leaves IPv4 to another, as asyncio does for TCP."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.setblocking(False)
        sock.bind(endpoint)
    except OSError:
        sock.close()
        raise
    return sock


def describe(endpoint: Endpoint, protocol: str, error: OSError) -> str:
    """Why an address cannot be bound, for a person."""
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{endpoint} est déjà pris en {protocol} par un autre programme : choisissez un autre port (--listen)"
            )
        case errno.EACCES:
            return f"{endpoint} : ce port ({protocol}) demande des droits d’administrateur (ou CAP_NET_BIND_SERVICE)"
        case errno.EADDRNOTAVAIL:
            return f"{endpoint} : cette adresse n’est pas celle de cette machine"
        case _:
            return f"{endpoint} ({protocol}) : {error.strerror or error}"
