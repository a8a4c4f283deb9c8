"""Cache or upstream: equal questions asked at once go out once, failures are remembered, old answers bridge outages."""

import asyncio
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeAlias

from filter.deciding.decisions import AnswerRecord
from filter.lists.rdata import pack_name
from filter.serving import wire
from filter.serving.resolving.cache import Cache, CacheKey, Found, KeptAnswer, keep
from filter.serving.resolving.plain import Plain
from filter.serving.resolving.upstream import EDE_NETWORK_ERROR, Outcome, Tell, UpstreamFailed
from filter.serving.wire import ClientQuery, Question, UpstreamAnswer, WireError

FAILURE_SECONDS = 5.0
LONGEST_FAILURE = 60.0
"""RFC 9520, 3.2: at least one second, at most five minutes; longer each time that a resolver itself cannot answer."""
MOST_FAILURES = 10_000
MOST_IN_FLIGHT = 2_000
MOST_WAITING = 3_000
"""Clients that wait for them; fewer than listeners have room for, so that cached and blocked names find some."""
PATIENCE = 1.8
"""Seconds that a client waits for an upstream while a stale answer is at hand (RFC 8767)."""

Forward: TypeAlias = Callable[[Question, bool, bool, Tell], None]
"""Asks, and later tells what came of it: filter.serving.resolving.upstream.Forwarding.forward."""
Kept: TypeAlias = KeptAnswer | Exception
"""What came of a question, in the end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an upstream could not do, until when that is believed, and for how long it was."""

    error: UpstreamFailed
    until: float
    seconds: float


def keys_of(question: Question) -> Iterator[CacheKey]:
    """Under which its answers are kept, those without DNSSEC first."""
    return (CacheKey(question.lowered, *flags) for flags in product((False, True), repeat=2))


def never(_name: str) -> bool:
    return False


def key_of(query: ClientQuery) -> CacheKey:
    """Under which the answer to a query is kept."""
    return CacheKey(query.question.lowered, query.dnssec_ok, bool(query.flags & wire.CD))


class Coming:
    """An answer on its way, and who is told of it: directly, since most have one who waits, and nothing to wait for."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting: list[Callable[[Kept], None]] = []


class Lookup:
    """Finds answers to allowed queries."""

    def __init__(
        self,
        forward: Forward,
        cache: Cache,
        count: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        is_down: Callable[[str], bool] = never,
    ) -> None:
        """``count`` is told what the cache had: hit, miss, stale, failure, prefetch or shed; ``is_down`` says whether
        nobody is known to answer for a name."""
        self.forward = forward
        self.cache = cache
        self.count = count
        self.clock = clock
        self.in_flight: dict[CacheKey, Coming] = {}
        self.waiting = 0
        self.is_down = is_down
        self.tell: Callable[[CacheKey, bytes, float], None] | None = None
        """Told of every answer that was kept, as it came, and when, when the compiled plane keeps them too."""
        self.is_late: Callable[[], bool] = lambda: False
        """Whether this process is too far behind to ask for more (filter.serving.pulse)."""
        self.failures: OrderedDict[CacheKey, Failure] = OrderedDict()

    async def find(self, query: ClientQuery) -> Found:
        """A fresh answer, or a stale one when the upstreams fail or dawdle; raise UpstreamFailed."""
        key = key_of(query)
        found = self.cache.find(key, self.clock())
        if found is not None and not found.is_stale:
            return self.hit(key, query.question, found)
        try:
            self.refuse_known_failure(key)
            coming = self.ask(key, query.question)
            if found is None:
                answer = await self.join(coming)
            else:
                async with asyncio.timeout(self.patience(query.question)):
                    answer = await self.join(coming)  # it goes on, and fills the cache, when this client gives up
        except (UpstreamFailed, TimeoutError):
            if (found := found or self.find_plain(key)) is None:
                raise
            self.count("stale")
            return found
        self.count("miss")
        return Found(answer, 0, is_stale=False)

    def begin(self, query: ClientQuery, tell: Callable[[Found | Exception], None]) -> bool:
        """Have somebody told what comes; False when it is not as simple as that, and ``find`` is to be asked."""
        key = key_of(query)
        if key in self.cache.kept or key in self.failures or self.waiting >= MOST_WAITING:
            return False
        if (coming := self.in_flight.get(key)) is None:
            if self.is_full():
                return False
            coming = self.fetch(key, query.question)
        self.waiting += 1
        coming.waiting.append(partial(self.conclude, key, tell))
        return True

    def conclude(self, key: CacheKey, tell: Callable[[Found | Exception], None], kept: Kept) -> None:
        """Tell what came to who had nothing better."""
        self.waiting -= 1
        if isinstance(kept, KeptAnswer):
            self.count("miss")
            tell(Found(kept, 0, is_stale=False))
        elif isinstance(kept, UpstreamFailed) and (found := self.find_plain(key)) is not None:
            self.count("stale")
            tell(found)
        else:
            tell(kept)

    def find_fresh(self, query: ClientQuery) -> Found | None:
        """A fresh answer, if there is one."""
        key = key_of(query)
        found = self.cache.find(key, self.clock())
        return None if found is None or found.is_stale else self.hit(key, query.question, found)

    def hit(self, key: CacheKey, question: Question, found: Found) -> Found:
        """Count it, and fetch ahead what is about to be too old."""
        self.count("hit")
        if found.is_due:
            self.prefetch(key, question)
        return found

    async def join(self, coming: Coming) -> KeptAnswer:
        """Wait with others; raise UpstreamFailed when too many do: what is at hand is still answered then."""
        if self.waiting >= MOST_WAITING:
            self.count("shed")
            raise UpstreamFailed(EDE_NETWORK_ERROR, "too many clients wait for an upstream")
        self.waiting += 1
        heard: asyncio.Future[KeptAnswer] = asyncio.get_running_loop().create_future()
        coming.waiting.append(partial(settle, heard))
        try:
            return await heard
        finally:
            self.waiting -= 1

    def find_plain(self, key: CacheKey) -> Found | None:
        """What was answered to those who asked without DNSSEC: better than nothing to those who asked with it."""
        plain = CacheKey(key.question, dnssec_ok=False, checking_disabled=False)
        return None if plain == key else self.cache.find(plain, self.clock())

    def patience(self, question: Question) -> float:
        """Seconds for a client that could have a stale answer: none while no upstream is known to answer."""
        return 0.0 if self.is_down(question.name) else PATIENCE

    def prefetch(self, key: CacheKey, question: Question) -> None:
        """Ask again for what is about to be too old; nobody waits, and failing changes nothing."""
        known = self.failures.get(key)
        if key in self.in_flight or (known is not None and self.clock() < known.until):
            return
        with suppress(UpstreamFailed):
            self.ask(key, question)
            self.count("prefetch")

    async def recall(self, name: str, qtype: int) -> tuple[AnswerRecord, ...]:
        """Where a name leads, for a person who asks why: by a fresh answer, which an upstream is asked for when there
        is none here (it may be in another cache), else by a stale one. Nothing is counted."""
        question = Question(pack_name(name) + struct.pack("!HH", qtype, wire.IN), name, qtype, wire.IN)
        kept = [found for key in keys_of(question) if (found := self.cache.find(key, self.clock())) is not None]
        fresh = [found.answer.records for found in kept if not found.is_stale]
        if fresh:
            return fresh[0]
        try:
            async with asyncio.timeout(PATIENCE):
                return (await self.join(self.ask(next(keys_of(question)), question))).records
        except (UpstreamFailed, TimeoutError):
            return kept[0].answer.records if kept else ()

    def refuse_known_failure(self, key: CacheKey) -> None:
        """Raise the UpstreamFailed of a moment ago, rather than ask again at once."""
        known = self.failures.get(key)
        if known is not None and self.clock() < known.until:
            self.count("failure")
            raise UpstreamFailed(known.error.ede, str(known.error), known.error.rcode)

    def ask(self, key: CacheKey, question: Question) -> Coming:
        """The query on its way to an upstream: the one already there, or a new one."""
        if (coming := self.in_flight.get(key)) is not None:
            return coming
        if self.is_full():
            self.count("shed")
            raise UpstreamFailed(EDE_NETWORK_ERROR, "too many queries wait for an upstream")
        return self.fetch(key, question)

    def fetch(self, key: CacheKey, question: Question) -> Coming:
        coming = self.in_flight[key] = Coming()
        self.forward(question, key.dnssec_ok, key.checking_disabled, partial(self.take, key))
        return coming

    def is_full(self) -> bool:
        """Whether no more may be asked for now."""
        return len(self.in_flight) >= MOST_IN_FLIGHT or self.is_late()

    def lend(self, key: CacheKey, answer: KeptAnswer) -> None:
        """Have whoever asks for this at this moment, and nobody later, answered by what must not be kept."""
        if key not in self.in_flight:
            self.failures.pop(key, None)
            self.in_flight[key] = Coming()
            asyncio.get_running_loop().call_soon(self.settle, key, answer)

    def take(self, key: CacheKey, outcome: Outcome) -> None:
        """Keep an answer, and give it to those who wait."""
        try:
            kept = outcome if isinstance(outcome, Exception) else self.keep(key, outcome)
        except Exception as error:  # noqa: BLE001  # whatever fails, those who wait hear of it at once
            kept = error
        self.settle(key, kept)

    def keep(self, key: CacheKey, answer: UpstreamAnswer | Plain) -> Kept:
        """Cut an answer to what was asked for, and keep it."""
        try:
            kept = answer.kept if isinstance(answer, Plain) else keep(answer, key.dnssec_ok)
        except WireError as error:
            return UpstreamFailed(EDE_NETWORK_ERROR, f"malformed answer: {error}")
        now = self.clock()
        self.cache.put(key, kept, now)
        if self.tell is not None:
            self.tell(key, answer.data, now)
        return kept

    def settle(self, key: CacheKey, kept: Kept) -> None:
        """Forget the query, remember its failure for a moment, and tell who waits."""
        coming = self.in_flight.pop(key)
        known = self.failures.pop(key, None)
        if isinstance(kept, UpstreamFailed):
            seconds = FAILURE_SECONDS
            if known is not None and kept.was_answered:
                seconds = min(known.seconds * 2, LONGEST_FAILURE)
            self.failures[key] = Failure(kept, self.clock() + seconds, seconds)
            while len(self.failures) > MOST_FAILURES:
                self.failures.popitem(last=False)
        for tell in coming.waiting:
            tell(kept)


def settle(heard: asyncio.Future[KeptAnswer], kept: Kept) -> None:
    """Wake who waits, unless they are gone."""
    if heard.done():
        return
    if isinstance(kept, Exception):
        heard.set_exception(kept)
    else:
        heard.set_result(kept)
