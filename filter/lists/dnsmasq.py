"""dnsmasq configuration (dnsmasq(8)): ``address=/example.org/``, ``local=/example.org/``, ``server=/example.org/``."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from filter.lists.domains import clean_listed, read_network
from filter.lists.entries import AddressEntry, Entry, Match, NameEntry, RuleEntry
from filter.lists.hosts import REDIRECTS, leads_elsewhere
from filter.lists.lines import read_lines
from filter.lists.source import ListReport
from filter.names import NameRefused

COMMENT = re.compile(r"\s#")
ANY = "#"
"""As a name: every name. As a server: the usual ones."""


def read_dnsmasq(path: Path, report: ListReport) -> Iterator[Entry]:
    """Names that dnsmasq would answer itself are blocked, with everything under them.

    ``server=/example.org/#`` is an exception, a server of its own neither blocks nor allows; ``bogus-nxdomain=``
    names addresses. Other options say nothing of names and are reported.
    """
    for number, line in read_lines(path, report):
        try:
            text = COMMENT.split(line.decode(), maxsplit=1)[0].strip()
        except UnicodeDecodeError:
            report.skip("not_text", number, line.decode("ascii", "replace"))
            continue
        option, _, value = text.removeprefix("--").partition("=")
        reader = OPTIONS.get(option.strip())
        if reader is None:
            report.skip("unsupported_syntax", number, text)
        else:
            yield from reader(number, value.strip(), report)


def read_address(number: int, value: str, report: ListReport) -> Iterator[Entry]:
    """``/name/name/`` then an address, ``#`` (0.0.0.0 and ::) or nothing (NXDOMAIN)."""
    names, target = split_names(value)
    if target not in ("", ANY) and not all(map(is_nowhere, target.split(","))):
        report.warn(REDIRECTS)
    return read_names(number, value, names, report)


def read_server(number: int, value: str, report: ListReport) -> Iterator[Entry]:
    """``/name/name/`` then a server: none blocks, ``#`` allows."""
    names, target = split_names(value)
    if target not in ("", ANY):
        report.skip("unsupported_syntax", number, value)
        return iter(())
    return read_names(number, value, names, report, allows=target == ANY)


def read_bogus(number: int, value: str, report: ListReport) -> Iterator[Entry]:
    """``bogus-nxdomain``: an address or a network that stands for "no such name"."""
    try:
        network = read_network(value)
        if network is None:
            raise NameRefused("bad_address")
    except NameRefused as refusal:
        report.skip(refusal.reason, number, value)
        return
    report.addresses += 1
    yield AddressEntry(network)


OPTIONS: dict[str, Callable[[int, str, ListReport], Iterator[Entry]]] = {
    "address": read_address,
    "local": read_server,
    "server": read_server,
    "bogus-nxdomain": read_bogus,
    "ignore-address": read_bogus,
}


def split_names(value: str) -> tuple[list[str], str]:
    """``/a/b/target`` -> (``a``, ``b``), ``target``; no names without slashes around them."""
    first, *names = value.split("/")
    if first or not names:
        return [], value
    return names[:-1], names[-1]


def read_names(
    number: int, value: str, names: list[str], report: ListReport, *, allows: bool = False
) -> Iterator[Entry]:
    """An entry for each name; what is left out goes to the report."""
    if not names:
        report.skip("unsupported_syntax", number, value)
    for name in names:
        try:
            entry = read_pattern(name, allows=allows)
        except NameRefused as refusal:
            report.skip(refusal.reason, number, value)
            continue
        if isinstance(entry, RuleEntry):
            report.rules += 1
        else:
            report.names += 1
        yield entry


def read_pattern(name: str, *, allows: bool) -> Entry:
    """``a`` and ``.a`` are the name and what is under it, ``*.a`` what is under it, ``*a`` every name that ends so.

    Raises NameRefused.
    """
    if name in (ANY, "", "*"):
        raise NameRefused("too_wide" if name else "unsupported_syntax")
    if not name.startswith("*"):
        cleaned = clean_listed(name)
        return NameEntry(cleaned, allows=True) if allows else cleaned
    end = clean_listed(name[1:])
    if name.startswith("*."):
        return NameEntry(end, Match.BELOW, allows=allows)
    if "." not in end:
        raise NameRefused("too_wide")
    return RuleEntry(text=name, pattern=f"{re.escape(end)}$", allows=allows)


def is_nowhere(text: str) -> bool:
    try:
        return not leads_elsewhere(text)
    except ValueError:
        return False
