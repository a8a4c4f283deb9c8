"""answer(): one query's bytes in, one reply's bytes out: parse, decide, cache or forward, review, reply."""

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime

from filter.deciding.decisions import Action, Decision, Query
from filter.metrics import Metrics
from filter.policy import Policy, Profile, decide, review_answer
from filter.serving import probing, replies, wire
from filter.serving.lookup import Lookup
from filter.serving.replies import Address
from filter.serving.upstream import UpstreamFailed
from filter.serving.wire import ClientQuery, WireError

log = logging.getLogger("filter")

Observe = Callable[[str, int, str, str], None]
"""(name, type, profile, client: its label or address)"""


def place_of(error: Exception) -> dict[str, object]:
    """What went wrong and where, without the message: a queried name may be in it."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": [f"{frame.name}:{frame.lineno}" for frame in frames]}


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
        """What our own questions bear when a resolver leads them back (filter.serving.probing)."""
        self.policy: Policy | None = None
        """Replaced in one assignment, between two queries: a query is judged by one policy from end to end."""
        self.observe: Observe | None = None
        """Told of every query that is decided, when names are counted (filter.namecounts)."""

    async def answer(self, data: bytes, client: str, over_udp: bool, label: str | None = None) -> bytes | None:
        """The reply, or None for what gets none: a fragment, a response sent as a query, a name that a list drops.

        ``label`` is the device's own, from its DoH path or DoT name.
        """
        if len(data) < wire.HEADER.size or data[2] & 0x80:
            self.metrics.dropped.labels("no_query").inc()
            return None
        started = time.perf_counter()
        try:
            reply = await self.reply_to(data, client, over_udp, label)
        except Exception as error:  # noqa: BLE001  # whatever fails, the client hears SERVFAIL at once
            log.error("query could not be answered", extra=place_of(error))  # noqa: TRY400  # its text may hold a name
            self.count("failed", "error")
            reply = replies.error(data, wire.SERVFAIL)
        if reply is not None:
            self.metrics.answer_seconds.observe(time.perf_counter() - started)
        return reply

    async def reply_to(self, data: bytes, client: str, over_udp: bool, label: str | None) -> bytes | None:
        """Refuse what is no ordinary query; decide the rest."""
        flags = int.from_bytes(data[2:4], "big")
        if wire.opcode(flags):
            self.count("refused", "opcode")
            return replies.error(data, wire.NOTIMP)
        try:
            query = wire.read_query(data)
        except WireError:
            self.count("refused", "malformed")
            return replies.error(data, wire.FORMERR)
        limit = replies.size_limit(query, over_udp)
        if query.edns is not None and query.edns.version != replies.EDNS_VERSION:
            self.count("refused", "edns_version")
            return replies.reply(query, limit, wire.BADVERS)
        if query.question.qclass != wire.IN or query.question.qtype in {wire.AXFR, wire.IXFR, wire.OPT}:
            self.count("refused", "kind")
            return replies.reply(query, limit, wire.REFUSED)
        if self.loop_token and probing.is_ours(query.question.name, self.loop_token):
            self.count("failed", "loop")
            return replies.own_text(query, limit, probing.pack_token(self.loop_token))
        if (policy := self.policy) is None:
            self.count("failed", "not_ready")
            return replies.not_ready(query, limit)
        return await self.decide(query, limit, policy.profile_for(client, label), over_udp, label or client)

    async def decide(
        self, query: ClientQuery, limit: int, profile: Profile, over_udp: bool, client: str
    ) -> bytes | None:
        """Answer by decision, or look the answer up and judge where it leads."""
        asked = Query(query.question.name, query.question.qtype)
        if self.observe is not None:
            self.observe(asked.name, asked.qtype, profile.slug, client)
        now = self.now()
        until = profile.moment(now).until
        decision = lift_truncation(decide(asked, profile, now), over_udp)
        target = decision.leads_to
        if decision.action is not Action.ALLOWED and target is None:
            return self.stop(query, limit, decision, profile, until)
        sent = query if target is None else replies.target_query(query, target)
        try:
            found = await self.lookup.find(sent)
        except UpstreamFailed as failure:
            self.count("failed", "upstream", school=profile.school)
            return replies.failed(query, limit, failure.rcode, failure.ede)
        led_to = asked if target is None else Query(target, asked.qtype)
        reviewed = lift_truncation(
            review_answer(led_to, decision, profile, found.answer.records, self.now()), over_udp, decision
        )
        if reviewed is not decision:
            return self.stop(query, limit, reviewed, profile, until)
        self.count(decision.action, decision.rule, decision.category, profile.school)
        most = most_ttl(decision, until, self.now())
        if target is not None:
            return replies.rewritten(query, limit, decision._replace(ttl=most), found)
        return replies.forwarded(query, limit, found, most)

    def stop(
        self, query: ClientQuery, limit: int, decision: Decision, profile: Profile, until: datetime
    ) -> bytes | None:
        """The reply of a decision that needs no upstream."""
        self.count(decision.action, decision.rule, decision.category, profile.school)
        if decision.action is Action.DROPPED:
            return None
        if decision.action is Action.REWRITTEN:
            decision = decision._replace(ttl=most_ttl(decision, until, self.now()))
        return replies.decided(query, limit, decision, self.block_addresses, profile.block_mode)

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
