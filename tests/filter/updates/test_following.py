"""Names and policy from a controller over real HTTPS: fetched, in force, applied to what is kept."""

from pathlib import Path

import dns.rcode
import pytest

from tests.filter.controller import NAMES, POLICY, SmallController
from tests.filter.publishing import Publisher, blocking, installed, refused
from tests.filter.running import RunningFilter, errors_of, records_of
from tests.filter.scripted import ScriptedUpstream, free_port
from tests.filter.updates.served import is_blocked


def test_nothing_is_answered_until_both_files_came(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    with RunningFilter(*options) as running:
        controller.wait_for(404, POLICY)
        reply = running.ask("journal.example")
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert errors_of(reply) == [(14, "le filtre attend ses listes")]

        controller.publish_policy(publisher.policy(3))
        controller.wait_for(200, POLICY)
        assert running.ask("journal.example").rcode() == dns.rcode.SERVFAIL

        controller.publish_names(publisher.names(8, jeux=["neuf.example"]))
        installed(running, 8, 3)

        assert is_blocked(running, "neuf.example")
        assert records_of(running.ask("journal.example"))
        assert len(controller.answered(NAMES, 200)) == len(controller.answered(POLICY, 200)) == 1


def test_a_policy_is_in_force_while_its_question_is_held(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    """The filter's one open question is answered by the change; the names are not fetched again."""
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "neuf.example")

        controller.publish_policy(publisher.policy(9, blocking("adultes")))
        installed(running, 8, 9)

        assert records_of(running.ask("neuf.example"))
        assert len(controller.answered(NAMES)) == 1
        assert [each.status for each in controller.answered(POLICY)] == [200, 200]


def test_a_controller_that_holds_nothing_is_asked_at_intervals(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.holds = False
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.wait_for(304, POLICY, times=3)
        controller.publish_policy(publisher.policy(9, blocking()))
        installed(running, 8, 9)


def test_new_names_apply_to_answers_already_kept(
    options: list[str], controller: SmallController, upstream: ScriptedUpstream, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert records_of(running.ask("journal.example")) == ["CNAME hier.example.", "A 93.184.216.34"]

        controller.publish_names(publisher.names(9, jeux=["hier.example"]))
        installed(running, 9, 8)

        assert errors_of(running.ask("journal.example")) == [(17, "catégorie : Liste jeux (par un autre nom)")]
        assert records_of(running.ask("neuf.example"))
        assert upstream.asked_for("journal.example") == [("udp", "A")]


def test_a_refused_credential_is_said(options: list[str], controller: SmallController, publisher: Publisher) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    controller.refuses = True
    with RunningFilter(*options) as running:
        refused(running, "policy", "credential")
        assert "secret" not in str(running.lines)


def test_a_controller_with_another_certificate_is_not_believed(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    (tmp_path / "other").mkdir()
    with SmallController(tmp_path / "other") as other:
        stranger = [str(other.ca_file) if option == str(controller.ca_file) else option for option in options]
        with RunningFilter(*stranger) as running:
            refused(running, "policy", "unreachable")
            assert controller.requests == []


def test_a_port_that_is_taken_is_said_by_name(options: list[str]) -> None:
    taken = free_port()
    with RunningFilter(*options, port=taken):
        second = RunningFilter(*options, port=taken)
        with pytest.raises(AssertionError):
            second.__enter__()
        second.__exit__(None, None, None)
    said = str(second.lines)
    assert f"127.0.0.1:{taken} est déjà pris" in said
    assert second.process.returncode == 1
    assert "Traceback" not in said


def test_a_disk_that_fails_does_not_end_the_conversation(
    options: list[str], controller: SmallController, publisher: Publisher, tmp_path: Path
) -> None:
    """The data folder is taken away: that ends nothing, and when it is back files come again."""
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        (tmp_path / "data").rename(tmp_path / "away")
        controller.publish(publisher.pair(9, jeux=["journal.example"]))
        refused(running, "policy", "disk")
        refused(running, "names", "disk")
        assert is_blocked(running, "neuf.example")
        (tmp_path / "away").rename(tmp_path / "data")
        installed(running, 9)
        assert is_blocked(running, "journal.example")
