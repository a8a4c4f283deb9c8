"""What the filter counts: what its documentation lists, and what the controller is told of it."""

import asyncio
import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from filter.metrics import Metrics
from filter.updates import reporter as reporting
from filter.updates.controller import TalkFailed
from filter.updates.reporter import Reporter
from tests.filter.conftest import NOON

GUIDE = Path(__file__).parents[2] / "docs" / "filter.md"
HOUR = timedelta(hours=1)


def test_every_measure_is_documented() -> None:
    families = list(Metrics().registry.collect())
    counted = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    documented = set(re.findall(r"`(filter_\w+)(?:\{[a-z,]+\})?`", GUIDE.read_text("utf-8")))
    assert documented == {name for name in counted if not name.endswith("_created")}


Lines = list[tuple[str, ...]]


async def counted_already() -> None:
    """Nothing is counted elsewhere."""


class Listener:
    """A controller that keeps what reports told: one list of (hour, school, action, category, queries) for each."""

    def __init__(self) -> None:
        self.status = 204
        self.reports: list[Lines] = []
        self.metrics = Metrics()

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        told = [*body["counts"], *body["school_counts"]]
        names = ("hour", "school", "action", "category", "queries")
        self.reports.append(sorted(tuple(str(each.get(name, "")) for name in names) for each in told))
        return httpx2.Response(self.status)

    def count(self, at: datetime, category: str, school: str = "") -> None:
        self.metrics.count(at, "blocked", "category_deny", category, school)

    def send(self) -> list[Lines]:
        """What one turn of reporting tells."""

        async def talk() -> None:
            async with httpx2.AsyncClient(transport=httpx2.MockTransport(self), base_url="https://c.test") as client:
                await Reporter(client, self.metrics, "1", NOON, dict, counted_already).send(None)

        self.reports.clear()
        asyncio.run(talk())
        return self.reports.copy()


def at(hour: datetime, *rest: object) -> tuple[str, ...]:
    return (hour.isoformat(), *map(str, rest))


def test_only_what_changed_is_told_again() -> None:
    listener = Listener()
    listener.count(NOON, "jeux", "0020000A")
    listener.count(NOON, "adultes")
    assert listener.send() == [
        [at(NOON, "", "blocked", "adultes", 1), at(NOON, "", "blocked", "jeux", 1),
         at(NOON, "0020000A", "blocked", "jeux", 1)]
    ]  # fmt: skip
    assert listener.send() == [[]]
    listener.count(NOON, "adultes")
    assert listener.send() == [[at(NOON, "", "blocked", "adultes", 2)]]


def test_what_was_not_taken_is_told_again() -> None:
    listener = Listener()
    listener.count(NOON, "jeux")
    listener.status = 503
    with pytest.raises(TalkFailed):
        listener.send()
    listener.status = 204
    assert listener.send() == [[at(NOON, "", "blocked", "jeux", 1)]]


def test_what_grew_while_it_was_told_is_told_again() -> None:
    listener = Listener()
    listener.count(NOON, "jeux")
    told = listener.metrics.hourly.news(10)
    listener.count(NOON, "jeux")
    listener.metrics.hourly.told(told)
    assert listener.send() == [[at(NOON, "", "blocked", "jeux", 2)]]


def test_much_is_told_in_pieces_the_newest_hours_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "MOST_COUNTS", 2)
    listener = Listener()
    for hour in (NOON, NOON + 2 * HOUR, NOON + HOUR):
        for category in ("adultes", "jeux"):
            listener.count(hour, category)
    pieces = listener.send()
    assert [{line[0] for line in piece} for piece in pieces] == [
        {(NOON + 2 * HOUR).isoformat()}, {(NOON + HOUR).isoformat()}, {NOON.isoformat()}, set(),
    ]  # fmt: skip
    assert [len(piece) for piece in pieces] == [2, 2, 2, 0]


@pytest.mark.parametrize("jump", [49 * HOUR, -49 * HOUR, timedelta(days=3650)])
def test_hours_far_from_the_present_one_are_forgotten_without_any_report(jump: timedelta) -> None:
    listener = Listener()
    for number in range(48):
        listener.count(NOON - number * HOUR, "jeux", "0020000A")
    listener.count(NOON + jump, "jeux", "0020000A")
    listener.count(NOON + jump, "jeux", "0020000A")
    assert {line[0] for piece in listener.send() for line in piece} <= {
        (NOON + jump + number * HOUR).isoformat() for number in range(-48, 49)
    }
