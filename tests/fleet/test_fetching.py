"""Fetching lists from a real web server: what is new, what was cut, what must not be used, and from where."""

import bz2
import gzip
import hashlib
import io
import lzma
import random
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fleet.filtering.lists import contents, fetching
from fleet.filtering.lists.contents import CHUNK
from fleet.filtering.lists.downloading import FetchFailed, Known, Limits, download
from fleet.filtering.lists.fetching import find_sum
from fleet.filtering.lists.reaching import Forbidden, check_url, is_inside, resolve_public
from fleet.filtering.lists.timetable import after_failure, is_quiet, next_polite
from fleet.filtering.models import (
    ContentChunk,
    ContentState,
    FetchOutcome,
    FilterSource,
    SourceContent,
)
from fleet.filtering.publishing.turns import fetch_lock, turn
from tests.conftest import Clock
from tests.factories import NOON
from tests.fleet.list_server import ListServer, Page, list_server

QUICK = Limits(most_bytes=16 << 20, connect_seconds=5, read_seconds=0.3, total_seconds=30)
Fetch = Callable[..., FilterSource]


def names(number: int, seed: int = 1) -> bytes:
    """A plain list of so many names."""
    chosen = random.Random(seed)
    return b"".join(b"%x.example\n" % chosen.getrandbits(64) for _ in range(number))


LARGE = names(150_000)
"""Nearly four pieces."""


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


def states(session: Session, source: FilterSource) -> list[str]:
    rows = select(SourceContent.state).where(SourceContent.source_id == source.id).order_by(SourceContent.fetched_at)
    return [state.value for state in session.scalars(rows)]


def good(session: Session, source: FilterSource) -> SourceContent:
    content = contents.find_content(session, source.id, ContentState.GOOD)
    assert content is not None
    return content


def body(content: SourceContent) -> bytes:
    return b"".join(contents.read_pieces(content.id))


# --- what is new, and what is not --------------------------------------------------------------------------------


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


# --- what was cut ------------------------------------------------------------------------------------------------


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


# --- what must not be used ---------------------------------------------------------------------------------------


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


# --- from where --------------------------------------------------------------------------------------------------


def test_a_source_outside_never_leads_inside(server: ListServer, source: FilterSource, fetch: Fetch) -> None:
    source.is_internal = False
    server.pages["/list.txt"] = Page(names(3))
    assert fetch().outcome is FetchOutcome.FORBIDDEN_ADDRESS
    assert server.asked == []


class Nowhere:
    """A sink for what must not come."""

    def begin(self, etag: str | None, last_modified: str | None, *, resumes: bool) -> None:
        raise AssertionError("a body came")

    def write(self, data: bytes) -> None:
        raise AssertionError("a body came")

    def forget(self) -> None:
        pass


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secret", "http://localhost:{port}/secret", "http://[::1]:{port}/secret",
        "http://169.254.169.254/secret", "//10.0.0.1/secret", "http://[::ffff:127.0.0.1]:{port}/secret", "ftp://a/secret",
        "file:///etc/passwd", "http://2130706433:{port}/secret",
    ],
)  # fmt: skip
def test_a_redirect_never_leads_inside(server: ListServer, target: str) -> None:
    """A public name that this test alone knows stands for a list on the Internet."""
    server.asked.clear()
    server.pages["/moved"] = Page(status=302, headers={"Location": target.format(port=server.port)})
    server.pages["/secret"] = Page(names(3))

    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "lists.example" else resolve_public(host, port)

    with pytest.raises(FetchFailed) as refused:
        download(f"http://lists.example:{server.port}/moved", Known(), Nowhere(), resolve, QUICK)
    assert refused.value.outcome in {FetchOutcome.FORBIDDEN_ADDRESS, FetchOutcome.UNREACHABLE}
    assert [asked.path for asked in server.asked] == ["/moved"]
    assert server.headers_of()["host"] == f"lists.example:{server.port}"


def test_redirects_are_followed_so_far(server: ListServer, source: FilterSource, fetch: Fetch, clock: Clock) -> None:
    server.pages["/list.txt"] = Page(status=301, headers={"Location": "/new.txt"})
    server.pages["/new.txt"] = Page(names(30))
    assert fetch().outcome is FetchOutcome.ACCEPTED
    server.pages["/new.txt"] = Page(status=302, headers={"Location": "/list.txt"})
    clock.advance(days=1)
    assert fetch().outcome is FetchOutcome.FORBIDDEN_ADDRESS
    assert "redirections" in source.reason


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1", True), ("10.1.2.3", True), ("192.168.1.1", True), ("169.254.169.254", True), ("100.64.0.1", True),
        ("0.0.0.0", True), ("::1", True), ("fe80::1%eth0", True), ("fc00::1", True), ("::ffff:10.0.0.1", True),
        ("64:ff9b::7f00:1", True), ("2002:7f00:1::", True), ("192.0.2.1", True), ("224.0.0.1", True),
        ("193.49.48.249", False), ("2001:660:3302::1", False), ("64:ff9b::c131:30f9", False),
    ],
)  # fmt: skip
def test_what_is_inside(address: str, inside: bool) -> None:
    assert is_inside(address) == inside


@pytest.mark.parametrize(
    "url", ["", "liste", "ftp://a.fr/x", "http://", "http://u:p@a.fr/", "http://[::1", "javascript:x"]
)
def test_what_is_no_address_of_a_list(url: str) -> None:
    with pytest.raises(Forbidden):
        check_url(url)


# --- when --------------------------------------------------------------------------------------------------------


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
