"""What list readers yield: names that the table of hashes holds, addresses, and rules that neither can say."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Match(IntEnum):
    """Which names an entry speaks of. The numbers are those of the bundle."""

    WITH_BELOW = 0
    """The name and everything under it: ``||example.org^``, and plain lists."""
    EXACT = 1
    """The name alone: hosts files, ``|example.org^``, RPZ without a wildcard."""
    BELOW = 2
    """Everything under it, not the name: ``*.example.org`` of RPZ."""


@dataclass(frozen=True, slots=True)
class NameEntry:
    """One name, as filter.names compares them."""

    name: str
    match: Match = Match.WITH_BELOW
    allows: bool = False
    """An exception: it lifts what lists of the same category block."""
    important: bool = False
    """Beats exceptions that are not important themselves."""


@dataclass(frozen=True, slots=True)
class AddressEntry:
    """Answers that lead to this network are blocked, or kept (``allows``): IP lists, ``rpz-ip``."""

    network: str
    """``192.0.2.0/24`` or ``2001:db8::/48``, without host bits."""
    allows: bool = False


class ReplyKind(StrEnum):
    """What a rule wants answered, whatever the profile's block mode."""

    NXDOMAIN = "nxdomain"
    NODATA = "nodata"
    REFUSED = "refused"
    DROP = "drop"
    """No reply at all."""
    TRUNCATE = "truncate"
    """Over UDP an empty reply with TC set, so that the client comes back by TCP; over TCP an ordinary answer."""
    CNAME = "cname"
    RECORDS = "records"


@dataclass(frozen=True, slots=True)
class ReplyRecord:
    """One record of a local answer: a type's number and its value as zone files write it."""

    qtype: int
    value: str


@dataclass(frozen=True, slots=True)
class RuleReply:
    """``$dnsrewrite`` or the action of an RPZ rule."""

    kind: ReplyKind
    target: str = ""
    """Of CNAME; ``*.example.org`` keeps the labels that the wildcard matched (RPZ)."""
    records: tuple[ReplyRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleEntry:
    """What a hashed name cannot say: a pattern, a type, an exception to itself, a reply of its own.

    It speaks of a query when its anchor and its pattern match, the type is one of ``types`` (none: any) and none of
    ``not_types``, and the name is not at or below one of ``except_below``. One with a ``network`` speaks of answers.
    """

    text: str
    """As the list writes it: what ``explain`` shows."""
    anchor: str | None = None
    """A name, matched as ``match`` says. None: only the pattern decides."""
    match: Match = Match.WITH_BELOW
    pattern: str | None = None
    """RE2 syntax, searched in the lower-case name."""
    types: tuple[int, ...] = ()
    not_types: tuple[int, ...] = ()
    except_below: tuple[str, ...] = ()
    allows: bool = False
    important: bool = False
    reply: RuleReply | None = None
    lifts_replies: bool = False
    """With ``allows``: it lifts rules with this very ``reply`` (None: any reply) and blocks and allows nothing else."""
    network: str | None = None
    """Not names but answers that lead to this network, written as in AddressEntry; without anchor, pattern and
    ``except_below``. For what AddressEntry cannot say: a reply of its own (``rpz-ip``)."""


Entry = str | NameEntry | AddressEntry | RuleEntry
"""A plain str is the commonest entry, spelt cheaply: NameEntry(str)."""
