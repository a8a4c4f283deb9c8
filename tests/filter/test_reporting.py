"""When a filter reports: at long intervals, and soon after its files changed, however often they do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.filter.controller import Served, SmallController
from tests.filter.publishing import Publisher, filter_options, installed, refused
from tests.filter.running import PATIENCE, RunningFilter
from tests.filter.scripted import ScriptedUpstream

POLICIES = 30


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[SmallController]:
    with SmallController(tmp_path) as small:
        yield small


@pytest.fixture
def options(tmp_path: Path, controller: SmallController) -> Iterator[list[str]]:
    """Of a filter whose reports are hours apart."""
    with ScriptedUpstream() as upstream:
        yield [*filter_options(tmp_path, controller, upstream.address), "--interval", "20000"]


def wait_for_report(controller: SmallController, **wanted: object) -> dict[str, object]:
    """The first report with these."""

    def found() -> list[dict[str, object]]:
        return [each for each in controller.reports if all(each[key] == value for key, value in wanted.items())]

    with controller.changed:
        assert controller.changed.wait_for(lambda: bool(found()), PATIENCE), controller.reports
        return found()[0]


def test_a_pair_is_told_soon_though_the_first_report_knew_of_none(
    options: list[str], controller: SmallController, tmp_path: Path
) -> None:
    with RunningFilter(*options) as running:
        wait_for_report(controller, bundle_serial=None, policy_serial=None)
        controller.publish(Publisher(tmp_path).pair(8, jeux=["neuf.example"]))
        installed(running, 8)
        wait_for_report(controller, bundle_serial=8, policy_serial=8)


def test_a_refusal_is_told_soon(options: list[str], controller: SmallController, tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        wait_for_report(controller, policy_serial=8)
        controller.offer(policy=Served(publisher.policy(7).read_bytes(), f"{'0' * 64}.7"))
        refused(running, "policy", "wrong_digest")
        before = len(controller.reports)
        with controller.changed:
            assert controller.changed.wait_for(lambda: len(controller.reports) > before, PATIENCE)
    health = controller.reports[-1]["health"]
    assert isinstance(health, dict)
    assert health["refused"]["policy"]["reason"] == "wrong_digest"


def test_many_changes_are_few_reports(options: list[str], controller: SmallController, tmp_path: Path) -> None:
    publisher = Publisher(tmp_path)
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        for serial in range(9, 9 + POLICIES):
            controller.publish_policy(publisher.policy(serial))
            installed(running, 8, serial)
        wait_for_report(controller, policy_serial=8 + POLICIES)
    assert len(controller.reports) < POLICIES / 2
