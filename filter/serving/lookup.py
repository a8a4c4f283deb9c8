"""Cache or upstream: equal questions asked at once go out once, failures are remembered, old answers bridge outages."""

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from itertools import product

from filter.deciding.decisions import AnswerRecord
from filter.lists.rdata import pack_name
from filter.serving import wire
from filter.serving.cache import Cache, CacheKey, Found, KeptAnswer, keep
from filter.serving.upstream import EDE_NETWORK_ERROR, UpstreamFailed
from filter.serving.wire import ClientQuery, Question, UpstreamAnswer, WireError

FAILURE_SECONDS = 5.0  # RFC 9520: at least one second, at most five minutes
MOST_FAILURES = 10_000
MOST_IN_FLIGHT = 2_000
PATIENCE = 1.8
"""Seconds that a client waits for an upstream while a stale answer is at hand (RFC 8767)."""

Forward = Callable[[Question, bool, bool], Awaitable[UpstreamAnswer]]


class Lookup:
    """Finds answers to allowed queries."""

    def __init__(
        self,
        forward: Forward,
        cache: Cache,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``count`` is told what the cache had: hit, miss, stale or failure."""
        self.forward = forward
        self.cache = cache
        self.count = count
        self.clock = clock
        self.in_flight: dict[CacheKey, asyncio.Task[KeptAnswer]] = {}
        self.failures: OrderedDict[CacheKey, tuple[UpstreamFailed, float]] = OrderedDict()

    async def find(self, query: ClientQuery) -> Found:
        """A fresh answer, or a stale one when the upstreams fail or dawdle; raise UpstreamFailed."""
        key = CacheKey(query.question.lowered, query.dnssec_ok, bool(query.flags & wire.CD))
        found = self.cache.find(key, self.clock())
        if found is not None and not found.is_stale:
            self.count("hit")
            return found
        try:
            self.refuse_known_failure(key)
            task = self.ask(key, query.question)
            async with asyncio.timeout(None if found is None else PATIENCE):
                answer = await asyncio.shield(task)  # it goes on, and fills the cache, when this client gives up
        except (UpstreamFailed, TimeoutError):
            if found is None:
                raise
            self.count("stale")
            return found
        self.count("miss")
        return Found(answer, 0, is_stale=False)

    def recall(self, name: str, qtype: int) -> tuple[AnswerRecord, ...]:
        """Where the answer that is still at hand leads, fresh or stale; nothing is asked of an upstream."""
        raw = pack_name(name) + struct.pack("!HH", qtype, wire.IN)
        for dnssec_ok, checking_disabled in product((False, True), repeat=2):
            key = CacheKey(Question(raw, name, qtype, wire.IN).lowered, dnssec_ok, checking_disabled)
            if (found := self.cache.find(key, self.clock())) is not None:
                return found.answer.records
        return ()

    def refuse_known_failure(self, key: CacheKey) -> None:
        """Raise the UpstreamFailed of a moment ago, rather than ask again at once."""
        if (known := self.failures.get(key)) is None:
            return
        failure, until = known
        if self.clock() < until:
            self.count("failure")
            raise UpstreamFailed(failure.ede, str(failure), failure.rcode)
        del self.failures[key]

    def ask(self, key: CacheKey, question: Question) -> asyncio.Task[KeptAnswer]:
        """The query on its way to an upstream: the one already there, or a new one."""
        if (task := self.in_flight.get(key)) is not None:
            return task
        if len(self.in_flight) >= MOST_IN_FLIGHT:
            raise UpstreamFailed(EDE_NETWORK_ERROR, "too many queries wait for an upstream")
        task = asyncio.create_task(self.fetch(key, question))
        self.in_flight[key] = task
        task.add_done_callback(lambda done: self.settle(key, done))
        return task

    async def fetch(self, key: CacheKey, question: Question) -> KeptAnswer:
        """Ask, cut, keep; raise UpstreamFailed."""
        answer = await self.forward(question, key.dnssec_ok, key.checking_disabled)
        try:
            kept = keep(answer, key.dnssec_ok)
        except WireError as error:
            raise UpstreamFailed(EDE_NETWORK_ERROR, f"malformed answer: {error}") from error
        self.cache.put(key, kept, self.clock())
        return kept

    def settle(self, key: CacheKey, task: asyncio.Task[KeptAnswer]) -> None:
        """Forget the query; remember its failure for a moment."""
        del self.in_flight[key]
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, UpstreamFailed):
            self.failures[key] = error, self.clock() + FAILURE_SECONDS
            while len(self.failures) > MOST_FAILURES:
                self.failures.popitem(last=False)
