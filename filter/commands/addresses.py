"""`preau-filter addresses`: the networks that lists name, for a firewall: what DNS cannot close, the gateway does."""

import argparse
import ipaddress
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from filter.bundle import NamesFile
from filter.layout.addresses import AddressTable, to_text

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
FAMILIES = ((4, "ipv4"), (6, "ipv6"))


class OptionWrong(ValueError):
    """The command cannot start; the text names the option."""


PROBLEMS = (OptionWrong,)


def run(args: argparse.Namespace) -> int:
    if args.bundle is None:
        raise OptionWrong("il faut --bundle FICHIER")
    names = NamesFile.open(Path(args.bundle))
    categories = [slug.strip() for given in args.category for slug in given.split(",") if slug.strip()] or ["doh"]
    check_categories(categories, names)
    networks = find_networks(names, frozenset(categories))
    lines = map(str, networks) if args.nft is None else nft_commands(read_set(args.nft), networks)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def check_categories(categories: Sequence[str], names: NamesFile) -> None:
    """Raise OptionWrong for a category that no list fills: an empty set would close nothing, and say nothing."""
    known = sorted({info.category for info in names.lists})
    if missing := [category for category in categories if category not in known]:
        raise OptionWrong(f"catégorie sans liste ici : {', '.join(missing)} (il y a {', '.join(known) or 'aucune'})")


def find_networks(names: NamesFile, categories: frozenset[str]) -> list[Network]:
    """What lists of these categories block, without what they except; sorted, none inside another, IPv4 first."""
    blocked: set[Network] = set()
    excepted: set[Network] = set()
    for network, set_id in networks_of(names.addresses):
        members = [member for member in names.sets[set_id] if names.lists[member.position].category in categories]
        if members:
            (excepted if any(member.allows for member in members) else blocked).add(network)
    for exception in excepted:
        for network in [each for each in blocked if contains(each, exception)]:
            blocked.remove(network)
            blocked.update(network.address_exclude(exception))  # type: ignore[arg-type]  # of one family: it is inside
    return [
        network
        for version, _ in FAMILIES
        for network in ipaddress.collapse_addresses([each for each in blocked if each.version == version])  # type: ignore[type-var]  # of one family
    ]


def networks_of(table: AddressTable) -> Iterator[tuple[Network, int]]:
    """Every network of a names file, with its set id."""
    for position in range(len(table)):
        address, length, set_id = table.record(position)
        yield ipaddress.ip_network(to_text(address, length)), set_id


def contains(network: Network, other: Network) -> bool:
    return network.version == other.version and other.subnet_of(network)  # type: ignore[arg-type]  # of one family


def read_set(text: str) -> str:
    """The name of a set; raise OptionWrong for what nftables would read otherwise."""
    if not text.isascii() or not text.replace("_", "").isalnum() or not text[0].isalpha():
        raise OptionWrong(f"--nft {text} : attendu un nom d’ensemble (lettres, chiffres, _), par exemple doh")
    return text


def nft_commands(name: str, networks: Sequence[Network]) -> Iterator[str]:
    """For ``nft -f -``: fills ``<name>_ipv4`` and ``<name>_ipv6`` of table ``inet preau``, in one step."""
    yield "add table inet preau"
    for version, family in FAMILIES:
        place = f"inet preau {name}_{family}"
        yield f"add set {place} {{ type {family}_addr; flags interval; }}"
        yield f"flush set {place}"
        if members := ", ".join(str(network) for network in networks if network.version == version):
            yield f"add element {place} {{ {members} }}"
