"""Fetching lists: what is new, what is not, and what is kept."""

import gzip
import hashlib
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.filtering.models import (
    ContentChunk,
    FetchOutcome,
)
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.fetching.fetched import LARGE, Fetch, body, good, names, states
from tests.fleet.list_server import ListServer, Page


def test_a_list_is_fetched_once_and_asked_for_again_by_its_tag(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"')
    source = fetch()
    assert (source.outcome, source.failures, source.due_at) == (FetchOutcome.ACCEPTED, 0, NOON + timedelta(hours=24))
    content = good(session, source)
    assert body(content) == LARGE
    assert (content.size, content.digest) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert (content.format, content.names, content.etag) == ("domains", 150_000, '"v1"')
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.UNCHANGED
    assert server.headers_of()["if-none-match"] == '"v1"'
    assert states(session, source) == ["good"]


def test_without_a_tag_the_date_serves(session: Session, server: ListServer, fetch: Fetch, clock: Clock) -> None:
    date = "Mon, 23 Nov 2026 03:00:00 GMT"
    server.pages["/list.txt"] = Page(names(10), last_modified=date)
    assert fetch().outcome is FetchOutcome.ACCEPTED
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.UNCHANGED
    assert server.headers_of()["if-modified-since"] == date


def test_a_server_that_knows_neither_sends_the_same_again_for_nothing(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(names(10))
    fetch()
    clock.advance(days=1)
    source = fetch()
    assert source.outcome is FetchOutcome.UNCHANGED
    assert states(session, source) == ["good"]


def test_the_last_good_one_is_replaced_and_its_pieces_go(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(names(100), etag='"v1"')
    source = fetch()
    server.pages["/list.txt"] = Page(names(100, seed=2), etag='"v2"')
    clock.advance(days=1)
    fetch()
    assert states(session, source) == ["replaced", "good"]
    assert body(good(session, source)) == names(100, seed=2)
    kept = session.scalars(select(ContentChunk.content_id).distinct()).all()
    assert kept == [good(session, source).id]


def test_what_is_kept_is_compressed(session: Session, server: ListServer, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(LARGE)
    fetch()
    stored = session.scalar(select(func.sum(func.length(ContentChunk.content))))
    assert stored is not None
    assert stored < len(LARGE) * 0.7


def test_a_compressed_file_is_a_list(session: Session, server: ListServer, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(gzip.compress(names(50)))
    assert good(session, fetch()).names == 50


def test_a_compressed_answer_is_opened(session: Session, server: ListServer, fetch: Fetch) -> None:
    packed = gzip.compress(names(50))
    server.pages["/list.txt"] = Page(packed, etag='"v1"', headers={"Content-Encoding": "gzip"})
    assert body(good(session, fetch())) == names(50)
