"""Plain lists, one name a line, and what a name in any list must be: UT1's ``domains`` files are such lists."""

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

from filter.lists.entries import AddressEntry, Entry
from filter.lists.lines import LONGEST_LINE, read_raw_lines
from filter.lists.source import ListReport
from filter.lists.suffixes import icann_rules, is_known_suffix
from filter.names import ADDRESS, LONGEST, VALID, NameRefused, to_ascii

COMMENTS = b"#!;["
"""``[Adblock Plus 2.0]`` heads lists of plain names too."""
TRAILING_COMMENT = re.compile(r"\s*#|\s[!;]|\s//")
LISTED = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}")
"""Unlike the names that people give us, names in lists may have hyphens anywhere: DNS carries them (RFC 2181, 11) and
sites use them."""
LOCAL_NAMES = frozenset({
    "broadcasthost", "ip6-allhosts", "ip6-allnodes", "ip6-allrouters", "ip6-localhost", "ip6-localnet",
    "ip6-loopback", "ip6-mcastprefix", "local", "localdomain", "localhost", "localhost4", "localhost6", "loopback",
})  # fmt: skip
"""What heads every hosts file: the machine's own names."""
OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4 = re.compile(rf"(?:{OCTET}\.){{3}}{OCTET}", re.ASCII)
NARROWEST = {4: 8, 6: 16}
"""IP version -> the shortest prefix that a list may block: anything shorter is a large part of the Internet."""


def read_domains(path: Path, report: ListReport) -> Iterator[Entry]:
    """A file with a name or an address on each line. Names are blocked with everything under them.

    ``*.`` and a dot before a name are dropped; comments start with ``#``, ``!`` or ``;``.
    """
    return read_plain(path, report)


def read_plain(path: Path, report: ListReport) -> Iterator[str | AddressEntry]:
    """The entries of a plain list; nearly every line is a clean name already, and goes the short way."""
    is_plain: Callable[[bytes], object] = re.compile(VALID.pattern.encode()).fullmatch
    rules = icann_rules()
    for number, line in read_raw_lines(path):
        if is_plain(line) and 46 in line and len(line) <= LONGEST and not 48 <= line[-1] <= 57:
            name = line.decode()
            if name not in rules.exact and name.partition(".")[2] not in rules.wildcards:
                report.lines += 1
                report.names += 1
                yield name
                continue
        entry = read_plain_line(number, line, report)
        if entry is not None:
            yield entry


def read_plain_line(number: int, line: bytes, report: ListReport) -> str | AddressEntry | None:
    """What any line means, as it stands in the file, without its ``\\n``; None for a blank, a comment, and what the
    report then names."""
    line = line[: LONGEST_LINE + 1]
    stripped = line.strip()
    if not stripped or stripped[0] in COMMENTS or stripped.startswith(b"//"):
        return None
    report.lines += 1
    if len(line) > LONGEST_LINE:
        report.skip("too_long", number, stripped[:80].decode("ascii", "replace"))
        return None
    try:
        text = stripped.decode()
    except UnicodeDecodeError:
        report.skip("not_text", number, stripped.decode("ascii", "replace"))
        return None
    return read_word(number, text, report)


def read_word(number: int, text: str, report: ListReport) -> str | AddressEntry | None:
    """A name or an address, with a comment after it perhaps; None for what the report then names."""
    word = TRAILING_COMMENT.split(text, maxsplit=1)[0].strip()
    try:
        network = read_network(word)
        if network is None:
            name = clean_listed(word)
            report.names += 1
            return name
    except NameRefused as refusal:
        report.skip(refusal.reason, number, text)
        return None
    report.addresses += 1
    return AddressEntry(network)


def clean_listed(text: str) -> str:
    """A list's name in the form that is compared; a leading ``.`` or ``*.`` and a dot at the end are dropped.

    Raises NameRefused (reasons of source.REASONS) for what is no name, for public suffixes and for the machine's own
    names. A single word passes unless it is a top-level domain: nothing public is under it.
    """
    name = text.strip().lower().removesuffix(".").removeprefix("*.").removeprefix(".")
    if not name.isascii():
        name = to_ascii(name).removesuffix(".")
    if len(name) > LONGEST:
        raise NameRefused("url" if "/" in name else "too_long")
    if LISTED.fullmatch(name) is None and VALID.fullmatch(name) is None:
        raise NameRefused(say_why(name))
    if name[-1].isdigit() and name.rpartition(".")[2].isdigit():
        raise NameRefused(
            "ip_address" if IPV4.fullmatch(name) else "bad_address" if is_numeric(name) else "invalid_name"
        )
    if name in LOCAL_NAMES:
        raise NameRefused("local_name")
    if is_known_suffix(name):
        raise NameRefused("public_suffix")
    return name


def is_numeric(name: str) -> bool:
    """Whether it is meant as an address."""
    return ADDRESS.fullmatch(name) is not None and name.strip(".") != ""


def say_why(name: str) -> str:
    """The reason that fits a text which is no name."""
    if is_numeric(name):
        return "ip_address"
    return "url" if "/" in name else "invalid_name"


def read_network(text: str) -> str | None:
    """An address or a network in the form of AddressEntry, host bits dropped; None when the text looks like neither.

    Raises NameRefused: bad_address, too_wide.
    """
    if IPV4.fullmatch(text):
        return f"{text}/32"
    if not is_numeric(text.partition("/")[0].partition("%")[0].lower()):
        return None
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise NameRefused("bad_address") from error
    if network.prefixlen < NARROWEST[network.version]:
        raise NameRefused("too_wide")
    return str(network)
