"""Replies that are ready: found by the bytes of the question, before the handler is asked. Over UDP, by Python.

What is asked twice is remembered, with what its reply was made of: the policy, the profile, the moment and the kept
answer. A reply is given again only while all of them hold, and reads as the handler would write it now.
"""

import asyncio
import struct
import time
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from itertools import count

from filter.deciding.decisions import Action, Decision
from filter.deciding.profiles import Moment, Profile
from filter.metrics import FASTEST
from filter.policy import Policy
from filter.serving import replies, wire
from filter.serving.handler import Allowed, Answered, Handler
from filter.serving.listed import Listed, Place, Said, like
from filter.serving.resolving.cache import Entry
from filter.serving.resolving.lookup import key_of
from filter.serving.udp import Later

MOST_READY = 10_000
"""Replies of one generation, of which there are two; some 800 bytes each."""
MOST_SEEN = 20_000
MOST_CLIENTS = 4_096
LARGEST_QUERY, LARGEST_REPLY = 300, 512
"""Bytes of what is remembered."""
MOST_TOLD = 8_192
CUT = wire.TC >> 8
DRAIN_SECONDS = 1.0
HOUR = timedelta(hours=1)


class Page:
    """What holds for the clients of a profile, until it ends or the hour that queries are counted in does."""

    __slots__ = ("listed", "mark", "moment", "since", "until")

    def __init__(self, moment: Moment, hour: datetime, mark: bytes, listed: Listed) -> None:
        self.moment = moment
        self.mark = mark
        """What tells its replies from those of other moments."""
        self.listed = listed
        self.since = max(moment.since, hour)
        self.until = min(moment.until, hour + HOUR)


class Ready:
    """One reply, and until when it reads like this."""

    __slots__ = ("allowed", "decision", "entry", "least", "name", "next_age", "since", "tail", "until")

    def __init__(
        self, reply: bytes, allowed: Allowed, decision: Decision, entry: Entry | None, age: int, now: datetime
    ) -> None:
        self.tail = reply[2:]
        self.name = allowed.query.question.name
        self.allowed = allowed
        self.decision = decision
        self.entry = entry
        """The kept answer that it tells or judges."""
        self.hold(age, now)

    def hold(self, age: int, now: datetime) -> None:
        """Set the stretch of time in which the end of the moment shortens TTLs no further, and up to which age of the
        kept answer they read the same."""
        until = self.allowed.moment.until
        most = self.most()
        self.least = most if most is None else max(min(int((until - now).total_seconds()), most), 0)
        self.since, self.until = now, until if self.least is None else until - timedelta(seconds=self.least)
        self.next_age = 0 if self.entry is None else max(age + 1, self.change(self.entry))

    def change(self, entry: Entry) -> int:
        """The age at which a TTL falls below what devices are told at most, or the answer is worth fetching ahead."""
        if self.least is None:
            return entry.due_age
        return min(entry.due_age, min(ttl for _, ttl in entry.answer.ttls) - self.least + 1)

    def most(self) -> int | None:
        """Seconds of the largest TTL that this reply may have; None when it never changes."""
        decision = self.decision
        if decision.action not in (Action.ALLOWED, Action.REWRITTEN):
            return None
        longest = replies.LONGEST_TOLD if decision.action is Action.ALLOWED else replies.REWRITTEN_TTL
        return longest if decision.ttl is None else min(longest, decision.ttl)

    def renew(self, clock: float, now: datetime) -> bool:
        """Write the TTLs as they are now; whether that can be done here."""
        entry = self.entry
        if entry is None or not entry.is_kept or self.decision.action is Action.REWRITTEN:
            return False
        age = int(clock - entry.stored_at)
        if age < 0 or age >= entry.answer.ttl or entry.is_due_at(age):
            return False
        self.hold(age, now)
        if self.least is not None and not self.tail[0] & CUT:  # cut: no records
            tail = bytearray(self.tail)
            for offset, ttl in entry.answer.ttls:
                struct.pack_into("!I", tail, offset - 2, min(max(ttl - age, 0), self.least))
            self.tail = bytes(tail)
        return True


class ReadyReplies:
    """The memory of one process. Told of time by the handler's clocks."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.clock = handler.lookup.clock
        self.policy: Policy | None = None
        self.pages: dict[str, Page] = {}
        self.marks: dict[Moment, tuple[bytes, Listed]] = {}
        self.numbers = count()
        self.hour = handler.now().replace(minute=0, second=0, microsecond=0)
        self.young: dict[bytes, Ready] = {}
        self.old: dict[bytes, Ready] = {}
        self.seen: set[bytes] = set()
        """Questions that were answered once."""
        self.told: list[tuple[Ready | Said, str, str]] = []
        """Every use since they were counted: (reply, client, name)."""
        self.quickest = 0.0

    def answer(self, query: bytes, client: str) -> bytes | Later | None:
        """The reply, none, or what waits for an upstream's."""
        started = time.perf_counter()
        handler = self.handler
        now = handler.now()
        page = self.pages.get(client)
        if page is None or not page.since <= now < page.until or handler.policy is not self.policy:
            page = self.turn(client, now)
        if page is None:
            return self.ask(query, client, page, now)
        key = page.mark + query[2:]
        ready = self.young.get(key) or self.recover(key)
        if ready is None:
            return self.say(query, client, page, now, started)
        is_over = not ready.since <= now <= ready.until or self.is_over(ready)
        if is_over and not ready.renew(self.clock(), now):
            del self.young[key]
            self.drain()  # how often an answer has served says whether it is fetched ahead
            return self.ask(query, client, page, now)
        self.count(ready, client, ready.name, started)
        return query[:2] + ready.tail

    def say(self, query: bytes, client: str, page: Page, now: datetime, started: float) -> bytes | Later | None:
        """What was said of a name in the same lists; else have the handler answer."""
        place, question = page.listed.find(query)
        if place is None or question is None:
            return self.ask(query, client, page, now)
        known = page.listed.known.get(place)
        if not isinstance(known, Said):
            allowed = None if known is None else like(known, query, question, started)
            return self.ask(query, client, page, now, place, allowed)
        self.count(known, client, question.name, started)
        return query[:2] + known.head + question.raw + known.rest

    def count(self, used: Ready | Said, client: str, name: str, started: float) -> None:
        self.told.append((used, client, name))
        if len(self.told) >= MOST_TOLD:
            self.drain()
        self.quickest += time.perf_counter() - started

    def is_over(self, ready: Ready) -> bool:
        """Whether the answer is a second older, or kept no more."""
        entry = ready.entry
        return entry is not None and (not entry.is_kept or self.clock() - entry.stored_at >= ready.next_age)

    def recover(self, key: bytes) -> Ready | None:
        """From the generation before."""
        if (ready := self.old.pop(key, None)) is not None:
            self.remember(key, ready)
        return ready

    def remember(self, key: bytes, ready: Ready) -> None:
        if len(self.young) >= MOST_READY:
            self.old, self.young = self.young, {}
        self.young[key] = ready

    def ask(
        self, query: bytes, client: str, page: Page | None, now: datetime, place: Place | None = None,
        known: Allowed | None = None,
    ) -> bytes | Later | None:  # fmt: skip
        """Have the handler answer, by what is ``known`` already; remember what is asked again or speaks for others."""
        answered = self.handler.begin(query, client, over_udp=True, known=known)
        allowed = answered if isinstance(answered, Allowed) else answered.allowed
        if page is not None and allowed is not None and allowed.moment is page.moment:
            if place is not None and known is None:
                page.listed.learn(place, answered)
            if isinstance(answered, Answered):
                self.consider(page.mark + query[2:], query, answered, now)
        if isinstance(answered, Allowed):
            return partial(self.handler.finish_later, query, answered)
        return answered.reply

    def consider(self, key: bytes, query: bytes, answered: Answered, now: datetime) -> None:
        """Remember a reply that was asked for before, if what it is made of says how long it holds."""
        reply, allowed, decision, found = answered
        if reply is None or allowed is None or decision is None or allowed.sent is not allowed.query:
            return
        if len(query) > LARGEST_QUERY or len(reply) > LARGEST_REPLY:
            return
        if found is None and key not in self.seen:  # a kept answer was asked for before
            if len(self.seen) >= MOST_SEEN:
                self.seen.clear()
            self.seen.add(key)
            return
        entry, age = None, 0
        if found is not None:
            age = found.age
            entry = self.handler.lookup.cache.kept.get(key_of(allowed.sent))
            if entry is None or entry.answer is not found.answer or entry.is_due_at(age):
                return
        self.remember(key, Ready(reply, allowed, decision, entry, age, now))

    def turn(self, client: str, now: datetime) -> Page | None:
        """The page of a client; a new policy, a new moment and a new hour begin new ones. None without a policy."""
        if (policy := self.handler.policy) is None:
            return None
        if policy is not self.policy:
            self.forget()
            self.policy = policy
        hour = now.replace(minute=0, second=0, microsecond=0)
        if hour != self.hour:
            self.drain()
            self.pages.clear()
            self.hour = hour
        if len(self.pages) >= MOST_CLIENTS:
            self.pages.clear()
        page = self.pages[client] = self.open(policy.profile_for(client), now)
        return page

    def open(self, profile: Profile, now: datetime) -> Page:
        moment = profile.moment(now)
        if moment not in self.marks:
            if len(self.marks) >= MOST_CLIENTS:
                self.forget()
            self.marks[moment] = next(self.numbers).to_bytes(8), Listed(profile, moment)
        return Page(moment, self.hour, *self.marks[moment])

    def forget(self) -> None:
        """Everything: it was another policy's."""
        self.drain()
        for each in (self.pages, self.marks, self.young, self.old, self.seen):
            each.clear()

    def drain(self) -> None:
        """Count what was answered since the last time."""
        told, self.told = self.told, []
        if not told:
            return
        handler, metrics = self.handler, self.handler.metrics
        classes: Counter[tuple[str, str, str, str]] = Counter()
        for (ready, client, name), queries in Counter(told).items():
            decision, (query, _, _, profile, *_) = ready.decision, ready.allowed
            classes[str(decision.action), decision.rule, decision.category or "", profile.school] += queries
            if handler.observe is not None:
                handler.observe(name, query.question.qtype, profile.slug, client, queries)
            if ready.entry is not None:
                handler.lookup.cache.use(key_of(query), ready.entry, queries)
        for counted, queries in classes.items():
            metrics.count_many(queries, self.hour, *counted)
        if hits := sum(ready.entry is not None for ready, *_ in told):
            metrics.cache_lookups.labels("hit").inc(hits)
        metrics.answer_seconds.add([len(told), *FASTEST], round(self.quickest * 1_000_000))
        self.quickest = 0.0

    async def keep_draining(self) -> None:
        """Every second, and a last time when cancelled."""
        try:
            while True:
                await asyncio.sleep(DRAIN_SECONDS)
                self.drain()
        finally:
            self.drain()
