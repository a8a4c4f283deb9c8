"""A worker process: answers queries on sockets that the supervisor bound, and does what it says over a pipe.

Forked by filter.processes.forking. It ends when the pipe does.
"""

import asyncio
import logging
import os
import pickle
import socket
import ssl
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec

from filter.answering import Answering
from filter.bundle import BundleRefused, NamesFile, PolicyFile
from filter.config import FilterConfig
from filter.log import set_up
from filter.processes.pipe import Message, Pipe
from filter.processes.sums import snapshot
from filter.processes.tally import Tally
from filter.serving.sockets import Kind, Listening
from filter.serving.udp import UdpListener
from filter.updates.pair import Pair, make_pair

log = logging.getLogger("filter")

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
    pair: "Files | None"


class Files(msgspec.Struct):
    """The pair to judge by. The supervisor has verified it; these paths hold it, or a newer one."""

    names: str
    names_etag: str
    policy: str
    filter_id: str


class Worker:
    """One process's work."""

    def __init__(self, pipe: Pipe, orders: Orders, fronts: Mapping[str, ssl.SSLContext]) -> None:
        config: FilterConfig = pickle.loads(orders.config)  # noqa: S301  # from the process that started us
        self.pipe = pipe
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
            if first is not None and not await self.open(first):
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
                self.begin(self.open_told(msgspec.convert(files, Files), number))
            case {"refresh": _, "number": number}:
                self.begin(self.refresh(number))
            case {"mind": descriptors}:
                self.mind(msgspec.convert(descriptors, set[int]))

    def begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def open_told(self, files: Files, number: object) -> None:
        async with self.opening:
            self.pipe.send({"number": number, "opened": await self.open(files)})

    async def open(self, files: Files) -> bool:
        """Judge by these files; when they cannot be used, the open pair stays."""
        zones = self.answering.config.forwards
        try:
            self.pair = await asyncio.to_thread(open_files, files, self.pair, zones)
        except (BundleRefused, OSError) as error:
            log.error("a worker cannot open the pair", extra={"error": str(error)})  # noqa: TRY400  # its text says it
            return False
        self.answering.install(self.pair)
        return True

    async def refresh(self, number: object) -> None:
        self.pipe.send({"number": number, "refreshed": await self.answering.refresh_certificate()})

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
            drained["names"] = self.tally.take(key)
        self.pipe.send({"number": number, "drained": drained})


def open_files(files: Files, before: Pair | None, zones: Iterable[str] = ()) -> Pair:
    """The pair; names that are open already are not opened again. Raise BundleRefused or OSError."""
    if before is not None and before.names.etag == files.names_etag:
        return make_pair(before.names, PolicyFile.open(Path(files.policy)), files.filter_id, zones, before=before)
    return make_pair(NamesFile.open(Path(files.names)), PolicyFile.open(Path(files.policy)), files.filter_id, zones)


async def work(descriptor: int, fronts: Mapping[str, ssl.SSLContext]) -> int:
    """Do what the other end of this socket says; the exit status."""
    pipe = await Pipe.open(socket.socket(fileno=descriptor))
    first = await pipe.receive()
    if first is None:
        return 0
    orders = msgspec.convert(first, Orders)
    worker = Worker(pipe, orders, fronts)
    set_up(worker.answering.config.log_format)
    return await worker.run(orders.pair)


def main(descriptor: int, fronts: Mapping[str, ssl.SSLContext]) -> int:
    """Work until the pipe ends. ``fronts``: what TLS begins with, the same in all workers."""
    return asyncio.run(work(descriptor, fronts))
