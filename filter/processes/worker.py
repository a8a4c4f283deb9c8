"""A worker process: answers queries on sockets that the supervisor bound, and does what it says over a pipe.

Started by filter.processes.supervisor as ``python -m filter.processes.worker DESCRIPTOR``. It ends when the pipe does.
"""

import asyncio
import logging
import pickle
import signal
import socket
import sys
from collections.abc import Iterable
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
from filter.updates.pair import Pair, make_pair

log = logging.getLogger("filter")

SWITCH_SECONDS = 0.0005
"""How long a thread that opens files may keep queries waiting."""


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

    def __init__(self, pipe: Pipe, orders: Orders) -> None:
        config: FilterConfig = pickle.loads(orders.config)  # noqa: S301  # from the process that started us
        self.pipe = pipe
        self.answering = Answering(config, orders.share)
        self.sockets = [Listening(Kind(kind), socket.socket(fileno=number)) for kind, number in orders.sockets]
        self.pair: Pair | None = None
        self.tally: Tally | None = None
        if orders.key is not None:
            self.tally = Tally(orders.key, self.answering.metrics.name_counts_dropped.inc)
            self.answering.count_names(self.tally)

    async def run(self, first: Files | None) -> None:
        """Answer until the supervisor is gone. Nothing is answered before the pair is open."""
        async with AsyncExitStack() as stack:
            if first is not None:
                await self.open(first)
            await self.answering.start(stack, self.sockets)
            self.answering.start_probing(stack)
            self.pipe.send({"ready": True})
            while (message := await self.pipe.receive()) is not None:
                await self.obey(message)

    async def obey(self, message: Message) -> None:
        if "open" in message:
            await self.open(msgspec.convert(message["open"], Files))
        if "refresh" in message:
            await self.answering.refresh_certificate()
        if "drain" in message:
            self.drain(message["drain"])

    async def open(self, files: Files) -> None:
        """Judge by these files; when they cannot be used, the open pair stays."""
        try:
            self.pair = await asyncio.to_thread(open_files, files, self.pair)
        except (BundleRefused, OSError) as error:
            log.error("a worker cannot open the pair", extra={"error": str(error)})  # noqa: TRY400  # its text says it
            self.pipe.send({"refused": str(error)})
            return
        self.answering.install(self.pair)
        self.pipe.send({"opened": True})

    def drain(self, key: object) -> None:
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
        self.pipe.send({"drained": drained})


def open_files(files: Files, before: Pair | None) -> Pair:
    """The pair; names that are open already are not opened again. Raise BundleRefused or OSError."""
    if before is not None and before.names.etag == files.names_etag:
        return make_pair(before.names, PolicyFile.open(Path(files.policy)), files.filter_id, before=before)
    return make_pair(NamesFile.open(Path(files.names)), PolicyFile.open(Path(files.policy)), files.filter_id)


async def work(descriptor: int) -> None:
    """Do what the other end of this socket says."""
    pipe = await Pipe.open(socket.socket(fileno=descriptor))
    first = await pipe.receive()
    if first is None:
        return
    orders = msgspec.convert(first, Orders)
    worker = Worker(pipe, orders)
    set_up(worker.answering.config.log_format)
    await worker.run(orders.pair)


def main(arguments: Iterable[str]) -> None:
    """The supervisor hears signals; a worker ends with its pipe."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.setswitchinterval(SWITCH_SECONDS)
    (descriptor,) = arguments
    asyncio.run(work(int(descriptor)))


if __name__ == "__main__":
    main(sys.argv[1:])
