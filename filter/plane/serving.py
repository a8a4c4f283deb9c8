"""UDP by the compiled plane: its thread answers what it is sure of, and what it hands over is answered here."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from filter.endpoints import Endpoint
from filter.log import place_of
from filter.metrics import Metrics
from filter.plane.counts import Drain, Names
from filter.plane.handing import Handed, Reason, flags_of, steady
from filter.plane.teacher import Teacher
from filter.policy import Policy
from filter.serving.handler import Handler
from filter.serving.resolving.cache import CacheKey

if TYPE_CHECKING:
    from filter.plane._plane import Plane

log = logging.getLogger("filter")

MOST_PENDING = 4_000
MOST_SERVERS = 8
"""Resolvers that the plane can ask itself: upstream.h."""
MOST_AT_ONCE = 128
"""Packets taken before others have their turn."""
DRAIN_SECONDS = 1.0
NAMES_TURNS = 10
"""Of the drains, every so manieth takes the names, too."""


class Descriptor(Protocol):
    """A socket."""

    def fileno(self) -> int: ...


class PlaneUdp:
    """The plane of one process and what Python does for it."""

    def __init__(
        self,
        handler: Handler,
        metrics: Metrics,
        cache_bytes: int,
        upstreams: Sequence[Endpoint] = (),
        zones: Sequence[str] = (),
        rate: int = 0,
        usable: Callable[[], Sequence[bool]] = tuple,
    ) -> None:
        """``upstreams``: plain resolvers that the plane asks itself; none, and every miss is Python's. ``zones``: names
        with resolvers of their own. ``rate``: queries a second of one address (filter.serving.limits). ``usable``: of
        each upstream, whether it is to be asked now, by what is known of it here."""
        self.handler = handler
        self.metrics = metrics
        self.upstreams = tuple(upstreams)
        self.usable = usable
        compiled = import_module("filter.plane._plane")  # only where there is one: filter.plane.choosing
        self.plane: Plane = compiled.Plane(cache_bytes, secrets.token_bytes(16))
        self.plane.limit(rate)
        self.teacher = Teacher(self.plane, handler, zones)
        self.drain = Drain(
            self.plane, self.teacher, metrics, str(self.upstreams[0]) if len(self.upstreams) == 1 else ""
        )
        self.pending: set[asyncio.Task[None]] = set()
        self.complained: set[str] = set()
        """Where lessons failed already."""
        self.news: int | None = None
        self.reads = False
        handler.lookup.tell = self.tell

    def install(self, policy: Policy) -> None:
        """Judge by this policy from the next batch on; the handler has it already."""
        self.teacher.install(policy)

    def tell(self, key: CacheKey, answer: bytes, now: float) -> None:
        """What Python fetched serves the plane, too."""
        self.plane.teach_answer(answer, flags_of(key), steady(now))

    def count_names(self, names: Names) -> None:
        """Count names for this store from now on."""
        self.drain.names = names
        self.drain.take_names()

    def start(self, sockets: Sequence[Descriptor]) -> None:
        """Answer on these bound UDP sockets, which stay their owner's; raise OSError."""
        self.loop = asyncio.get_running_loop()
        self.news = self.plane.listen([each.fileno() for each in sockets], [(h, p) for h, p in self.upstreams])
        self.read_on()
        self.drainer = self.loop.create_task(self.keep_draining())

    async def close(self) -> None:
        """Stop answering; count what was answered."""
        self.read_no_more()
        self.news = None
        if hasattr(self, "drainer"):
            self.drainer.cancel()
        for task in self.pending:
            task.cancel()
        await asyncio.gather(*self.pending, return_exceptions=True)
        self.plane.stop()
        self.drain.take()

    def read_on(self) -> None:
        if self.news is not None and not self.reads:
            self.loop.add_reader(self.news, self.take)
            self.reads = True

    def read_no_more(self) -> None:
        if self.news is not None and self.reads:
            self.loop.remove_reader(self.news)
            self.reads = False

    def take(self) -> None:
        """Answer what was handed over; what finds no room waits in the plane's bounded queue."""
        room = min(MOST_PENDING - len(self.pending), MOST_AT_ONCE)
        if room <= 0:
            self.read_no_more()
            return
        for origin, client, packet, reason, message, stored in self.plane.take(room):
            handed = Handed(packet, client, Reason(reason), message, stored)
            self.metrics.handed_over.labels(handed.reason.name.lower()).inc()
            task = self.loop.create_task(self.respond(origin, handed))
            self.pending.add(task)
            task.add_done_callback(self.settle)

    async def respond(self, origin: bytes, handed: Handed) -> None:
        """What this packet shows to be unknown is taught before it is answered, so that the next ones need not come."""
        self.teach(self.teacher.learn, handed)
        reply = await self.handler.answer(handed.packet, handed.client, True)
        if reply is not None and not self.plane.send(origin, reply):
            self.metrics.dropped.labels("unsent").inc()
        self.teach(self.teacher.teach_rewritten, handed)

    def teach(self, lesson: Callable[[Handed], None], handed: Handed) -> None:
        """What fails here costs the plane what it would have known, and nobody an answer; said once."""
        try:
            lesson(handed)
        except Exception as error:  # noqa: BLE001  # Python answers all the same
            place = place_of(error)
            if str(place) not in self.complained:
                self.complained.add(str(place))
                log.error("the plane could not be taught", extra=place)  # noqa: TRY400  # its text may hold a name

    def settle(self, task: asyncio.Task[None]) -> None:
        self.pending.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            log.error("a packet could not be answered", extra=place_of(error))
        self.read_on()

    async def keep_draining(self) -> None:
        for turn in itertools.count(1):
            await asyncio.sleep(DRAIN_SECONDS)
            self.drain.take(turn % NAMES_TURNS == 0)
            for place, usable in enumerate(self.usable()):
                self.plane.use(place, usable)
