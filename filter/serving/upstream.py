"""The resolvers behind this filter: ask one, check that it is the one that answers, go on to the next."""

import asyncio
import secrets
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from filter.serving import wire
from filter.serving.wire import Question, UpstreamAnswer, WireError

TRIES = (1.0, 1.5, 2.0)
"""Seconds that each try may last: less than five in all, because stub resolvers give up after that."""
UDP_SIZE = 1232
LONGEST_PENALTY = 30.0
EDE_OTHER = 0
EDE_NO_REACHABLE_AUTHORITY = 22
EDE_NETWORK_ERROR = 23


class UpstreamFailed(Exception):
    """No upstream gave a usable answer. ``ede`` says why (RFC 8914), ``rcode`` is what the client is told."""

    def __init__(self, ede: int, detail: str, rcode: int = wire.SERVFAIL) -> None:
        super().__init__(detail)
        self.ede = ede
        self.rcode = rcode


@dataclass(slots=True)
class Server:
    """One upstream and how it has been doing."""

    host: str
    port: int
    failures: int = 0
    retry_at: float = 0.0
    """Until then, others are asked first."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def answered(self) -> None:
        self.failures, self.retry_at = 0, 0.0

    def failed(self, now: float) -> None:
        self.failures += 1
        self.retry_at = now + min(2.0 ** min(self.failures, 10), LONGEST_PENALTY)


def pack_query(identifier: int, question: Question, dnssec_ok: bool, checking_disabled: bool) -> bytes:
    """A recursive query with EDNS; AD asks whether the data was validated (RFC 6840)."""
    flags = wire.RD | wire.AD | (wire.CD if checking_disabled else 0)
    opt = struct.pack("!BHHIH", 0, wire.OPT, UDP_SIZE, 0x8000 if dnssec_ok else 0, 0)
    return wire.HEADER.pack(identifier, flags, 1, 0, 0, 1) + question.lowered + opt


def is_answer_to(data: bytes, identifier: int, question: Question) -> bool:
    """Whether a datagram is a response to exactly this query; anything else is somebody guessing."""
    if len(data) < 12:
        return False
    received, flags, *_ = wire.HEADER.unpack_from(data)
    if received != identifier or not flags & wire.QR or wire.opcode(flags):
        return False
    end = 12 + len(question.raw)
    return data[12 : end - 4].lower() + data[end - 4 : end] == question.lowered


class Conversation(asyncio.DatagramProtocol):
    """One query on a socket of its own: a fresh random port, connected, so that other sources are never heard."""

    def __init__(self, identifier: int, question: Question) -> None:
        self.identifier = identifier
        self.question = question
        self.reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _address: object) -> None:
        if not self.reply.done() and is_answer_to(data, self.identifier, self.question):
            self.reply.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)


async def ask_udp(server: Server, question: Question, dnssec_ok: bool, checking_disabled: bool) -> UpstreamAnswer:
    """Raises OSError when nobody is there, WireError for a malformed answer. Wrong answers are waited out."""
    identifier = secrets.randbits(16)
    transport, conversation = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Conversation(identifier, question), remote_addr=(server.host, server.port)
    )
    try:
        transport.sendto(pack_query(identifier, question, dnssec_ok, checking_disabled))
        return wire.read_answer(await conversation.reply)
    finally:
        transport.close()


async def ask_tcp(server: Server, question: Question, dnssec_ok: bool, checking_disabled: bool) -> UpstreamAnswer:
    """Raises OSError or EOFError when the connection fails, WireError for anything but the answer."""
    identifier = secrets.randbits(16)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        message = pack_query(identifier, question, dnssec_ok, checking_disabled)
        writer.write(struct.pack("!H", len(message)) + message)
        await writer.drain()
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        data = await reader.readexactly(length)
    finally:
        writer.close()
    if not is_answer_to(data, identifier, question):
        raise WireError("not the answer to what was asked")
    answer = wire.read_answer(data)
    if answer.truncated:
        raise WireError("truncated over TCP")
    return answer


class Upstreams:
    """All upstreams, the healthy ones first."""

    def __init__(
        self,
        servers: Sequence[Server],
        observe: Callable[[float, bool], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``observe`` is told the seconds of each try and whether it gave an answer."""
        self.servers = tuple(servers)
        self.observe = observe
        self.clock = clock

    def candidates(self) -> Iterator[tuple[Server, float]]:
        """Whom to ask, in order, each with the seconds it has: healthy ones first, then around again."""
        now = self.clock()
        order = sorted(self.servers, key=lambda server: now < server.retry_at)
        return ((order[position % len(order)], seconds) for position, seconds in enumerate(TRIES))

    async def forward(self, question: Question, dnssec_ok: bool, checking_disabled: bool) -> UpstreamAnswer:
        """The first usable answer; raise UpstreamFailed when none comes, or only SERVFAIL, REFUSED and the like."""
        unwilling: dict[str, UpstreamFailed] = {}
        failure = UpstreamFailed(EDE_NO_REACHABLE_AUTHORITY, "no upstream")
        for server, seconds in self.candidates():
            if str(server) in unwilling:
                continue  # it answered; asking again changes nothing
            try:
                answer = await self.ask(server, seconds, question, dnssec_ok, checking_disabled)
            except UpstreamFailed as error:
                failure = error
                continue
            if answer.rcode in {wire.NOERROR, wire.NXDOMAIN}:
                return answer
            detail = f"upstream answered with response code {answer.rcode}"
            unwilling[str(server)] = UpstreamFailed(EDE_OTHER, detail, answer.rcode)
        raise next(iter(unwilling.values()), failure)

    async def ask(
        self, server: Server, seconds: float, question: Question, dnssec_ok: bool, checking_disabled: bool
    ) -> UpstreamAnswer:
        """Ask one upstream over UDP, over TCP when the answer was cut; raise UpstreamFailed."""
        started = self.clock()
        try:
            async with asyncio.timeout(seconds):
                answer = await ask_udp(server, question, dnssec_ok, checking_disabled)
                if answer.truncated:
                    answer = await ask_tcp(server, question, dnssec_ok, checking_disabled)
        except (OSError, EOFError, WireError) as error:  # TimeoutError is an OSError
            self.observe(self.clock() - started, False)
            server.failed(self.clock())
            ede = EDE_NO_REACHABLE_AUTHORITY if isinstance(error, TimeoutError) else EDE_NETWORK_ERROR
            raise UpstreamFailed(ede, f"{server}: {type(error).__name__}") from error
        self.observe(self.clock() - started, True)
        server.answered()
        return answer
