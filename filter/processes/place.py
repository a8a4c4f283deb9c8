"""A worker's place, as the supervisor sees it: its sockets, who works there now, what was asked and told."""

import asyncio
import socket
import time
from collections.abc import Sequence
from itertools import count

import msgspec

from filter.processes.files import describe_files, hand_over
from filter.processes.nursery import Born
from filter.processes.pipe import Message, Pipe
from filter.processes.sums import Family
from filter.serving.sockets import Kind, Listening
from filter.updates.pair import Pair

SHORT_LIFE = 5.0
"""Seconds; workers that die sooner, one after the other, are not replaced at once."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Place:
    """One worker after the other, on the same sockets."""

    def __init__(self, sockets: Sequence[Listening]) -> None:
        self.sockets = tuple(sockets)
        self.process: Born | None = None
        self.pipe: Pipe | None = None
        self.files: socket.socket | None = None
        """By which whoever works here is given files."""
        self.started_at = 0.0
        self.restarts = -1
        self.short_lives = 0
        """How many in a row died soon."""
        self.missed = 0
        """How often in a row it did not answer us."""
        self.ready = asyncio.Event()
        self.measures: list[Family] = []
        self.health: dict[str, object] = {}
        self.numbers = count(1)
        self.asked: dict[object, asyncio.Future[Message | None]] = {}

    @property
    def descriptors(self) -> list[int]:
        return [each.sock.fileno() for each in self.sockets]

    @property
    def own(self) -> list[int]:
        """The UDP sockets that nobody else reads."""
        return [each.sock.fileno() for each in self.sockets if each.kind is Kind.UDP]

    def begin(self) -> None:
        """Somebody new starts here."""
        self.started_at = time.monotonic()
        self.restarts += 1
        self.missed = 0

    async def ask(self, message: Message, patience: float | None = None) -> Message | None:
        """What the worker answers; None when nobody is there, or it goes, or takes longer than ``patience`` seconds."""
        if (pipe := self.pipe) is None:
            return None
        number = next(self.numbers)
        answer = self.asked[number] = asyncio.get_running_loop().create_future()
        pipe.send({**message, "number": number})
        try:
            return await asyncio.wait_for(answer, patience)
        except TimeoutError:
            return None
        finally:
            del self.asked[number]

    async def open(self, pair: Pair) -> Message | None:
        """Have whoever works here judge by this pair: as ``ask``. Raise OSError when there is no room for its files."""
        if (files := self.files) is None:
            return None
        hand_over(files, pair)
        return await self.ask({"open": msgspec.to_builtins(describe_files(pair))})

    def tell(self, message: Message) -> None:
        if self.pipe is not None:
            self.pipe.send(message)

    def answered(self, message: Message) -> None:
        """Give an answer to whoever still waits for it."""
        answer = self.asked.get(message.get("number"))
        if answer is not None and not answer.done():
            answer.set_result(message)

    def leave(self) -> None:
        """Nobody is here any more."""
        self.ready.clear()
        self.pipe = self.files = None
        self.health = {}
        for answer in self.asked.values():
            if not answer.done():
                answer.set_result(None)

    def pause(self) -> float:
        """Seconds to wait before the next one begins: none, unless they die again and again."""
        lived = time.monotonic() - self.started_at
        self.short_lives = self.short_lives + 1 if lived < SHORT_LIFE else 0
        return min(FIRST_PAUSE * 2 ** (self.short_lives - 2), LONGEST_PAUSE) if self.short_lives > 1 else 0.0

    def told(self) -> dict[str, object]:
        """For `preau-filter status`."""
        return {
            "pid": self.process and self.process.pid,
            "ready": self.ready.is_set(),
            "restarts": self.restarts,
            "uptime_seconds": int(time.monotonic() - self.started_at),
        }
