"""Frames of HTTP/2 (RFC 9113): bytes in and out, and what a client may send that asks for nothing."""

import struct
from collections.abc import Callable
from enum import IntEnum

from filter.serving.streams.lines import Line

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20


class Kind(IntEnum):
    """Frame types (RFC 9113, 6)."""

    DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)


class Code(IntEnum):
    """Error codes (RFC 9113, 7) that we have a use for."""

    PROTOCOL = 1
    FLOW_CONTROL = 3
    FRAME_SIZE = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION = 9
    ENHANCE_YOUR_CALM = 11


FRAME = struct.Struct("!HBBBI")
"""Length (16 bits and 8), type, flags, stream."""
LARGEST_FRAME = 16_384
WINDOW = 65_535
LARGEST_WINDOW = 2**31 - 1
MOST_NUISANCE = 300
"""Frames beyond those that requests need (pings, resets, empty data, unknown ones) before we stop listening."""


class Http2Error(Exception):
    """The connection cannot go on; ``code`` tells the client why (RFC 9113, 7)."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


Take = Callable[[int, int, bytes], None]
"""(flags, stream, payload)"""


class Frames:
    """A connection's frames. Whoever speaks HTTP/2 on it says what to do with each kind."""

    def __init__(self, line: Line, settings: bytes) -> None:
        """``settings``: the payload of our own Kind.SETTINGS."""
        self.line = line
        self.settings = settings
        self.buffer = bytearray()
        self.out: list[bytes] = []
        """Frames to be sent together; each entry ends no more than one answer (Line.send_each)."""
        self.awaited: int | None = None
        """The stream whose header block must go on, before anything else comes (RFC 9113, 6.10)."""
        self.nuisance = 0
        self.is_greeted = False
        self.since = 0.0
        """When the frame began that is not whole yet."""
        self.take: dict[int, Take] = {Kind.PRIORITY: self.take_priority, Kind.PING: self.take_ping}

    def greet(self) -> bool:
        """The client's preface (RFC 9113, 3.4); what speaks HTTP/1, or did not agree to HTTP/2 (3.2), hears that we do
        not: it may be another protocol's client whom somebody led here."""
        start = bytes(self.buffer[: len(PREFACE)])
        if not PREFACE.startswith(start) or self.line.agreed != "h2":
            self.out.append(
                b"HTTP/1.1 505 HTTP Version Not Supported\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            )
            self.flush()
            self.line.close()
            self.buffer.clear()
            return False
        if len(start) < len(PREFACE):
            return False
        del self.buffer[: len(PREFACE)]
        self.is_greeted = True
        self.write(Kind.SETTINGS, 0, 0, self.settings)
        return True

    def read_frames(self) -> None:
        """Take every whole frame; raise Http2Error."""
        at, buffer, unpack, takes = 0, bytes(self.buffer), FRAME.unpack_from, self.take
        last = len(buffer) - 9
        while at <= last:
            high, low, kind, flags, stream = unpack(buffer, at)
            length = high << 8 | low
            if length > LARGEST_FRAME:
                raise Http2Error(Code.FRAME_SIZE, "frame too large")
            at += 9
            end = at + length
            if end > last + 9:
                at -= 9
                break
            if self.awaited is None and kind in takes:
                takes[kind](flags, stream & LARGEST_WINDOW, buffer[at:end])
            else:
                self.dispatch(kind, flags, stream & LARGEST_WINDOW, buffer[at:end])
            at = end
        if at or not self.since:
            self.since = self.line.loop.time()
        if at:
            del self.buffer[:at]

    def dispatch(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self.awaited is not None and (kind != Kind.CONTINUATION or stream != self.awaited):
            raise Http2Error(Code.PROTOCOL, "a header block was broken off")
        take = self.take.get(kind)
        if take is not None:
            take(flags, stream, payload)
        elif kind == Kind.PUSH_PROMISE:
            raise Http2Error(Code.PROTOCOL, "clients push nothing")
        else:
            self.bother()

    def write(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        length = len(payload)
        self.out.append(FRAME.pack(length >> 8, length & 255, kind, flags, stream) + payload)

    def flush(self) -> None:
        """Send all frames written since the last time, in one piece."""
        if self.out:
            out, self.out = self.out, []
            self.line.send_each(out)

    def bother(self, weight: int = 1) -> None:
        """A frame that no request needs; raise Http2Error when there are too many of them."""
        self.nuisance += weight
        if self.nuisance > MOST_NUISANCE:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "too many frames that ask nothing")

    def take_priority(self, _flags: int, _stream: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise Http2Error(Code.FRAME_SIZE, "priority of another size")
        self.bother()

    def take_ping(self, flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 8 or stream:
            raise Http2Error(Code.FRAME_SIZE, "ping of another size")
        self.bother()
        if not flags & ACK:  # we send none that could be acknowledged
            self.write(Kind.PING, ACK, 0, payload)


def unpadded(flags: int, payload: bytes) -> bytes:
    """A frame's content without its padding; raise Http2Error."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Http2Error(Code.PROTOCOL, "padding longer than its frame")
    return payload[1 : len(payload) - payload[0]]
