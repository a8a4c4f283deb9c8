"""What lists make of a name: the entries that speak of it, weighed by what is said of their categories right now."""

import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from filter.bundle import ListInfo, NamesFile
from filter.deciding.decisions import Action, Decision, Rewrite
from filter.deciding.listreplies import read_replies
from filter.domains import DomainIndex
from filter.lists.entries import Match, RuleEntry, RuleReply
from filter.rules import RuleTable
from filter.settings import OverrideSettings, Verdict


class Said(NamedTuple):
    """What is said of a category now, and by whom."""

    verdict: Verdict
    layer: str = ""
    schedule: str = ""
    """Name of the schedule by which it holds."""
    override: OverrideSettings | None = None


Sayings = Mapping[str, Said]
"""Category -> what is said of it; those of which nothing is said may be missing."""


class Hit(NamedTuple):
    """One list entry that speaks of a name or an address."""

    position: int
    """Of its list."""
    precision: int
    """The more, the more precise: length of the name that the entry holds, or of the network's prefix."""
    suffix: str
    """The name that the entry holds, or its network."""
    match: Match = Match.WITH_BELOW
    allows: bool = False
    important: bool = False
    rule: RuleEntry | None = None

    @property
    def entry(self) -> str:
        """The list's own line, or what it would be in adblock syntax: hashed names keep no text."""
        if self.rule is not None:
            return self.rule.text
        name = f"*.{self.suffix}" if self.match is Match.BELOW else self.suffix
        return f"{'@@' if self.allows else ''}{name}{'$important' if self.important else ''}"

    @property
    def reply(self) -> RuleReply | None:
        return None if self.rule is None else self.rule.reply

    @property
    def lifts_replies(self) -> bool:
        return self.rule is not None and self.rule.lifts_replies


class NamesIndex:
    """The look-ups of an open names file, shared by all profiles."""

    def __init__(self, names: NamesFile) -> None:
        self.names: Final = names
        self.lists: Final = names.lists
        self.sets: Final = names.sets
        self.domains: Final = DomainIndex(names)
        self.rules: Final = RuleTable(names.rules)
        self.knows_addresses: Final = bool(len(names.addresses) or self.rules.networks.lengths)

    def find_hits(self, name: str, qtype: int, suffixes: Sequence[str]) -> list[Hit]:
        """Every entry of every list that speaks of the name, the most precise first."""
        hits = [
            hit
            for suffix, set_id in self.domains.find_sets(suffixes)
            for hit in self.hits_of(set_id, suffix, is_itself=suffix == name)
        ]
        hits += (rule_hit(position, rule, name) for position, rule in self.rules.matching(name, qtype))
        return sorted(hits, key=lambda hit: (-hit.precision, hit.position))

    def hits_of(self, set_id: int, suffix: str, *, is_itself: bool) -> list[Hit]:
        """Entries for one name of the table that speak of itself, or of what is under it."""
        silent = Match.BELOW if is_itself else Match.EXACT
        return [
            Hit(member.position, len(suffix), suffix, member.match, member.allows, member.important)
            for member in self.sets[set_id]
            if member.match is not silent
        ]

    def find_address_hits(self, packed: bytes, qtype: int) -> list[Hit]:
        """What each list says of an address (4 or 16 bytes): its entries for the longest prefix that holds it."""
        hits = [
            Hit(member.position, length_of(network), network, allows=member.allows)
            for network, set_id in self.names.find_address_sets(packed)
            for member in self.sets[set_id]
        ]
        hits += (answer_hit(position, rule) for position, rule in self.rules.networks.leading_to(packed, qtype))
        longest: dict[int, int] = {}
        for hit in hits:
            longest[hit.position] = max(hit.precision, longest.get(hit.position, 0))
        return [hit for hit in hits if hit.precision == longest[hit.position]]


def rule_hit(position: int, rule: RuleEntry, name: str) -> Hit:
    """A rule without an anchor is the least precise where it blocks, and names this very name where it allows."""
    precision = len(rule.anchor) if rule.anchor is not None else len(name) if rule.allows else 0
    return Hit(position, precision, rule.anchor or name, rule.match, rule.allows, rule.important, rule)


def answer_hit(position: int, rule: RuleEntry) -> Hit:
    """A rule about answers that lead to its network."""
    network = rule.network or ""
    return Hit(position, length_of(network), network, allows=rule.allows, important=rule.important, rule=rule)


def length_of(network: str) -> int:
    """Of its prefix: 24 of ``192.0.2.0/24``."""
    return int(network.rpartition("/")[2])


class SetVerdicts(dict[int, tuple[Decision, str] | None]):
    """Set id -> the decision when a name is in this set alone, and its entry's text; computed when first met."""

    def __init__(self, verdicts: "Verdicts", *, is_itself: bool) -> None:
        super().__init__()
        self.verdicts = weakref.proxy(verdicts)  # no cycle: what is replaced goes at once, and its mapped file with it
        self.is_itself = is_itself

    def __missing__(self, set_id: int) -> tuple[Decision, str] | None:
        hits = self.verdicts.index.hits_of(set_id, "%s", is_itself=self.is_itself)
        decision: Decision | None = self.verdicts.weigh(hits, "", 0)
        made = self[set_id] = None if decision is None else (decision, decision.entry)
        return made


class Verdicts:
    """What lists say under one set of sayings: made once for each that comes up, kept while its policy is open."""

    def __init__(self, index: NamesIndex, sayings: Sayings) -> None:
        self.index = index
        self.said = tuple(
            said if (said := sayings.get(info.category)) is not None and said.verdict is not Verdict.NEUTRAL else None
            for info in index.lists
        )
        self.itself = SetVerdicts(self, is_itself=True)
        self.above = SetVerdicts(self, is_itself=False)

    def judge(self, name: str, qtype: int, suffixes: Sequence[str]) -> Decision | None:
        """What the lists say of a query; None: nothing."""
        index = self.index
        rules = index.rules.rules and index.rules.matching(name, qtype)
        found = index.domains.find_sets(suffixes)
        if not found and not rules:
            return None
        if rules or len(found) > 1:
            return self.weigh(index.find_hits(name, qtype, suffixes), name, qtype)
        suffix, set_id = found[0]
        known = (self.itself if suffix == name else self.above)[set_id]
        return None if known is None else with_suffix(*known, suffix)

    def judge_address(self, packed: bytes, name: str, qtype: int, suffixes: Sequence[str]) -> Decision | None:
        """What lists say of an address (4 or 16 bytes) that the answer to a query leads to; None: nothing against it.

        An exception for the name lifts the addresses of its category, and an allowed category that holds the name
        lifts all: a name is one site, and an address whatever shares its server.
        """
        if not self.index.knows_addresses:
            return None
        hits = self.index.find_address_hits(packed, qtype)
        if not hits:
            return None
        spared = set()
        for hit in self.index.find_hits(name, qtype, suffixes):
            said = self.said[hit.position]
            if said is not None and said.verdict is Verdict.ALLOW and not hit.lifts_replies:
                return None
            if hit.allows and not hit.lifts_replies:
                spared.add(self.category_of(hit))
        decision = self.weigh([hit for hit in hits if self.category_of(hit) not in spared], name, qtype)
        return None if decision is None or decision.action is Action.ALLOWED else decision

    def weigh(self, hits: Iterable[Hit], name: str, qtype: int) -> Decision | None:
        """An allowed category beats a blocked one whose entry is not more precise; each category first speaks alone."""
        allowed, blocked = [], []
        for _, of_category in groupby(sorted(hits, key=self.category_of), key=self.category_of):
            group = list(of_category)
            said = self.said[group[0].position]
            if said is not None and said.verdict is Verdict.ALLOW:
                allowed += [sharpened(hit, name) for hit in group if not hit.lifts_replies]
            elif said is not None:
                blocked += standing(group)
        best = max((hit.precision for hit in blocked), default=-1)
        if top := most_precise(hit for hit in allowed if hit.precision >= best):
            return self.make_decision(Action.ALLOWED, top)
        return self.block(most_precise(blocked), name, qtype) if blocked else None

    def category_of(self, hit: Hit) -> str:
        return self.index.lists[hit.position].category

    def block(self, hits: list[Hit], name: str, qtype: int) -> Decision:
        """The profile's own way to block, unless only entries with replies of their own stand."""
        if plain := [hit for hit in hits if hit.reply is None]:
            return self.make_decision(Action.BLOCKED, plain)
        action, rewrite = read_replies([hit.reply for hit in hits if hit.reply is not None], name, qtype)
        return self.make_decision(action, hits, rewrite)

    def make_decision(self, action: Action, hits: list[Hit], rewrite: Rewrite | None = None) -> Decision:
        first = hits[0]
        said = self.said[first.position] or Said(Verdict.NEUTRAL)
        override = said.override
        way = "allow" if action is Action.ALLOWED else "deny"
        return Decision(
            action,
            "override" if override is not None else f"category_{way}",
            category=self.category_of(first),
            suffix=first.suffix,
            lists=tuple(dict.fromkeys(info.title for info in self.infos(hits))),
            layer=said.layer,
            schedule=said.schedule,
            reason="" if override is None else override.reason,
            until=None if override is None else override.ends,
            entry=first.entry,
            rewrite=rewrite,
        )

    def infos(self, hits: Iterable[Hit]) -> Iterator[ListInfo]:
        return (self.index.lists[hit.position] for hit in hits)


def with_suffix(decision: Decision, entry: str, suffix: str) -> Decision:
    """The decision for a name under ``suffix``; written out because it is the commonest way to block."""
    return Decision(
        decision.action,
        decision.rule,
        decision.category,
        suffix,
        decision.lists,
        None,
        decision.layer,
        decision.schedule,
        decision.reason,
        decision.until,
        None,
        entry.replace("%s", suffix),
    )


def sharpened(hit: Hit, name: str) -> Hit:
    """In a category that allows, a pattern names the very name that it was found in."""
    is_pattern = hit.rule is not None and hit.rule.anchor is None and hit.rule.network is None
    return hit._replace(precision=len(name)) if is_pattern else hit


def most_precise(hits: Iterable[Hit]) -> list[Hit]:
    """Those of the greatest precision, in the order of their lists."""
    ordered = sorted(hits, key=lambda hit: (-hit.precision, hit.position))
    return [hit for hit in ordered if hit.precision == ordered[0].precision]


def standing(hits: Sequence[Hit]) -> list[Hit]:
    """What blocks in one category, once its exceptions were heard: adblock's order.

    Replies of a list come before its plain entries, and only ``lifts_replies`` takes them back; but where an earlier
    list speaks, nobody hears the replies of a later one: so do policy zones. Then: important exceptions, important
    blocks, exceptions, blocks, however deep they are and whatever list they are in.
    """
    lifting = [hit for hit in hits if hit.lifts_replies]
    plain = [hit for hit in hits if hit.reply is None and not hit.lifts_replies]
    replies = [hit for hit in hits if hit.reply is not None and not hit.allows and not is_lifted(hit, lifting)]
    first = min((hit.position for hit in (*plain, *replies)), default=0)
    if own := [hit for hit in replies if hit.position == first]:
        return most_precise(own)
    excepted = [hit for hit in plain if hit.allows]
    blocks = [hit for hit in plain if not hit.allows]
    if any(hit.important for hit in excepted):
        return []
    return [hit for hit in blocks if hit.important] if excepted else blocks


def is_lifted(hit: Hit, lifting: Iterable[Hit]) -> bool:
    """Whether an exception takes back this reply; one that is important only an important one does."""
    return any(
        exception.reply in (None, hit.reply) and (exception.important or not hit.important) for exception in lifting
    )
