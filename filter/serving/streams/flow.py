"""Answers on the streams of an HTTP/2 connection, as far as the client's windows let them through (RFC 9113, 5.2)."""

import asyncio
import struct
from dataclasses import dataclass
from typing import NamedTuple

from filter.serving.streams.frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    FRAME,
    LARGEST_FRAME,
    LARGEST_WINDOW,
    WINDOW,
    Code,
    Frames,
    Http2Error,
    Kind,
)
from filter.serving.streams.headers import Headers
from filter.serving.streams.lines import Line

DATA, HEADERS = int(Kind.DATA), int(Kind.HEADERS)
MOST_HELD = 1 << 20
"""Bytes of answers that wait for the client's window."""


class Response(NamedTuple):
    """Status and body; ``head`` is the header block, ready to be sent."""

    head: bytes
    body: bytes


@dataclass(slots=True, eq=False)
class Stream:
    """One request and its answer."""

    window: int
    headers: Headers
    body: bytes = b""
    is_whole: bool = False
    task: "asyncio.Task[None] | None" = None
    held: bytes = b""
    """What the client's windows do not let through yet."""


class Flow(Frames):
    """The streams of one connection, and their windows."""

    def __init__(self, line: Line, settings: bytes) -> None:
        super().__init__(line, settings)
        self.streams: dict[int, Stream] = {}
        self.last = 0
        """The stream that the client opened last."""
        self.is_heard = False
        """Whether the client acknowledged our settings."""
        self.receiving: dict[int, float] = {}
        """Requests that are not whole yet, and since when; the oldest first."""
        self.window = self.their_window = WINDOW
        """What we may send in all; at first on each stream."""
        self.held = 0
        self.take |= {Kind.SETTINGS: self.take_settings, Kind.WINDOW_UPDATE: self.take_window}

    def send_response(self, stream: int, known: Stream, response: Response) -> None:
        """Headers, and as much of the body as the client's windows let through."""
        if self.send_whole(stream, known.window, response):
            self.forget(stream)
            return
        self.write(Kind.HEADERS, END_HEADERS, stream, response.head)
        known.held = response.body
        self.held += len(response.body)
        self.push(stream, known)
        if self.held > MOST_HELD:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "answers that are not read")

    def send_whole(self, stream: int, window: int, response: Response) -> bool:
        """All of a response at once, when the client's windows let it through; whether they did."""
        head, body = response
        size = len(body)
        if size > window or size > self.window or size > LARGEST_FRAME:
            return False
        length = len(head)
        if not size:
            self.out.append(FRAME.pack(length >> 8, length & 255, HEADERS, END_HEADERS | END_STREAM, stream) + head)
            return True
        self.window -= size
        self.out.append(
            FRAME.pack(length >> 8, length & 255, HEADERS, END_HEADERS, stream)
            + head
            + FRAME.pack(size >> 8, size & 255, DATA, END_STREAM, stream)
            + body
        )
        return True

    def push(self, stream: int, known: Stream) -> None:
        """Send what the windows let through of a body."""
        while known.held:
            size = min(len(known.held), known.window, self.window, LARGEST_FRAME)
            if size <= 0:
                return
            part, known.held = known.held[:size], known.held[size:]
            known.window -= size
            self.window -= size
            self.held -= size
            self.write(Kind.DATA, 0 if known.held else END_STREAM, stream, part)
        self.forget(stream)

    def push_all(self) -> None:
        for stream, known in [(s, k) for s, k in self.streams.items() if k.held]:
            self.push(stream, known)

    def forget(self, stream: int) -> None:
        known = self.streams.pop(stream, None)
        self.receiving.pop(stream, None)
        if known is not None:
            self.held -= len(known.held)

    def take_settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or len(payload) % 6 or (flags & ACK and payload):
            raise Http2Error(Code.FRAME_SIZE, "settings of another size")
        if flags & ACK and not self.is_heard:
            self.is_heard = True
            return
        self.bother()
        if flags & ACK:
            return
        for number, value in struct.iter_unpack("!HI", payload):
            if number == 4:
                self.resize(value)
            if (number == 2 and value > 1) or (number == 5 and not LARGEST_FRAME <= value < 1 << 24):
                raise Http2Error(Code.PROTOCOL, "a setting out of its range")
        self.write(Kind.SETTINGS, ACK, 0)

    def resize(self, window: int) -> None:
        """Another window for every stream, those that are open too (RFC 9113, 6.9.2)."""
        if window > LARGEST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL, "window too large")
        for known in self.streams.values():
            known.window += window - self.their_window
        self.their_window = window
        self.push_all()

    def take_window(self, _flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(Code.FRAME_SIZE, "window of another size")
        more = struct.unpack("!I", payload)[0] & LARGEST_WINDOW
        if not more:
            raise Http2Error(Code.PROTOCOL, "a window that opens by nothing")
        if stream > self.last or (stream and not stream & 1):
            raise Http2Error(Code.PROTOCOL, "a window of a stream that never was")
        known = self.streams.get(stream)
        self.bother(0 if more >= LARGEST_FRAME and (known is not None or not stream) else 1)
        if not stream:
            self.window += more
        elif known is not None:
            known.window += more
        if max(self.window, known.window if known is not None else 0) > LARGEST_WINDOW:
            raise Http2Error(Code.FLOW_CONTROL, "window too large")
        self.push_all()
