"""The page that says why: asked over HTTP as a browser does, judged like the queries."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import time, timedelta
from html.parser import HTMLParser
from pathlib import Path

import dns.rcode
import pytest

from filter.serving.blockpage import BlockPage
from filter.serving.blockpage_html import FORM_PATH
from filter.serving.webserver import Request
from filter.settings import (
    CategoryRule,
    LessonSettings,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ScheduleSettings,
    Verdict,
    WeeklyRange,
)
from filter.updates.pair import open_pair
from tests.filter.conftest import LISTS, NOON, SCHOOL, compile_pair, make_list
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
    assert FORM_PATH not in html  # without a controller nobody would read a request
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
    policy = open_pair(compile_pair([evil], SCHOOL, tmp_path / "b", serial=1)).policy
    page = BlockPage(lambda: policy, lambda: NOON, None)
    html = asyncio.run(page(Request("GET", "/", "jeu.example", "192.0.2.1"))).body

    assert b"<img" not in html
    assert b"&lt;img" in html


MIDDAY = ScheduleSettings("midi", "Pause de midi", weekly=(WeeklyRange((0, 1, 2, 3, 4, 5, 6), time(12), time(13, 30)),))
BY_SCHEDULE = CategoryRule("jeux", Verdict.BLOCK, schedule="midi", layer="Guise")
OVERRIDE = OverrideSettings(
    "d1", Verdict.BLOCK, NOON, NOON + timedelta(hours=2), names=("journal.example",), reason="Sondage en cours",
    layer="École Jean Macé",
)  # fmt: skip
LESSON = LessonSettings("l1", "s1", NOON, NOON + timedelta(minutes=45), names=("education.example",), title="Fractions")


def page_words(tmp_path: Path, settings: PolicySettings, name: str) -> list[str]:
    """What the page tells a client of 10.8.0.0/16 on NOON, a Saturday at 13:00 in France."""
    policy = open_pair(compile_pair(LISTS, settings, tmp_path / "b", serial=1)).policy
    answered = asyncio.run(BlockPage(lambda: policy, lambda: NOON, None)(Request("GET", "/", name, "10.8.0.1")))
    assert answered.status == 403
    return Page(answered.body.decode()).words


def with_profile(**changes: object) -> PolicySettings:
    """SCHOOL with its first profile changed, and a room at 10.8.0.0/16."""
    (first, *others) = SCHOOL.profiles
    return replace(
        SCHOOL,
        profiles=(replace(first, **changes), *others),  # type: ignore[arg-type]  # the fields' own types
        networks=(*SCHOOL.networks, NetworkSettings("10.8.0.0/16", "ecole", "s1")),
    )


def test_a_schedule_says_until_when(tmp_path: Path) -> None:
    settings = replace(with_profile(categories=(BY_SCHEDULE,)), schedules=(MIDDAY,))
    words = page_words(tmp_path, settings, "jeu.example")
    assert "Pause de midi" in words
    assert "samedi 21 novembre à 13 h 30" in words
    assert "Guise" in words


def test_an_override_says_why_until_when_and_who(tmp_path: Path) -> None:
    words = page_words(tmp_path, with_profile(overrides=(OVERRIDE,)), "journal.example")
    assert {"Sondage en cours", "samedi 21 novembre à 15 h", "École Jean Macé"} <= set(words)


def test_a_lesson_says_its_title_and_its_end(tmp_path: Path) -> None:
    words = page_words(tmp_path, replace(with_profile(), lessons=(LESSON,)), "journal.example")
    assert {"Fractions", "samedi 21 novembre à 13 h 45"} <= set(words)
    assert "leçon est en cours" in " ".join(words)


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
    assert "filter_policy_serial 7.0" in text
    assert "jeu.example" not in text
    assert "127.0.0.1" not in text
    assert get(served.metrics, "x", "/autre")[0].status == 404
