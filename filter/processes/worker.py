"""A worker process: answers queries on sockets that the supervisor bound, and does what it says over a pipe.

Forked by filter.processes.forking. It ends when the pipe does.
"""

import asyncio
import logging
import os
import pickle
import socket
import ssl
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import islice

import msgspec

from filter.answering import Answering
from filter.bundle import BundleRefused
from filter.config import FilterConfig
from filter.log import set_up
from filter.processes.files import Files, open_files, take
from filter.processes.pipe import Message, Pipe
from filter.processes.sums import snapshot
from filter.serving.sockets import Kind, Listening
from filter.serving.udp import UdpListener
from filter.tally import Tally
from filter.updates.pair import Pair

log = logging.getLogger("filter")

PART = 1_000
"""Counted names of one message: all at once would be megabytes that come and go, and leave holes in the memory of both
ends."""
UNFIT = 1
"""Exit status of a worker that cannot open the pair: it never answers."""


class Orders(msgspec.Struct):
    """What the supervisor says first."""

    config: bytes
    """A FilterConfig, pickled by the same program."""
    share: int
    sockets: list[tuple[str, int]]
    """(kind, file descriptor)"""
    key: bytes | None
    """The day's key of name counts; None: names are not counted."""
    pair: Files | None
    """Handed over beside this message, when there is one already."""


class Worker:
    """One process's work."""

    def __init__(self, pipe: Pipe, files: socket.socket, orders: Orders, fronts: Mapping[str, ssl.SSLContext]) -> None:
        """``files``: where those come from that the supervisor hands over."""
        config: FilterConfig = pickle.loads(orders.config)  # noqa: S301  # from the process that started us
        self.pipe = pipe
        self.files = files
        self.answering = Answering(config, orders.share, fronts)
        self.sockets = [Listening(Kind(kind), socket.socket(fileno=number)) for kind, number in orders.sockets]
        self.pair: Pair | None = None
        self.opening = asyncio.Lock()
        """Held while a pair is opened: the last one told is the last one in use."""
        self.minded: dict[int, UdpListener] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.tally: Tally | None = None
        if orders.key is not None:
            self.tally = Tally(orders.key, self.answering.metrics.name_counts_dropped.inc)
            self.answering.count_names(self.tally)

    async def run(self, first: Files | None) -> int:
        """Answer until the supervisor is gone; the exit status. Nothing is answered before the pair is open."""
        async with AsyncExitStack() as stack:
            if first is not None and not await self.open(first, self.take_files()):
                return UNFIT
            await self.answering.start(stack, self.sockets)
            self.answering.start_probing(stack)
            self.pipe.send({"ready": True})
            while (message := await self.pipe.receive()) is not None and "stop" not in message:
                self.obey(message)
        if message is not None:
            self.drain(message["stop"], message["number"])
            await self.pipe.receive()  # until the supervisor has it, and goes
        return 0

    def obey(self, message: Message) -> None:
        """What takes time is done aside, so that the supervisor always hears of us."""
        match message:
            case {"drain": key, "number": number}:
                self.drain(key, number)
            case {"open": files, "number": number}:
                self.begin(self.open_told(msgspec.convert(files, Files), self.take_files(), number))
            case {"refresh": always, "number": number}:
                self.begin(self.refresh(bool(always), number))
            case {"mind": descriptors}:
                self.mind(msgspec.convert(descriptors, set[int]))

    def begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def take_files(self) -> tuple[int, int] | None:
        """What was handed over before we were told of it; None when there was no room for it."""
        try:
            return take(self.files)
        except OSError as error:
            log.error("a worker cannot take the pair", extra={"error": str(error)})  # noqa: TRY400  # its text says it
            return None

    async def open_told(self, files: Files, descriptors: tuple[int, int] | None, number: object) -> None:
        async with self.opening:
            self.pipe.send({"number": number, "opened": await self.open(files, descriptors)})

    async def open(self, files: Files, descriptors: tuple[int, int] | None) -> bool:
        """Judge by these files; when they cannot be used, the open pair stays."""
        if descriptors is None:
            return False
        try:
            self.pair = await asyncio.to_thread(open_files, self.answering.config, files, descriptors, self.pair)
        except (BundleRefused, OSError) as error:
            log.error("a worker cannot open the pair", extra={"error": str(error)})  # noqa: TRY400  # its text says it
            return False
        self.answering.install(self.pair)
        return True

    async def refresh(self, always: bool, number: object) -> None:
        refreshed = await self.answering.refresh_certificate(always=always)
        self.pipe.send({"number": number, "refreshed": refreshed})

    def mind(self, descriptors: set[int]) -> None:
        """Answer on these UDP sockets too, for want of a worker there: by Python, as they are not for long."""
        for each in self.minded.keys() - descriptors:
            self.begin(self.leave(self.minded.pop(each)))
        for each in descriptors - self.minded.keys():
            sock = socket.socket(fileno=os.dup(each))
            self.minded[each] = self.answering.listen_too(Listening(Kind.UDP, sock))

    async def leave(self, listener: UdpListener) -> None:
        """Its own worker is there again; what was taken is answered."""
        await listener.finish()
        listener.sock.close()

    def drain(self, key: object, number: object) -> None:
        """Hand over what was counted since the last time, and all measures."""
        answering = self.answering
        answering.refresh_gauges()
        drained: Message = {
            "measures": snapshot(answering.metrics.registry),
            "hourly": [(hour.isoformat(), key, n) for hour, key, n in answering.metrics.hourly.take()],
            "by_school": [(hour.isoformat(), key, n) for hour, key, n in answering.metrics.by_school.take()],
            "health": answering.health(),
        }
        if self.tally is not None and isinstance(key, bytes):
            names = self.tally.take(key)
            for part in iter(lambda: list(islice(names, PART)), []):
                self.pipe.send({"names": msgspec.msgpack.encode(part)})
        self.pipe.send({"number": number, "drained": msgspec.msgpack.encode(drained)})


async def work(descriptors: Sequence[int], fronts: Mapping[str, ssl.SSLContext]) -> int:
    """Do what the other ends of these sockets say and hand over; the exit status."""
    told, handed = descriptors
    pipe = await Pipe.open(socket.socket(fileno=told))
    first = await pipe.receive()
    if first is None:
        return 0
    orders = msgspec.convert(first, Orders)
    worker = Worker(pipe, socket.socket(fileno=handed), orders, fronts)
    set_up(worker.answering.config.log_format)
    return await worker.run(orders.pair)


def main(descriptors: Sequence[int], fronts: Mapping[str, ssl.SSLContext]) -> int:
    """Work until the pipe ends. ``descriptors``: the pipe, and where files come from. ``fronts``: what TLS begins
    with, the same in all workers."""
    return asyncio.run(work(descriptors, fronts))
