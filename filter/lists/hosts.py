"""Hosts files (hosts(5)): an address, then names, each blocked alone: what is under it is not named."""

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from filter.lists.domains import COMMENTS, clean_listed
from filter.lists.entries import Entry, Match, NameEntry
from filter.lists.lines import read_lines
from filter.lists.source import ListReport
from filter.names import NameRefused

NOWHERE = frozenset({"0.0.0.0", "127.0.0.1", "::", "::1"})  # noqa: S104  # what lists write, nothing is bound to it
"""The addresses that nearly every line has."""
MACHINE_NAMES = frozenset({"localhost.localdomain", "localhost4.localdomain4", "localhost6.localdomain6"})
REDIRECTS = "des noms y ont une autre adresse que 0.0.0.0 : ils sont bloqués, et non menés à cette adresse"


def read_hosts(path: Path, report: ListReport) -> Iterator[Entry]:
    """The names of a hosts file, whatever their address; a line may also be a name alone.

    A list leads nobody elsewhere: with an address that is not this machine's the name is blocked all the same, and the
    report says so.
    """
    for number, line in read_lines(path, report, comments=COMMENTS):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            report.skip("not_text", number, line.decode("ascii", "replace"))
            continue
        yield from read_hosts_line(number, text, report)


def read_hosts_line(number: int, text: str, report: ListReport) -> Iterator[NameEntry]:
    """The names of one line; what is left out goes to the report."""
    first, *words = text.partition("#")[0].split() or [""]
    if not is_host_address(first):
        if words or "." not in first.strip("."):
            report.skip("no_address", number, text)
            return
        words = [first]
    elif not words:
        report.skip("bad_record", number, text)
        return
    before = report.names
    for word in words:
        try:
            name = clean_host(word)
        except NameRefused as refusal:
            report.skip(refusal.reason, number, text)
        else:
            report.names += 1
            yield NameEntry(name, Match.EXACT)
    if report.names > before and is_host_address(first) and leads_elsewhere(first):
        report.warn(REDIRECTS)


def clean_host(word: str) -> str:
    """As clean_listed, without wildcards. Raises NameRefused."""
    if word.startswith(("*", ".")):
        raise NameRefused("invalid_name")
    name = clean_listed(word)
    if name in MACHINE_NAMES:
        raise NameRefused("local_name")
    return name


def is_host_address(word: str) -> bool:
    """An address, with the interface it belongs to perhaps (``fe80::1%lo0``)."""
    if word in NOWHERE:
        return True
    try:
        ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return True


def leads_elsewhere(word: str) -> bool:
    """Whether a client given this address would ask another machine for a page."""
    if word in NOWHERE:
        return False
    address = ip_address(word.partition("%")[0])
    return not (address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast)
