"""SipHash-1-3 of many names at once, with numpy: the same numbers as filter.domains.hash_name.

Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012): one round a word of eight bytes, three at the end.
"""

import struct
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Words: TypeAlias = "NDArray[np.uint64]"

INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
"""``somepseudorandomlygeneratedbytes``"""
FINAL_ROUNDS = 3


def hash_pieces(
    numpy: ModuleType, data: bytes, starts: "NDArray[np.int64]", lengths: "NDArray[np.int64]", key: bytes
) -> "Words":
    """The hash of ``data[start : start + length]`` for each pair; eight bytes more than any end must be there.

    Pieces are taken longest first, so that those that still have a word to mix are always the first ones.
    """
    order = numpy.argsort(-(lengths >> 3).astype(numpy.int16), kind="stable")  # 16 bits: sorted by counting
    starts, lengths = starts[order], lengths[order]
    whole = lengths >> 3
    words = numpy.ndarray(len(data) - 7, "V8", data, strides=(1,))
    state = start_states(numpy, len(order), key)
    most = int(whole[0]) if len(whole) else -1
    waiting = [int(count) for count in numpy.searchsorted(-whole, -numpy.arange(most + 2), side="right")]
    for step in range(most + 1):
        active, ending = waiting[step], slice(waiting[step + 1], waiting[step])
        word = words[starts[:active] + 8 * step].view("<u8")
        bits = (lengths[ending] & 7).astype(numpy.uint64) * numpy.uint64(8)
        word[ending] &= (numpy.uint64(1) << bits) - numpy.uint64(1)
        word[ending] |= lengths[ending].astype(numpy.uint64) << numpy.uint64(56)
        v0, v1, v2, v3 = (v[:active] for v in state)
        v3 ^= word
        mix(numpy, v0, v1, v2, v3)
        v0 ^= word
    hashes = numpy.empty(len(order), numpy.uint64)
    hashes[order] = finish(numpy, *state)
    return hashes  # type: ignore[no-any-return]  # numpy comes as a module that mypy does not see through


def start_states(numpy: ModuleType, count: int, key: bytes) -> "list[Words]":
    """v0 to v3 of every piece before its first word."""
    k0, k1 = struct.unpack("<QQ", key)
    return [
        numpy.full(count, value ^ part, numpy.uint64) for value, part in zip(INITIAL, (k0, k1, k0, k1), strict=True)
    ]


def mix(numpy: ModuleType, v0: "Words", v1: "Words", v2: "Words", v3: "Words") -> None:
    """One SipRound, in place."""
    v0 += v1
    rotate(numpy, v1, 13)
    v1 ^= v0
    rotate(numpy, v0, 32)
    v2 += v3
    rotate(numpy, v3, 16)
    v3 ^= v2
    v0 += v3
    rotate(numpy, v3, 21)
    v3 ^= v0
    v2 += v1
    rotate(numpy, v1, 17)
    v1 ^= v2
    rotate(numpy, v2, 32)


def rotate(numpy: ModuleType, words: "Words", bits: int) -> None:
    """To the left, in place."""
    out = words >> numpy.uint64(64 - bits)
    words <<= numpy.uint64(bits)
    words |= out


def finish(numpy: ModuleType, v0: "Words", v1: "Words", v2: "Words", v3: "Words") -> "Words":
    """The hashes, from the states after the last word."""
    v2 ^= numpy.uint64(0xFF)
    for _ in range(FINAL_ROUNDS):
        mix(numpy, v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
