"""A source on a real HTTP server, and one fetch of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from fleet.filtering.lists import fetching
from fleet.filtering.models import (
    FilterSource,
)
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.fetching.fetched import QUICK, Fetch
from tests.fleet.list_server import ListServer, list_server


@pytest.fixture(scope="module")
def server() -> Iterator[ListServer]:
    with list_server() as served:
        yield served


@pytest.fixture
def source(session: Session, server: ListServer) -> FilterSource:
    """A source of one list on a private network."""
    server.pages.clear()
    server.asked.clear()
    added = FilterSource(
        slug="liste", title="Liste", url=server.url("/list.txt"), category="gambling", is_internal=True, added_at=NOON,
        due_at=NOON,
    )  # fmt: skip
    session.add(added)
    session.flush()
    return added


@pytest.fixture
def fetch(session: Session, source: FilterSource, clock: Clock) -> Fetch:
    def run(**overrides: Any) -> FilterSource:
        source.due_at = min(source.due_at or clock.now, clock.now)
        session.flush()
        limits = overrides.pop("limits", QUICK)
        fetching.fetch_source(source.id, session.get_bind().engine, limits, clock)
        session.refresh(source)
        return source

    return run
