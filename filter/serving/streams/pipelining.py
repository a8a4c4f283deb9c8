"""DNS messages on a stream: TCP (RFC 7766) and TLS (RFC 7858). Pipelined, answered as the answers come."""

import asyncio
from collections.abc import Awaitable, Callable

from filter.serving.streams.lines import Line
from filter.serving.streams.padding import pad
from filter.serving.streams.quick import Quick, never

MOST_PIPELINED = 64
IDLE_SECONDS = 10.0
MESSAGE_SECONDS = 5.0
"""For a whole message, not for each read: one byte a second keeps nobody busy."""
ANSWER_SECONDS = 30.0
"""For answers that are owed: more than any upstream takes."""
SHORTEST_HOLD = 0.05
"""Seconds; so that a held client has a few queries' worth of tokens by then."""
SHORTEST = 12
"""Bytes of a header: what is shorter is no DNS message (RFC 1035, 4.1.1)."""

Ask = Callable[[bytes, str, bool, str | None], Awaitable[bytes | None]]
"""(query, client's address, whether over UDP, device's label) -> reply; filter.serving.handler.Handler.answer."""


Wait = Callable[[str, str | None], float]
"""(client's address, device's label) -> seconds after which it may ask (filter.serving.limits)."""


class DnsStream:
    """The conversation of one connection."""

    def __init__(
        self, line: Line, ask: Ask, wait: Wait, idle_seconds: float = IDLE_SECONDS, quick: Quick = never
    ) -> None:
        self.line = line
        self.ask = ask
        self.quick = quick
        self.wait = wait
        self.idle_seconds = idle_seconds
        self.buffer = bytearray()
        self.pending: set[asyncio.Task[None]] = set()
        self.replies: list[bytes] = []
        """On their way out, together."""
        self.has_ended = False
        self.since = 0.0
        """When the message began that is not whole yet."""
        self.held: asyncio.TimerHandle | None = None
        """Until when a client that asks too often is not heard."""
        self.line.expect(idle_seconds)

    def received(self, data: bytes) -> None:
        self.buffer += data
        self.take()
        if self.buffer and not (self.replies or self.pending):
            self.line.acknowledge()
        self.rest()

    def take(self) -> None:
        """Begin to answer every whole message, as many as may be under way at once."""
        at, buffer = 0, self.buffer
        while len(buffer) - at >= 2 and len(self.pending) < MOST_PIPELINED and self.held is None:
            end = at + 2 + (buffer[at] << 8 | buffer[at + 1])
            if end - at - 2 < SHORTEST:
                self.line.close()
                buffer.clear()
                return
            if len(buffer) < end:
                break
            if (seconds := self.wait(self.line.client, self.line.label)) > 0.0:
                self.hold(seconds)
                break
            self.begin(bytes(buffer[at + 2 : end]))
            at = end
        if at or not self.since:
            self.since = self.line.loop.time()
        if at:
            del buffer[:at]
            self.line.hall.heard(self.line)
        if len(self.pending) >= MOST_PIPELINED or self.held is not None:
            self.line.pause()

    def hold(self, seconds: float) -> None:
        """Hear nothing for a while: the queries wait where they are."""
        self.line.hall.metrics.dropped.labels("held").inc()
        self.held = self.line.loop.call_later(max(seconds, SHORTEST_HOLD), self.go_on)

    def go_on(self) -> None:
        self.held = None
        self.line.resume()
        self.take()
        self.rest()

    def begin(self, query: bytes) -> None:
        """Answer at once what can be; the rest as its answers come."""
        if (reply := self.quick(query, self.line.client, self.line.label)) is not None:
            if reply:
                self.deliver(reply)
            return
        task = asyncio.create_task(self.respond(query))
        self.pending.add(task)
        task.add_done_callback(self.finish)

    async def respond(self, query: bytes) -> None:
        reply = await self.ask(query, self.line.client, False, self.line.label)
        if reply is not None:
            self.deliver(reply)

    def deliver(self, reply: bytes) -> None:
        """Have a reply sent with those that are ready by then."""
        if self.line.is_private:
            reply = pad(reply)
        if not self.replies:
            self.line.loop.call_soon(self.flush)
        self.replies.append(len(reply).to_bytes(2, "big") + reply)

    def flush(self) -> None:
        """Send the replies that are ready: one packet, one TLS record."""
        replies, self.replies = self.replies, []
        self.line.send(b"".join(replies))
        if self.has_ended and not self.pending:
            self.line.close()

    def finish(self, task: asyncio.Task[None]) -> None:
        """One answer less is owed: read on."""
        self.pending.discard(task)
        if len(self.pending) == MOST_PIPELINED - 1 and self.held is None:
            self.line.resume()
            self.take()
        self.rest()

    def rest(self) -> None:
        """How long the client may leave us waiting from here on, and we it."""
        if self.held is not None:
            self.line.expect(ANSWER_SECONDS)
            return
        if self.buffer and len(self.pending) < MOST_PIPELINED:
            self.line.expect(self.since + MESSAGE_SECONDS - self.line.loop.time())
            return
        self.since = 0.0
        if self.pending:
            self.line.expect(ANSWER_SECONDS)
        elif not self.has_ended:
            self.line.expect(self.idle_seconds)
        elif not self.replies:
            self.line.close()

    def ended(self) -> bool:
        self.has_ended = True
        return bool(self.pending or self.replies)

    def lost(self) -> None:
        if self.held is not None:
            self.held.cancel()
        for task in self.pending:
            task.cancel()

    def is_idle(self) -> bool:
        return not (self.pending or self.buffer or self.replies or self.held)
