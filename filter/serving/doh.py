"""DNS over HTTPS (RFC 8484): a request's query and device, a reply with how long it may be kept."""

import base64
import binascii
import re
import struct
from collections.abc import Awaitable
from functools import lru_cache
from urllib.parse import parse_qs

from filter.serving import wire
from filter.serving.flow import Response
from filter.serving.headers import write_head
from filter.serving.http2 import LONGEST_BODY, Request
from filter.serving.lines import Line
from filter.serving.padding import pad
from filter.serving.quick import Quick, never
from filter.serving.streams import Ask, Wait

PATH = b"/dns-query"
MEDIA_TYPE = "application/dns-message"
MEDIA_TYPE_BYTES = MEDIA_TYPE.encode()
LABEL = re.compile(rb"[A-Za-z0-9-]{1,63}")
COUNTS, TTL_AND_LENGTH = struct.Struct("!HH"), struct.Struct("!IH")
LONGEST_PATH = 4_096
"""Bytes; a query of 512 takes 700 of them."""


class RequestRefused(Exception):
    """What gets an HTTP status of its own instead of a DNS reply."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class DohServer:
    """Answers the requests of all HTTP/2 connections."""

    def __init__(self, ask: Ask, wait: Wait, quick: Quick = never) -> None:
        self.ask = ask
        self.wait = wait
        self.quick = quick

    def respond(self, request: Request, line: Line) -> Response | Awaitable[Response | None]:
        """The response where it is at hand; else what brings it, or None for a query that gets no answer at all."""
        try:
            label = read_label(request.path)
            query = read_query(request)
            if self.wait(line.client, label or line.label) > 0.0:
                raise RequestRefused(429)
        except RequestRefused as refused:
            return refusal(refused.status)
        reply = self.quick(query, line.client, label)
        if reply is None:
            return self.ask_for(query, line.client, label)
        return carry(reply) if reply else give_nothing()

    async def ask_for(self, query: bytes, client: str, label: str | None) -> Response | None:
        reply = await self.ask(query, client, False, label)
        return None if reply is None else carry(reply)


def carry(reply: bytes) -> Response:
    """A DNS reply as an HTTP response."""
    reply = pad(reply)
    return Response(answer_head(len(reply), least_ttl(reply)), reply)
async def give_nothing() -> None:
    """For a name that a list drops."""




def read_label(path: bytes) -> str | None:
    """The device's label in ``/dns-query/<label>``; raise RequestRefused for any other path."""
    if path == PATH:
        return None
    place = path.partition(b"?")[0]
    if place in {PATH, PATH + b"/"}:
        return None
    label = place.removeprefix(PATH + b"/")
    if label == place or LABEL.fullmatch(label) is None:
        raise RequestRefused(404)
    return label.decode("ascii")


def read_query(request: Request) -> bytes:
    """The DNS message of a GET or POST; raise RequestRefused."""
    match request.method:
        case b"GET":
            query = from_path(request.path)
        case b"POST":
            query = from_body(request)
        case _:
            raise RequestRefused(405)
    if len(query) < wire.HEADER.size or query[2] & 0x80:
        raise RequestRefused(400)
    return query


def from_path(path: bytes) -> bytes:
    """The ``dns`` parameter, base64url without padding (RFC 8484, 6); raise RequestRefused."""
    if len(path) > LONGEST_PATH:
        raise RequestRefused(414)
    try:
        values = parse_qs(path.partition(b"?")[2].decode("ascii"), max_num_fields=8)
        (text,) = values["dns"]
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (KeyError, ValueError, binascii.Error) as error:
        raise RequestRefused(400) from error


def from_body(request: Request) -> bytes:
    """The body of a POST; raise RequestRefused."""
    media_type = request.headers.get(b"content-type", b"")
    if media_type != MEDIA_TYPE_BYTES and media_type.partition(b";")[0].strip().lower() != MEDIA_TYPE_BYTES:
        raise RequestRefused(415)
    if len(request.body) > LONGEST_BODY:
        raise RequestRefused(413)
    return request.body


@lru_cache(maxsize=4096)
def answer_head(length: int, max_age: int) -> bytes:
    return write_head(200, content_type=MEDIA_TYPE, content_length=str(length), cache_control=f"max-age={max_age}")


@lru_cache(maxsize=16)
def refusal(status: int) -> Response:
    """An HTTP error, told in its status alone."""
    if status == 405:
        return Response(write_head(405, allow="GET, POST", content_length="0"), b"")
    return Response(write_head(status, content_length="0"), b"")


def least_ttl(reply: bytes) -> int:
    """Seconds that a cache may keep a reply of ours: the least TTL in it (RFC 8484, 5.1), 0 without a record."""
    answers, authorities = COUNTS.unpack_from(reply, 6)
    if not answers + authorities:
        return 0
    offset = skip_name(reply, wire.HEADER.size) + 4
    least = wire.LARGEST_TTL
    for _ in range(answers + authorities):
        offset = skip_name(reply, offset)
        ttl, length = TTL_AND_LENGTH.unpack_from(reply, offset + 4)
        least = min(least, ttl)
        offset += 10 + length
    return least


def skip_name(data: bytes, offset: int) -> int:
    """Where the name ends that begins here."""
    while length := data[offset]:
        if length >= 0xC0:
            return offset + 2
        offset += length + 1
    return offset + 1
