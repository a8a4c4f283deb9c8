"""Fetching lists: what was cut, damaged or left by a worker that died."""

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fleet.filtering.lists import fetching
from fleet.filtering.lists.contents import CHUNK
from fleet.filtering.lists.downloading import Known, Limits
from fleet.filtering.models import (
    ContentChunk,
    FetchOutcome,
    FilterSource,
)
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.fetching.fetched import LARGE, QUICK, Fetch, body, good, names, states
from tests.fleet.list_server import ListServer, Page


def test_a_broken_download_goes_on_where_it_was(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"', cut_after=2 * CHUNK + 1000)
    source = fetch()
    assert (source.outcome, source.failures) == (FetchOutcome.BROKEN_OFF, 1)
    assert source.due_at == NOON + timedelta(minutes=1)
    assert states(session, source) == ["partial"]
    server.pages["/list.txt"].cut_after = None
    clock.advance(minutes=1)
    assert fetch().outcome is FetchOutcome.ACCEPTED
    assert (server.headers_of()["range"], server.headers_of()["if-range"]) == (f"bytes={2 * CHUNK}-", '"v1"')
    assert body(good(session, source)) == LARGE


def test_another_version_starts_anew(session: Session, server: ListServer, fetch: Fetch, clock: Clock) -> None:
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"', cut_after=2 * CHUNK)
    source = fetch()
    other = names(120_000, seed=3)
    server.pages["/list.txt"] = Page(other, etag='"v2"')
    clock.advance(hours=1)
    fetch()
    assert body(good(session, source)) == other


def test_a_weak_tag_proves_nothing_of_a_part(server: ListServer, fetch: Fetch, clock: Clock) -> None:
    server.pages["/list.txt"] = Page(LARGE, etag='W/"v1"', cut_after=2 * CHUNK)
    fetch()
    server.pages["/list.txt"].cut_after = None
    clock.advance(hours=1)
    assert fetch().outcome is FetchOutcome.ACCEPTED
    assert "range" not in server.headers_of()


@pytest.mark.parametrize(
    "page",
    [
        Page(LARGE[: 2 * CHUNK], etag='"v1"'),
        Page(LARGE, '"v1"', lies_about_range=True),
        Page(LARGE, '"v1"', range_ends_early=CHUNK),
    ],
)
def test_a_part_that_does_not_fit_is_forgotten(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock, page: Page
) -> None:
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"', cut_after=2 * CHUNK)
    source = fetch()
    server.pages["/list.txt"] = page
    clock.advance(hours=1)
    assert fetch().outcome in {FetchOutcome.BROKEN_OFF, FetchOutcome.BAD_ANSWER}
    assert states(session, source) == []
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"')
    clock.advance(hours=6)
    assert fetch().outcome is FetchOutcome.ACCEPTED


@pytest.mark.parametrize("told", [{}, {"Content-Range": "bytes 0-599/600"}, {"Content-Range": "bytes 0-599/9000"}])
def test_a_part_that_nobody_asked_for_is_not_the_list(
    session: Session, server: ListServer, fetch: Fetch, told: dict[str, str]
) -> None:
    server.pages["/list.txt"] = Page(names(30), etag='"v1"', status=206, headers=told)
    source = fetch()
    assert source.outcome is FetchOutcome.BAD_ANSWER
    assert states(session, source) == []


def test_a_server_that_falls_silent_is_left(session: Session, server: ListServer, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"', stalls_after=CHUNK + 5)
    source = fetch()
    assert source.outcome is FetchOutcome.BROKEN_OFF
    assert states(session, source) == ["partial"]


def test_what_takes_too_long_in_all_is_left(server: ListServer, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(LARGE)
    assert fetch(limits=Limits(total_seconds=0)).outcome is FetchOutcome.BROKEN_OFF


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_a_server_that_dribbles_is_left(server: ListServer, fetch: Fetch, headers: dict[str, str]) -> None:
    """Never silent long enough, and all of it far from a full piece."""
    sent = names(10) if not headers else gzip.compress(names(10))
    server.pages["/list.txt"] = Page(sent, headers=headers, every_seconds=0.02)
    assert fetch(limits=Limits(total_seconds=0.2)).outcome is FetchOutcome.BROKEN_OFF
    assert 0 < server.dribbled < len(sent)


def test_what_came_whole_before_its_worker_died_is_not_fetched_again(
    session: Session, server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(names(30), etag='"v1"')
    order = fetching.start(session, source.id, NOON)
    assert order is not None
    assert fetching.bring(order, QUICK, NOON) is not None
    clock.advance(hours=1)
    server.pages.clear()
    assert fetch().outcome is FetchOutcome.ACCEPTED
    assert len(server.asked) == 1


def test_what_kills_its_worker_each_time_is_fetched_anew(
    session: Session, server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(names(30), etag='"v1"')
    order = fetching.start(session, source.id, NOON)
    assert order is not None
    assert fetching.bring(order, QUICK, NOON) is not None
    for _ in range(fetching.MOST_READINGS):
        clock.advance(days=1)
        started = fetching.start(session, source.id, clock.now)
    assert started is not None
    assert started.fetched is None
    assert started.known == Known()
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.ACCEPTED
    assert len(server.asked) == 2


def damaged(pack: Callable[[bytes], bytes]) -> bytes:
    """A tarball of lists whose compressed stream is broken in the middle."""
    out, lines = io.BytesIO(), names(30_000)
    with tarfile.open(fileobj=out, mode="w") as archive:
        for category in ("adult", "games"):
            member = tarfile.TarInfo(f"blacklists/{category}/domains")
            member.size = len(lines)
            archive.addfile(member, io.BytesIO(lines))
    packed = bytearray(pack(out.getvalue()))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(range(190, 254))
    return bytes(packed)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, bz2.compress])
def test_a_damaged_archive_is_refused_and_the_mended_one_taken(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock, pack: Callable[[bytes], bytes]
) -> None:
    server.pages["/list.txt"] = Page(damaged(pack), etag='"v1"')
    source = fetch()
    assert source.outcome is FetchOutcome.NOT_A_LIST, source.reason
    assert states(session, source) == []
    server.pages["/list.txt"] = Page(names(30), etag='"v2"')
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.ACCEPTED


def test_a_piece_that_is_damaged_in_the_database_is_fetched_again(
    session: Session, server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock
) -> None:
    server.pages["/list.txt"] = Page(names(30), etag='"v1"')
    order = fetching.start(session, source.id, NOON)
    assert order is not None
    assert fetching.bring(order, QUICK, NOON) is not None
    session.execute(update(ContentChunk).values(content=b"no zlib"))
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.NOT_A_LIST
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.ACCEPTED
