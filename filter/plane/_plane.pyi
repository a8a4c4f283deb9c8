# The compiled plane (module.c). Times are microseconds: since 1970, or of the steady clock.

from typing import Self, TypeAlias, TypedDict

# Counts of each bucket of filter.metrics.ANSWER_BUCKETS and of what is above; microseconds in all.
Durations: TypeAlias = tuple[list[int], int]

class Counts(TypedDict):
    classes: list[tuple[int, int, int]]  # (hour since 1970, number of the class, queries)
    answers: Durations
    upstream_answered: Durations
    upstream_failed: Durations
    hits: int
    misses: int
    prefetches: int
    no_query: int
    names_dropped: int
    overload: int
    cache_entries: int
    cache_bytes: int
    rate: int
    slip: int

def decode_huffman(data: bytes, /) -> bytes: ...  # the text, at most 16384 bytes of it; raise ValueError
def read_parameter(parameters: bytes, /) -> bytes | None: ...

# what stands as base64url in "dns=" and nothing else, at most 16384 bytes; None for anything else

class Plane:
    def __new__(cls, cache_bytes: int, key: bytes) -> Self: ...
    def install(
        self,
        key: bytes,
        fanout_bits: int,
        set_id_size: int,
        names: int,
        sets: int,
        fanout: memoryview,
        hashes: memoryview,
        set_ids: memoryview,
        addresses: memoryview,
        networks: bytes,
        otherwise: int,
        profiles: int,
        /,
    ) -> None: ...
    def teach_moment(
        self,
        profile: int,
        number: int,
        since: int,
        until: int,
        flags: int,
        slug: int,
        spoken: bytes,
        silent: bytes,
        /,
    ) -> bool: ...
    def teach_sets(self, profile: int, number: int, itself: bool, ids: bytes, outcome: bytes, /) -> bool: ...
    def teach_name(self, number: int, packet: bytes, outcome: bytes, /) -> bool: ...
    def teach_answer(self, message: bytes, flags: int, stored: int, /) -> bool: ...
    def pass_review(self, number: int, packet: bytes, stored: int, /) -> bool: ...
    def answer(
        self, packet: bytes, client: str, wall: int, clock: int, whole: bool = False, /
    ) -> tuple[int, bytes, bytes, int]: ...
    # (what becomes of it, the reply, an upstream's message that Python needs, when that came); `whole`: a reply that
    # would be cut is left to Python, and counted there
    def limit(self, rate: int, /) -> None: ...
    def grow(self, classes: int, /) -> bool: ...
    def take_counts(self) -> Counts: ...
    def take_names(self) -> list[tuple[str, int, int, int, bytes]]: ...
    # (name, group, number of the profile's slug, queries, bits)
    def count_names(self, key: bytes | None, /) -> None: ...
    def listen(self, descriptors: list[int], upstreams: list[tuple[str, int]], /) -> int: ...
    def use(self, upstream: int, usable: bool, /) -> None: ...
    def stop(self) -> None: ...
    def take(self, most: int, /) -> list[tuple[bytes, str, bytes, int, bytes, int]]: ...
    # (where it came from, the client, the packet, why, an upstream's message, when that came)
    def send(self, origin: bytes, reply: bytes, /) -> bool: ...
