"""Who is asking: the profile of the smallest known network that holds the client's address."""

import weakref
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Generic, TypeVar

from netaddr import AddrFormatError, IPAddress, IPNetwork

T = TypeVar("T")
Network = tuple[int, int, int]
"""(version, prefix length, first address)"""


class NetworkInvalid(ValueError):
    """The text is no network."""


def parse_network(cidr: str) -> IPNetwork:
    """``10.2.0.0/24``, ``2001:db8::/48`` or a single address; raise NetworkInvalid."""
    try:
        return IPNetwork(cidr).cidr
    except (AddrFormatError, ValueError) as error:
        raise NetworkInvalid(f"« {cidr} » n’est pas un réseau (attendu : 10.2.0.0/24 ou 2001:db8::/48)") from error


class Networks(Generic[T]):
    """Networks and what their clients get; the longest prefix wins, then the default."""

    def __init__(self, networks: Iterable[tuple[str, T]], default: T) -> None:
        self.default = default
        self.known: dict[tuple[int, int, int], T] = {}
        for cidr, value in networks:
            network = parse_network(cidr)
            self.known[network.version, network.prefixlen, network.first] = value
        self.lengths = {v: sorted({n for version, n, _ in self.known if version == v}, reverse=True) for v in (4, 6)}
        itself = weakref.proxy(self)  # no cycle: a policy that is replaced goes at once, and its mapped files with it
        self.find: Callable[[str], T] = lru_cache(maxsize=4096)(lambda address: itself.search(address))  # noqa: PLW0108  # bound late
        self.locate: Callable[[str], Network | None] = lru_cache(maxsize=4096)(lambda address: itself.place(address))  # noqa: PLW0108

    def search(self, address: str) -> T:
        """What this address gets; what is no address gets the default. ``find`` is the same, remembered."""
        network = self.place(address)
        return self.default if network is None else self.known[network]

    def place(self, address: str) -> Network | None:
        """The smallest network that holds an address; None for none. ``locate`` is the same, remembered."""
        try:
            client = IPAddress(address.partition("%")[0])
        except (AddrFormatError, ValueError):
            return None
        if client.is_ipv4_mapped():  # an IPv4 client of a socket that serves both
            client = client.ipv4()
        width = 32 if client.version == 4 else 128
        value = int(client)
        for length in self.lengths[client.version]:
            network = client.version, length, value >> (width - length) << (width - length)
            if network in self.known:
                return network
        return None
