"""Lists in adblock syntax, as far as it is about names: ``||example.org^``, ``@@``, ``$important`` and so on.

Semantics are those of AdGuard's DNS filtering syntax (adguard-dns.io/kb/general/dns-filtering-syntax). Whatever comes
to one name becomes a NameEntry, an address an AddressEntry, the rest a RuleEntry. Where engines read a rule more widely
than its author can have meant (``||name`` as a prefix), the narrower reading is taken; what DNS cannot see (paths,
page elements, clients) is reported with its line, never widened.
"""

import re
from collections.abc import Collection, Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

from filter.lists.adblock_masks import Subject, read_mask, read_name
from filter.lists.adblock_modifiers import Modifiers, read_modifiers
from filter.lists.adblock_syntax import COSMETIC, Key, RuleText, split_rule
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, ReplyKind, RuleEntry, RuleReply
from filter.lists.hosts import MACHINE_NAMES
from filter.lists.lines import LONGEST_LINE, read_chunks, read_raw_lines
from filter.lists.records import AAAA, A, read_record
from filter.lists.refused import RuleRefused
from filter.lists.source import ListReport
from filter.lists.suffixes import is_known_suffix

ZERO_NETWORK = ip_network("0.0.0.0/8")
USUAL = re.compile(rb"\|\|([a-z0-9_][a-z0-9_.-]*\.[a-z][a-z0-9-]*[a-z0-9])\^").fullmatch
"""Nearly every line of nearly every list. It lets some wrong names pass, which read_usual finds."""
LONGEST_LABEL = 63
MACHINE_WORDS = re.compile(r"ip6-[a-z]+")
ADDRESS = re.compile(r"[0-9][0-9.]*|[0-9a-f:.]*:[0-9a-f:.%]*", re.IGNORECASE)
LOCAL_NAMES = MACHINE_NAMES | {"localhost", "local", "broadcasthost", "0.0.0.0"}  # noqa: S104 - a name here
"""What hosts files say of the machine they are on."""
MOST_RULES = 20_000
"""Of one list, besides names and addresses: every gateway holds them in memory."""
MOST_BADFILTERS = 100_000


def read_adblock(path: Path, report: ListReport) -> Iterator[Entry]:
    """The entries of a file; lines that say nothing here are in the report, with their number.

    The file is read twice when a ``$badfilter`` is in it: a rule may be taken back before or after it stands there.
    """
    disabled = read_disabled(path)
    plain = frozenset(mask for exception, mask, options in disabled if not exception and not options)
    for number, raw in read_raw_lines(path):
        line = raw.strip()
        if (name := read_usual(line)) and not (plain and f"||{name}^" in plain):
            report.lines += 1
            report.names += 1
            yield name
        elif not is_comment(line):
            report.lines += 1
            yield from read_unusual(number, line, disabled, report)


def read_usual(line: bytes) -> str:
    """The name of ``||name^`` where it is written clean and may be blocked, "" for all other lines."""
    if (found := USUAL(line)) is None:
        return ""
    name = found[1].decode()
    if len(name) > LONGEST_LABEL or ".." in name or ".-" in name or "-." in name or is_known_suffix(name):
        return ""
    return name


def is_comment(line: bytes) -> bool:
    """Whether a line says nothing to a filter: blank, ``! comment``, ``# comment``, ``[Adblock Plus 2.0]``."""
    if not line or line[0] in b"![":
        return True
    return line[0] == 35 and COSMETIC.search(line.decode("utf-8", "replace")) is None


def read_unusual(number: int, line: bytes, disabled: Collection[Key], report: ListReport) -> Iterator[Entry]:
    """The entries of one line, counted; what is refused is reported."""
    if len(line) > LONGEST_LINE:
        report.skip("too_long", number, line[:80].decode("ascii", "replace"))
        return
    try:
        text = line.decode()
    except UnicodeDecodeError:
        report.skip("not_text", number, line.decode("ascii", "replace"))
        return
    for entry in read_line(text, disabled):
        if isinstance(entry, RuleRefused):
            report.skip(entry.reason, number, text)
        elif isinstance(entry, RuleEntry) and report.rules >= MOST_RULES:
            report.skip("too_many_rules", number, text)
        else:
            count(entry, report)
            yield entry


def count(entry: Entry, report: ListReport) -> None:
    """Note an entry that is handed over."""
    if isinstance(entry, RuleEntry):
        report.rules += 1
    elif isinstance(entry, AddressEntry):
        report.addresses += 1
    else:
        report.names += 1


def parse_rule(text: str) -> tuple[Entry, ...]:
    """The entries of one line: none for comments and ``$badfilter``, several for hosts lines. Raises RuleRefused."""
    if is_comment(text.strip().encode("utf-8", "replace")):
        return ()
    found = tuple(read_line(text.strip()))
    for entry in found:
        if isinstance(entry, RuleRefused):
            raise entry
    return tuple(entry for entry in found if not isinstance(entry, RuleRefused))


def read_line(text: str, disabled: Collection[Key] = ()) -> Iterator[Entry | RuleRefused]:
    """What a line comes to; refusals are handed over, as one name of a hosts line does not take the others along."""
    try:
        words = text.partition("#")[0].split()
        if len(words) > 1 and ADDRESS.fullmatch(words[0]):
            yield from read_hosts_line(text, words[0], words[1:])
            return
        rule = split_rule(text)
        if rule.disables:
            return
        if disabled and rule.key in disabled:
            yield RuleRefused("disabled_rule")
            return
        yield make_entry(text, rule)
    except RuleRefused as refusal:
        yield refusal


def make_entry(text: str, rule: RuleText) -> Entry:
    """The rule as the cheapest entry that says it. Raises RuleRefused."""
    modifiers = read_modifiers(rule.options)
    if modifiers.rewrites and modifiers.reply is None and not rule.exception:
        raise RuleRefused("unsupported_modifier")
    subject = read_mask(rule.mask, rule.exception)
    check_width(subject, modifiers)
    if subject.network:
        return make_address(subject.network, rule.exception, modifiers)
    if subject.anchor is None or modifiers.narrows or modifiers.rewrites:
        return make_rule(text, rule.exception, subject, modifiers)
    if subject.match is Match.WITH_BELOW and not rule.exception and not modifiers.important:
        return subject.anchor
    return NameEntry(subject.anchor, subject.match, rule.exception, modifiers.important)


def check_width(subject: Subject, modifiers: Modifiers) -> None:
    """Raise RuleRefused for a rule about a whole public suffix, or about everything, unless it is about some types of
    record only or spares some names."""
    if modifiers.narrows:
        return
    if subject.anchor is not None and is_known_suffix(subject.anchor):
        raise RuleRefused("public_suffix")
    if subject.is_too_wide:
        raise RuleRefused("too_wide")


def make_address(network: str, exception: bool, modifiers: Modifiers) -> AddressEntry:
    """Answers that lead to this address. Which list is heard first is not for lists of addresses to say."""
    if modifiers.narrows or modifiers.rewrites:
        raise RuleRefused("unsupported_modifier")
    return AddressEntry(network, exception)


def make_rule(text: str, exception: bool, subject: Subject, modifiers: Modifiers) -> RuleEntry:
    """A rule that hashed names cannot say."""
    return RuleEntry(
        text,
        anchor=subject.anchor,
        match=subject.match,
        pattern=subject.pattern,
        types=modifiers.types,
        not_types=modifiers.not_types,
        except_below=modifiers.except_below,
        allows=exception,
        important=modifiers.important,
        reply=modifiers.reply,
        lifts_replies=exception and modifiers.rewrites,
    )


def read_hosts_line(text: str, address: str, names: list[str]) -> Iterator[Entry | RuleRefused]:
    """``0.0.0.0 name…`` blocks each name alone; another address than one's own is what the name is answered with."""
    try:
        parsed = ip_address(address)
    except ValueError:
        yield RuleRefused("bad_address")
        return
    is_nowhere = parsed.is_loopback or parsed.is_unspecified or parsed in ZERO_NETWORK
    for name in names:
        yield read_hosts_name(text, None if is_nowhere else str(parsed), name)


def read_hosts_name(text: str, address: str | None, word: str) -> Entry | RuleRefused:
    """One name of a hosts line."""
    if word.lower() in LOCAL_NAMES or MACHINE_WORDS.fullmatch(word.lower()):
        return RuleRefused("local_name")
    try:
        if word.startswith(("*", ".")):
            return RuleRefused("invalid_name")
        name = read_name(word.lower())
        if is_known_suffix(name):
            return RuleRefused("public_suffix")
        if address is None:
            return NameEntry(name, Match.EXACT)
        record = read_record(AAAA if ":" in address else A, (address,))
    except RuleRefused as refusal:
        return refusal
    return RuleEntry(text, anchor=name, match=Match.EXACT, reply=RuleReply(ReplyKind.RECORDS, records=(record,)))


def read_disabled(path: Path) -> frozenset[Key]:
    """What the ``$badfilter`` rules of a file take back. Most files have none and are not taken apart for it."""
    if not has_badfilter(path):
        return frozenset()
    keys: set[Key] = set()
    for _, line in read_raw_lines(path):
        if b"badfilter" not in line or len(keys) >= MOST_BADFILTERS:
            continue
        try:
            rule = split_rule(line.strip().decode("utf-8", "replace"))
        except RuleRefused:
            continue
        if rule.disables:
            keys.add(rule.key)
    return frozenset(keys)


def has_badfilter(path: Path) -> bool:
    """Whether the word is anywhere in the file."""
    tail = b""
    for chunk in read_chunks(path):
        tail += chunk
        if b"badfilter" in tail:
            return True
        tail = tail[-len(b"badfilter") :]
    return False
