"""Fetching lists: a source outside never leads to addresses inside."""

import pytest

from fleet.filtering.lists.downloading import FetchFailed, Known, download
from fleet.filtering.lists.reaching import Forbidden, check_url, is_inside, resolve_public
from fleet.filtering.models import (
    FetchOutcome,
    FilterSource,
)
from tests.conftest import Clock
from tests.fleet.fetching.fetched import QUICK, Fetch, names
from tests.fleet.list_server import ListServer, Page


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
