"""What passes between the plane and Python: packets, numbers for what is counted, networks as the plane finds them."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from filter.clients import Networks
from filter.deciding.decisions import Decision
from filter.deciding.profiles import Profile
from filter.layout.addresses import MAPPED, MAPPED_BITS
from filter.serving import wire
from filter.serving.resolving.cache import CacheKey
from filter.serving.wire import ClientQuery

if TYPE_CHECKING:
    from filter.plane._plane import Plane

NETWORK = struct.Struct("<16sII")
DNSSEC_OK, CHECKING_DISABLED = 1, 2


class Reason(IntEnum):
    """Why a packet was handed over; from HANDED_ODD on as plane.h has it."""

    ANSWERED = 0
    DROPPED = 1
    MISSED = 2
    ODD = 3
    MOMENT = 4
    NAME = 5
    SETS = 6
    REVIEW = 7
    PYTHON = 8
    UPSTREAM = 9


@dataclass(frozen=True, slots=True)
class Handed:
    """A packet that Python answers, and what the plane knew of it."""

    packet: bytes
    client: str
    reason: Reason
    message: bytes = b""
    """An upstream's whole answer that waits for its review, or is stale."""
    stored: int = 0
    """When it came: microseconds of the steady clock."""


class Classes:
    """Numbers for what is counted: (action, rule, category, school). They grow with what was ever counted."""

    def __init__(self, plane: "Plane") -> None:
        self.plane = plane
        self.numbers: dict[tuple[str, str, str, str], int] = {}
        self.keys: list[tuple[str, str, str, str]] = []

    def number(self, decision: Decision, school: str) -> int:
        key = (str(decision.action), decision.rule, decision.category or "", school)
        if (known := self.numbers.get(key)) is None:
            known = self.numbers[key] = len(self.keys)
            self.keys.append(key)
            self.plane.grow(len(self.keys))
        return known


def steady(seconds: float) -> int:
    """A time of the steady clock as the plane has it."""
    return round(seconds * 1_000_000)


def key_of(query: ClientQuery) -> CacheKey:
    return CacheKey(query.question.lowered, query.dnssec_ok, bool(query.flags & wire.CD))


def flags_of(key: CacheKey) -> int:
    """The key's flags as the plane has them."""
    return (DNSSEC_OK if key.dnssec_ok else 0) | (CHECKING_DISABLED if key.checking_disabled else 0)


def pack_networks(networks: Networks[Profile], places: dict[int, int]) -> bytes:
    """Address, bits and place of each network, growing; IPv4 as IPv6 writes it."""
    records = []
    for (version, length, first), profile in networks.known.items():
        address = MAPPED + first.to_bytes(4) if version == 4 else first.to_bytes(16)
        bits = MAPPED_BITS + length if version == 4 else length
        if version == 4 or not (bits >= MAPPED_BITS and address.startswith(MAPPED)):  # an IPv4 client is one
            records.append((address, bits, places[id(profile)]))
    return b"".join(NETWORK.pack(*record) for record in sorted(records))
