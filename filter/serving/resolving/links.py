"""Lasting connections to a resolver, over TCP or TLS: many questions on one, answered in any order (RFC 7766, 7858)."""

import asyncio
import secrets
import ssl
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, Self

from filter.endpoints import Endpoint
from filter.serving import wire
from filter.serving.resolving.asked import Asked, is_answer
from filter.serving.wire import UpstreamAnswer, WireError

IDLE_SECONDS = 20.0
MOST_ON_A_LINK = 1_000


class Link(Protocol):
    """An open connection."""

    @property
    def is_open(self) -> bool:
        """Whether it takes one more question."""

    async def ask(self, asked: Asked) -> bytes:
        """The answer's bytes; raise OSError, EOFError or WireError."""

    def close(self) -> None:
        """Leave; what waits fails."""


class Channel:
    """The way to one resolver: an open link as long as it lasts, then another."""

    def __init__(self, open_link: Callable[[], Awaitable[Link]]) -> None:
        self.open_link = open_link
        self.opening: asyncio.Task[Link] | None = None

    async def ask(self, asked: Asked) -> UpstreamAnswer:
        """Raises OSError or EOFError when the connection fails, WireError for what is no whole answer."""
        was_open = self.current is not None
        link = await self.link()
        try:
            data = await link.ask(asked)
        except (ConnectionError, EOFError):
            if not was_open:
                raise
            data = await (await self.link()).ask(asked)  # an old link that the other side had just left
        answer = wire.read_answer(data)
        if answer.truncated:
            raise WireError("truncated over a stream")
        return answer

    @property
    def current(self) -> Link | None:
        """The link in use, if it still takes questions."""
        task = self.opening
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        link = task.result()
        return link if link.is_open else None

    async def link(self) -> Link:
        """The open link, or a new one, which all that wait for it share."""
        if (current := self.current) is not None:
            return current
        if self.opening is None or self.opening.done():
            self.opening = asyncio.ensure_future(self.open_link())
            self.opening.add_done_callback(heed)
        return await asyncio.shield(self.opening)

    def close(self) -> None:
        if (current := self.current) is not None:
            current.close()
        elif self.opening is not None:
            self.opening.cancel()


def heed(task: asyncio.Task[Link]) -> None:
    """Whoever waited was told already; nobody may be left."""
    if not task.cancelled():
        task.exception()


class StreamLink:
    """Messages with their length before them. Every identifier is random and in use once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, padded: bool) -> None:
        self.reader = reader
        self.writer = writer
        self.padded = padded
        self.waiting: dict[int, tuple[bytes, asyncio.Future[bytes]]] = {}
        self.heard = 0
        """Messages that came."""
        self.listening = asyncio.create_task(self.listen())

    @classmethod
    async def open(cls, endpoint: Endpoint, secure: ssl.SSLContext | None = None, name: str = "") -> Self:
        """Connect, and verify that the other side is ``name`` when ``secure``; raise OSError (SSLError is one)."""
        server_hostname = name if secure is not None else None
        reader, writer = await asyncio.open_connection(*endpoint, ssl=secure, server_hostname=server_hostname)
        return cls(reader, writer, padded=secure is not None)

    @property
    def is_open(self) -> bool:
        return not self.listening.done() and not self.writer.is_closing() and len(self.waiting) < MOST_ON_A_LINK

    async def ask(self, asked: Asked) -> bytes:
        identifier = secrets.randbits(16)
        while identifier in self.waiting:
            identifier = secrets.randbits(16)
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.waiting[identifier] = asked.question.lowered, reply
        started = self.heard
        try:
            message = asked.pack(identifier, padded=self.padded)
            self.writer.write(struct.pack("!H", len(message)) + message)
            await self.writer.drain()
            return await reply
        except asyncio.CancelledError:
            if self.heard == started:  # nothing came all the while: it may well lead nowhere any more
                self.writer.close()
            raise
        finally:
            del self.waiting[identifier]

    async def listen(self) -> None:
        """Hand answers to those who wait, until the other side leaves or nothing more is said."""
        try:
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = struct.unpack("!H", await self.reader.readexactly(2))
                    self.settle(await self.reader.readexactly(length))
        except (OSError, EOFError) as error:
            self.fail(error if isinstance(error, ConnectionError) else ConnectionResetError("the link is gone"))
        finally:
            self.writer.close()

    def settle(self, data: bytes) -> None:
        """An answer to nobody is a late one; one to another question is no resolver's."""
        self.heard += 1
        question, reply = self.waiting.get(int.from_bytes(data[:2], "big"), (b"", None))
        if reply is None or reply.done():
            return
        if is_answer(data, int.from_bytes(data[:2], "big"), question):
            reply.set_result(data)
        else:
            reply.set_exception(WireError("not the answer to what was asked"))

    def fail(self, error: Exception) -> None:
        for _, reply in self.waiting.values():
            if not reply.done():
                reply.set_exception(error)

    def close(self) -> None:
        self.listening.cancel()
        self.fail(ConnectionAbortedError("closed"))
        self.writer.close()


def verifying(protocol: str, ca_file: Path | None) -> ssl.SSLContext:
    """TLS that believes the system's authorities, or those of a file; raise OSError."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([protocol])
    return context
