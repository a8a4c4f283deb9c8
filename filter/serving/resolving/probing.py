"""Asking resolvers how they are when no client does: whether one is back, and whether one leads back here.

A resolver that forwards to this very filter would have every question chase itself. Each is asked, at the start and
when it comes back, for a name that this filter alone answers: should the answer come, that resolver is asked no more.
"""

import asyncio
import hashlib
import logging
import secrets
import struct
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from filter.lists.rdata import pack_name
from filter.serving import wire
from filter.serving.resolving.asked import Asked
from filter.serving.resolving.health import Server
from filter.serving.resolving.upstream import TRY_SECONDS, Upstreams
from filter.serving.wire import Question, UpstreamAnswer, WireError

log = logging.getLogger("filter")

ZONE = "preau-loop"
"""Names under it are ours to answer when they bear our token, and forwarded like any other when they do not."""
LOOK_SECONDS = 1.0
LOOP_SECONDS = 60.0
"""Between two looks at a resolver that leads back."""
ROUND_SECONDS = 300.0
"""Between two looks at every resolver: one that is well may lead back one day."""
TXT = 16
WELL = frozenset({wire.NOERROR, wire.NXDOMAIN, wire.REFUSED})
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def make_token(listen: Sequence[object]) -> str:
    """What tells this filter from every other: the same for all its workers."""
    try:
        machine = BOOT_ID.read_text("ascii")
    except OSError:
        machine = secrets.token_hex(16)
    return hashlib.sha256(f"{machine} {' '.join(map(str, listen))}".encode()).hexdigest()[:32]


def is_ours(name: str, token: str) -> bool:
    """Whether a question is our own, come back."""
    return name.endswith(f".{token}.{ZONE}")


def pack_token(token: str) -> bytes:
    """The TXT data that answers it."""
    return bytes([len(token)]) + token.encode()


class Prober:
    """Looks after the resolvers that no client is sent to."""

    def __init__(self, groups: Sequence[Upstreams], token: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.groups = tuple(groups)
        self.token = token
        self.clock = clock

    async def keep(self) -> None:
        """Look at every resolver now and then, and at those that are down whenever it is time."""
        looked = float("-inf")
        while True:
            if self.clock() - looked >= ROUND_SECONDS:
                looked = self.clock()
                await self.look(lambda _server: True)
            else:
                await self.look(self.is_due)
            await asyncio.sleep(LOOK_SECONDS)

    def is_due(self, server: Server) -> bool:
        return server.is_down and self.clock() >= server.retry_at

    async def look(self, wanted: Callable[[Server], bool]) -> None:
        chosen = [(group, server) for group in self.groups for server in group.servers if wanted(server)]
        await asyncio.gather(*(self.probe(group, server) for group, server in chosen))

    async def probe(self, group: Upstreams, server: Server) -> None:
        """Ask one resolver for our own name; note what that says of it."""
        asked = Asked(make_question(f"{secrets.token_hex(8)}.{self.token}.{ZONE}"))
        started = self.clock()
        try:
            async with asyncio.timeout(TRY_SECONDS):
                answer = await group.channels[server].ask(asked)
        except (OSError, EOFError, WireError):  # TimeoutError is an OSError
            server.failed(self.clock())
            return
        self.heed(server, answer, self.clock() - started)

    def heed(self, server: Server, answer: UpstreamAnswer, seconds: float) -> None:
        led_back, was_down = server.leads_back, server.is_down
        server.leads_back = self.bears_token(answer)
        if server.leads_back:
            server.retry_at = self.clock() + LOOP_SECONDS
            if not led_back:
                log.error("upstream leads back to this filter", extra={"upstream": str(server)})
        elif answer.rcode not in WELL:  # it lives, but cannot reach what it needs
            server.failed(self.clock())
        else:
            server.answered(seconds)
            if was_down:
                log.info("upstream answers again", extra={"upstream": str(server)})

    def bears_token(self, answer: UpstreamAnswer) -> bool:
        wanted = pack_token(self.token)
        return any(answer.data[record.rdata : record.end] == wanted for record in answer.answers)


def make_question(name: str) -> Question:
    return Question(pack_name(name) + struct.pack("!HH", TXT, wire.IN), name, TXT, wire.IN)
