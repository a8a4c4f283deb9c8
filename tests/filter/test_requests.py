"""Requests to unblock a site: typed on the block page, kept through a crash, handed to the controller once."""

import http.client
import signal
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode

import pytest

from filter.serving.blockpage_html import FORM_PATH
from filter.updates.requests import LONGEST_REASON
from tests.filter.controller import SmallController
from tests.filter.publishing import Publisher, filter_options, installed, refused, wait_for_line
from tests.filter.running import RunningFilter
from tests.filter.scripted import free_port

SITE = "www.neuf.example"
REQUESTS = "/filter/v1/requests"


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[SmallController]:
    with SmallController(tmp_path) as small:
        small.publish(Publisher(tmp_path).pair(8, jeux=["neuf.example"]))
        yield small


@pytest.fixture
def page_port() -> int:
    return free_port()


@pytest.fixture
def options(tmp_path: Path, controller: SmallController, page_port: int) -> list[str]:
    upstream = f"127.0.0.1:{free_port()}"
    return [*filter_options(tmp_path, controller, upstream), "--block-page", f"127.0.0.1:{page_port}"]


class Form(HTMLParser):
    """The fields of the page's form, and every word on it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.labels: set[str] = set()
        self.words: list[str] = []
        self.action = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.action = given["action"]
        elif tag in {"input", "textarea"}:
            self.fields[given["name"]] = given.get("value", "")
        elif tag == "label":
            self.labels.add(given["for"])

    def handle_data(self, data: str) -> None:
        self.words.append(data)


class Visitor:
    """A browser at the school."""

    def __init__(self, port: int) -> None:
        self.port = port

    def open(self, host: str = SITE) -> Form:
        status, html = self.send("GET", "/", host)
        assert status == 403
        return Form(html)

    def send(
        self, method: str, path: str, host: str = SITE, body: str | None = None, **headers: str
    ) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, {"Host": host, **named})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def ask(self, form: Form, reason: str = "Pour l’exposé", contact: str = "", **headers: str) -> tuple[int, str]:
        values = form.fields | {"reason": reason, "contact": contact}
        named = {"Origin": f"http://{SITE}", "Sec_Fetch_Site": "same-origin"} | headers
        kind = "application/x-www-form-urlencoded"
        return self.send("POST", form.action, body=urlencode(values), Content_Type=kind, **named)


@pytest.fixture
def visitor(page_port: int) -> Visitor:
    return Visitor(page_port)


def test_a_request_reaches_the_controller_once(
    options: list[str], controller: SmallController, visitor: Visitor, tmp_path: Path
) -> None:
    with RunningFilter(*options) as running:
        installed(running, 8)
        form = visitor.open()
        assert form.action == FORM_PATH
        assert form.labels == {"reason", "contact"}
        status, html = visitor.ask(form, "Pour l’exposé\n de <jeudi>", "Mme Petit")
        assert status == 200
        assert "Demande enregistrée" in html
        controller.wait_for(204, REQUESTS)
    (asked,) = controller.asked
    assert asked.pop("id")
    assert asked.pop("asked_at")
    assert asked == {
        "name": SITE,
        "reason": "Pour l’exposé de <jeudi>",
        "contact": "Mme Petit",
        "client_school": "",
        "client_room": "",
        "client_profile": "ecole",
    }
    assert "127.0.0.1" not in str(asked)
    assert list((tmp_path / "data" / "requests").iterdir()) == []


def test_a_request_outlives_a_crash_and_an_absent_controller(
    options: list[str], controller: SmallController, visitor: Visitor
) -> None:
    controller.request_status = 503
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert visitor.ask(visitor.open())[0] == 200
        refused(running, "request", "controller")
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    assert controller.asked == []
    controller.request_status = 204
    with RunningFilter(*options) as again:
        again.wait_for("filter answers")
        controller.wait_for(204, REQUESTS)
    assert len(controller.asked) == 1


def test_a_request_that_came_twice_has_one_id(
    options: list[str], controller: SmallController, visitor: Visitor, tmp_path: Path
) -> None:
    """Taken, then the filter dies before it knows: what it sends again is the very same."""
    folder = tmp_path / "data" / "requests"
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.request_status = 503
        visitor.ask(visitor.open())
        refused(running, "request", "controller")
    (kept,) = folder.glob("*.json")
    content = kept.read_bytes()
    controller.request_status = 204
    for times in (1, 2):
        kept.write_bytes(content)
        with RunningFilter(*options):
            controller.wait_for(204, REQUESTS, times=times)
    first, second = controller.asked
    assert first == second


def test_what_the_controller_will_never_take_is_let_go(
    options: list[str], controller: SmallController, visitor: Visitor, tmp_path: Path
) -> None:
    controller.request_status = 422
    with RunningFilter(*options) as running:
        installed(running, 8)
        visitor.ask(visitor.open())
        wait_for_line(running, "the controller refused a request", status=422)
        controller.request_status = 204
        visitor.ask(visitor.open(), "Une autre")
        controller.wait_for(204, REQUESTS)
    assert [asked["reason"] for asked in controller.asked] == ["Une autre"]


@pytest.mark.parametrize(
    ("reason", "changes", "status", "words"),
    [
        ("", {}, 422, "Dites en quelques mots"),
        ("x" * (LONGEST_REASON + 1), {}, 422, "trop long"),
        ("x" * 20_000, {}, 413, "trop long"),
        ("Oui", {"Origin": "http://mechant.example"}, 403, "trop longtemps"),
        ("Oui", {"Origin": "null"}, 403, "trop longtemps"),
        ("Oui", {"Sec_Fetch_Site": "cross-site"}, 403, "trop longtemps"),
        ("Oui", {"Host": "neuf.example"}, 403, "trop longtemps"),
    ],
)
def test_what_is_no_request_of_ours_is_refused(
    options: list[str], controller: SmallController, visitor: Visitor, tmp_path: Path,
    reason: str, changes: dict[str, str], status: int, words: str,
) -> None:  # fmt: skip
    with RunningFilter(*options) as running:
        installed(running, 8)
        answered, html = visitor.ask(visitor.open(), reason, **changes)
    assert (answered, words in html) == (status, True), html
    assert 'role="alert"' in html
    assert not (tmp_path / "data" / "requests").exists()
    assert controller.asked == []


@pytest.mark.parametrize("token", ["", "1.00", "x", "99999999999.00", "-1.0", "1" * 200])
def test_a_made_up_token_opens_nothing(options: list[str], visitor: Visitor, tmp_path: Path, token: str) -> None:
    with RunningFilter(*options) as running:
        installed(running, 8)
        form = visitor.open()
        form.fields["token"] = token
        status, html = visitor.ask(form, "Gardez ce texte")
    assert status == 403
    assert "Gardez ce texte" in html, "nobody types twice"
    assert not (tmp_path / "data" / "requests").exists()


def test_a_device_cannot_flood(options: list[str], visitor: Visitor) -> None:
    with RunningFilter(*options) as running:
        installed(running, 8)
        form = visitor.open()
        statuses = [visitor.ask(form)[0] for _ in range(7)]
    assert statuses == [200] * 5 + [429] * 2


@pytest.mark.parametrize("body", ["\xff\xfe", "a&" * 40, "reason=%ff"])
def test_a_body_of_no_form_is_refused(options: list[str], visitor: Visitor, body: str) -> None:
    with RunningFilter(*options) as running:
        installed(running, 8)
        status, _ = visitor.send("POST", FORM_PATH, body=body)
        assert status in {400, 403}
        assert visitor.open().action
