"""The ADDRESSES section of filter.bundle: networks as sorted records, looked up where they lie."""

import ipaddress
import struct
from collections.abc import Iterable
from typing import Self

RECORD = struct.Struct("<16sB3xI")
WIDTH = 128
BITMAP = 17
HEAD = 32
MAPPED = b"\0" * 10 + b"\xff\xff"
"""What IPv4 addresses begin with when they are written as IPv6 (RFC 4291 2.5.5.2)."""
MAPPED_BITS = 96


def write_addresses(networks: Iterable[tuple[str, int]]) -> bytes:
    """The section for (network, set id); raise ValueError for what is no network."""
    records = sorted((*to_record(network), set_id) for network, set_id in networks)
    if not records:
        return b""
    bitmap = 0
    for _, length, _ in records:
        bitmap |= 1 << length
    return bitmap.to_bytes(HEAD, "little") + b"".join(RECORD.pack(*record) for record in records)


def to_record(network: str) -> tuple[bytes, int]:
    """``192.0.2.0/24`` -> its 16 bytes and the bits of its prefix, 120."""
    parsed = ipaddress.ip_network(network)
    if parsed.version == 4:
        return MAPPED + parsed.network_address.packed, MAPPED_BITS + parsed.prefixlen
    return parsed.network_address.packed, parsed.prefixlen


def to_text(address: bytes, length: int) -> str:
    """The network as people write it."""
    if length >= MAPPED_BITS and address.startswith(MAPPED):
        return f"{ipaddress.IPv4Address(address[len(MAPPED) :])}/{length - MAPPED_BITS}"
    return f"{ipaddress.IPv6Address(address)}/{length}"


class AddressTable:
    """Looks addresses up: one search for each prefix length that some network has, nothing is parsed or copied."""

    def __init__(self, section: memoryview) -> None:
        """Raise ValueError when the section's length or its bitmap cannot be."""
        self.section = section
        self.records = section[HEAD:]
        self.size = len(self.records) // RECORD.size
        bitmap = int.from_bytes(section[:HEAD], "little")
        whole = len(section) == 0 or (len(section) >= HEAD and len(self.records) % RECORD.size == 0)
        if not whole or bitmap >> WIDTH + 1:
            raise ValueError("réseaux")
        self.lengths = tuple(length for length in range(WIDTH, -1, -1) if bitmap >> length & 1)

    @classmethod
    def empty(cls) -> Self:
        return cls(memoryview(b""))

    def __len__(self) -> int:
        return self.size

    def find(self, packed: bytes) -> list[tuple[str, int]]:
        """(network, set id) of every network that holds the address (4 or 16 bytes), longest prefix first."""
        address = packed if len(packed) == WIDTH // 8 else MAPPED + packed
        shortest = MAPPED_BITS if len(packed) == 4 else 0  # ``::/0`` does not mean all of IPv4
        value = int.from_bytes(address)
        found = []
        for length in self.lengths:
            if length < shortest:
                break
            network = (value >> WIDTH - length << WIDTH - length).to_bytes(WIDTH // 8)
            if (set_id := self.find_network(network, length)) is not None:
                found.append((to_text(network, length), set_id))
        return found

    def find_network(self, address: bytes, length: int) -> int | None:
        """The set id of exactly this network."""
        wanted = (address, length)
        low, high = 0, self.size
        while low < high:
            middle = (low + high) // 2
            if self.record(middle)[:2] < wanted:
                low = middle + 1
            else:
                high = middle
        if low < self.size:
            *found, set_id = self.record(low)
            if tuple(found) == wanted:
                return int(set_id)
        return None

    def record(self, position: int) -> tuple[bytes, int, int]:
        """Address, prefix length and set id of one network."""
        address, length, set_id = RECORD.unpack_from(self.records, position * RECORD.size)
        return address, length, set_id
