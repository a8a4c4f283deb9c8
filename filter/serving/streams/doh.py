"""DNS over HTTPS (RFC 8484): a request's query and device, a reply with how long it may be kept."""

import binascii
import re
import struct
from collections.abc import Awaitable, Callable
from functools import lru_cache
from importlib import import_module
from urllib.parse import parse_qs

from filter.plane.choosing import is_compiled
from filter.serving import wire
from filter.serving.streams.flow import Response
from filter.serving.streams.headers import Headers, write_head
from filter.serving.streams.http2 import LONGEST_BODY
from filter.serving.streams.lines import Line
from filter.serving.streams.padding import pad
from filter.serving.streams.pipelining import Ask, Wait
from filter.serving.streams.quick import Quick, never

PATH = b"/dns-query"
MEDIA_TYPE = "application/dns-message"
MEDIA_TYPE_BYTES = MEDIA_TYPE.encode()
LABEL = re.compile(rb"[A-Za-z0-9-]{1,63}")
COUNTS, RECORD, MINIMUM = struct.Struct("!HH"), struct.Struct("!HHIH"), struct.Struct("!I")
LONGEST_PARAMETERS = 4_096
"""Bytes; a query of 512 takes 700 of them."""
FROM_URL = bytes.maketrans(b"-_", b"+/")
PADDING = (b"", b"===", b"==", b"=")
"""What base64 lacks, by the length of the text modulo 4."""


def read_nothing(_parameters: bytes) -> bytes | None:
    """Where nothing is compiled: all parameters are read here."""
    return None


read_plain: Callable[[bytes], bytes | None] = (
    import_module("filter.plane._plane").read_parameter if is_compiled() else read_nothing
)
"""The query in parameters as nearly everybody writes them: ``dns`` and nothing else, no padding; None for others."""


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

    def respond(self, headers: Headers, body: bytes, line: Line) -> Response | Awaitable[Response | None]:
        """The response where it is at hand; else what brings it, or None for a query that gets no answer at all."""
        try:
            place, _, parameters = headers[b":path"].partition(b"?")
            label = read_label(place) or line.label
            query = read_query(headers, parameters, body)
        except RequestRefused as refused:
            return refusal(429 if self.wait(line.client, line.label) > 0.0 else refused.status)
        if self.wait(line.client, label) > 0.0:
            return refusal(429)
        reply = self.quick(query, line.client, label)
        if reply is None:
            return self.ask_for(query, line.client, label)
        return carry(reply) if reply else give_nothing()

    async def ask_for(self, query: bytes, client: str, label: str | None) -> Response | None:
        reply = await self.ask(query, client, False, label)
        return None if reply is None else carry(reply)


async def give_nothing() -> None:
    """For a name that a list drops."""


def carry(reply: bytes) -> Response:
    """A DNS reply as an HTTP response."""
    reply = pad(reply)
    return Response(answer_head(len(reply), least_ttl(reply)), reply)


def read_label(place: bytes) -> str | None:
    """The device's label in ``/dns-query/<label>``; raise RequestRefused for any other place."""
    if place == PATH or place == PATH + b"/":
        return None
    label = place.removeprefix(PATH + b"/")
    if label == place or LABEL.fullmatch(label) is None:
        raise RequestRefused(404)
    return label.decode("ascii")


def read_query(headers: Headers, parameters: bytes, body: bytes) -> bytes:
    """The DNS message of a GET or POST; raise RequestRefused."""
    match headers[b":method"]:
        case b"GET":
            query = from_parameters(parameters)
        case b"POST":
            query = from_body(headers, body)
        case _:
            raise RequestRefused(405)
    if len(query) < wire.HEADER.size or query[2] & 0x80:
        raise RequestRefused(400)
    return query


def from_parameters(parameters: bytes) -> bytes:
    """The ``dns`` parameter, base64url without padding (RFC 8484, 6); raise RequestRefused."""
    if len(parameters) > LONGEST_PARAMETERS:
        raise RequestRefused(414)
    if (query := read_plain(parameters)) is not None:
        return query
    try:
        text = find_parameter(parameters)
        return binascii.a2b_base64(text.translate(FROM_URL) + PADDING[len(text) & 3], strict_mode=True)
    except (KeyError, ValueError) as error:  # binascii.Error is a ValueError
        raise RequestRefused(400) from error


def find_parameter(parameters: bytes) -> bytes:
    """The text of ``dns`` among others, or percent-encoded; raise KeyError or ValueError."""
    (text,) = parse_qs(parameters.decode("ascii"), max_num_fields=8)["dns"]
    return text.encode("ascii")


def from_body(headers: Headers, body: bytes) -> bytes:
    """The body of a POST; raise RequestRefused."""
    media_type = headers.get(b"content-type", b"")
    if media_type != MEDIA_TYPE_BYTES and media_type.partition(b";")[0].strip().lower() != MEDIA_TYPE_BYTES:
        raise RequestRefused(415)
    if len(body) > LONGEST_BODY:
        raise RequestRefused(413)
    return body


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
    """Seconds that a cache may keep a reply of ours: the least TTL in it, 0 without a record; no more than the SOA of a
    negative one allows (RFC 8484, 5.1; RFC 2308, 5)."""
    answers, authorities = COUNTS.unpack_from(reply, 6)
    if not answers + authorities:
        return 0
    offset = skip_name(reply, wire.HEADER.size) + 4
    least = wire.LARGEST_TTL
    for position in range(answers + authorities):
        offset = skip_name(reply, offset)
        rtype, _, ttl, length = RECORD.unpack_from(reply, offset)
        offset += RECORD.size + length
        least = min(least, ttl)
        if rtype == wire.SOA and position >= answers and length >= MINIMUM.size:
            least = min(least, MINIMUM.unpack_from(reply, offset - MINIMUM.size)[0])
    return least


def skip_name(data: bytes, offset: int) -> int:
    """Where the name ends that begins here."""
    while length := data[offset]:
        if length >= 0xC0:
            return offset + 2
        offset += length + 1
    return offset + 1
