"""How often a client may ask: by its device's label, else by its address and what stands around it, NAT in mind.

A bucket of tokens for each device, address and subnet, all of them bounded in number. Over UDP, where addresses are
forged, who is over the limit gets nothing, or now and then a reply that is cut and no longer than its question: a real
client comes back over TCP, and nobody else is hurt (slip, as BIND calls it). Streams are read more slowly.
"""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from ipaddress import ip_address

from filter.clients import Network
from filter.metrics import Metrics
from filter.serving import wire
from filter.serving.buckets import Buckets
from filter.serving.streams.lines import OURSELVES, client_key
from filter.serving.wire import WireError

DEFAULT_RATE = 300
"""Queries a second of one address that no network of the policy holds, and of one device's label."""
PER_KNOWN_ADDRESS = 5
"""Times as much for an address of a network of the policy: a resolver of the school may stand there."""
PER_KNOWN_HOST = 20
"""The same where the network is one address only: a whole school behind NAT."""
PER_SUBNET = 4
"""For all unknown addresses of an IPv4 /24 or an IPv6 /56 together."""
SLIP = 3
"""Of so many queries over the limit, one gets a cut reply."""


class RateLimits:
    """The buckets of one process."""

    def __init__(
        self,
        rate: int,
        locate: Callable[[str], Network | None],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        knows_label: Callable[[str], bool] = lambda _label: False,
    ) -> None:
        """``rate``: queries a second, 0 for no limit. ``locate``: the policy's network that holds an address.
        ``knows_label``: whether the policy has a device of this label; anybody can make up others."""
        self.rate = rate
        self.locate = locate
        self.metrics = metrics
        self.knows_label = knows_label
        self.clock = clock
        self.buckets = Buckets()
        self.over = 0

    def admit(self, query: bytes, client: str) -> bytes | None:
        """None for a datagram that may be answered; else what to send instead, empty for nothing."""
        if not self.rate or client in OURSELVES or not self.wait(client):
            return None
        self.over += 1
        if self.over % SLIP:
            self.metrics.dropped.labels("rate").inc()
            return b""
        self.metrics.dropped.labels("slip").inc()
        return cut_reply(query)

    def wait(self, client: str, label: str | None = None) -> float:
        """Seconds after which this client may ask; 0.0 for now, and then one token is taken."""
        if not self.rate or client in OURSELVES:
            return 0.0
        now = self.clock()
        for name, times in self.names(client, label):
            if (seconds := self.buckets.draw(name, self.rate * times, now)) > 0.0:
                return seconds
        return 0.0

    def names(self, client: str, label: str | None) -> Iterator[tuple[str, int]]:
        """The buckets that a query draws from, and how many times the rate each holds."""
        if label is not None and self.knows_label(label):
            yield f"label {label}", 1
            return
        network = self.locate(client)
        key = client_key(client)
        if network is None:
            yield key, 1
            yield subnet_of(client), PER_SUBNET
            return
        version, length, _ = network
        if length == (32 if version == 4 else 128):
            yield f"host {client}", PER_KNOWN_HOST
        else:
            yield f"known {key}", PER_KNOWN_ADDRESS


@lru_cache(maxsize=4096)
def subnet_of(client: str) -> str:
    """What one attacker easily has many addresses of: an IPv4 /24, an IPv6 /56."""
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    spare = 8 if address.version == 4 else 72
    return f"{address.version} {int(address) >> spare}"


def cut_reply(query: bytes) -> bytes:
    """The question alone, and TC: no longer than what came; empty for what is no plain query."""
    try:
        flags = int.from_bytes(query[2:4], "big")
        if len(query) < wire.HEADER.size or flags & wire.QR or wire.opcode(flags):
            return b""
        question, _ = wire.read_question(query)
    except WireError:
        return b""
    head = wire.HEADER.pack(int.from_bytes(query[:2], "big"), wire.QR | wire.TC | wire.RA | flags & wire.RD, 1, 0, 0, 0)
    return head + question.raw
