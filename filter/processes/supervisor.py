"""The supervisor's side of the workers: it starts them on its sockets, tells them which pair to judge by, adds up what
they count, and starts another where one dies. The sockets stay open here, so that what waits in them is not lost."""

import asyncio
import logging
import pickle
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import cycle

import msgspec

from filter.config import FilterConfig
from filter.log import place_of
from filter.metrics import Metrics
from filter.namecounts import NameCounts
from filter.plane.choosing import describe
from filter.processes.files import describe_files, hand_over
from filter.processes.forking import Forked
from filter.processes.nursery import Nursery, NurseryFailed
from filter.processes.pipe import Message, Pipe
from filter.processes.place import Place
from filter.processes.sums import Family, add_up, as_families, lasting, render, snapshot
from filter.processes.worker import Orders
from filter.serving.sockets import Listening
from filter.tally import Line
from filter.updates.pair import Pair

log = logging.getLogger("filter")

READY_SECONDS = 60.0
"""How long a worker may take to open its files and answer."""
DRAIN_SECONDS = 1.0
"""How often what workers counted is taken, and how long they may take to tell it."""
STOP_SECONDS = 3.0
"""How long a worker may take to stop answering and tell what it counted."""
MOST_MISSED = 3
"""A worker that says nothing so often, one second or two apart, hangs: it is ended and replaced."""
AGAIN_SECONDS = 1.0
"""After which a worker that could not open a pair tries again."""

Count = tuple[str, tuple[str, ...], int]


class WorkersFailed(Exception):
    """The workers do not start; the text says so, in French."""


class Drained(msgspec.Struct):
    """What a worker tells when it is asked."""

    measures: list[Family]
    hourly: list[Count]
    by_school: list[Count]
    health: dict[str, object]


DRAINED = msgspec.msgpack.Decoder(Drained)
LINES = msgspec.msgpack.Decoder(list[Line])


class Supervisor:
    """All workers of one filter."""

    def __init__(
        self,
        config: FilterConfig,
        places: Sequence[Sequence[Listening]],
        metrics: Metrics,
        forked: Forked | None = None,
    ) -> None:
        """One worker for each of ``places``, on those sockets; ``forked`` makes them, if it is there already.

        ``metrics``: where hourly totals gather.
        """
        self.config = config
        self.places = [Place(sockets) for sockets in places]
        self.metrics = metrics
        self.nursery = Nursery(sorted({each for place in self.places for each in place.descriptors}), forked)
        self.counts: NameCounts | None = None
        self.pair: Pair | None = None
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
        self.keepers.append(asyncio.create_task(self.keep_watching()))

    async def keep(self, place: Place) -> None:
        """Have a worker at this place, always; while there is none, others do its work."""
        while True:
            place.begin()
            status = await self.employ_whatever_happens(place)
            lived = int(time.monotonic() - place.started_at)
            pause = place.pause()
            log.error(
                "a worker died, another takes its place", extra={"status": status, "seconds": lived, "pause": pause}
            )
            self.metrics.worker_restarts.inc()
            self.share_out()
            await asyncio.sleep(pause)

    async def employ_whatever_happens(self, place: Place) -> int | str | None:
        """``employ``; a fault of ours ends that worker, and never the keeping of its place."""
        try:
            return await self.employ(place)
        except Exception as error:  # noqa: BLE001  # without this the place would stay empty for ever
            log.error("a worker cannot be listened to", extra=place_of(error))  # noqa: TRY400  # names may be in it
            return type(error).__name__

    async def employ(self, place: Place) -> int | str | None:
        """Start a worker and listen to it until it is gone; what became of it."""
        ours, theirs = socket.socketpair()
        files, their_files = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        files.setblocking(False)
        with files:
            with theirs, their_files:
                pipe = await Pipe.open(ours)
                try:
                    place.process = await self.nursery.fork(theirs, their_files)
                except (NurseryFailed, OSError) as error:
                    pipe.close()
                    return str(error)
            place.pipe, place.files = pipe, files
            try:
                await self.listen(pipe, place)
            finally:
                pipe.close()
                place.leave()
                status = await place.process.end()
                self.bury(place)
        return status

    async def listen(self, pipe: Pipe, place: Place) -> None:
        """Say what is to be done, and hear until the worker is gone."""
        self.brief(pipe, place)
        while (message := await pipe.receive()) is not None:
            self.hear(place, message)

    def brief(self, pipe: Pipe, place: Place) -> None:
        """Say what a new worker must know."""
        orders = Orders(
            config=pickle.dumps(self.config),
            share=len(self.places),
            sockets=[(each.kind.value, each.sock.fileno()) for each in place.sockets],
            key=None if self.counts is None else self.counts.key,
            pair=None if self.pair is None else describe_files(self.pair),
        )
        if self.pair is not None and place.files is not None:
            hand_over(place.files, self.pair)
        pipe.send(msgspec.to_builtins(orders, builtin_types=(bytes,)))

    def bury(self, place: Place) -> None:
        """Keep what a dead worker counted."""
        measures, place.measures = place.measures, []
        self.gone = as_families(add_up([self.gone, lasting(measures)]))

    def share_out(self) -> None:
        """Have those who are there answer on the UDP sockets of those who are not, or say nothing."""
        present = [place for place in self.places if place.ready.is_set() and not place.missed]
        minded: dict[Place, list[int]] = {place: [] for place in present}
        for absent, minder in zip((p for p in self.places if p not in minded), cycle(present), strict=False):
            minded[minder] += absent.own
        for place, descriptors in minded.items():
            place.tell({"mind": descriptors})

    def hear(self, place: Place, message: Message) -> None:
        """What a worker says."""
        if "ready" in message:
            place.ready.set()
            self.share_out()
        if "names" in message and self.counts is not None:
            for name, queries, bits in LINES.decode(msgspec.convert(message["names"], bytes)):
                self.counts.add(name, queries, int.from_bytes(bits, "big"))
        if "drained" in message:
            self.add(place, DRAINED.decode(msgspec.convert(message["drained"], bytes)))
        place.answered(message)

    def add(self, place: Place, drained: Drained) -> None:
        """Add what a worker counted to what is told outside."""
        place.measures, place.health = drained.measures, drained.health
        for totals, counts in ((self.metrics.hourly, drained.hourly), (self.metrics.by_school, drained.by_school)):
            for hour, key, queries in counts:
                totals.add(datetime.fromisoformat(hour), key, queries)

    async def keep_watching(self) -> None:
        """Take what was counted, again and again: whoever does not answer to that hangs."""
        while True:
            await asyncio.sleep(DRAIN_SECONDS)
            await asyncio.gather(*(self.watch(place) for place in self.places))

    async def watch(self, place: Place) -> None:
        """End a worker that says nothing any more, or never began to."""
        if not place.ready.is_set():
            is_hanging = place.pipe is not None and time.monotonic() - place.started_at > READY_SECONDS
        else:
            await self.beat(place)
            is_hanging = place.missed >= MOST_MISSED
        if is_hanging and place.process is not None:
            log.error("a worker says nothing any more, it is ended", extra={"pid": place.process.pid})
            place.process.kill()

    async def beat(self, place: Place) -> None:
        """Ask a worker for what it counted; from its first silence on others answer on its sockets, too."""
        before = place.missed
        place.missed = 0 if await self.drain_one(place) else before + 1
        if bool(before) != bool(place.missed):
            self.share_out()

    async def drain_one(self, place: Place) -> bool:
        """Take what this worker counted; whether it could tell."""
        key = None if self.counts is None else self.counts.key
        return await place.ask({"drain": key}, DRAIN_SECONDS) is not None

    async def drain(self) -> None:
        """Take what all workers counted until now."""
        await asyncio.gather(*(self.drain_one(place) for place in self.places if place.ready.is_set()))

    async def install(self, pair: Pair) -> None:
        """Have all workers judge by this pair; returns when none judges by an earlier one any more."""
        self.pair = pair
        await asyncio.gather(*(self.have_opened(place, pair) for place in self.places))

    async def have_opened(self, place: Place, pair: Pair) -> None:
        """Until this worker has it. One that comes later opens the newest before it answers."""
        while self.pair is pair:
            try:
                answer = await place.open(pair)
            except OSError as error:
                log.warning("a worker cannot be given the pair", extra={"error": error.strerror})
            else:
                if answer is None or answer["opened"]:
                    return
            await asyncio.sleep(AGAIN_SECONDS)

    async def refresh_certificate(self, *, always: bool = False) -> bool:
        """Have all workers look at the certificate's files now, and ``always`` read them; whether another is in use."""
        answers = await asyncio.gather(*(place.ask({"refresh": always}, READY_SECONDS) for place in self.places))
        return any(answer is not None and answer["refreshed"] for answer in answers)

    @property
    def is_ready(self) -> bool:
        """Whether anybody answers."""
        return any(place.ready.is_set() for place in self.places)

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
            "workers": [place.told() for place in self.places],
        }

    async def dismiss(self, place: Place) -> None:
        """Have a worker answer no more, and take what it counted until then."""
        await place.ask({"stop": None if self.counts is None else self.counts.key}, STOP_SECONDS)

    async def close(self) -> None:
        """End all workers; they end with their pipes, or are killed."""
        with suppress(OSError):
            await asyncio.gather(*(self.dismiss(place) for place in self.places if place.ready.is_set()))
        for task in self.keepers:
            task.cancel()
        await asyncio.gather(*self.keepers, return_exceptions=True)
        await self.nursery.close()


def worst(told: Sequence[object]) -> list[object]:
    """Of each resolver, what the worker says that has the most trouble with it."""
    found: dict[str, dict[str, object]] = {}
    for upstreams in told:
        for each in upstreams if isinstance(upstreams, list) else []:
            known = found.get(str(each["address"]))
            if known is None or int(each.get("failures", 0)) > int(str(known.get("failures", 0))):
                found[str(each["address"])] = each
    return list(found.values())
