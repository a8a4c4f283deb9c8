"""What a process that is behind refuses: told by the lateness of its own timer."""

import asyncio
import time

import pytest
from dns.message import make_query

from filter.metrics import Metrics
from filter.serving.pulse import LATE_SECONDS, Pulse
from filter.serving.resolving.cache import Cache, CacheKey
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import UpstreamFailed
from filter.serving.streams.lines import Hall, Line, Room
from filter.serving.wire import Question, UpstreamAnswer, read_query
from tests.filter.asking import Told


async def beats(pulse: Pulse, late: int) -> list[bool]:
    """Whether it is late, after each of so many beats that were held up, and after one that was not."""
    pulse.start()
    found = []
    for _ in range(late):
        time.sleep(LATE_SECONDS + 0.2)  # nothing else runs meanwhile: that is the load
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        found.append(pulse.is_late())
    while pulse.late:
        await asyncio.sleep(0.01)
    pulse.stop()
    return [*found, pulse.is_late()]


def test_one_pause_is_no_overload_and_two_are() -> None:
    assert asyncio.run(beats(Pulse(), 1)) == [False, False]
    assert asyncio.run(beats(Pulse(), 3)) == [False, True, True, False]


def test_who_is_late_asks_nobody_and_shakes_no_hands() -> None:
    async def forward(_question: Question, _dnssec: bool, _unchecked: bool) -> UpstreamAnswer:
        raise AssertionError("asked")

    async def find() -> None:
        metrics = Metrics()
        lookup = Lookup(Told(forward), Cache(1 << 20), metrics.count_cache)
        lookup.is_late = lambda: True
        query = read_query(make_query("libre.example", "A").to_wire())
        with pytest.raises(UpstreamFailed):
            lookup.ask(CacheKey(query.question.lowered, False, False), query.question)
        hall = Hall(metrics, Room(), lambda _address: False)
        line = Line(hall, lambda _line: pytest.fail("begun"))
        line.client = "192.0.2.1"
        assert hall.may_shake_hands(line)
        hall.is_late = lambda: True
        assert not hall.may_shake_hands(line)
        line.client = "127.0.0.1"
        assert hall.may_shake_hands(line)

    asyncio.run(find())
