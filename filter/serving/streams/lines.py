"""One connection and the hall it stands in: who may come in, how long it may be silent, slow or deaf."""

import asyncio
import contextlib
import math
import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Protocol, cast

from filter.metrics import Metrics
from filter.serving.buckets import Buckets

SWEEP_SECONDS = 0.5
"""How often deadlines are looked at: one look at all connections costs less than a timer for each."""
WRITE_SECONDS = 5.0
"""How long a client may leave what it asked for unread."""
MOST_LOOKED_AT = 50
"""Connections that are looked at, from the least active on, to find one that may go."""
HANDSHAKES = 400
"""A second, of all clients of this process: about half of what a core can do."""
HANDSHAKES_A_CLIENT = 20
PER_NETWORK = 10
"""Times as many for a client whose network the policy knows."""
OURSELVES = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
"""What runs on this machine is not kept from anything."""
NEVER = math.inf


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections stand open at once."""

    in_all: int = 10_000
    per_client: int = 100
    """By IPv4 address or IPv6 /64: a whole school may stand behind one."""
    per_network: int = 1_000
    """The same for a client whose network the policy knows."""


class Conversation(Protocol):
    """What is spoken on a connection: bytes in, and through the line bytes out."""

    def received(self, data: bytes) -> None:
        """More bytes from the client."""

    def ended(self) -> bool:
        """The client sends no more; whether it is still owed something."""

    def lost(self) -> None:
        """The connection is gone."""

    def is_idle(self) -> bool:
        """Whether nobody would miss anything if it went now."""


class Hall:
    """The open connections of all listeners of this process."""

    def __init__(self, metrics: Metrics, room: Room, is_known: Callable[[str], bool]) -> None:
        """``is_known``: whether an address is in a network of the policy."""
        self.metrics = metrics
        self.room = room
        self.is_known = is_known
        self.lines: OrderedDict[Line, str] = OrderedDict()
        """Connection -> its client's key; the least active first."""
        self.clients: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.handshakes = Buckets()
        self.is_late: Callable[[], bool] = lambda: False
        """Whether this process has more to do than it can (filter.serving.pulse)."""
        self.sweeping: asyncio.TimerHandle | None = None

    def enter(self, line: "Line") -> bool:
        """Take a connection in, if there is room; one that is idle makes room (RFC 7766, 6.2.3)."""
        key = client_key(line.client)
        most = self.room.per_network if self.is_known(line.client) else self.room.per_client
        if self.clients[key] >= most or (len(self.lines) >= self.room.in_all and not self.make_room()):
            self.metrics.dropped.labels("connections").inc()
            return False
        self.lines[line] = key
        self.clients[key] += 1
        self.kinds[line.kind] += 1
        self.tell(line.kind)
        if self.sweeping is None:
            self.sweeping = line.loop.call_later(SWEEP_SECONDS, self.sweep, line.loop)
        return True

    def may_shake_hands(self, line: "Line") -> bool:
        """Whether a client may begin another TLS handshake: the dearest thing there is to ask for."""
        if line.client in OURSELVES:
            return True
        if self.is_late():
            self.metrics.dropped.labels("overload").inc()
            return False
        now = line.loop.time()
        rate = HANDSHAKES_A_CLIENT * (PER_NETWORK if self.is_known(line.client) else 1)
        return not (
            self.handshakes.draw(client_key(line.client), rate, now) or self.handshakes.draw("", HANDSHAKES, now)
        )

    def leave(self, line: "Line") -> None:
        """Forget a connection; one that never came in is none."""
        if (key := self.lines.pop(line, None)) is None:
            return
        self.clients[key] -= 1
        if not self.clients[key]:
            del self.clients[key]
        self.kinds[line.kind] -= 1
        self.tell(line.kind)

    def tell(self, kind: str) -> None:
        self.metrics.connections.labels(kind).set(self.kinds[kind])

    def heard(self, line: "Line") -> None:
        """This one is the most active now."""
        if line in self.lines:
            self.lines.move_to_end(line)

    def make_room(self) -> bool:
        """Close the least active of the idle connections; False when none is to be had."""
        for line, _ in zip(self.lines, range(MOST_LOOKED_AT), strict=False):
            if line.is_idle():
                line.close()
                return True
        return False

    def sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the connections whose time is over."""
        now = loop.time()
        for line in [each for each in self.lines if each.due <= now]:
            line.expire()
        self.sweeping = loop.call_later(SWEEP_SECONDS, self.sweep, loop) if self.lines else None

    def close(self) -> None:
        """Close every connection."""
        if self.sweeping is not None:
            self.sweeping.cancel()
            self.sweeping = None
        for line in list(self.lines):
            line.abort()


class Line(asyncio.Protocol):
    """A TCP connection; what is spoken on it is its conversation's affair."""

    kind = "tcp"

    def __init__(self, hall: Hall, begin: Callable[["Line"], Conversation]) -> None:
        self.hall = hall
        self.begin = begin
        self.loop = asyncio.get_running_loop()
        self.client = ""
        self.label: str | None = None
        """The device's own, when the connection told one."""
        self.agreed: str | None = None
        """The protocol that the handshake agreed upon (ALPN), when there was one."""
        self.is_private = False
        """Encrypted: replies are padded."""
        self.due = NEVER
        """When it is closed unless something happens (loop time)."""
        self.awaited = NEVER
        """The due time before the client stopped reading."""
        self.is_stuck = False
        self.conversation: Conversation | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's and asyncio's share no base class
        self.client = str((transport.get_extra_info("peername") or ("",))[0])
        if self.hall.enter(self):
            self.welcome()
        else:
            self.transport.abort()

    def welcome(self) -> None:
        """The client is in."""
        self.conversation = self.begin(self)

    def data_received(self, data: bytes) -> None:
        if self.conversation is not None:
            self.conversation.received(data)

    def eof_received(self) -> bool:
        return self.conversation is not None and self.conversation.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self.hall.leave(self)
        self.transport = None
        if self.conversation is not None:
            self.conversation.lost()

    def send(self, data: bytes) -> None:
        """To the client; what cannot be sent any more is dropped."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def send_each(self, parts: Sequence[bytes]) -> None:
        """The same in one go for several; where the connection is encrypted, each in a record of its own."""
        self.send(b"".join(parts))

    def acknowledge(self) -> None:
        """Tell the client at once that its bytes came, when no answer is about to: one that sends the rest of them only
        then (Nagle's algorithm) would wait 40 ms for it."""
        if self.transport is None or (sock := self.transport.get_extra_info("socket")) is None:
            return
        with contextlib.suppress(OSError):  # the connection is gone
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def expect(self, seconds: float) -> None:
        """Close unless this is called again within so many seconds."""
        self.awaited = self.loop.time() + seconds
        if not self.is_stuck:
            self.due = self.awaited

    def pause_writing(self) -> None:
        """The client does not read: it has a moment to begin, and is not read from meanwhile."""
        self.is_stuck = True
        self.due = self.loop.time() + WRITE_SECONDS
        self.pause()

    def resume_writing(self) -> None:
        self.is_stuck = False
        self.due = self.awaited
        self.resume()

    def pause(self) -> None:
        """Read no more for now."""
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport is not None and not self.is_stuck and not self.transport.is_closing():
            self.transport.resume_reading()

    def is_idle(self) -> bool:
        """Whether it may go; one that is closing is on its way already."""
        if self.conversation is None or self.transport is None or self.transport.is_closing():
            return False
        return self.conversation.is_idle()

    def expire(self) -> None:
        """Time is over: an idle client is let go, a slow or deaf one cut off."""
        if self.is_idle() and not self.is_stuck:
            self.close()
        else:
            self.hall.metrics.dropped.labels("slow").inc()
            self.abort()

    def close(self) -> None:
        """End in order: what was sent still arrives, unless the client does not read it."""
        if self.transport is not None:
            self.expect(WRITE_SECONDS)
            self.transport.close()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()


@lru_cache(maxsize=4096)
def client_key(address: str) -> str:
    """What counts as one client: an IPv4 address, or an IPv6 /64, of which one device has as many as it likes."""
    if ":" not in address:
        return address
    try:
        whole = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if whole.ipv4_mapped is not None:
        return str(whole.ipv4_mapped)
    return f"{IPv6Address(int(whole) >> 64 << 64)}/64"
