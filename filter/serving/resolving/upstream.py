"""The resolvers behind this filter: ask one, another besides when it is late, and believe the first good answer."""

import asyncio
import errno
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TypeAlias

from filter.names import name_and_parents
from filter.resolvers import Resolver, Transport
from filter.serving import wire
from filter.serving.resolving.asked import Asked
from filter.serving.resolving.datagrams import DatagramChannel, Heard, read
from filter.serving.resolving.health import Server
from filter.serving.resolving.links import Channel, StreamLink, verifying
from filter.serving.resolving.plain import Plain, read_plain
from filter.serving.resolving.weblinks import WebLink
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
Begun: TypeAlias = tuple[float, Coroutine[None, None, UpstreamAnswer]]
"""When something was asked, and what waits for the answer."""
Outcome: TypeAlias = UpstreamAnswer | Plain | Exception
Tell: TypeAlias = Callable[[Outcome], None]
"""Is told once what came of a question, never before ``forward`` has returned."""
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
        self.firsts = 0
        """First tries under way, which are no tasks."""
        self.races: set[asyncio.Task[None]] = set()
        """What goes on after first tries."""

    @property
    def is_down(self) -> bool:
        """Whether no resolver is known to answer."""
        return all(server.is_down for server in self.servers)

    def first(self) -> Server | None:
        """The first of ``candidates``."""
        now = self.clock()
        for server in self.servers:
            if not server.is_down and now >= server.retry_at:
                return server
        return next(self.candidates(), None)

    def candidates(self) -> Iterator[Server]:
        """Whom to ask, in order: healthy ones first, then around again."""
        now = self.clock()
        usable = [server for server in self.servers if not server.leads_back]
        order = sorted(usable, key=lambda server: server.is_down or now < server.retry_at)
        return islice(cycle(order), max(TRIES, len(order)))

    def forward(self, question: Question, dnssec_ok: bool, checking_disabled: bool, tell: Tell) -> None:
        """Tell the first usable answer; UpstreamFailed when none comes, or only SERVFAIL, REFUSED and the like."""
        Race(self, Asked(question, dnssec_ok, checking_disabled), tell).begin()

    def start(self, server: Server, asked: Asked, began: Begun | None = None) -> asyncio.Task[UpstreamAnswer]:
        """One try, which goes on when nobody waits for it any more: its outcome is what we know of the server."""
        if began is None:
            self.check_room()
        task = asyncio.create_task(self.ask(server, asked, began))
        self.tries.add(task)
        task.add_done_callback(self.finish)
        return task

    def check_room(self) -> None:
        if len(self.tries) + self.firsts >= MOST_TRIES:
            raise UpstreamFailed(EDE_NETWORK_ERROR, "too many queries wait for an upstream")

    def finish(self, task: asyncio.Task[UpstreamAnswer]) -> None:
        self.tries.discard(task)
        if not task.cancelled():
            task.exception()  # those who wait are told; nobody may be left

    async def ask(self, server: Server, asked: Asked, begun: Begun | None = None) -> UpstreamAnswer:
        """Ask one resolver, or wait on for what it was asked, and remember how it did; raise UpstreamFailed."""
        started, waiting = begun or (self.clock(), self.channels[server].ask(asked))
        try:
            async with asyncio.timeout(TRY_SECONDS - (self.clock() - started)):
                answer = await waiting
        except (OSError, EOFError, WireError) as error:  # TimeoutError is an OSError
            raise self.failed(server, started, error) from error
        self.answered(server, started)
        return answer

    def answered(self, server: Server, started: float) -> None:
        seconds = self.clock() - started
        self.observe(server.label, seconds, True)
        server.answered(seconds)

    def failed(self, server: Server, started: float, error: Exception) -> UpstreamFailed:
        """Remember it; what there is to tell of it."""
        self.observe(server.label, self.clock() - started, False)
        if not (isinstance(error, OSError) and error.errno in OURS):
            server.failed(self.clock())
        ede = EDE_NO_REACHABLE_AUTHORITY if isinstance(error, TimeoutError) else EDE_NETWORK_ERROR
        return UpstreamFailed(ede, f"{server}: {type(error).__name__}")

    def close(self) -> None:
        """Leave every resolver."""
        for task in (*self.tries, *self.races):
            task.cancel()
        for channel in self.channels.values():
            channel.close()


class Race:
    """One question on its way: the next resolver is asked as soon as one fails, or is later than it usually is."""

    def __init__(self, upstreams: Upstreams, asked: Asked, tell: Tell) -> None:
        self.upstreams = upstreams
        self.asked = asked
        self.tell: Tell | None = tell
        """None once it has been told."""
        self.plan: Iterator[Server] = iter(())
        """Who is to be asked, once anybody but the first is."""
        self.first: Server | None = None
        self.began = upstreams.clock()
        self.patience: float | None = None
        """Seconds before another resolver is asked than the one that was first; None: at once."""
        self.running: dict[asyncio.Task[UpstreamAnswer], Server] = {}
        self.unwilling: dict[Server, UpstreamFailed] = {}
        """They answered, if nothing useful; asking them again changes nothing."""
        self.failure: UpstreamFailed | None = None

    def begin(self) -> None:
        """Ask the first resolver without ado, since most answers come at once."""
        try:
            self.ask_first()
        except Exception as error:  # noqa: BLE001  # whatever fails, the client hears of it
            asyncio.get_running_loop().call_soon(self.end, error)

    def ask_first(self) -> None:
        server = self.upstreams.first()
        channel = None if server is None else self.upstreams.channels[server]
        if server is None or not isinstance(channel, DatagramChannel):
            self.go_on()
            return
        self.first = server
        self.upstreams.check_room()
        try:
            self.flight = channel.send(self.asked, partial(self.hear, server, channel), server.patience)
            self.upstreams.firsts += 1
        except OSError as error:
            self.failure = self.upstreams.failed(server, self.began, error)
            self.go_on()

    def hear(self, server: Server, channel: DatagramChannel, heard: Heard) -> None:
        """What became of the first try: mostly the answer for the client."""
        self.upstreams.firsts -= 1
        if heard is None:
            self.start(server, channel.wait(self.asked, self.flight))
            self.go_on()
            return
        try:
            answer = self.read(heard)
        except (OSError, WireError) as error:
            self.failure = self.upstreams.failed(server, self.began, error)
            self.go_on()
        except Exception as error:  # noqa: BLE001  # whatever fails, the client hears of it
            self.end(error)
        else:
            self.heed_first(server, channel, answer)

    def read(self, heard: bytes | Exception) -> Plain | UpstreamAnswer | None:
        if isinstance(heard, bytes) and (plain := read_plain(heard, self.asked.question)) is not None:
            return plain
        return read(heard)

    def heed_first(self, server: Server, channel: DatagramChannel, answer: Plain | UpstreamAnswer | None) -> None:
        if answer is None:
            self.start(server, channel.stream.ask(self.asked))
            self.patience = server.patience
            self.go_on()
            return
        self.upstreams.answered(server, self.began)
        useful = answer if isinstance(answer, Plain) else self.heed(server, answer)
        if useful is None:
            self.go_on()
        else:
            self.end(useful)

    def start(self, server: Server, waiting: Coroutine[None, None, UpstreamAnswer]) -> None:
        """Have the first try go on by itself."""
        self.running[self.upstreams.start(server, self.asked, (self.began, waiting))] = server

    def go_on(self) -> None:
        """Ask the others, too, or whoever there is."""
        plan = list(self.upstreams.candidates())
        if self.first in plan:
            plan.remove(self.first)
        self.plan = iter(plan)
        task = asyncio.create_task(self.finish())
        self.upstreams.races.add(task)
        task.add_done_callback(self.upstreams.races.discard)

    async def finish(self) -> None:
        """Have an answer, or none, in time."""
        try:
            async with asyncio.timeout(ALL_SECONDS - (self.upstreams.clock() - self.began)):
                outcome: Outcome = await self.run()
        except TimeoutError:
            outcome = UpstreamFailed(EDE_NO_REACHABLE_AUTHORITY, "no upstream in time")
        except Exception as error:  # noqa: BLE001  # whatever fails, the client hears of it
            outcome = error
        self.end(outcome)

    def end(self, outcome: Outcome) -> None:
        """Tell, once."""
        tell, self.tell = self.tell, None
        if tell is not None:
            tell(outcome)

    async def run(self) -> UpstreamAnswer:
        """The first usable answer; raise UpstreamFailed."""
        patience = self.patience or self.send()
        while self.running:
            done, _ = await asyncio.wait(self.running, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if (answer := self.take(task)) is not None:
                    return answer
            if not done or not self.running:
                patience = self.send()
        failure = self.failure or UpstreamFailed(EDE_NO_REACHABLE_AUTHORITY, "no upstream")
        raise next(iter(self.unwilling.values()), failure)

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
        return self.heed(server, answer)

    def heed(self, server: Server, answer: UpstreamAnswer) -> UpstreamAnswer | None:
        """The answer, if it is one for the client."""
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

    def forward(self, question: Question, dnssec_ok: bool, checking_disabled: bool, tell: Tell) -> None:
        """Tell the answer of those who know, or UpstreamFailed. Nobody else is asked when they fail."""
        self.upstreams_for(question.name).forward(question, dnssec_ok, checking_disabled, tell)

    def is_down(self, name: str) -> bool:
        """Whether nobody is known to answer for this name."""
        return self.upstreams_for(name).is_down

    def groups(self) -> tuple[Upstreams, ...]:
        return (self.everything, *self.zones.values())
