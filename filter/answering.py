"""What answers queries in one process: the pair it judges by, its cache, its resolvers, its listeners."""

import asyncio
import gc
import logging
import resource
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime

from filter.clients import Network
from filter.config import FilterConfig
from filter.metrics import Metrics
from filter.namecounts import NameCounts
from filter.plane.choosing import describe, is_wanted
from filter.plane.serving import MOST_SERVERS, PlaneUdp
from filter.resolvers import Resolver, Transport
from filter.serving.handler import Handler
from filter.serving.limits import RateLimits
from filter.serving.ready import ReadyReplies
from filter.serving.resolving.cache import Cache
from filter.serving.resolving.health import Server
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.probing import Prober, make_token
from filter.serving.resolving.upstream import Forwarding, Upstreams
from filter.serving.server import DnsServer
from filter.serving.sockets import Kind, Listening
from filter.serving.streams.lines import Room
from filter.serving.streams.quick import QuickAnswers, never
from filter.serving.streams.tls import Certificates
from filter.serving.udp import UdpListener
from filter.tally import Tally
from filter.updates.pair import Pair

log = logging.getLogger("filter")

SPARE_DESCRIPTORS = 1_000
"""What connections leave: half of all, where there are few."""

PYTHONS_PART = 4
"""Of the cache's memory a fourth is Python's where the plane keeps answers, too."""
PER_NETWORK = 10
"""How many clients' worth of connections an address of a known network may hold: a school stands behind it."""

GARBAGE = (20_000, 20, 50)
"""How many objects more there are before Python looks for cycles among the youngest, and how seldom it looks at older
ones. Queries leave none behind, but fill caches: looking through those time and again would cost a fifth of all."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Answering:
    """Everything between a socket and its replies."""

    def __init__(
        self, config: FilterConfig, share: int = 1, fronts: Mapping[str, ssl.SSLContext] | None = None
    ) -> None:
        """``share``: how many processes share the memory and connections that the config grants. ``fronts``: what TLS
        begins with in all of them.

        Raise CertificateInvalid.
        """
        self.config = config
        self.share = share
        self.metrics = Metrics()
        by_plane = is_wanted(config.plane)
        self.cache_bytes = config.cache_bytes // share
        self.cache = Cache(self.cache_bytes // PYTHONS_PART if by_plane else self.cache_bytes)
        self.forwarding = Forwarding(
            self.make_upstreams(config.upstreams),
            {zone: self.make_upstreams(resolvers) for zone, resolvers in config.forwards.items()},
        )
        lookup = Lookup(self.forwarding.forward, self.cache, self.metrics.count_cache, is_down=self.forwarding.is_down)
        self.handler = Handler(lookup, self.metrics, utc_now, config.block_addresses)
        self.handler.loop_token = make_token(config.listen)
        self.certificates = None if config.certificate is None else Certificates(config.certificate, fronts)
        self.limits = RateLimits(config.rate_limit, self.locate, self.metrics, knows_label=self.knows_label)
        self.plane = self.make_plane() if by_plane else None
        self.quick = self.make_quick()
        self.ready = ReadyReplies(self.handler)

    def make_plane(self) -> PlaneUdp:
        """The compiled way over UDP. It asks plain resolvers itself; others are Python's."""
        config = self.config
        is_plain = all(each.transport is Transport.UDP for each in config.upstreams) and not config.mixes_case
        endpoints = [each.endpoint for each in config.upstreams]
        fits = len(endpoints) <= MOST_SERVERS and not any("%" in each.host for each in endpoints)
        upstreams = endpoints if is_plain and fits else []
        cache_bytes = self.cache_bytes - self.cache.most_bytes
        zones, rate = tuple(config.forwards), config.rate_limit
        return PlaneUdp(self.handler, self.metrics, cache_bytes, upstreams, zones, rate, self.find_usable)

    def find_usable(self) -> Sequence[bool]:
        """Of each resolver for every name, whether it is asked first."""
        return [not server.is_down for server in self.forwarding.everything.servers]

    def make_quick(self) -> QuickAnswers | None:
        """The same for streams."""
        plane = self.plane
        return None if plane is None else QuickAnswers(plane.plane, plane.teacher, self.metrics)

    def count_names(self, names: NameCounts | Tally) -> None:
        """Count every name that is asked for from now on."""
        self.handler.observe = names.count
        if self.plane is not None:
            self.plane.count_names(names)

    def make_upstreams(self, resolvers: Sequence[Resolver]) -> Upstreams:
        """Resolvers that know the same names."""
        return Upstreams(
            [Server(each) for each in resolvers],
            self.metrics.observe_upstream,
            ca_file=self.config.upstream_ca,
            mixes_case=self.config.mixes_case,
        )

    def install(self, pair: Pair) -> None:
        """Judge from now on by this pair: one assignment between two queries."""
        self.handler.policy = pair.policy
        if self.plane is not None:
            self.plane.install(pair.policy)

    def locate(self, address: str) -> Network | None:
        """The network of the policy that holds an address."""
        policy = self.handler.policy
        return None if policy is None else policy.networks.locate(address)

    def knows_label(self, label: str) -> bool:
        """Whether the policy has a device of this label."""
        policy = self.handler.policy
        return policy is not None and policy.knows_label(label)

    def knows(self, address: str) -> bool:
        """Whether an address is in a network of the policy."""
        return self.locate(address) is not None

    async def start(self, stack: AsyncExitStack, sockets: Sequence[Listening]) -> None:
        """Answer on these sockets until the stack is closed."""
        gc.set_threshold(*GARBAGE)
        room = Room(
            max(min(self.config.max_connections // self.share, most_connections()), 1),
            self.config.max_connections_per_client,
            PER_NETWORK * self.config.max_connections_per_client,
        )
        dns = DnsServer(
            self.handler.answer, self.metrics, self.knows, self.certificates, self.config.public_name, room,
            self.limits, self.quick or never, answer=self.ready.answer,
        )  # fmt: skip
        stack.push_async_callback(ended, asyncio.create_task(self.ready.keep_draining()))
        stack.push_async_callback(dns.close)
        self.handler.lookup.is_late = dns.pulse.is_late
        by_plane = [each for each in sockets if self.plane is not None and each.kind is Kind.UDP]
        for listening in sockets:
            if listening not in by_plane:
                await dns.serve(listening)
        if self.plane is not None:
            stack.push_async_callback(self.plane.close)
            self.plane.start([each.sock for each in by_plane])

    def listen_too(self, listening: Listening) -> UdpListener:
        """Answer on a UDP socket more, by Python; whoever asks closes it. Only once started."""
        listener = UdpListener(listening, self.ready.answer, self.metrics, self.limits.admit)
        listener.start()
        return listener

    def start_probing(self, stack: AsyncExitStack) -> None:
        """Look after the resolvers until we stop, then leave them."""
        groups = self.forwarding.groups()
        for group in groups:
            stack.callback(group.close)
        task = asyncio.create_task(Prober(groups, self.handler.loop_token).keep())
        stack.push_async_callback(ended, task)

    async def refresh_certificate(self, *, always: bool = False) -> bool:
        """Look at the certificate's files now, and ``always`` read them; whether another one is in use."""
        return self.certificates is not None and await asyncio.to_thread(self.certificates.refresh, always=always)

    def health(self) -> dict[str, object]:
        """How cache and resolvers are."""
        return {
            "plane": describe(self.config.plane),
            "cache_entries": len(self.cache) + (self.plane.drain.cache_entries if self.plane else 0),
            "cache_bytes": self.cache.bytes + (self.plane.drain.cache_bytes if self.plane else 0),
            "upstreams": [server.health() for group in self.forwarding.groups() for server in group.servers],
        }

    def refresh_gauges(self) -> None:
        """Have everything in the metrics that was counted until now."""
        if self.plane is not None:
            self.plane.drain.take()
        if self.quick is not None:
            self.quick.tell()
        self.ready.drain()
        entries, size = len(self.cache), self.cache.bytes
        if self.plane is not None:
            entries, size = entries + self.plane.drain.cache_entries, size + self.plane.drain.cache_bytes
        self.metrics.cache_entries.set(entries)
        self.metrics.cache_bytes.set(size)


def most_connections() -> int:
    """How many this process may have open: resolvers, files and whoever asks for measures need descriptors, too."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - min(limit // 2, SPARE_DESCRIPTORS)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has put its things away."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
