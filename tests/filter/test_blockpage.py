"""The page that says why: asked over HTTP as a browser does, judged like the queries."""

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import dns.rcode
import pytest

from filter.blockpage import BlockPage
from filter.bundle import Bundle
from filter.compiler import compile_bundle
from filter.policy import Policy
from filter.webserver import Request
from tests.filter.conftest import NOON, SCHOOL, make_list
from tests.filter.running import RunningFilter, errors_of, records_of
from tests.filter.scripted import free_port


@pytest.fixture
def page_port() -> int:
    return free_port()


@pytest.fixture
def served(bundle_file: Path, page_port: int) -> Iterator[RunningFilter]:
    options = ["--bundle", str(bundle_file), "--upstream", f"127.0.0.1:{free_port()}"]
    pages = [
        "--block-page",
        f"127.0.0.1:{page_port}",
        "--block-address",
        "192.0.2.80",
        "--block-address",
        "2001:db8::80",
    ]
    with RunningFilter(*options, *pages) as running:
        yield running


def get(port: int, host: str, path: str = "/", method: str = "GET") -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


class Page(HTMLParser):
    """The text people read, and whatever a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_a_blocked_name_leads_to_the_page(served: RunningFilter) -> None:
    assert records_of(served.ask("www.jeu.example", "A")) == ["A 192.0.2.80"]
    assert records_of(served.ask("www.jeu.example", "AAAA")) == ["AAAA 2001:db8::80"]
    for qtype in ("HTTPS", "SVCB", "MX", "TXT"):
        reply = served.ask("www.jeu.example", qtype)
        assert (reply.rcode(), records_of(reply), len(reply.authority)) == (dns.rcode.NOERROR, [], 1)
    reply = served.ask("www.jeu.example", "A")
    assert reply.answer[0].ttl == 10
    assert errors_of(reply) == [(17, "catégorie : Liste jeux")]
    assert served.ask("mask.icloud.com").rcode() == dns.rcode.NXDOMAIN  # a signal for programs, no page


def test_the_page_says_why_in_french(served: RunningFilter, page_port: int) -> None:
    response, html = get(page_port, "www.jeu.example", "/une/page?q=1")
    page = Page(html)
    words = " ".join(page.words)

    assert response.status == 403
    assert page.tags[0] == ("html", {"lang": "fr"})
    for expected in ("www.jeu.example", "École", "Liste jeux", "jeu.example"):
        assert expected in words
    assert "jeux" not in page.words  # the category by its title, not by the name that programs use
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in page.tags


def test_the_page_needs_nothing_from_elsewhere(served: RunningFilter, page_port: int) -> None:
    response, html = get(page_port, "www.jeu.example")

    assert not {tag for tag, _ in Page(html).tags} & {"script", "img", "link", "iframe", "form", "a"}
    assert "url(" not in html
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_every_method_gets_the_page(served: RunningFilter, page_port: int, method: str) -> None:
    response, html = get(page_port, "www.jeu.example", method=method)

    assert response.status == 403
    assert "bloqué" in html


def test_head_gets_no_body(served: RunningFilter, page_port: int) -> None:
    response, html = get(page_port, "www.jeu.example", method="HEAD")

    assert (response.status, html) == (403, "")
    assert int(response.headers["Content-Length"]) > 0


@pytest.mark.parametrize(
    ("host", "status", "words"),
    [
        ("WWW.Jeu.Example:80", 403, "Ce site est bloqué"),
        ("bloque.example", 403, "nommément"),
        ("journal.example", 404, "pas bloqué"),
        ("127.0.0.1", 404, "Filtre de l’école"),
        ("[::1]:80", 404, "Filtre de l’école"),
        ("", 404, "Filtre de l’école"),
        ("<script>alert(1)</script>", 404, "Filtre de l’école"),
        ("x" * 300, 404, "Filtre de l’école"),
    ],
)
def test_each_host_gets_its_page(served: RunningFilter, page_port: int, host: str, status: int, words: str) -> None:
    response, html = get(page_port, host)

    assert response.status == status
    assert words in html
    assert "<script" not in html


def test_titles_are_escaped(tmp_path: Path) -> None:
    evil = replace(make_list("jeux", "jeu.example"), title='<img src=x onerror="alert(1)">')
    compile_bundle([evil], SCHOOL, tmp_path / "b", serial=1, compiled_at=NOON)
    policy = Policy(Bundle.open(tmp_path / "b"))
    page = BlockPage(lambda: policy, lambda: NOON)(Request("GET", "/", "jeu.example", "192.0.2.1"))

    assert b"<img" not in page.body
    assert b"&lt;img" in page.body


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"GARBAGE\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n"]
)
def test_what_is_no_http_is_ended(served: RunningFilter, page_port: int, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", page_port), timeout=10) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        try:
            answered = client.recv(100)
        except ConnectionError:
            answered = b""
    assert answered == b"" or answered.startswith(b"HTTP/1.1 400")
    assert get(page_port, "www.jeu.example")[0].status == 403


def test_health_metrics_and_status(served: RunningFilter) -> None:
    served.ask("www.jeu.example")
    served.ask("localhost")

    live, _ = get(served.metrics, "x", "/health/live")
    ready, body = get(served.metrics, "x", "/health/ready")
    metrics, text = get(served.metrics, "x", "/metrics")

    assert (live.status, ready.status, metrics.status) == (200, 200, 200)
    assert json.loads(body)["bundle_serial"] == 7
    assert 'filter_queries_total{action="blocked",category="jeux",rule="category_deny"} 1.0' in text
    assert 'filter_queries_total{action="loopback",category="",rule="special_name"} 1.0' in text
    assert "filter_bundle_serial 7.0" in text
    assert "filter_bundle_age_seconds" in text
    assert "jeu.example" not in text
    assert "127.0.0.1" not in text
    assert get(served.metrics, "x", "/autre")[0].status == 404
