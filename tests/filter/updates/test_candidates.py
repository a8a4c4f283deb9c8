"""Candidate files: a filter judges by them and never serves by them, even when they are handed over as current."""

from pathlib import Path

import dns.rcode

from tests.filter.conftest import policy_of
from tests.filter.controller import POLICY, SmallController
from tests.filter.publishing import Publisher, blocking, installed, refused
from tests.filter.running import RunningFilter


def test_candidates_are_refused_in_place_of_what_serves(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(1, jeux=["jeu.example"]))
    with RunningFilter(*options) as running:
        installed(running, 1)
        controller.publish_policy(publisher.policy(0, blocking()))
        refused(running, "policy", "candidate")
        controller.publish_names(publisher.names(0, jeux=["neuf.example"]))
        refused(running, "names", "candidate")
        assert running.ask("neuf.example").rcode() == dns.rcode.NOERROR
        assert running.ask("jeu.example").rcode() == dns.rcode.NXDOMAIN


def test_a_filter_without_any_file_does_not_begin_with_candidates(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(0, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        refused(running, "policy", "candidate")
        refused(running, "names", "candidate")
        assert running.ask("neuf.example").rcode() == dns.rcode.SERVFAIL


def test_candidates_that_lie_where_the_kept_files_should_are_not_served(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path
) -> None:
    names = publisher.pair(0, jeux=["neuf.example"])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "names").write_bytes(names.read_bytes())
    (tmp_path / "data" / "policy").write_bytes(policy_of(names).read_bytes())
    with RunningFilter(*options) as running:
        controller.wait_for(404, POLICY)
        assert len(running.logged("a kept file cannot be used")) == 2
        assert running.ask("neuf.example").rcode() == dns.rcode.SERVFAIL
