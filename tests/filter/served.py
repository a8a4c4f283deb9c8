"""A plane on a real socket, before a handler of its own, and a client that asks it."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dns.message
from dns.message import Message

from filter.endpoints import Endpoint
from filter.metrics import Metrics
from filter.plane.serving import PlaneUdp
from filter.resolvers import Resolver
from filter.serving.handler import Handler
from filter.serving.resolving.cache import Cache
from filter.serving.resolving.health import Server
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import Forwarding, Upstreams
from filter.serving.sockets import Kind, bind
from filter.settings import PolicySettings
from filter.updates.pair import Pair, open_pair
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.planes import Plane

assert Plane is not None  # skips where nothing was compiled
PATIENCE = 20.0


@dataclass
class Client:
    """A plane that answers, and what is behind it."""

    udp: PlaneUdp
    metrics: Metrics
    port: int

    async def send(self, packet: bytes, host: str = "127.0.0.1") -> bytes:
        return await asyncio.to_thread(exchange, packet, (host, self.port))

    async def ask(self, name: str, qtype: str = "A", **how: object) -> Message:
        query = dns.message.make_query(name, qtype, **{"use_edns": 0, **how})  # type: ignore[arg-type]
        reply = dns.message.from_wire(await self.send(query.to_wire()))
        assert query.is_response(reply)
        return reply

    def measure(self, name: str, **labels: str) -> float:
        self.udp.drain.take()
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def exchange(packet: bytes, address: tuple[str, int]) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address)
        sock.send(packet)
        return sock.recv(4096)


def make_pair(folder: Path, settings: PolicySettings = SCHOOL, serial: int = 1) -> Pair:
    folder.mkdir()
    return open_pair(compile_pair(LISTS, settings, folder / "noms", serial=serial))


@asynccontextmanager
async def served(folder: Path, upstreams: Sequence[int], host: str = "127.0.0.1") -> AsyncIterator[Client]:
    """With SCHOOL's policy; only the handler and the plane hold it."""
    metrics = Metrics()
    servers = [Server(Resolver("127.0.0.1", port)) for port in upstreams]
    forwarding = Forwarding(Upstreams(servers, metrics.observe_upstream), {})
    lookup = Lookup(forwarding.forward, Cache(1 << 20), metrics.count_cache)
    handler = Handler(lookup, metrics, lambda: datetime.now(UTC))
    handler.policy = make_pair(folder).policy
    udp = PlaneUdp(handler, metrics, 1 << 20, [Endpoint("127.0.0.1", port) for port in upstreams])
    udp.install(handler.policy)
    listening = bind(Kind.UDP, Endpoint(host, 0))
    with listening.sock:
        udp.start([listening.sock])
        yield Client(udp, metrics, listening.endpoint.port)
        await udp.close()
        await asyncio.to_thread(forwarding.everything.close)
