"""Teaches the plane what Python decided: what holds for a profile, what lists say of a set, how a name is answered."""

import struct
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain, count, islice
from typing import TYPE_CHECKING

from filter.deciding.decisions import ALLOWED_BY_DEFAULT, Action, Decision, Query
from filter.deciding.profiles import Moment, Profile
from filter.names import longest_suffix
from filter.plane import outcomes
from filter.plane.handing import Classes, Handed, Reason, key_of, pack_networks, steady
from filter.plane.outcomes import Ends, Kind, Variant, micros
from filter.plane.speaking import Hashes, speaks_of_every_name, spoken_names
from filter.policy import Policy, decide, judge_lists, make_case, review_answer
from filter.serving import replies, wire
from filter.serving.handler import Handler
from filter.serving.resolving.cache import CacheKey, Found, keep
from filter.serving.resolving.probing import ZONE
from filter.serving.wire import ClientQuery, WireError

if TYPE_CHECKING:
    from filter.plane._plane import Plane

LESSON_RUNS, EVERY_NAME_IS_SPOKEN_OF, ADDRESSES_ARE_PYTHONS = 1, 2, 4
MOST_AT_ONCE = 64
"""Profiles taught when a policy is installed; others when somebody of theirs asks."""
UNTIL_DUE = 900_000
"""Microseconds for each second of an answer's TTL: after that Python may fetch it ahead, and has to be asked for it."""
SETTLED = timedelta(seconds=replies.REWRITTEN_TTL)
"""So long before a moment ends, what leads elsewhere is told for less and less time."""


class Teacher:
    """Knows what the plane was told, for the policy that it was last given."""

    def __init__(self, plane: "Plane", handler: Handler, zones: Sequence[str] = ()) -> None:
        """``zones``: names under which resolvers of their own are asked, which only Python does."""
        self.plane = plane
        self.handler = handler
        self.zones = frozenset(zones)
        self.classes = Classes(plane)
        self.slugs: list[str] = []
        self.policy: Policy | None = None
        self.profiles: list[Profile] = []
        self.places: dict[int, int] = {}
        """id() of a profile -> its place; the profiles are kept, so none takes another's."""
        self.taught: dict[int, tuple[Moment, int]] = {}
        """Place of a profile -> its moment and the moment's number."""
        self.numbers = count(1)
        self.hashes = Hashes(b"")

    def install(self, policy: Policy) -> None:
        """Judge by this policy from the next batch on."""
        clients = (policy.networks.default, *policy.networks.known.values())
        self.profiles = list({id(profile): profile for profile in clients}.values())
        self.places = {id(profile): place for place, profile in enumerate(self.profiles)}
        self.taught = {}
        names = policy.names
        if self.hashes.key != names.header.key:
            self.hashes = Hashes(names.header.key)
        self.policy = policy
        self.plane.install(
            names.header.key, names.header.fanout_bits, names.header.set_id_size, names.names, len(names.sets),
            names.fanout, names.hashes, names.set_ids, names.addresses.section,
            pack_networks(policy.networks, self.places), self.places[id(policy.networks.default)], len(self.profiles),
        )  # fmt: skip
        now = self.handler.now()
        for profile in islice(self.profiles, MOST_AT_ONCE):
            self.teach_moment(profile, now)

    def teach_moment(self, profile: Profile, now: datetime) -> int:
        """The number of what holds for a profile now; the plane is told when it is new."""
        place, moment = self.places[id(profile)], profile.moment(now)
        known = self.taught.get(place)
        if known is not None and known[0] is moment:
            return known[1]
        number = next(self.numbers)
        self.taught[place] = moment, number
        rules = moment.verdicts.index.rules
        flags = LESSON_RUNS if moment.lesson is not None else 0
        flags |= EVERY_NAME_IS_SPOKEN_OF if speaks_of_every_name(rules) else 0
        flags |= ADDRESSES_ARE_PYTHONS if rules.networks.rules else 0
        spoken = self.hashes.pack(chain(self.zones, spoken_names(profile, moment, rules)))
        silent = self.allow(ALLOWED_BY_DEFAULT, profile)
        slug = self.number_of_slug(profile.slug)
        self.plane.teach_moment(
            place, number, micros(moment.since), micros(moment.until), flags, slug, spoken, silent
        )  # fmt: skip
        return number

    def number_of_slug(self, slug: str) -> int:
        if slug not in self.slugs:
            self.slugs.append(slug)
        return self.slugs.index(slug)

    def allow(self, decision: Decision, profile: Profile, flags: int = 0) -> bytes:
        number = self.classes.number(decision, profile.school)
        return outcomes.pack_outcome(Kind.ALLOW, number, outcomes.most_ttl(decision), flags=flags)

    def learn(self, handed: Handed) -> None:
        """Teach what this packet shows to be unknown, before it is answered in Python."""
        policy = self.policy
        if policy is None or handed.reason in (Reason.ODD, Reason.PYTHON):
            return
        try:
            query = wire.read_query(handed.packet)
        except WireError:
            return
        if query.question.name.endswith(ZONE):
            return  # the handler answers our own questions before it decides
        now = self.handler.now()
        profile = policy.profile_for(handed.client)
        number = self.teach_moment(profile, now)
        if handed.message:
            self.take_over(query, handed)
        match handed.reason:
            case Reason.NAME:
                self.teach_name(query, handed, profile, number, now)
            case Reason.SETS:
                self.teach_sets(query, profile, number, now)
            case Reason.REVIEW:
                self.teach_review(query, handed, profile, number, now)

    def teach_sets(self, query: ClientQuery, profile: Profile, number: int, now: datetime) -> None:
        """What the lists say when a name and its parents are in these sets."""
        asked = Query(query.question.name, query.question.qtype)
        case = make_case(asked, profile, now)
        said, decision = judge_lists(case), decide(asked, profile, now)
        if said != (None if decision == ALLOWED_BY_DEFAULT else decision):
            return  # some other rule spoke
        found = case.moment.verdicts.index.domains.find_sets(case.suffixes)
        ids = struct.pack(f"<{len(found)}I", *(set_id for _, set_id in found))
        itself = bool(found) and found[0][0] == asked.name
        outcome = self.outcome_of(query, outcomes.EVERY_TYPE, decision, profile, now)
        self.plane.teach_sets(self.places[id(profile)], number, itself, ids, outcome)

    def teach_name(self, query: ClientQuery, handed: Handed, profile: Profile, number: int, now: datetime) -> None:
        """How this very question is answered."""
        asked = Query(query.question.name, query.question.qtype)
        decision = decide(asked, profile, now)
        self.plane.teach_name(number, handed.packet, self.outcome_of(query, [asked.qtype], decision, profile, now))

    def outcome_of(
        self, query: ClientQuery, qtypes: Sequence[int], decision: Decision, profile: Profile, now: datetime
    ) -> bytes:
        """A decision that needs no answer of an upstream, or the allowance of one."""
        kind = outcomes.kind_of(decision)
        ends, variants = outcomes.FOREVER, list[Variant]()
        if kind is Kind.ALLOW:
            forwarded = longest_suffix(query.question.name, self.zones) is not None
            return self.allow(decision, profile, outcomes.ASKS_PYTHONS_RESOLVERS if forwarded else 0)
        if kind is Kind.REPLY:
            if decision.action is Action.REWRITTEN:
                ends = Ends(wall=micros(profile.moment(now).until - SETTLED))
                decision = decision._replace(ttl=outcomes.most_ttl(decision))
            addresses, mode = self.handler.block_addresses, profile.block_mode
            variants = outcomes.decided_variants(query, qtypes, decision, addresses, mode)
            kind = check_size(kind, variants)
        number = self.classes.number(decision, profile.school)
        return outcomes.pack_outcome(kind, number, 0, ends, variants if kind is Kind.REPLY else ())

    def take_over(self, query: ClientQuery, handed: Handed) -> None:
        """Put the plane's answer where Python looks for one, unless a newer one is there."""
        cache, key = self.handler.lookup.cache, key_of(query)
        known = cache.kept.get(key)
        if known is not None and steady(known.stored_at) >= handed.stored:
            return
        try:
            answer = wire.read_answer(handed.message)
            kept = keep(answer, key.dnssec_ok)
        except WireError:
            return
        if answer.truncated:
            return
        if kept.ttl > 0:  # a failure is no reason to forget what was known
            cache.put(key, kept, handed.stored / 1_000_000)
        elif kept.answers and answer.rcode in {wire.NOERROR, wire.NXDOMAIN}:
            self.handler.lookup.lend(key, kept)

    def teach_review(self, query: ClientQuery, handed: Handed, profile: Profile, number: int, now: datetime) -> None:
        """Whether the answer that the plane has passes; if not, what is answered instead as long as it is kept."""
        found = self.find_fresh(key_of(query), handed.stored)
        asked = Query(query.question.name, query.question.qtype)
        decision = decide(asked, profile, now)
        if found is None or decision.action is not Action.ALLOWED:
            return
        reviewed = review_answer(asked, decision, profile, found.answer.records, now)
        if reviewed is decision:
            self.plane.pass_review(number, handed.packet, handed.stored)
            return
        outcome = self.stopped(query, reviewed, profile, now, handed.stored + found.answer.ttl * 1_000_000)
        self.plane.teach_name(number, handed.packet, outcome)

    def stopped(self, query: ClientQuery, decision: Decision, profile: Profile, now: datetime, clock_end: int) -> bytes:
        """Instead of an answer that leads where it must not, as long as that answer is kept; a cache hit each time."""
        kind = outcomes.kind_of(decision)
        variants = list[Variant]()
        wall = micros(profile.moment(now).until - SETTLED) if decision.action is Action.REWRITTEN else outcomes.NEVER
        if kind is Kind.REPLY:
            if decision.action is Action.REWRITTEN:
                decision = decision._replace(ttl=outcomes.most_ttl(decision))
            addresses, mode = self.handler.block_addresses, profile.block_mode
            variants = outcomes.decided_variants(query, [query.question.qtype], decision, addresses, mode)
            kind = check_size(kind, variants)
        number = self.classes.number(decision, profile.school)
        ends, flags = Ends(wall, clock_end), outcomes.COUNTS_CACHE_HIT
        return outcomes.pack_outcome(kind, number, 0, ends, variants if kind is Kind.REPLY else (), flags)

    def find_fresh(self, key: CacheKey, stored: int | None = None) -> Found | None:
        """The answer in Python's cache, if it is fresh and the one that came then."""
        lookup = self.handler.lookup
        known = lookup.cache.kept.get(key)
        if known is None or (stored is not None and steady(known.stored_at) != stored):
            return None
        age = int(lookup.clock() - known.stored_at)
        return None if age >= known.answer.ttl else Found(known.answer, age, is_stale=False)

    def teach_rewritten(self, handed: Handed) -> None:
        """How a name is answered that leads to another, once that one was looked up."""
        policy = self.policy
        if policy is None or handed.reason not in (Reason.NAME, Reason.PYTHON):
            return
        query = wire.read_query(handed.packet)
        now, profile = self.handler.now(), policy.profile_for(handed.client)
        asked = Query(query.question.name, query.question.qtype)
        decision, moment = decide(asked, profile, now), profile.moment(now)
        target = decision.rewrite.target if decision.rewrite is not None and not decision.rewrite.is_final else None
        if target is None:
            return
        key = key_of(replies.target_query(query, target))
        if (found := self.find_fresh(key)) is None:
            return
        led_to = Query(target, asked.qtype)
        if review_answer(led_to, decision, profile, found.answer.records, now) is not decision:
            return
        most = min(outcomes.most_ttl(decision), replies.REWRITTEN_TTL)
        try:
            variant = outcomes.looked_up_variant(query, decision._replace(ttl=most), found)
        except WireError:  # what it would lead to cannot be told: that is an error each time
            return
        stored = steady(self.handler.lookup.cache.kept[key].stored_at)
        ends = Ends(micros(moment.until - SETTLED), stored + found.answer.ttl * UNTIL_DUE, stored)
        number, place = self.teach_moment(profile, now), self.classes.number(decision, profile.school)
        kind = check_size(Kind.REPLY, [variant])
        if kind is Kind.REPLY:
            outcome = outcomes.pack_outcome(kind, place, most, ends, [variant], outcomes.COUNTS_CACHE_HIT)
            self.plane.teach_name(number, handed.packet, outcome)


def check_size(kind: Kind, variants: list[Variant]) -> Kind:
    """What is larger than the plane keeps stays Python's."""
    fits = all(len(each.body) <= outcomes.LARGEST_BODY for each in variants)
    return kind if fits else Kind.PYTHON
