"""Of which names some rule beside the lists speaks: these are decided in Python, once each.

Rather too many than one too few: where the plane finds none of these suffixes, it relies on the lists alone.
"""

from collections.abc import Iterable, Iterator

from filter.deciding.profiles import Moment, Profile
from filter.deciding.safesearch import SAFE_SEARCH, YOUTUBE_NAMES
from filter.deciding.special import SPECIAL_NAMES
from filter.domains import hash_name
from filter.policy import CLOSED_NAMES
from filter.rules import RuleTable
from filter.serving.resolving.probing import ZONE
from filter.settings import YouTube


def spoken_names(profile: Profile, moment: Moment, rules: RuleTable) -> Iterator[str]:
    """Names of which, or of something under which, a rule speaks."""
    yield ZONE
    yield from SPECIAL_NAMES
    yield from profile.private_names
    if profile.closes_bypass:
        yield from CLOSED_NAMES
    yield from moment.overrides
    yield from profile.names
    yield from (pattern.removeprefix("*.") for pattern in profile.rewrites.known)
    yield from (name for name, target in SAFE_SEARCH.items() if target.engine in profile.safe_search)
    if profile.youtube is not YouTube.OFF:
        yield from YOUTUBE_NAMES
    yield from (rule.anchor for _, rule in rules.rules if rule.anchor is not None)


def speaks_of_every_name(rules: RuleTable) -> bool:
    """Whether some rule of a list has no anchor: a pattern, or everything but some names."""
    return any(rule.anchor is None and (rule.pattern is not None or rule.network is None) for _, rule in rules.rules)


class Hashes:
    """The keyed hashes of names, remembered: profiles share most of theirs."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.known: dict[str, bytes] = {}

    def pack(self, names: Iterable[str]) -> bytes:
        """8 bytes a name, each once."""
        return b"".join({name: self.find(name) for name in names}.values())

    def find(self, name: str) -> bytes:
        if (found := self.known.get(name)) is None:
            found = self.known[name] = hash_name(name.encode(), self.key).to_bytes(8, "little")
        return found
