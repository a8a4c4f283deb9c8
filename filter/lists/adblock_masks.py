"""What names an adblock rule is about: one name where that is what its mask comes to, a pattern for RE2 otherwise.

The engines that these lists are written for match a name as if it were the address ``http://name``. So ``^`` (any
separator) can only be the end of the name, ``://`` and ``/sub.`` its start, and a mask with a path in it matches
nothing: it is refused, not widened to its host.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

import re2

from filter.addresses import is_private
from filter.lists.domains import LISTED
from filter.lists.entries import Match
from filter.lists.refused import RuleRefused
from filter.lists.suffixes import is_known_suffix
from filter.names import LONGEST, NameRefused, clean_name, to_ascii
from filter.rules import PATTERN_MEMORY, PatternRefused, check_pattern, quiet_options

START = re.compile(r"(?:https?)?://|/(?=[a-z0-9.-]{2,}\.\Z)")
"""Written as an address, but about the start of the name: ``://104.154.``, ``/sub.``"""
CLOSED = re.compile(r"(?:\^\*?|\|)+\Z")
ELSEWHERE = re.compile(r"[/:?=&%@^|]")
"""What no name holds: the mask is about a path, or a separator that names do not have."""
PLAIN = re.compile(r"[a-z0-9_.*-]+")
ROOT = r"^\.?$"
"""``|.^``: the root itself, for lists that close ``NS .``"""
PROBES = tuple(
    f"{word}.{suffix}"
    for suffix in ("com", "net", "org", "info", "io", "fr", "eu", "gouv.fr", "ac-amiens.fr", "example")
    for word in ("zqxwv7kd", "b-19-tkrh.qqlo2vnmwp")
)
"""Names that no list means. A rule that matches both of a suffix blocks whatever is there."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The names a rule is about: those of ``anchor`` as ``match`` says, or those ``pattern`` is found in, or all."""

    anchor: str | None = None
    match: Match = Match.WITH_BELOW
    pattern: str | None = None
    network: str = ""
    """Not names but answers: the rule is about an address."""

    @property
    def is_too_wide(self) -> bool:
        """Whether it takes in all of a top-level domain, or everything."""
        if self.anchor is not None or self.network:
            return False
        if self.pattern is None:
            return True
        found = re2.compile(self.pattern, quiet_options(PATTERN_MEMORY))
        pairs = zip(PROBES[::2], PROBES[1::2], strict=True)
        return any(found.search(one) and found.search(other) for one, other in pairs)


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask taken apart."""

    head: str
    """``||``: where a label starts; ``|``: where the name starts; nothing: anywhere."""
    body: str
    floats: bool
    """A star came before the body."""
    runs_on: bool
    """A star came after it."""
    closed: bool
    """It ends where the name ends."""


def read_mask(text: str, exception: bool = False) -> Subject:
    """What a mask is about. Raises RuleRefused."""
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        return Subject(pattern=read_expression(text[1:-1]))
    mask = take_apart(text.lower())
    if not mask.body:
        return Subject()
    if ELSEWHERE.search(mask.body):
        return read_bracketed(mask)
    if not (mask.floats or mask.runs_on) and (network := read_network(mask.body)):
        return Subject(network=network)
    if mask == Mask("|", ".", floats=False, runs_on=False, closed=True):
        return Subject(pattern=ROOT)
    return read_anchor(mask, exception) or Subject(pattern=read_stars(mask))


def read_expression(text: str) -> str:
    """A regular expression, whatever its letters' case. Raises RuleRefused when RE2 cannot run it in linear time."""
    if "://" in text.replace("\\", ""):
        raise RuleRefused("path_rule")
    try:
        check_pattern(f"(?i){text}")
    except PatternRefused as error:
        raise RuleRefused(error.reason) from error
    return f"(?i){text}"


def take_apart(text: str) -> Mask:
    """Where a mask begins and ends, and what is between."""
    if text.endswith("/*"):
        text = f"{text[:-2]}^"
    head = "||" if text.startswith("||") else "|" if text.startswith("|") else ""
    rest = text[len(head) :]
    if not head and (found := START.match(rest)):
        head, rest = "|", rest[found.end() :]
    end = CLOSED.search(rest)
    rest = rest[: end.start()] if end else rest
    floats, runs_on = rest.startswith("*"), rest.endswith("*")
    closed = end is not None and not runs_on
    return Mask("" if floats else head, rest.strip("*"), floats, runs_on, closed)


def read_bracketed(mask: Mask) -> Subject:
    """``||[2001:db8::1]^``: the one thing with colons that DNS sees, in answers."""
    if not (mask.floats or mask.runs_on) and (network := read_network(mask.body.strip("[]"))):
        return Subject(network=network)
    raise RuleRefused("path_rule")


def read_network(text: str) -> str:
    """The network of one address, "" when it is none. Raises RuleRefused for addresses of no one place."""
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    if is_private(address.packed):
        raise RuleRefused("ip_address")
    return str(ip_network(address))


def read_anchor(mask: Mask, exception: bool) -> Subject | None:
    """The mask as one name, when it comes to that; None when only a pattern can say it.

    ``||name`` without ``^`` is taken as ``||name^``, and ``@@name`` too: engines also let them match
    ``name.example.org``, which no author of a list means.
    """
    body = mask.body
    if is_written_out(mask):
        body = body[:-1]
    if mask.runs_on or "*" in body or body.endswith("."):
        return None
    if mask.head == "||":
        return Subject(read_name(body)) if mask.closed or "." in body else None
    if mask.head == "|":
        return Subject(read_name(body), Match.EXACT) if mask.closed else None
    if body.startswith("."):
        return Subject(read_name(body[1:]), Match.BELOW)
    if mask.closed or mask.floats:
        return None
    return Subject(read_name(body), Match.WITH_BELOW if exception else Match.EXACT)


def is_written_out(mask: Mask) -> bool:
    """Whether it is a bare name with the root's dot, ``www.example.org.``, as lists of plain names have it: of several
    labels, the last of which is a top-level domain. Anything else that ends in a dot is the start of names."""
    top = mask.body[:-1].rpartition(".")
    return (
        mask.body.endswith(".")
        and not (mask.head or mask.floats or mask.runs_on or mask.closed)
        and bool(top[0])
        and is_known_suffix(top[2])
    )


def read_name(text: str) -> str:
    """One whole name; a single label will do, and a hyphen may be anywhere, as in plain lists. Raises RuleRefused."""
    if text.startswith("."):  # no label is empty: no name is like that
        raise RuleRefused("invalid_name")
    try:
        name = text if text.isascii() else to_ascii(text)
        bare = name.removesuffix(".")
        return bare if is_listed(bare) else clean_name(name)
    except NameRefused as refusal:
        if refusal.reason == "bare_label":
            return bare
        raise RuleRefused(refusal.reason) from refusal


def is_listed(name: str) -> bool:
    """Whether plain lists may have the name."""
    return len(name) <= LONGEST and LISTED.fullmatch(name) is not None and not name.rpartition(".")[2].isdigit()


def read_stars(mask: Mask) -> str:
    """The mask as RE2 has it. Raises RuleRefused for letters that no name in DNS has."""
    if PLAIN.fullmatch(mask.body) is None:
        raise RuleRefused("unsupported_syntax" if mask.body.isascii() else "bad_pattern")
    start = {"||": r"(?:^|\.)", "|": "^", "": ""}[mask.head]
    pattern = start + re.sub(r"\*+", ".*", mask.body.replace(".", r"\.")) + ("$" if mask.closed else "")
    try:
        check_pattern(pattern)
    except PatternRefused as error:
        raise RuleRefused(error.reason) from error
    return pattern
