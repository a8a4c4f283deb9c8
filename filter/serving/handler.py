"""answer(): one query's bytes in, one reply's bytes out: parse, decide, cache or forward, review, reply."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from filter.deciding.decisions import Action, Decision, Query
from filter.deciding.profiles import Moment
from filter.log import place_of
from filter.metrics import Metrics
from filter.policy import Policy, Profile, decide_at, review_answer
from filter.serving import replies, wire
from filter.serving.replies import Address
from filter.serving.resolving import probing
from filter.serving.resolving.cache import Found
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import UpstreamFailed
from filter.serving.wire import ClientQuery, WireError

log = logging.getLogger("filter")


class Observe(Protocol):
    """Counts names."""

    def __call__(self, name: str, qtype: int, profile: str, client: str, queries: int = 1) -> None:
        """``client``: its label or address."""


class Allowed(NamedTuple):
    """A query that was decided, and what its answer is made with."""

    query: ClientQuery
    limit: int
    """Bytes that the client takes."""
    decision: Decision
    profile: Profile
    moment: Moment
    sent: ClientQuery
    """What is looked up: the query, or the same about the name that a rewrite leads to."""
    over_udp: bool
    started: float


class Answered(NamedTuple):
    """A reply, if there is one, and what it was made of when the policy decided."""

    reply: bytes | None
    allowed: Allowed | None = None
    decision: Decision | None = None
    found: Found | None = None
    """The answer that was judged, if any."""


Give = Callable[[bytes | None], None]
"""Sends a reply; None: there is none."""
NOTHING = Answered(None)
REFUSED_TYPES = frozenset({wire.AXFR, wire.IXFR, wire.OPT})


class Handler:
    """Answers queries by the policy it was last given. Without one it answers nothing but SERVFAIL."""

    def __init__(
        self,
        lookup: Lookup,
        metrics: Metrics,
        now: Callable[[], datetime],
        block_addresses: Sequence[Address] = (),
    ) -> None:
        self.lookup = lookup
        self.metrics = metrics
        self.now = now
        self.block_addresses = tuple(block_addresses)
        self.loop_token = ""
        """What our own questions bear when a resolver leads them back (filter.serving.resolving.probing)."""
        self.policy: Policy | None = None
        """Replaced in one assignment, between two queries: a query is judged by one policy from end to end."""
        self.finishing: set[asyncio.Task[bytes | None]] = set()
        self.observe: Observe | None = None
        """Told of every query that is decided, when names are counted (filter.namecounts)."""

    async def answer(self, data: bytes, client: str, over_udp: bool, label: str | None = None) -> bytes | None:
        """The reply, or None for what gets none: a fragment, a response sent as a query, a name that a list drops.

        ``label`` is the device's own, from its DoH path or DoT name.
        """
        answered = self.begin(data, client, over_udp, label)
        return await self.finish(data, answered) if isinstance(answered, Allowed) else answered.reply

    def begin(
        self, data: bytes, client: str, over_udp: bool, label: str | None = None, known: Allowed | None = None
    ) -> Answered | Allowed:
        """The reply, if it needs no upstream; else what is to be finished. ``known``: the query, decided already."""
        if len(data) < wire.HEADER.size or data[2] & 0x80:
            self.metrics.dropped.labels("no_query").inc()
            return NOTHING
        started = time.perf_counter()
        try:
            if known is None:
                answered = self.reply_to(data, client, over_udp, label, started)
            else:
                answered = self.look_up(known, client)
        except Exception as error:  # noqa: BLE001  # whatever fails, the client hears SERVFAIL at once
            answered = self.failed(data, error)
        if isinstance(answered, Answered) and answered.reply is not None:
            self.metrics.observe_answer(time.perf_counter() - started)
        return answered

    async def finish(self, data: bytes, allowed: Allowed) -> bytes | None:
        """The reply to a query that ``begin`` left: what an upstream says, or that none does."""
        try:
            outcome: Found | Exception = await self.lookup.find(allowed.sent)
        except Exception as error:  # noqa: BLE001  # told below
            outcome = error
        return self.conclude(data, allowed, outcome)

    def finish_later(self, data: bytes, allowed: Allowed, give: Give) -> None:
        """Have the same reply given to somebody: without a task where that can be, since many queries wait at once."""
        if self.lookup.begin(allowed.sent, lambda outcome: give(self.conclude(data, allowed, outcome))):
            return
        task = asyncio.create_task(self.finish(data, allowed))
        self.finishing.add(task)
        task.add_done_callback(self.finishing.discard)
        task.add_done_callback(lambda done: give(None if done.cancelled() else done.result()))

    def conclude(self, data: bytes, allowed: Allowed, outcome: Found | Exception) -> bytes | None:
        """The reply made of what was found, or of why nothing was."""
        try:
            if isinstance(outcome, Found):
                answered = self.tell(allowed, outcome)
            elif isinstance(outcome, UpstreamFailed):
                answered = self.tell_failure(allowed, outcome)
            else:
                answered = self.failed(data, outcome)
        except Exception as error:  # noqa: BLE001  # whatever fails, the client hears SERVFAIL at once
            answered = self.failed(data, error)
        if answered.reply is not None:
            self.metrics.observe_answer(time.perf_counter() - allowed.started)
        return answered.reply

    def failed(self, data: bytes, error: Exception) -> Answered:
        """SERVFAIL, for what nobody foresaw."""
        log.error("query could not be answered", extra=place_of(error))  # the error's text may hold a name
        self.count("failed", "error")
        return Answered(replies.error(data, wire.SERVFAIL))

    def reply_to(
        self, data: bytes, client: str, over_udp: bool, label: str | None, started: float
    ) -> Answered | Allowed:
        """Refuse what is no ordinary query; decide the rest."""
        flags = int.from_bytes(data[2:4])
        if wire.opcode(flags):
            self.count("refused", "opcode")
            return Answered(replies.error(data, wire.NOTIMP))
        try:
            query = wire.read_query(data)
        except WireError:
            self.count("refused", "malformed")
            return Answered(replies.error(data, wire.FORMERR))
        limit = replies.size_limit(query, over_udp)
        if query.edns is not None and query.edns.version != replies.EDNS_VERSION:
            self.count("refused", "edns_version")
            return Answered(replies.reply(query, limit, wire.BADVERS))
        if query.question.qclass != wire.IN or query.question.qtype in REFUSED_TYPES:
            self.count("refused", "kind")
            return Answered(replies.reply(query, limit, wire.REFUSED))
        if self.loop_token and probing.is_ours(query.question.name, self.loop_token):
            self.count("failed", "loop")
            return Answered(replies.own_text(query, limit, probing.pack_token(self.loop_token)))
        if (policy := self.policy) is None:
            self.count("failed", "not_ready")
            return Answered(replies.not_ready(query, limit))
        profile = policy.profile_for(client, label)
        return self.decide(query, limit, profile, over_udp, label or client, started)

    def decide(
        self, query: ClientQuery, limit: int, profile: Profile, over_udp: bool, client: str, started: float
    ) -> Answered | Allowed:
        """Answer by decision, or by an answer that is at hand, judged where it leads."""
        asked = Query(query.question.name, query.question.qtype)
        moment = profile.moment(self.now())
        decision = lift_truncation(decide_at(asked, profile, moment), over_udp)
        target = decision.leads_to
        sent = query if target is None else replies.target_query(query, target)
        allowed = Allowed(query, limit, decision, profile, moment, sent, over_udp, started)
        if decision.action is Action.ALLOWED or target is not None:
            return self.look_up(allowed, client)
        self.see(allowed, client)
        return self.stop(allowed, decision)

    def look_up(self, allowed: Allowed, client: str) -> Answered | Allowed:
        """Answer by what is at hand, if it is."""
        self.see(allowed, client)
        found = self.lookup.find_fresh(allowed.sent)
        return allowed if found is None else self.tell(allowed, found)

    def see(self, allowed: Allowed, client: str) -> None:
        if self.observe is not None:
            self.observe(*allowed.query.question[1:3], allowed.profile.slug, client)

    def tell(self, allowed: Allowed, found: Found) -> Answered:
        """Answer with what was found, if it leads where it may."""
        query, limit, decision, profile, moment, sent, over_udp, _ = allowed
        now = self.now()
        led_to = Query(sent.question.name, query.question.qtype)
        reviewed = lift_truncation(
            review_answer(led_to, decision, profile, found.answer.records, now), over_udp, decision
        )
        if reviewed is not decision:
            return self.stop(allowed, reviewed)._replace(found=found)
        self.metrics.count(now, decision.action, decision.rule, decision.category, profile.school)
        most = most_ttl(decision, moment.until, now)
        if sent is not query:
            reply = replies.rewritten(query, limit, decision._replace(ttl=most), found)
        else:
            reply = replies.forwarded(query, limit, found, most)
        return Answered(reply, allowed, decision, found)

    def tell_failure(self, allowed: Allowed, failure: UpstreamFailed) -> Answered:
        """Say that no upstream answered."""
        self.count("failed", "upstream", school=allowed.profile.school)
        return Answered(replies.failed(allowed.query, allowed.limit, failure.rcode, failure.ede))

    def stop(self, allowed: Allowed, decision: Decision) -> Answered:
        """The reply of a decision that needs no upstream."""
        query, limit, _, profile, moment, *_ = allowed
        self.count(decision.action, decision.rule, decision.category, profile.school)
        if decision.action is Action.DROPPED:
            return NOTHING
        told = decision
        if decision.action is Action.REWRITTEN:
            told = decision._replace(ttl=most_ttl(decision, moment.until, self.now()))
        reply = replies.decided(query, limit, told, self.block_addresses, profile.block_mode)
        return Answered(reply, allowed, decision)

    def count(self, action: str, rule: str, category: str | None = None, school: str = "") -> None:
        self.metrics.count(self.now(), action, rule, category, school)


def most_ttl(decision: Decision, until: datetime, now: datetime) -> int:
    """Seconds that a device may remember an answer: not past ``until``, when the profile may say something else."""
    left = max(int((until - now).total_seconds()), 0)
    most = min(left, replies.LONGEST_TOLD)
    return most if decision.ttl is None else min(most, decision.ttl)


def lift_truncation(decision: Decision, over_udp: bool, otherwise: Decision | None = None) -> Decision:
    """What is to be asked over TCP is answered there: as allowed, or as was decided ``otherwise``."""
    if decision.action is not Action.TRUNCATED or over_udp:
        return decision
    return otherwise or decision._replace(action=Action.ALLOWED)
