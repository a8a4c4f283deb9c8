"""A very small HTTP server for the block page, metrics and health: one request a connection, nothing to configure."""

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

from filter.serving.sockets import Listening
from filter.serving.streams.accepting import Acceptor

log = logging.getLogger("filter")

LONGEST_HEAD = 16_384
LONGEST_BODY = 16_384
READ_SECONDS = 5.0
WRITE_SECONDS = 5.0
MOST_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    host: str
    """The Host header, without a port, lower-case."""
    client: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """By their names in lower case."""
    body: bytes | None = b""
    """None: one that is too long to be read, or whose length is not told."""


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


Respond = Callable[[Request], Awaitable[Response]]


class WebServer:
    """Answers each request by one function."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.open = 0
        self.acceptor: Acceptor | None = None

    async def listen(self, listening: Listening) -> None:
        """Answer on a bound socket from now on."""
        self.acceptor = Acceptor(listening.sock, self.begin)
        self.acceptor.start()

    def begin(self) -> asyncio.StreamReaderProtocol:
        """What speaks on a new connection."""
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(LONGEST_HEAD), self.serve)

    async def close(self) -> None:
        if self.acceptor is not None:
            self.acceptor.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.open >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self.open += 1
        try:
            client = str((writer.get_extra_info("peername") or ("",))[0])
            async with asyncio.timeout(READ_SECONDS):
                request = await read_request(reader, client)
            response = await self.respond(request) if request else Response(400, b"400\n")
            writer.write(render(response, with_body=request is None or request.method != "HEAD"))
            async with asyncio.timeout(WRITE_SECONDS):
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError):  # gone, silent, too slow, or no HTTP
            pass
        finally:
            self.open -= 1
            writer.close()


async def read_request(reader: asyncio.StreamReader, client: str) -> Request | None:
    """Head and body; None when it is not HTTP/1. Raise OSError, EOFError or LimitOverrunError."""
    request = parse(await reader.readuntil(b"\r\n\r\n"), client)
    if request is None or (length := length_of_body(request.headers)) == 0:
        return request
    return replace(request, body=None if length is None else await reader.readexactly(length))


def length_of_body(headers: Mapping[str, str]) -> int | None:
    """Bytes that follow; None when they are too many, or not told."""
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not length.isdecimal() or len(length) > 9 or int(length) > LONGEST_BODY:
        return None
    return int(length)


def parse(head: bytes, client: str) -> Request | None:
    """The request, or None when it is not HTTP/1."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    host = headers.get("host", "").lower()
    if not host.startswith("["):
        host = host.partition(":")[0]
    return Request(words[0], words[1].partition("?")[0], host, client, headers)


def render(response: Response, with_body: bool) -> bytes:
    """The response's bytes."""
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **response.headers,
    }
    lines = [f"HTTP/1.1 {response.status} {http.HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (response.body if with_body else b"")
