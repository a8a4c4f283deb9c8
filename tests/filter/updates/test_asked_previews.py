"""Previews that a controller asks for, over real HTTPS: judged aside, answered once, nothing left behind."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import dns.rcode
import pytest

from filter.bundle import NamesFile, PolicyFile
from filter.layout.delta import make_delta
from filter.namecounts import NameCounts
from filter.signing import SigningKey
from filter.updates.previews import LARGEST_QUESTION
from tests.filter.conftest import NOON, SCHOOL, compile_pair, make_list, policy_of
from tests.filter.controller import PREVIEWS, Served, SmallController
from tests.filter.publishing import Publisher, blocking, installed, wait_for_line
from tests.filter.running import PATIENCE, RunningFilter

FIRST, SECOND = str(UUID(int=1)), str(UUID(int=2))


@pytest.fixture
def controller(tmp_path: Path, publisher: Publisher) -> Iterator[SmallController]:
    with SmallController(tmp_path) as small:
        small.publish(publisher.pair(5, jeux=["jeu.example"]))
        yield small


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The filter's folder, with what its clients asked for on the day before."""
    folder = tmp_path / "data"
    folder.mkdir()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    counts = NameCounts(folder, 7, lambda: yesterday, lambda _queries: None)
    counts.key = bytes(16)
    counts.start()
    for client in range(5):
        for name in ("neuf.example", "jeu.example", "_un_nom!.example"):
            counts.count(name, 1, "ecole", f"10.0.0.{client}")
    counts.flush()
    return folder


def question(**facts: object) -> Served:
    """Judged at one noon, whatever the day is now."""
    asked = {"judged_at": NOON.isoformat(), "ends_at": None, "threshold": 3, "days": 7, "policy": None} | facts
    return Served(json.dumps({"id": FIRST, **asked}).encode(), "")


def served(path: Path, etag: str) -> Served:
    return Served(path.read_bytes(), etag)


def answered(controller: SmallController, times: int = 1) -> dict[str, object]:
    """The last answer, once there are so many."""
    with controller.changed:
        assert controller.changed.wait_for(lambda: len(controller.answers) >= times, PATIENCE), controller.requests
    return controller.answers[times - 1]


def is_tidy(data: Path) -> bool:
    return not (data / "previews").exists()


def test_candidate_names_are_made_judged_and_forgotten(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path, tmp_path: Path
) -> None:
    new = publisher.names(0, jeux=["neuf.example", "_un_nom!.example"])
    (tmp_path / "delta").write_bytes(make_delta(tmp_path / "5.preau", new))
    tags = {"from": NamesFile.open(tmp_path / "5.preau").etag, "to": NamesFile.open(new).etag}
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(names=tags), names=served(tmp_path / "delta", tags["to"]))
        answer = answered(controller)
        assert (answer["outcome"], answer["judged"], answer["truncated"]) == ("judged", 3, False)
        changes = answer["changes"]
        assert isinstance(changes, list)
        assert [(each["name"], each["blocked"], each["lists"]) for each in changes] == [
            ("jeu.example", False, ["Liste jeux"]),
            ("neuf.example", True, ["Liste jeux"]),
        ], "what is no name of a site is left out"
        wait_for_line(running, "pair in use", names=5)
        assert running.ask("neuf.example").rcode() == dns.rcode.NOERROR
        assert running.ask("jeu.example").rcode() == dns.rcode.NXDOMAIN
    assert is_tidy(data)


def test_a_candidate_policy_is_judged_and_each_question_answered_once(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    policy = publisher.policy(0, blocking())
    tag = PolicyFile.open(policy).etag
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(policy=tag), policy=served(policy, tag))
        assert [each["name"] for each in told(answered(controller))] == ["jeu.example"]
        controller.publish_policy(publisher.policy(6))
        installed(running, 5, 6)
        controller.ask(SECOND, question=question(policy=tag), policy=served(policy, tag))
        answered(controller, 2)
        assert [each.path for each in controller.requests if each.path.endswith("/answer")] == [
            f"{PREVIEWS}/{FIRST}/answer",
            f"{PREVIEWS}/{SECOND}/answer",
        ]


def told(answer: dict[str, object]) -> list[dict[str, object]]:
    changes = answer["changes"]
    assert isinstance(changes, list)
    return changes


@pytest.mark.parametrize("lie", ["foreign key", "not signed", "a serial", "altered", "another one", "no policy"])
def test_candidates_that_lie_are_refused(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path, tmp_path: Path, lie: str
) -> None:
    policy = publisher.policy(1 if lie == "a serial" else 0, blocking())
    if lie in {"foreign key", "not signed"}:
        sign = SigningKey.generate().sign if lie == "foreign key" else None
        policy = policy_of(compile_pair([make_list("x", "x.example")], SCHOOL, tmp_path / "lie", serial=0, sign=sign))
    tag, content = PolicyFile.open(policy).etag, bytearray(policy.read_bytes())
    if lie == "altered":
        content[-5] ^= 1
    if lie == "another one":
        tag = PolicyFile.open(publisher.policy(0, SCHOOL)).etag
    if lie == "no policy":
        content = bytearray(publisher.names(0, jeux=["x.example"]).read_bytes())
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(policy=tag), policy=Served(bytes(content), tag))
        assert answered(controller) == {"outcome": "refused"}
    assert is_tidy(data)


@pytest.mark.parametrize("lie", ["other names", "a delta of others", "no delta", "altered"])
def test_names_that_cannot_be_made_are_told(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path, tmp_path: Path, lie: str
) -> None:
    new, others = publisher.names(0, jeux=["neuf.example"]), publisher.names(4, jeux=["x.example"])
    base = others if lie in {"other names", "a delta of others"} else tmp_path / "5.preau"
    from_etag = NamesFile.open(others if lie == "other names" else tmp_path / "5.preau").etag
    content = bytearray(b"x" * 300 if lie == "no delta" else make_delta(base, new))
    content[-3] ^= lie == "altered"
    to_etag = NamesFile.open(new).etag
    tags = {"from": from_etag, "to": to_etag}
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(names=tags), names=Served(bytes(content), to_etag))
        assert answered(controller) == {"outcome": "other_names" if lie == "other names" else "refused"}
        assert running.ask("jeu.example").rcode() == dns.rcode.NXDOMAIN
    assert is_tidy(data)


def test_a_filter_that_counts_nothing_says_so(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    with RunningFilter(*options, "--name-counts-days", "0") as running:
        installed(running, 5)
        controller.ask(FIRST, question=question())
        assert answered(controller) == {"outcome": "no_counts"}


def test_what_is_over_is_left_alone(options: list[str], controller: SmallController, data: Path) -> None:
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question())
        answered(controller)
        controller.ask(SECOND, question=question())
        controller.pages.clear()
        controller.wait_for(404, f"{PREVIEWS}/{SECOND}")
        assert len(controller.answers) == 1
        assert running.ask("jeu.example").rcode() == dns.rcode.NXDOMAIN


def test_what_a_crash_left_is_removed_at_the_start(options: list[str], controller: SmallController, data: Path) -> None:
    (data / "previews").mkdir()
    (data / "previews" / "names.made").write_bytes(b"left")
    with RunningFilter(*options) as running:
        installed(running, 5)
        assert is_tidy(data)


def test_only_days_that_are_asked_for_are_judged(options: list[str], controller: SmallController, data: Path) -> None:
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(days=1))
        assert answered(controller)["judged"] == 0


@pytest.mark.parametrize("status", [413, 422])
def test_an_answer_that_is_never_taken_is_told_as_failed(
    options: list[str], controller: SmallController, data: Path, status: int
) -> None:
    controller.answer_refused = status
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question())
        assert answered(controller) == {"outcome": "failed"}
        wait_for_line(running, "answer to a preview refused", status=status)


@pytest.mark.parametrize(("days", "judged"), [(10**12, 3), (0, 0), (-(10**12), 0)])
def test_days_beyond_reason_are_a_year_or_one_day(
    options: list[str], controller: SmallController, data: Path, days: int, judged: int
) -> None:
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(days=days))
        assert answered(controller)["judged"] == judged


def test_a_question_beyond_reason_is_not_read(options: list[str], controller: SmallController, data: Path) -> None:
    with RunningFilter(*options) as running:
        installed(running, 5)
        controller.ask(FIRST, question=question(padding="x" * LARGEST_QUESTION))
        wait_for_line(running, "preview failed", outcome="too_large")
        assert controller.answers == []
