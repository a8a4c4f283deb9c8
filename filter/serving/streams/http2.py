"""HTTP/2 as a server of small answers needs it (RFC 9113): frames in, requests out, every table and window bounded.

Written for DoH: libraries that do all of HTTP/2 take more time for a request than its DNS answer does. Header blocks
are read by hpack; ours are written without compression state.
"""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from filter.serving.streams.flow import Flow, Response, Stream
from filter.serving.streams.frames import (
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    PADDED,
    WINDOW,
    Code,
    Http2Error,
    Kind,
    unpadded,
)
from filter.serving.streams.headers import BlockInvalid, Headers, HeadersInvalid, Reader, is_request
from filter.serving.streams.lines import Line

MOST_STREAMS = 100
LONGEST_BLOCK = 8_192
"""Bytes of compressed headers, over all frames of one block."""
LONGEST_BODY = 4_096
"""Of a request: no query is longer over UDP either, and a hundred may wait for their end. What is longer is given to
whoever responds, to be refused."""
IDLE_SECONDS = 30.0
MESSAGE_SECONDS = 5.0
ANSWER_SECONDS = 30.0
OUR_SETTINGS = struct.pack("!HIHIHI", 3, MOST_STREAMS, 6, 16_384, 8, 0)
"""Streams at once, size of headers, no extended CONNECT."""


@dataclass(slots=True)
class Block:
    """Headers of which more frames must follow, and nothing else may (RFC 9113, 6.10)."""

    stream: int
    ends_stream: bool
    data: bytearray


Respond = Callable[[Headers, bytes, Line], Response | Awaitable[Response | None]]
"""(headers, body, connection) -> the response, or what brings it; None: the stream is reset without an answer."""


class Http2(Flow):
    """The conversation of one connection."""

    def __init__(self, line: Line, respond: Respond) -> None:
        super().__init__(line, OUR_SETTINGS)
        self.respond = respond
        self.reader = Reader()
        self.block: Block | None = None
        self.our_window = WINDOW
        """What the client may still send."""
        self.has_ended = False
        self.asked_at = line.loop.time()
        """When a request was last heard or under way."""
        self.take |= {
            Kind.DATA: self.take_data,
            Kind.HEADERS: self.take_headers,
            Kind.RST_STREAM: self.take_reset,
            Kind.GOAWAY: self.take_goaway,
            Kind.CONTINUATION: self.take_continuation,
        }
        self.line.expect(MESSAGE_SECONDS)

    def received(self, data: bytes) -> None:
        if self.has_ended and not self.streams:
            return
        self.buffer += data
        try:
            if self.is_greeted or self.greet():
                self.read_frames()
        except Http2Error as error:
            self.give_up(error.code)
        else:
            self.line.hall.heard(self.line)
            if not self.out and (self.receiving or self.held or not self.streams):
                self.line.acknowledge()
            self.rest()
        self.flush()

    def give_up(self, code: Code) -> None:
        """Tell why, and close."""
        self.write(Kind.GOAWAY, 0, 0, struct.pack("!II", self.last, code))
        self.flush()
        self.has_ended = True
        self.buffer.clear()
        self.line.hall.metrics.dropped.labels("http2").inc()
        self.drop_all()
        self.line.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        if not stream & 1:
            raise Http2Error(Code.PROTOCOL, "headers on a stream that no client opens")
        if flags & (PADDED | HAS_PRIORITY):
            payload = unpadded(flags, payload)
            if flags & HAS_PRIORITY:
                if len(payload) < 5:
                    raise Http2Error(Code.FRAME_SIZE, "priority cut short")
                payload = payload[5:]
        ends_stream = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self.take_block(stream, ends_stream, payload)
        else:
            self.block = Block(stream, ends_stream, bytearray(payload))
            self.awaited = stream

    def take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        block = self.block
        if block is None:
            raise Http2Error(Code.PROTOCOL, "continuation of nothing")
        block.data += payload
        self.bother()
        if len(block.data) > LONGEST_BLOCK:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "headers too long")
        if flags & END_HEADERS:
            self.block = self.awaited = None
            self.take_block(stream, block.ends_stream, bytes(block.data))

    def take_block(self, stream: int, ends_stream: bool, data: bytes) -> None:
        """A whole header block: a new request, or the trailers of one, which say nothing to us."""
        if len(data) > LONGEST_BLOCK:
            raise Http2Error(Code.ENHANCE_YOUR_CALM, "headers too long")
        try:
            headers = self.reader.read(data)
        except BlockInvalid as error:
            raise Http2Error(Code.COMPRESSION, str(error)) from error
        except HeadersInvalid:
            headers = {}
        if stream > self.last:
            self.open(stream, headers, ends_stream)
            return
        known = self.streams.get(stream)
        if known is not None and not known.is_whole and ends_stream:
            self.complete(stream, known)
        else:
            self.bother()

    def open(self, stream: int, headers: Headers, ends_stream: bool) -> None:
        """A new request."""
        self.last = stream
        self.asked_at = self.line.loop.time()
        if not is_request(headers):
            self.reset(stream, Code.PROTOCOL)
        elif len(self.streams) >= MOST_STREAMS:
            self.reset(stream, Code.REFUSED_STREAM)
        elif ends_stream:
            self.answer_whole(stream, headers)
        else:
            self.streams[stream] = Stream(self.their_window, headers)
            self.receiving[stream] = self.line.loop.time()

    def answer_whole(self, stream: int, headers: Headers) -> None:
        """A request of headers alone; what can be answered at once needs no state of its own."""
        found = self.respond(headers, b"", self.line)
        if isinstance(found, Response) and self.send_whole(stream, self.their_window, found):
            self.credit(found)
            return
        opened = self.streams[stream] = Stream(self.their_window, headers, is_whole=True)
        self.settle(stream, opened, found)

    def take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self.our_window -= len(payload)
        if self.our_window < 0:
            raise Http2Error(Code.FLOW_CONTROL, "more data than its window lets through")
        if self.our_window < WINDOW // 2:
            self.write(Kind.WINDOW_UPDATE, 0, 0, struct.pack("!I", WINDOW - self.our_window))
            self.our_window = WINDOW
        content = unpadded(flags, payload) if flags & PADDED else payload
        if not content and not flags & END_STREAM:
            self.bother()
        known = self.streams.get(stream)
        if known is None or known.is_whole:
            if stream > self.last or not stream:
                raise Http2Error(Code.PROTOCOL, "data on a stream that is not open")
            self.bother()
            return
        known.body = known.body + content if known.body else content
        if flags & END_STREAM or len(known.body) > LONGEST_BODY:  # the rest of such a one is not waited for
            self.complete(stream, known)

    def complete(self, stream: int, known: Stream) -> None:
        """The request is whole: answer it."""
        self.receiving.pop(stream, None)
        known.is_whole = True
        self.settle(stream, known, self.respond(known.headers, known.body, self.line))

    def settle(self, stream: int, known: Stream, found: Response | Awaitable[Response | None]) -> None:
        """Send what was found, or what will be."""
        if isinstance(found, Response):
            self.credit(found)
            self.send_response(stream, known, found)
        else:
            known.task = asyncio.create_task(self.answer(stream, known, found))

    async def answer(self, stream: int, known: Stream, coming: Awaitable[Response | None]) -> None:
        response = await coming
        if self.streams.get(stream) is not known:
            return
        if not self.out:
            self.line.loop.call_soon(self.flush)
        self.asked_at = self.line.loop.time()
        self.credit(response)
        if response is None:
            self.forget(stream)
            self.write(Kind.RST_STREAM, 0, stream, struct.pack("!I", Code.CANCEL))
        else:
            try:
                self.send_response(stream, known, response)
            except Http2Error as error:
                self.give_up(error.code)
                return
        self.rest()

    def credit(self, response: Response | None) -> None:
        """An answer makes up for frames that bother; a refusal, which has no body, does not."""
        if response is None or response.body:
            self.nuisance = max(self.nuisance - 2, 0)

    def reset(self, stream: int, code: Code) -> None:
        """Refuse a stream, and go on with the others."""
        self.drop(stream)
        self.write(Kind.RST_STREAM, 0, stream, struct.pack("!I", code))
        self.bother(3)

    def drop(self, stream: int) -> None:
        """Forget a stream; what was asked for it is not worth an answer any more."""
        known = self.streams.get(stream)
        self.forget(stream)
        if known is not None and known.task is not None:
            known.task.cancel()

    def drop_all(self) -> None:
        for stream in list(self.streams):
            self.drop(stream)

    # --- what keeps the connection ------------------------------------------------------------------------------------

    def take_reset(self, _flags: int, stream: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise Http2Error(Code.FRAME_SIZE, "reset of another size")
        if stream > self.last or not stream:
            raise Http2Error(Code.PROTOCOL, "reset of a stream that never was")
        self.drop(stream)
        self.bother(3)  # opening and resetting costs the client nothing and us an answer (CVE-2023-44487)

    def take_goaway(self, _flags: int, _stream: int, _payload: bytes) -> None:
        """The client opens no more streams; those that are open are still answered."""
        self.has_ended = True

    def rest(self) -> None:
        """How long the client may leave us waiting from here on, and we it."""
        now = self.line.loop.time()
        if self.receiving:
            self.line.expect(next(iter(self.receiving.values())) + MESSAGE_SECONDS - now)
        elif self.buffer or self.block is not None or not self.is_greeted:
            self.line.expect((self.since or now) + MESSAGE_SECONDS - now)
        elif self.streams:
            self.line.expect(MESSAGE_SECONDS if self.held else ANSWER_SECONDS)
        elif self.has_ended:
            self.flush()
            self.line.close()
        else:
            self.line.expect(self.asked_at + IDLE_SECONDS - now)

    def ended(self) -> bool:
        self.has_ended = True
        return bool(self.streams)

    def lost(self) -> None:
        self.drop_all()

    def is_idle(self) -> bool:
        return self.is_greeted and not (self.streams or self.buffer or self.block)
