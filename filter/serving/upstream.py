"""The resolvers behind this filter: ask one, another besides when it is late, and believe the first good answer."""

import asyncio
import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from filter.names import name_and_parents
from filter.resolvers import Resolver, Transport
from filter.serving import wire
from filter.serving.asked import Asked
from filter.serving.datagrams import DatagramChannel
from filter.serving.health import Server
from filter.serving.links import Channel, StreamLink, verifying
from filter.serving.weblinks import WebLink
from filter.serving.wire import Question, UpstreamAnswer, WireError

TRIES = 3
"""Times that a question goes out at least, however few the resolvers."""
TRY_SECONDS = 2.0
ALL_SECONDS = 4.5
"""Less than five: stub resolvers give up after that."""
MOST_TRIES = 1_500
"""Under way at once, over all questions: each has a socket. What is beyond fails at once."""
OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN})
"""Troubles of this machine, which say nothing of a resolver."""
EDE_OTHER = 0
EDE_NO_REACHABLE_AUTHORITY = 22
EDE_NETWORK_ERROR = 23


class UpstreamFailed(Exception):
    """No upstream gave a usable answer. ``ede`` says why (RFC 8914), ``rcode`` is what the client is told.

    ``was_answered``: a resolver did answer, that it cannot.
    """

    def __init__(self, ede: int, detail: str, rcode: int = wire.SERVFAIL, *, was_answered: bool = False) -> None:
        super().__init__(detail)
        self.ede = ede
        self.rcode = rcode
        self.was_answered = was_answered


def open_channel(resolver: Resolver, ca_file: Path | None, mixes_case: bool) -> DatagramChannel | Channel:
    """The way to a resolver; raise OSError when the authorities cannot be read."""
    match resolver.transport:
        case Transport.UDP:
            return DatagramChannel(resolver.endpoint, mixes_case)
        case Transport.TLS:
            secure = verifying("dot", ca_file)
            return Channel(partial(StreamLink.open, resolver.endpoint, secure, resolver.name))
        case Transport.HTTPS:
            return Channel(partial(WebLink.open, resolver, verifying("h2", ca_file)))


class Upstreams:
    """All resolvers that may answer the same names, the healthy ones first, otherwise in their order."""

    def __init__(
        self,
        servers: Sequence[Server],
        observe: Callable[[str, float, bool], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        ca_file: Path | None = None,
        mixes_case: bool = False,
    ) -> None:
        """``observe`` is told of each try: the resolver, the seconds, and whether it gave an answer."""
        self.servers = tuple(servers)
        self.observe = observe
        self.clock = clock
        self.channels = {server: open_channel(server.resolver, ca_file, mixes_case) for server in self.servers}
        self.tries: set[asyncio.Task[UpstreamAnswer]] = set()

    @property
    def is_down(self) -> bool:
        """Whether no resolver is known to answer."""
        return all(server.is_down for server in self.servers)

    def candidates(self) -> Iterator[Server]:
        """Whom to ask, in order: healthy ones first, then around again."""
        now = self.clock()
        usable = [server for server in self.servers if not server.leads_back]
        order = sorted(usable, key=lambda server: server.is_down or now < server.retry_at)
        return (order[n % len(order)] for n in range(max(TRIES, len(order))) if order)

    async def forward(self, question: Question, dnssec_ok: bool, checking_disabled: bool) -> UpstreamAnswer:
        """The first usable answer; raise UpstreamFailed when none comes, or only SERVFAIL, REFUSED and the like."""
        asked = Asked(question, dnssec_ok, checking_disabled)
        try:
            async with asyncio.timeout(ALL_SECONDS):
                return await Race(self, asked).run()
        except TimeoutError as error:
            raise UpstreamFailed(EDE_NO_REACHABLE_AUTHORITY, "no upstream in time") from error

    def start(self, server: Server, asked: Asked) -> asyncio.Task[UpstreamAnswer]:
        """One try, which goes on when nobody waits for it any more: its outcome is what we know of the server."""
        if len(self.tries) >= MOST_TRIES:
            raise UpstreamFailed(EDE_NETWORK_ERROR, "too many queries wait for an upstream")
        task = asyncio.create_task(self.ask(server, asked))
        self.tries.add(task)
        task.add_done_callback(self.finish)
        return task

    def finish(self, task: asyncio.Task[UpstreamAnswer]) -> None:
        self.tries.discard(task)
        if not task.cancelled():
            task.exception()  # those who wait are told; nobody may be left

    async def ask(self, server: Server, asked: Asked) -> UpstreamAnswer:
        """Ask one resolver and remember how it did; raise UpstreamFailed."""
        started = self.clock()
        try:
            async with asyncio.timeout(TRY_SECONDS):
                answer = await self.channels[server].ask(asked)
        except (OSError, EOFError, WireError) as error:  # TimeoutError is an OSError
            self.observe(str(server), self.clock() - started, False)
            if not (isinstance(error, OSError) and error.errno in OURS):
                server.failed(self.clock())
            ede = EDE_NO_REACHABLE_AUTHORITY if isinstance(error, TimeoutError) else EDE_NETWORK_ERROR
            raise UpstreamFailed(ede, f"{server}: {type(error).__name__}") from error
        self.observe(str(server), self.clock() - started, True)
        server.answered(self.clock() - started)
        return answer

    def close(self) -> None:
        """Leave every resolver."""
        for task in self.tries:
            task.cancel()
        for channel in self.channels.values():
            channel.close()


class Race:
    """One question on its way: the next resolver is asked as soon as one fails, or is later than it usually is."""

    def __init__(self, upstreams: Upstreams, asked: Asked) -> None:
        self.upstreams = upstreams
        self.asked = asked
        self.plan = upstreams.candidates()
        self.running: dict[asyncio.Task[UpstreamAnswer], Server] = {}
        self.unwilling: dict[Server, UpstreamFailed] = {}
        """They answered, if nothing useful; asking them again changes nothing."""
        self.failure = UpstreamFailed(EDE_NO_REACHABLE_AUTHORITY, "no upstream")

    async def run(self) -> UpstreamAnswer:
        """The first usable answer; raise UpstreamFailed."""
        patience = self.send()
        while self.running:
            done, _ = await asyncio.wait(self.running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (answer := self.take(task)) is not None:
                    return answer
            if not done or not self.running:
                patience = self.send()
        raise next(iter(self.unwilling.values()), self.failure)

    def send(self) -> float | None:
        """Ask the next resolver; return the seconds to wait before the one after it, None when there is none."""
        server = next((each for each in self.plan if each not in self.unwilling), None)
        if server is None:
            return None
        self.running[self.upstreams.start(server, self.asked)] = server
        return server.patience

    def take(self, task: asyncio.Task[UpstreamAnswer]) -> UpstreamAnswer | None:
        """The answer of a try that ended, if it is one for the client."""
        server = self.running.pop(task)
        try:
            answer = task.result()
        except UpstreamFailed as failure:
            self.failure = failure
            return None
        lame = is_referral(answer)
        if answer.rcode in {wire.NOERROR, wire.NXDOMAIN} and not lame:
            return answer
        detail = "upstream does no recursion" if lame else f"upstream answered with response code {answer.rcode}"
        ede = EDE_OTHER if answer.ede is None else answer.ede
        self.unwilling[server] = UpstreamFailed(ede, detail, wire.SERVFAIL if lame else answer.rcode, was_answered=True)
        return None


def is_referral(answer: UpstreamAnswer) -> bool:
    """Whether all that an upstream says is whom else to ask (RFC 2308, 2.2): it is no resolver, for this name."""
    types = {record.rtype for record in answer.authorities}
    return answer.rcode == wire.NOERROR and not answer.answers and wire.NS in types and wire.SOA not in types


class Forwarding:
    """Which resolvers know which names: those of the longest zone that holds a name, else those of every name."""

    def __init__(self, everything: Upstreams, zones: Mapping[str, Upstreams]) -> None:
        self.everything = everything
        self.zones = zones

    def upstreams_for(self, name: str) -> Upstreams:
        if not self.zones:
            return self.everything
        return next((self.zones[zone] for zone in name_and_parents(name) if zone in self.zones), self.everything)

    async def forward(self, question: Question, dnssec_ok: bool, checking_disabled: bool) -> UpstreamAnswer:
        """The answer of those who know; raise UpstreamFailed. Nobody else is asked when they fail."""
        return await self.upstreams_for(question.name).forward(question, dnssec_ok, checking_disabled)

    def is_down(self, name: str) -> bool:
        """Whether nobody is known to answer for this name."""
        return self.upstreams_for(name).is_down

    def groups(self) -> tuple[Upstreams, ...]:
        return (self.everything, *self.zones.values())
