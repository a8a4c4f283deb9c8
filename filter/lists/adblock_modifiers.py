"""What the modifiers of an adblock rule mean for DNS; a rule with one that is not known here is left out whole."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from filter.lists.entries import ReplyKind, RuleReply
from filter.lists.records import AAAA, CNAME, TXT, A, read_record, read_target, read_type
from filter.lists.refused import RuleRefused
from filter.names import VALID, NameRefused, to_ascii

CLIENTS = frozenset(("client", "ctag"))
"""Who a rule is for is decided by profiles here, not by lists."""
CODES: Mapping[str, ReplyKind] = {
    "NOERROR": ReplyKind.NODATA,
    "NXDOMAIN": ReplyKind.NXDOMAIN,
    "REFUSED": ReplyKind.REFUSED,
    "SERVFAIL": ReplyKind.REFUSED,  # both say "not from me"; a failure of ours would be looked for in vain
}
MOST_EXCEPTIONS = 1000


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What a rule says besides the names it is about."""

    important: bool = False
    types: tuple[int, ...] = ()
    not_types: tuple[int, ...] = ()
    except_below: tuple[str, ...] = ()
    rewrites: bool = False
    """``$dnsrewrite`` is there."""
    reply: RuleReply | None = None
    """Its value; None in an exception that lifts them all."""

    @property
    def narrows(self) -> bool:
        """Whether the rule is about less than every question for its names."""
        return bool(self.types or self.not_types or self.except_below)


def read_modifiers(options: Sequence[tuple[str, str]]) -> Modifiers:
    """All modifiers of a rule. Raises RuleRefused for unknown ones and for wrong values."""
    modifiers = Modifiers()
    for name, value in options:
        read = READERS.get(name)
        if read is None:
            raise RuleRefused("not_applicable_client" if name in CLIENTS else "unsupported_modifier")
        try:
            modifiers = read(modifiers, value)
        except RuleRefused as error:
            raise RuleRefused("unsupported_modifier") from error
    return modifiers


def read_important(modifiers: Modifiers, value: str) -> Modifiers:
    if value:
        raise RuleRefused("unsupported_modifier")
    return replace(modifiers, important=True)


def read_dnstype(modifiers: Modifiers, value: str) -> Modifiers:
    """``A|AAAA`` or ``~A|~AAAA``; in a mix only those without ``~`` count, as only they match."""
    words = value.split("|")
    wanted = {read_type(word) for word in words if not word.startswith("~")}
    unwanted = {read_type(word[1:]) for word in words if word.startswith("~")}
    return replace(modifiers, types=tuple(sorted(wanted)), not_types=tuple(sorted(unwanted)))


def read_denyallow(modifiers: Modifiers, value: str) -> Modifiers:
    """Names that the rule spares, with all below them; a TLD will do."""
    names = tuple(sorted({read_name(word) for word in value.split("|")}))
    if len(names) > MOST_EXCEPTIONS:
        raise RuleRefused("unsupported_modifier")
    return replace(modifiers, except_below=names)


def read_name(text: str) -> str:
    try:
        name = text.lower() if text.isascii() else to_ascii(text.lower())
    except NameRefused as error:
        raise RuleRefused("unsupported_modifier") from error
    if VALID.fullmatch(name) is None:
        raise RuleRefused("unsupported_modifier")
    return name


def read_dnsrewrite(modifiers: Modifiers, value: str) -> Modifiers:
    """``127.0.0.1``, ``other.example``, ``REFUSED``, ``NOERROR;TXT;hello``, or nothing at all."""
    parts = value.split(";", 2)
    if len(parts) == 2:
        raise RuleRefused("unsupported_modifier")
    reply = read_short(value) if len(parts) == 1 else read_full(*parts)
    return replace(modifiers, rewrites=True, reply=reply)


def read_short(value: str) -> RuleReply | None:
    """A keyword in capitals, an address, or a name that the answer is taken from."""
    if not value:
        return None
    if value.isascii() and value.isalpha() and value.isupper():
        return RuleReply(read_code(value))
    try:
        qtype = A if ip_address(value).version == 4 else AAAA
    except ValueError:
        return RuleReply(ReplyKind.CNAME, read_target(value))
    return RuleReply(ReplyKind.RECORDS, records=(read_record(qtype, (value,)),))


def read_full(code: str, type_name: str, value: str) -> RuleReply:
    """``RCODE;TYPE;VALUE``. A code that is an error needs nothing else, and nothing else counts."""
    kind = read_code(code.upper())
    if kind is not ReplyKind.NODATA or not (type_name or value):
        return RuleReply(kind)
    qtype = read_type(type_name)
    if qtype == CNAME:
        return RuleReply(ReplyKind.CNAME, read_target(value))
    fields = (value,) if qtype == TXT else value.split()
    return RuleReply(ReplyKind.RECORDS, records=(read_record(qtype, fields),))


def read_code(code: str) -> ReplyKind:
    """What a response code amounts to here; those that only servers say to each other are refused."""
    if code not in CODES:
        raise RuleRefused("unsupported_modifier")
    return CODES[code]


READERS: Mapping[str, Callable[[Modifiers, str], Modifiers]] = {
    "important": read_important,
    "dnstype": read_dnstype,
    "denyallow": read_denyallow,
    "dnsrewrite": read_dnsrewrite,
}
"""Modifier -> what it adds. ``badfilter`` is dealt with before, over the whole file."""
