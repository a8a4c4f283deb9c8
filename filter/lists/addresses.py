"""Lists of addresses and networks: answers that lead there are blocked, whatever the name."""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, summarize_address_range
from pathlib import Path

from filter.lists.domains import NARROWEST, read_network
from filter.lists.entries import AddressEntry, Entry
from filter.lists.lines import read_lines
from filter.lists.source import ListReport
from filter.names import NameRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
COMMENTS = b"#;!"
AFTER = re.compile(r"[\s;,#]")
"""What comes after an address: a comment, or another column."""


def read_addresses(path: Path, report: ListReport) -> Iterator[Entry]:
    """An address, a network (``192.0.2.0/24``) or a range (``192.0.2.1-192.0.2.9``) on each line, IPv4 or IPv6."""
    for number, line in read_lines(path, report, comments=COMMENTS):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            report.skip("not_text", number, line.decode("ascii", "replace"))
            continue
        try:
            networks = read_networks(AFTER.split(text, maxsplit=1)[0])
        except NameRefused as refusal:
            report.skip(refusal.reason, number, text)
            continue
        report.addresses += len(networks)
        yield from map(AddressEntry, networks)


def read_networks(word: str) -> list[str]:
    """The networks that a word names: one, or those that make up a range. Raises NameRefused."""
    first, dash, last = word.partition("-")
    if dash:
        return read_range(first, last)
    network = read_network(word)
    if network is None:
        raise NameRefused("bad_address")
    return [network]


def read_range(first: str, last: str) -> list[str]:
    """The fewest networks from one address to another. Raises NameRefused."""
    try:
        networks = summarize(ip_address(first), ip_address(last))
    except ValueError as error:
        raise NameRefused("bad_address") from error
    if any(network.prefixlen < NARROWEST[network.version] for network in networks):
        raise NameRefused("too_wide")
    return [str(network) for network in networks]


def summarize(first: Address, last: Address) -> list[Network]:
    """Raises ValueError for a range that ends before it starts, or in the other version."""
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
        return list(summarize_address_range(first, last))
    if isinstance(first, IPv6Address) and isinstance(last, IPv6Address):
        return list(summarize_address_range(first, last))
    raise ValueError("one address of each version")
