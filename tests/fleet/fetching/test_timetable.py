"""Fetching lists: polite hours, failures, and what is due."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fleet.filtering.lists import fetching
from fleet.filtering.lists.timetable import after_failure, is_quiet, next_polite
from fleet.filtering.models import (
    FetchOutcome,
    FilterSource,
)
from fleet.filtering.publishing.turns import fetch_lock, turn
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.fetching.fetched import Fetch, names
from tests.fleet.list_server import ListServer, Page


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, 24, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "moment", "quiet", "then"),
    [
        ((8, 19), at(7, 59), False, at(7, 59)), ((8, 19), at(8), True, at(19)), ((8, 19), at(18, 59), True, at(19)),
        ((8, 19), at(19), False, at(19)), ((22, 6), at(23, 30), True, at(6) + timedelta(days=1)),
        ((22, 6), at(5), True, at(6)), ((22, 6), at(12), False, at(12)), ((None, None), at(12), False, at(12)),
        ((8, 24), at(12), True, at(0) + timedelta(days=1)), ((8, 8), at(8), False, at(8)),
    ],
)  # fmt: skip
def test_polite_hours(hours: tuple[int | None, int | None], moment: datetime, quiet: bool, then: datetime) -> None:
    assert is_quiet(*hours, moment) == quiet
    assert next_polite(*hours, moment) == then


def test_failures_come_ever_less_often() -> None:
    waits = [after_failure(number, NOON) - NOON for number in range(1, 8)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (timedelta(minutes=1), timedelta(hours=3))
    assert after_failure(1, NOON, timedelta(days=40)) == NOON + timedelta(days=1)


def test_nobody_is_asked_in_quiet_hours(server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock) -> None:
    source.quiet_from, source.quiet_until = 8, 19  # it is 11 h UTC
    server.pages["/list.txt"] = Page(names(3))
    assert fetch().outcome is None
    assert server.asked == []
    clock.now = at(19)
    source = fetch()
    assert source.outcome is FetchOutcome.ACCEPTED
    assert source.due_at == at(19) + timedelta(days=1)


def test_what_is_due_is_handed_over_oldest_first(session: Session, source: FilterSource) -> None:
    different: dict[str, dict[str, Any]] = {
        "older": {"due_at": NOON - timedelta(hours=3)}, "off": {"is_enabled": False}, "later": {"due_at": at(20)},
        "local": {"url": None}, "polite": {"quiet_from": 8, "quiet_until": 19},
    }  # fmt: skip
    for slug, changes in different.items():
        facts: dict[str, Any] = {"url": "https://a.example/", "due_at": NOON} | changes
        session.add(FilterSource(slug=slug, title=slug, added_at=NOON, **facts))
    session.flush()
    due = [session.get_one(FilterSource, identifier).slug for identifier in fetching.list_due(session, NOON)]
    assert due == ["older", "liste"]


def test_one_worker_fetches_a_source(session: Session, server: ListServer, source: FilterSource, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(names(3))
    with turn(session.get_bind().engine, fetch_lock(source.id)) as is_ours:
        assert is_ours
        assert fetch().outcome is None
    assert fetch().outcome is FetchOutcome.ACCEPTED
