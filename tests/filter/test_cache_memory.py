"""The bytes that the cache says it holds are no fewer than those that it does hold."""

import gc
import tracemalloc
from collections.abc import Callable

import dns.message
import pytest

from filter.serving import wire
from filter.serving.resolving.cache import Cache, CacheKey, keep
from tests.filter.scripted import answer, pack

MOST = 1 << 18
Records = Callable[[int], list[str]]


def one_address(number: int) -> list[str]:
    return [f"n{number}.example. 60 IN A 192.0.2.1"]


def behind_an_alias(number: int) -> list[str]:
    alias = f"n{number}.example. 60 IN CNAME c{number}.cdn.example."
    return [alias, *(f"c{number}.cdn.example. 60 IN A 192.0.2.{last}" for last in range(4))]


def many_texts(number: int) -> list[str]:
    return [f'n{number}.example. 60 IN TXT "{text:050d}"' for text in range(20)]


@pytest.mark.parametrize(
    ("qtype", "records"), [("A", one_address), ("A", behind_an_alias), ("TXT", many_texts)],
    ids=lambda each: getattr(each, "__name__", each),
)  # fmt: skip
def test_memory_stays_within_what_was_granted(qtype: str, records: Records) -> None:
    messages = []
    for number in range(400):
        query = dns.message.make_query(f"n{number}.example", qtype)
        messages.append(pack(answer(query, *records(number))))
    cache = Cache(MOST)
    gc.collect()
    tracemalloc.start()
    for message in messages:
        found = wire.read_answer(message)
        cache.put(CacheKey(found.question.lowered, False, False), keep(found, dnssec_ok=False), 0.0)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert MOST * 0.8 < cache.bytes <= MOST
    assert held <= cache.bytes
