"""Lasting HTTP/2 connections to a resolver (RFC 8484): each question a POST on a stream of its own."""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error

from filter.resolvers import Resolver
from filter.serving import wire
from filter.serving.resolving.asked import Asked, is_answer
from filter.serving.wire import WireError

IDLE_SECONDS = 60.0
MOST_STREAMS = 100
LARGEST = 65_535
MEDIA_TYPE = b"application/dns-message"


@dataclass(slots=True)
class Exchange:
    """One request, and as much of its response as came."""

    reply: asyncio.Future[bytes]
    is_message: bool = False
    body: bytearray = field(default_factory=bytearray)


class WebLink:
    """One HTTP/2 connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, resolver: Resolver) -> None:
        self.reader = reader
        self.writer = writer
        self.resolver = resolver
        self.http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.exchanges: dict[int, Exchange] = {}
        self.leaving = False
        """The other side takes no more requests."""
        self.heard = 0
        self.http.initiate_connection()
        self.flush()
        self.listening = asyncio.create_task(self.listen())

    @classmethod
    async def open(cls, resolver: Resolver, secure: ssl.SSLContext) -> Self:
        """Connect and verify; raise OSError (SSLError is one), also when the other side has no HTTP/2."""
        reader, writer = await asyncio.open_connection(
            resolver.host, resolver.port, ssl=secure, server_hostname=resolver.name
        )
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() != "h2":
            writer.close()
            raise ConnectionRefusedError("the resolver has no HTTP/2")
        return cls(reader, writer, resolver)

    @property
    def is_open(self) -> bool:
        most = min(MOST_STREAMS, self.http.remote_settings.max_concurrent_streams)
        alive = not (self.leaving or self.listening.done() or self.writer.is_closing())
        return alive and len(self.exchanges) < most

    async def ask(self, asked: Asked) -> bytes:
        """Raises OSError, or WireError for what is no answer. The identifier is 0, so that proxies may cache."""
        exchange = Exchange(asyncio.get_running_loop().create_future())
        started = self.heard
        stream = self.send(asked.pack(0, padded=True), exchange)
        try:
            await self.writer.drain()
            data = await exchange.reply
        except asyncio.CancelledError:
            if self.heard == started:  # nothing came all the while: it may well lead nowhere any more
                self.writer.close()
            raise
        finally:
            self.exchanges.pop(stream, None)
        if not is_answer(data, 0, asked.question.lowered):
            raise WireError("not the answer to what was asked")
        return data

    def send(self, message: bytes, exchange: Exchange) -> int:
        """Begin a request; return its stream. Raises ConnectionError when this connection has no room for it."""
        resolver = self.resolver
        host = f"[{resolver.name}]" if ":" in resolver.name else resolver.name
        authority = host if resolver.port == 443 else f"{host}:{resolver.port}"
        try:
            stream = self.http.get_next_available_stream_id()
            headers = [
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", authority.encode()),
                (b":path", resolver.path.encode()),
                (b"content-type", MEDIA_TYPE),
                (b"accept", MEDIA_TYPE),
                (b"content-length", b"%d" % len(message)),
            ]
            self.http.send_headers(stream, headers)
            self.http.send_data(stream, message, end_stream=True)
        except H2Error as error:  # used up: no stream, no window; another connection has both
            self.leaving = True
            raise ConnectionResetError(str(error)) from error
        self.exchanges[stream] = exchange
        self.flush()
        return stream

    def flush(self) -> None:
        if data := self.http.data_to_send():
            self.writer.write(data)

    async def listen(self) -> None:
        """Take what comes until the other side leaves, breaks the rules, or nothing more is said."""
        try:
            while not (self.leaving and not self.exchanges):
                async with asyncio.timeout(IDLE_SECONDS):
                    data = await self.reader.read(LARGEST)
                if not data:
                    break
                self.heard += 1
                for event in self.http.receive_data(data):
                    self.take(event)
                self.flush()
        except (OSError, H2Error):
            pass
        finally:
            self.fail(ConnectionResetError("the link is gone"))
            self.writer.close()

    def take(self, event: Event) -> None:
        """One thing that happened on the connection."""
        match event:
            case ResponseReceived():
                if (exchange := self.exchanges.get(event.stream_id)) is not None:
                    exchange.is_message = is_message(event.headers)
            case DataReceived():
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                self.append(event.stream_id, event.data)
            case StreamEnded():
                self.settle(event.stream_id)
            case StreamReset():
                if (exchange := self.exchanges.get(event.stream_id)) is not None and not exchange.reply.done():
                    exchange.reply.set_exception(ConnectionResetError("the stream was reset"))
            case ConnectionTerminated():
                self.leaving = True

    def append(self, stream: int, data: bytes) -> None:
        """Keep a part of a body, no more than a message can have."""
        exchange = self.exchanges.get(stream)
        if exchange is None or exchange.reply.done():
            return
        exchange.body += data
        if len(exchange.body) > LARGEST:
            exchange.reply.set_exception(WireError("longer than a message"))

    def settle(self, stream: int) -> None:
        """A whole response: a message, or an error page."""
        exchange = self.exchanges.get(stream)
        if exchange is None or exchange.reply.done():
            return
        if exchange.is_message and len(exchange.body) >= wire.HEADER.size:
            exchange.reply.set_result(bytes(exchange.body))
        else:
            exchange.reply.set_exception(WireError("no DNS message came back"))

    def fail(self, error: Exception) -> None:
        for exchange in self.exchanges.values():
            if not exchange.reply.done():
                exchange.reply.set_exception(error)

    def close(self) -> None:
        self.listening.cancel()
        self.fail(ConnectionAbortedError("closed"))
        self.writer.close()


def is_message(headers: object) -> bool:
    """Whether a response is a DNS message; a redirection or an error is none (RFC 8484, 4.2.1)."""
    found = dict(headers) if isinstance(headers, list) else {}
    media_type = bytes(found.get(b"content-type", b"")).partition(b";")[0].strip().lower()
    return found.get(b":status") == b"200" and media_type == MEDIA_TYPE
