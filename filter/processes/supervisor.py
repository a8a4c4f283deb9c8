"""The supervisor's side of the workers: it starts them on its sockets, tells them which pair to judge by, adds up what
they count, and starts another where one dies. The sockets stay open here, so that what waits in them is not lost."""

import asyncio
import logging
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from filter.config import FilterConfig
from filter.metrics import Metrics
from filter.namecounts import NameCounts
from filter.plane.choosing import describe
from filter.processes.pipe import Message, Pipe
from filter.processes.sums import Family, add_up, as_families, lasting, render, snapshot
from filter.processes.tally import Line
from filter.processes.worker import Files, Orders
from filter.serving.sockets import Listening

log = logging.getLogger("filter")

READY_SECONDS = 60.0
"""How long a worker may take to open its files and answer."""
DRAIN_SECONDS = 1.0
"""How often what workers counted is taken, and how long they may take to tell it."""
STOP_SECONDS = 5.0
MOST_MISSED = 30
SHORT_LIFE = 5.0
"""Seconds; a worker that dies sooner is not replaced at once."""

Count = tuple[str, tuple[str, ...], int]


class WorkersFailed(Exception):
    """The workers do not start; the text says so, in French."""


class Drained(msgspec.Struct):
    """What a worker tells when it is asked."""

    measures: list[Family]
    hourly: list[Count]
    by_school: list[Count]
    health: dict[str, object]
    names: list[Line] = []


@dataclass(slots=True, eq=False)
class Place:
    """A worker's place: its sockets, and who works there now."""

    sockets: tuple[Listening, ...]
    process: "subprocess.Popen[bytes] | None" = None
    pipe: Pipe | None = None
    started_at: float = 0.0
    restarts: int = -1
    missed: int = 0
    """How often in a row it did not answer us."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    drained: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    measures: list[Family] = field(default_factory=list)
    health: dict[str, object] = field(default_factory=dict)


class Supervisor:
    """All workers of one filter."""

    def __init__(self, config: FilterConfig, places: Sequence[Sequence[Listening]], metrics: Metrics) -> None:
        """One worker for each of ``places``, on those sockets. ``metrics``: where hourly totals gather."""
        self.config = config
        self.places = [Place(tuple(sockets)) for sockets in places]
        self.metrics = metrics
        self.counts: NameCounts | None = None
        self.pair: Files | None = None
        self.gone: list[Family] = []
        """What the dead ones counted."""
        self.keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start all workers; raise WorkersFailed when they do not answer."""
        self.keepers = [asyncio.create_task(self.keep(place)) for place in self.places]
        try:
            async with asyncio.timeout(READY_SECONDS):
                await asyncio.gather(*(place.ready.wait() for place in self.places))
        except TimeoutError as error:
            raise WorkersFailed("les processus qui répondent ne démarrent pas (voir le journal)") from error
        self.keepers.append(asyncio.create_task(self.keep_draining()))

    async def keep(self, place: Place) -> None:
        """Have a worker at this place, always."""
        while True:
            await self.employ(place)
            lived = time.monotonic() - place.started_at
            status = None if place.process is None else place.process.returncode
            log.error("a worker died, another takes its place", extra={"status": status, "seconds": int(lived)})
            self.metrics.worker_restarts.inc()
            if lived < SHORT_LIFE:
                await asyncio.sleep(1.0)

    async def employ(self, place: Place) -> None:
        """Start a worker and listen to it until it is gone."""
        place.ready.clear()
        place.started_at = time.monotonic()
        place.restarts += 1
        ours, theirs = socket.socketpair()
        descriptors = [each.sock.fileno() for each in place.sockets]
        with theirs:
            place.process = await asyncio.to_thread(
                subprocess.Popen,
                [sys.executable, "-m", "filter.processes.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *descriptors),
            )
        pipe = place.pipe = await Pipe.open(ours)
        try:
            self.brief(pipe, place)
            while (message := await pipe.receive()) is not None:
                self.hear(place, message)
        finally:
            pipe.close()
            place.pipe = None
            place.drained.set()
            place.opened.set()
            await self.bury(place)

    def brief(self, pipe: Pipe, place: Place) -> None:
        """Say what a new worker must know."""
        orders = Orders(
            config=pickle.dumps(self.config),
            share=len(self.places),
            sockets=[(each.kind.value, each.sock.fileno()) for each in place.sockets],
            key=None if self.counts is None else self.counts.key,
            pair=self.pair,
        )
        pipe.send(msgspec.to_builtins(orders, builtin_types=(bytes,)))

    async def bury(self, place: Place) -> None:
        """Keep what a dead worker counted."""
        self.gone = as_families(add_up([self.gone, lasting(place.measures)]))
        place.measures = []
        if (process := place.process) is not None:
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(process.wait, STOP_SECONDS)
            if process.returncode is None:
                process.kill()
                await asyncio.to_thread(process.wait)

    def hear(self, place: Place, message: Message) -> None:
        """What a worker says."""
        if "ready" in message:
            place.ready.set()
        if "opened" in message or "refused" in message:
            place.opened.set()
        if "drained" in message:
            self.add(place, msgspec.convert(message["drained"], Drained))
            place.drained.set()

    def add(self, place: Place, drained: Drained) -> None:
        """Add what a worker counted to what is told outside."""
        place.measures, place.health = drained.measures, drained.health
        for totals, counts in ((self.metrics.hourly, drained.hourly), (self.metrics.by_school, drained.by_school)):
            for hour, key, queries in counts:
                totals.add(datetime.fromisoformat(hour), key, queries)
        if self.counts is not None:
            for name, queries, bits in drained.names:
                self.counts.add(name, queries, int.from_bytes(bits, "big"))

    async def keep_draining(self) -> None:
        while True:
            await asyncio.sleep(DRAIN_SECONDS)
            await self.drain()
            for place in self.places:
                place.missed = 0 if place.drained.is_set() or not place.ready.is_set() else place.missed + 1
                if place.missed >= MOST_MISSED and place.process is not None:
                    log.error("a worker says nothing any more, it is ended")
                    place.process.kill()

    async def drain(self) -> None:
        """Take what workers counted until now."""
        await self.tell_all({"drain": None if self.counts is None else self.counts.key}, "drained", DRAIN_SECONDS)

    async def install(self, pair: Files) -> None:
        """Have all workers judge by this pair; returns when they do."""
        self.pair = pair
        await self.tell_all({"open": msgspec.to_builtins(pair)}, "opened", READY_SECONDS)

    async def refresh_certificate(self) -> None:
        for place in self.places:
            if place.pipe is not None:
                place.pipe.send({"refresh": True})

    async def tell_all(self, message: Message, answer: str, patience: float) -> None:
        """Tell every worker, and wait until each has answered, is gone, or takes too long."""
        told = [place for place in self.places if place.pipe is not None and place.ready.is_set()]
        for place in told:
            getattr(place, answer).clear()
            if place.pipe is not None:
                place.pipe.send(message)
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await asyncio.gather(*(getattr(place, answer).wait() for place in told))

    def render(self) -> bytes:
        """The text that Prometheus reads, over all processes."""
        return render([snapshot(self.metrics.registry), self.gone, *(place.measures for place in self.places)])

    def health(self) -> dict[str, object]:
        """How caches and resolvers are, in all; and the workers."""
        told = [place.health for place in self.places if place.health]
        return {
            "plane": describe(self.config.plane),
            "cache_entries": sum(int(str(each["cache_entries"])) for each in told),
            "cache_bytes": sum(int(str(each["cache_bytes"])) for each in told),
            "upstreams": worst([each["upstreams"] for each in told]),
            "workers": [
                {
                    "pid": place.process and place.process.pid,
                    "ready": place.ready.is_set(),
                    "restarts": place.restarts,
                    "uptime_seconds": int(time.monotonic() - place.started_at),
                }
                for place in self.places
            ],
        }

    async def close(self) -> None:
        """End all workers; they end with their pipes, or are killed."""
        with suppress(OSError):
            await self.drain()
        for task in self.keepers:
            task.cancel()
        await asyncio.gather(*self.keepers, return_exceptions=True)


def worst(told: Sequence[object]) -> list[object]:
    """Of each resolver, what the worker says that has the most trouble with it."""
    found: dict[str, dict[str, object]] = {}
    for upstreams in told:
        for each in upstreams if isinstance(upstreams, list) else []:
            known = found.get(str(each["address"]))
            if known is None or int(each.get("failures", 0)) > int(str(known.get("failures", 0))):
                found[str(each["address"])] = each
    return list(found.values())
