"""Killed and started again: the last good pair serves, a download goes on, a spoilt file does not serve."""

import signal
from pathlib import Path

import dns.rcode
import pytest

from tests.filter.conftest import policy_of
from tests.filter.controller import NAMES, SmallController
from tests.filter.publishing import Publisher, blocking, installed, refused, wait_for_line
from tests.filter.running import RunningFilter, records_of
from tests.filter.updates.served import MANY, is_blocked, kept


def test_killed_and_started_again_without_a_controller_the_last_good_pair_serves(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    controller.stop()

    with RunningFilter(*options) as again:
        assert again.wait_for("filter answers")["serial"] == 8
        refused(again, "policy", "unreachable")
        assert is_blocked(again, "neuf.example")
        assert records_of(again.ask("journal.example"))


def test_killed_in_the_midst_of_a_download_it_goes_on_from_there(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    """One file new, the other old, a third cut: whatever a crash leaves is a pair that serves."""
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.publish_policy(publisher.policy(9, blocking("jeux")))
        installed(running, 8, 9)
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    new = publisher.names(10, jeux=[*MANY, "journal.example"])
    controller.publish_names(new)
    assert controller.names
    (data / "names.part").write_bytes(new.read_bytes()[:100_000])
    (data / "names.part.etag").write_text(controller.names.etag)
    (data / "names.made").write_bytes(b"half")
    (data / "policy.part").write_bytes(b"half")

    with RunningFilter(*options) as again:
        started = again.wait_for("filter answers")
        assert (started["serial"], started["policy_serial"]) == (8, 9)
        installed(again, 10, 9)
        assert is_blocked(again, "journal.example")
    assert [each.first for each in controller.answered(NAMES, 206)] == [100_000]
    assert kept(data.parent) == ["names", "policy"]


@pytest.mark.parametrize("file", ["names", "policy"])
def test_a_file_spoilt_on_disk_is_not_served(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path, file: str
) -> None:
    pair = publisher.pair(8, jeux=["neuf.example"])
    (data / "names").write_bytes(pair.read_bytes())
    (data / "policy").write_bytes(policy_of(pair).read_bytes())
    (data / file).write_bytes((data / file).read_bytes()[:-5])
    with RunningFilter(*options) as running:
        wait_for_line(running, "a kept file cannot be used", file=file)
        assert running.ask("journal.example").rcode() == dns.rcode.SERVFAIL
        controller.publish(publisher.pair(9, jeux=["neuf.example"]))
        installed(running, 9)
