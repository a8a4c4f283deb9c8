"""Fetching lists: what must not be used, and servers that refuse."""

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from fleet.filtering.lists.contents import CHUNK
from fleet.filtering.lists.downloading import Limits
from fleet.filtering.lists.fetching import find_sum
from fleet.filtering.models import (
    FetchOutcome,
    FilterSource,
)
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.fetching.fetched import LARGE, Fetch, body, good, names, states
from tests.fleet.list_server import ListServer, Page


@pytest.mark.parametrize(
    "sent",
    [
        b"<!DOCTYPE html>\n<html><body>Page introuvable</body></html>\n", b"", b"# rien\n", b"\x7fELF" + bytes(4000),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused_and_the_last_good_one_stays(
    session: Session, server: ListServer, fetch: Fetch, clock: Clock, sent: bytes
) -> None:
    server.pages["/list.txt"] = Page(names(30), etag='"v1"')
    fetch()
    server.pages["/list.txt"] = Page(sent, etag='"v2"')
    clock.advance(days=1)
    source = fetch()
    assert source.outcome is FetchOutcome.NOT_A_LIST
    assert source.reason
    assert "/tmp" not in source.reason
    assert states(session, source) == ["good"]


def test_too_much_is_refused(server: ListServer, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(LARGE)
    assert fetch(limits=Limits(most_bytes=CHUNK)).outcome is FetchOutcome.TOO_LARGE


def test_the_sum_that_a_source_publishes_is_checked(
    session: Session, server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock
) -> None:
    source.checksum_url = server.url("/MD5SUM.LST")
    right = hashlib.md5(names(30)).hexdigest()
    server.pages["/list.txt"] = Page(names(30), etag='"v1"')
    server.pages["/MD5SUM.LST"] = Page(f"{'0' * 32}  other.txt\n{'1' * 32}  list.txt\n".encode())
    assert fetch().outcome is FetchOutcome.WRONG_CHECKSUM
    assert right in source.reason
    assert states(session, source) == []
    server.pages["/MD5SUM.LST"] = Page(f"{'0' * 32}  other.txt\n{right}  list.txt\n".encode())
    clock.advance(minutes=5)
    assert fetch().outcome is FetchOutcome.ACCEPTED


def test_without_its_sum_a_list_waits_and_is_not_fetched_twice(
    session: Session, server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock
) -> None:
    source.checksum_url = server.url("/MD5SUM.LST")
    server.pages["/list.txt"] = Page(LARGE, etag='"v1"')
    assert fetch().outcome is FetchOutcome.BAD_ANSWER
    server.pages["/MD5SUM.LST"] = Page(hashlib.md5(LARGE).hexdigest().encode())
    clock.advance(minutes=5)
    assert fetch().outcome is FetchOutcome.ACCEPTED
    assert body(good(session, source)) == LARGE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a" * 32, "a" * 32), (f"{'A' * 32}  all.tar.gz", "a" * 32),
        (f"{'a' * 32} *./all.tar.gz\n{'b' * 32}  x", "a" * 32),
        (f"{'a' * 32}  other\n{'b' * 32}  x", None), (f"{'a' * 32}  other", None), ("", None), ("a" * 40, None),
    ],
)  # fmt: skip
def test_which_sum_is_a_files_own(text: str, found: str | None) -> None:
    assert find_sum(text, "all.tar.gz") == found


@pytest.mark.parametrize("status", [403, 404, 410, 500, 503])
def test_a_refusal_is_told(server: ListServer, fetch: Fetch, status: int) -> None:
    server.pages["/list.txt"] = Page(b"casino.example\n", status=status)
    source = fetch()
    assert source.outcome is FetchOutcome.BAD_ANSWER
    assert str(status) in source.reason


def test_nobody_there_is_told(session: Session, source: FilterSource, fetch: Fetch) -> None:
    source.url = "http://127.0.0.1:9/list.txt"
    assert fetch().outcome is FetchOutcome.UNREACHABLE


def test_a_server_says_when_to_come_back(server: ListServer, fetch: Fetch) -> None:
    server.pages["/list.txt"] = Page(status=503, headers={"Retry-After": "7200"})
    assert fetch().due_at == NOON + timedelta(hours=2)
