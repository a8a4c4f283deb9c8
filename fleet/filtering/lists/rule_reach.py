"""What a list says beyond plain names, and would do to everybody: rules, exceptions and networks that reach far."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry
from filter.lists.popular import Group, popular_names
from filter.names import suffixes
from filter.rules import RuleTable, speaks_of_type

WEB_TYPES = (1, 28)
"""A and AAAA: whoever refuses these closes a site."""
OFTEN_BELOW = ("www.", "m.", "mail.", "login.", "accounts.", "api.", "cdn.", "static.")
"""What popular sites are made of: a pattern on ``cdn`` alone closes them as well."""
WIDEST = {4: 16, 6: 32}
"""IP version -> the shortest prefix that needs nobody's look: more addresses than that have many owners."""
MOST_LIFTED = 20
"""Names of its own list that one exception may lift unseen."""


@dataclass(slots=True)
class Reach:
    """Entries to be judged once the whole list was read."""

    rules: list[RuleEntry] = field(default_factory=list)
    """Rules that block."""
    lifting: set[str] = field(default_factory=set)
    """Exceptions that need a look whatever they lift, as the list writes them."""
    allowed: dict[str, str] = field(default_factory=dict)
    """Name below which everything is lifted -> the exception as the list writes it."""
    wide: set[str] = field(default_factory=set)
    """Networks that are too wide."""

    def add(self, entry: Entry) -> None:
        """Note what is more than a name to block."""
        if isinstance(entry, RuleEntry):
            self.add_rule(entry)
        elif isinstance(entry, AddressEntry):
            self.add_network(entry.network, entry.network, allows=entry.allows)
        elif isinstance(entry, NameEntry) and entry.allows and entry.match is not Match.EXACT:
            self.allowed[entry.name] = f"@@||{entry.name}^"

    def add_rule(self, rule: RuleEntry) -> None:
        """Note a rule that blocks, or an exception."""
        if rule.network is not None:
            self.add_network(rule.network, rule.text, allows=rule.allows)
        elif not rule.allows:
            self.rules.append(rule)
        elif rule.lifts_replies:
            return  # such an exception gives back what an answer of the list's own took, and nothing else
        elif rule.anchor is None:
            self.lifting.add(rule.text)
        elif rule.match is not Match.EXACT:
            self.allowed[rule.anchor] = rule.text

    def add_network(self, network: str, text: str, *, allows: bool) -> None:
        """Note a network with more addresses than one owner has."""
        parsed = ip_network(network)
        if parsed.prefixlen < WIDEST[parsed.version]:
            (self.lifting if allows else self.wide).add(text)

    def popular(self) -> Iterator[str]:
        """Popular names that a rule would close, themselves or what they are made of."""
        blocking = [(0, rule) for rule in self.rules if any(speaks_of_type(rule, qtype) for qtype in WEB_TYPES)]
        table = RuleTable(blocking)
        for name, group in popular_names().items() if blocking else ():
            below = OFTEN_BELOW if group is Group.COMMON else OFTEN_BELOW[:1]
            probes = (name, *(before + name for before in below))
            if any(table.matching(probe, qtype) for probe in probes for qtype in WEB_TYPES):
                yield name

    def lifts(self, entries: Iterable[Entry]) -> set[str]:
        """Exceptions that lift much of the list whose entries these are, or that nobody can say what they lift."""
        lifted = Counter(text for entry in entries if self.allowed for text in self.lifted_by(entry))
        return self.lifting | {text for text, number in lifted.items() if number > MOST_LIFTED}

    def lifted_by(self, entry: Entry) -> Iterator[str]:
        """The exceptions that lift a name of the list."""
        name = entry if isinstance(entry, str) else entry.name if isinstance(entry, NameEntry) else None
        if name is None or (isinstance(entry, NameEntry) and entry.allows):
            return
        for parent in suffixes(name):
            if (text := self.allowed.get(parent)) is not None:
                yield text
