"""What happens to a query: Query, Profile, Decision, the table of RULES, decide() and review_answer(). Pure."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from filter.addresses import is_private
from filter.bundle import Bundle, BundleRefused, ListInfo
from filter.clients import NetworkInvalid, Networks
from filter.domains import DomainIndex
from filter.names import longest_suffix, suffixes
from filter.settings import PolicySettings, ProfileSettings, SettingsInvalid

QTYPE_ANY = 255


class Action(StrEnum):
    ALLOWED = "allowed"
    BLOCKED = "blocked"
    """Answered by the block page's address, or by NXDOMAIN when there is none."""
    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    LOOPBACK = "loopback"
    """``localhost`` is the machine that asks."""
    MINIMAL = "minimal"
    """ANY is answered by one small record (RFC 8482)."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question: a name as filter.names compares them, and a record type's number."""

    name: str
    qtype: int = 1


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done and which rule said so."""

    action: Action
    rule: str
    category: str | None = None
    """Slug of the category that denied or allowed."""
    suffix: str | None = None
    """The name or parent that matched."""
    lists: tuple[str, ...] = ()
    """Titles of the lists that hold it."""
    via: str | None = None
    """The name that the answer led to, when it is that one which was judged."""


ALLOWED_BY_DEFAULT = Decision(Action.ALLOWED, "default")


@dataclass(frozen=True, eq=False)  # compared by identity: a new bundle makes new profiles, and cached verdicts lapse
class Profile:
    """What one group of clients may reach, ready for look-ups in one bundle."""

    slug: str
    name: str
    index: DomainIndex
    lists: tuple[ListInfo, ...]
    sets: tuple[tuple[int, ...], ...]
    blocked_lists: frozenset[int]
    allowed_lists: frozenset[int]
    denied_names: frozenset[str]
    allowed_names: frozenset[str]
    private_names: frozenset[str]
    verdicts: tuple[Decision | None, ...]
    """Set id -> what this profile says of a name in exactly these lists; None: nothing."""


Rule = Callable[[Query, Profile, datetime], Decision | None]

SPECIAL_NAMES: dict[str, Action] = {
    "use-application-dns.net": Action.NXDOMAIN,  # Firefox then leaves its own DoH off
    "mask.icloud.com": Action.NXDOMAIN,  # iCloud Private Relay then says it is unavailable here
    "mask-h2.icloud.com": Action.NXDOMAIN,
    "mask-canary.icloud.com": Action.NXDOMAIN,
    "resolver.arpa": Action.NODATA,  # discovery of encrypted resolvers (RFC 9462): none is offered
    "localhost": Action.LOOPBACK,  # RFC 6761: asking an upstream would tell it nothing good
    "invalid": Action.NXDOMAIN,  # RFC 6761
    "onion": Action.NXDOMAIN,  # RFC 7686
}
LOCAL_SUFFIXES = frozenset({"local", "lan", "home.arpa", "internal", "localhost", "localdomain", "intranet"})
"""Names that are not public: they may have private addresses."""


def answer_any_minimally(query: Query, _profile: Profile, _now: datetime) -> Decision | None:
    return Decision(Action.MINIMAL, "any") if query.qtype == QTYPE_ANY else None


def answer_special_name(query: Query, _profile: Profile, _now: datetime) -> Decision | None:
    suffix = next((s for s in suffixes(query.name) if s in SPECIAL_NAMES), None)
    return None if suffix is None else Decision(SPECIAL_NAMES[suffix], "special_name", suffix=suffix)


def allow_own_name(query: Query, profile: Profile, _now: datetime) -> Decision | None:
    """A name that a person allowed, unless the same person denied one that is more precise."""
    allowed = longest_suffix(query.name, profile.allowed_names)
    if allowed is None:
        return None
    denied = longest_suffix(query.name, profile.denied_names)
    if denied is not None and len(denied) > len(allowed):
        return None
    return Decision(Action.ALLOWED, "own_allow", suffix=allowed)


def deny_own_name(query: Query, profile: Profile, _now: datetime) -> Decision | None:
    denied = longest_suffix(query.name, profile.denied_names)
    return None if denied is None else Decision(Action.BLOCKED, "own_deny", suffix=denied)


def judge_lists(query: Query, profile: Profile, _now: datetime) -> Decision | None:
    """The most precise entry of a list that the profile blocks or allows; allowed wins over blocked for one entry."""
    for suffix, set_id in profile.index.matches(query.name):
        if (verdict := profile.verdicts[set_id]) is not None:
            return replace(verdict, suffix=suffix)
    return None


RULES: tuple[Rule, ...] = (
    answer_any_minimally,  # cheapest, needs no profile; one small record leads nowhere
    answer_special_name,  # safety: no list and nobody can switch encrypted DNS around the filter back on
    allow_own_name,  # a person's word beats every list
    deny_own_name,
    judge_lists,
)


def decide(query: Query, profile: Profile, now: datetime) -> Decision:
    """The first rule that speaks wins."""
    return next((d for rule in RULES if (d := rule(query, profile, now)) is not None), ALLOWED_BY_DEFAULT)


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """What one record of an answer leads to."""

    owner: str
    targets: tuple[str, ...] = ()
    """Names: of a CNAME, a DNAME, or a service binding (HTTPS, SVCB)."""
    addresses: tuple[bytes, ...] = ()
    """Of A and AAAA records and of address hints, in network order."""


def review_answer(
    query: Query, decision: Decision, profile: Profile, records: Iterable[AnswerRecord], now: datetime
) -> Decision:
    """Judge where an allowed query's answer leads; return its decision, or the one that stops it.

    Names on the way are judged like queries, unless a person allowed the name that was asked for. A public name with a
    private address is answered by nothing, whoever allowed it.
    """
    seen = {query.name}
    for record in records:
        if any(map(is_private, record.addresses)) and is_public(query.name, profile):
            return Decision(Action.NODATA, "rebinding", via=record.owner)
        for name in (record.owner, *record.targets):
            if name in seen or decision.rule == "own_allow":
                continue
            seen.add(name)
            judged = decide(Query(name), profile, now)
            if judged.action is not Action.ALLOWED:
                return replace(judged, action=Action.BLOCKED, via=name)
    return decision


def is_public(name: str, profile: Profile) -> bool:
    """Whether private addresses are refused for this name."""
    return "." in name and longest_suffix(name, LOCAL_SUFFIXES | profile.private_names) is None


class Policy:
    """The profiles and networks of an open bundle."""

    def __init__(self, bundle: Bundle) -> None:
        """Precompute what each profile says of each set of lists; raise BundleRefused for a policy that is unusable."""
        self.bundle = bundle
        try:
            settings = PolicySettings.from_json(bundle.policy)
            self.profiles = {p.slug: make_profile(p, settings, bundle) for p in settings.profiles}
            self.networks = Networks(
                [(network.cidr, self.profiles[network.profile]) for network in settings.networks],
                self.profiles[settings.default_profile],
            )
        except (SettingsInvalid, NetworkInvalid, KeyError) as error:
            raise BundleRefused("invalid", f"politique inutilisable : {error}") from error

    def profile_for(self, address: str | None) -> Profile:
        """The profile of a client's address; None: of an unknown client."""
        return self.networks.default if address is None else self.networks.find(address)


def make_profile(settings: ProfileSettings, policy: PolicySettings, bundle: Bundle) -> Profile:
    """Turn category names into one verdict for each set of lists."""
    blocked = lists_of(settings.blocked_categories, bundle.lists)
    allowed = lists_of(settings.allowed_categories, bundle.lists)
    return Profile(
        slug=settings.slug,
        name=settings.name,
        index=DomainIndex(bundle),
        lists=bundle.lists,
        sets=bundle.sets,
        blocked_lists=blocked,
        allowed_lists=allowed,
        denied_names=frozenset(settings.denied_names),
        allowed_names=frozenset(settings.allowed_names),
        private_names=frozenset(policy.private_names),
        verdicts=tuple(make_verdict(members, blocked, allowed, bundle.lists) for members in bundle.sets),
    )


def lists_of(categories: Iterable[str], lists: tuple[ListInfo, ...]) -> frozenset[int]:
    """Positions of the lists of these categories."""
    wanted = set(categories)
    return frozenset(position for position, info in enumerate(lists) if info.category in wanted)


def make_verdict(
    members: tuple[int, ...], blocked: frozenset[int], allowed: frozenset[int], lists: tuple[ListInfo, ...]
) -> Decision | None:
    """What a profile says of a name that is in exactly these lists."""
    for action, rule, chosen in (
        (Action.ALLOWED, "category_allow", allowed),
        (Action.BLOCKED, "category_deny", blocked),
    ):
        if speaking := [lists[member] for member in members if member in chosen]:
            return Decision(action, rule, speaking[0].category, lists=tuple(info.title for info in speaking))
    return None


@dataclass(frozen=True, slots=True)
class Match:
    """A name or parent that lists hold, and what the profile makes of each of them."""

    suffix: str
    lists: tuple[ListInfo, ...]
    blocked: tuple[str, ...]
    """Slugs, among ``lists``, that the profile blocks."""
    allowed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The live decision on a query, with every rule that would speak and every list that knows the name."""

    query: Query
    client: str | None
    profile: Profile
    decision: Decision
    opinions: tuple[Decision, ...]
    """What each rule says by itself, in the order of RULES; the first one is the decision."""
    matches: tuple[Match, ...]


def explain(policy: Policy, query: Query, client: str | None, now: datetime) -> Explanation:
    """Decide as the server does and tell everything that was found on the way."""
    profile = policy.profile_for(client)
    opinions = tuple(d for rule in RULES if (d := rule(query, profile, now)) is not None)
    return Explanation(
        query, client, profile, decide(query, profile, now), opinions, tuple(find_matches(query, profile))
    )


def find_matches(query: Query, profile: Profile) -> Iterator[Match]:
    """Every entry of every list for the name and its parents."""
    for suffix, set_id in profile.index.matches(query.name):
        members = profile.sets[set_id]
        yield Match(
            suffix,
            tuple(profile.lists[member] for member in members),
            tuple(profile.lists[member].slug for member in members if member in profile.blocked_lists),
            tuple(profile.lists[member].slug for member in members if member in profile.allowed_lists),
        )
