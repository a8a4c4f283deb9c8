"""Bundles from a controller over real HTTPS: fetched, resumed, verified, swapped; the last good one is never lost."""

import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dns.rcode
import pytest
from dns.message import Message

from tests.filter.controller import CREDENTIAL, SmallController
from tests.filter.running import RunningFilter, errors_of, records_of
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack
from tests.requirements import find, needs

Compile = Callable[..., Path]
JOURNAL = ["journal.example. 60 IN CNAME hier.example.", "hier.example. 60 IN A 93.184.216.34"]


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.records["journal.example", "A"] = JOURNAL
        scripted.add("neuf.example. 60 IN A 93.184.216.34")
        yield scripted


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[SmallController]:
    with SmallController(tmp_path) as small:
        yield small


@pytest.fixture
def options(tmp_path: Path, controller: SmallController, upstream: ScriptedUpstream) -> list[str]:
    (tmp_path / "credential").write_text(f"{CREDENTIAL}\n")
    return [
        "--controller", controller.url, "--ca-file", str(controller.ca_file), "--data-dir", str(tmp_path / "data"),
        "--credential-file", str(tmp_path / "credential"), "--interval", "0.2", "--upstream", upstream.address,
    ]  # fmt: skip


def installed(running: RunningFilter, serial: int) -> None:
    """Wait until this serial is in use."""
    with running.arrived:
        assert running.arrived.wait_for(
            lambda: any(line.get("serial") == serial for line in running.logged("bundle in use")), 20
        ), running.lines


def refused(running: RunningFilter, outcome: str) -> None:
    """Wait until an update was refused for this reason."""
    with running.arrived:
        assert running.arrived.wait_for(
            lambda: any(line.get("outcome") == outcome for line in running.logged("bundle failed")), 20
        ), running.lines


def is_blocked(running: RunningFilter, name: str) -> bool:
    return running.ask(name).rcode() == dns.rcode.NXDOMAIN


def test_nothing_is_answered_until_a_bundle_came(
    options: list[str], controller: SmallController, compile_lists: Compile
) -> None:
    with RunningFilter(*options) as running:
        controller.wait_for(404)
        reply = running.ask("journal.example")
        assert reply.rcode() == dns.rcode.SERVFAIL
        assert errors_of(reply) == [(14, "le filtre attend ses listes")]

        controller.publish(compile_lists(8, jeux=["neuf.example"]))
        installed(running, 8)

        assert is_blocked(running, "neuf.example")
        assert records_of(running.ask("journal.example"))
        controller.wait_for(304, times=2)
        assert [sent for _, status, _, sent in controller.requests if status == 200] == [len(controller.content or b"")]


def test_a_new_bundle_applies_to_answers_already_kept(
    options: list[str], controller: SmallController, upstream: ScriptedUpstream, compile_lists: Compile
) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert records_of(running.ask("journal.example")) == ["CNAME hier.example.", "A 93.184.216.34"]

        controller.publish(compile_lists(9, jeux=["hier.example"]))
        installed(running, 9)

        assert errors_of(running.ask("journal.example")) == [(17, "catégorie : Liste jeux (par un autre nom)")]
        assert records_of(running.ask("neuf.example"))
        assert upstream.asked_for("journal.example") == [("udp", "A")]


def test_a_cut_download_is_resumed(options: list[str], controller: SmallController, compile_lists: Compile) -> None:
    path = compile_lists(8, jeux=[f"n{number}.example" for number in range(20_000)])
    controller.publish(path)
    controller.cut_after = 100_000
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "n19999.example")
    resumed = [(first, sent) for _, status, first, sent in controller.requests if status == 206]
    assert len(resumed) == 1
    first, sent = resumed[0]
    assert 0 < first <= 100_000
    assert first + sent == path.stat().st_size


def test_a_cut_download_of_another_bundle_starts_over(
    options: list[str], controller: SmallController, compile_lists: Compile, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bundle.part").write_bytes(b"x" * 50)
    (tmp_path / "data" / "bundle.part.etag").write_text("0" * 64)
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "neuf.example")


def test_a_part_that_was_altered_meanwhile_is_thrown_away(
    options: list[str], controller: SmallController, compile_lists: Compile, tmp_path: Path
) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bundle.part").write_bytes(b"x" * 50)
    (tmp_path / "data" / "bundle.part.etag").write_text(controller.etag)
    with RunningFilter(*options) as running:
        refused(running, "wrong_digest")
        assert not (tmp_path / "data" / "bundle.part").exists()
        installed(running, 8)  # asked for once more, from the start
        assert is_blocked(running, "neuf.example")


@pytest.mark.parametrize("lie", ["digest", "altered", "older", "same serial", "foreign"])
def test_what_is_not_right_is_refused_and_the_last_good_serves_on(
    options: list[str], controller: SmallController, compile_lists: Compile, tmp_path: Path, lie: str
) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        outcome = spoil(controller, compile_lists, lie)
        refused(running, outcome)

        assert is_blocked(running, "neuf.example")
        assert records_of(running.ask("journal.example"))
        controller.wrong_etag = None
        controller.publish(compile_lists(12, jeux=["journal.example"]))
        installed(running, 12)
        assert is_blocked(running, "journal.example")
    kept = [path.name for path in (tmp_path / "data").iterdir()]
    assert kept == ["bundle.preau"]


def spoil(controller: SmallController, compile_lists: Compile, lie: str) -> str:
    """Publish what must be refused; the outcome that is expected."""
    newer = compile_lists(11, jeux=["journal.example"]).read_bytes()
    match lie:
        case "digest":
            controller.wrong_etag = "ab" * 32
            controller.content = newer
            return "wrong_digest"
        case "altered":
            controller.content = newer[:-1] + bytes([newer[-1] ^ 1])
            return "altered"
        case "older":
            controller.publish(compile_lists(7, jeux=["journal.example"]))
            return "older_serial"
        case "same serial":
            controller.publish(compile_lists(8, jeux=["journal.example"]))
            return "older_serial"
        case _:
            controller.content = b"<html>portail captif</html>"
            return "foreign"


def test_killed_and_started_again_without_a_controller_the_last_good_serves(
    options: list[str], controller: SmallController, compile_lists: Compile
) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        running.process.send_signal(signal.SIGKILL)
        running.wait_for("the process is gone")
    controller.stop()

    with RunningFilter(*options) as again:
        assert again.wait_for("filter answers")["serial"] == 8
        refused(again, "unreachable")
        assert is_blocked(again, "neuf.example")
        assert records_of(again.ask("journal.example"))


def test_a_bundle_spoilt_on_disk_is_not_served(
    options: list[str], controller: SmallController, compile_lists: Compile, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "bundle.preau").write_bytes(compile_lists(8, jeux=["neuf.example"]).read_bytes()[:-5])
    with RunningFilter(*options) as running:
        running.wait_for("the bundle kept here cannot be used: queries fail until a new one comes")
        assert running.ask("journal.example").rcode() == dns.rcode.SERVFAIL
        controller.publish(compile_lists(9, jeux=["neuf.example"]))
        installed(running, 9)


def test_a_refused_credential_is_said(options: list[str], controller: SmallController, compile_lists: Compile) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    controller.refuses = True
    with RunningFilter(*options) as running:
        refused(running, "credential")
        assert "secret" not in str(running.lines)


def test_a_controller_with_another_certificate_is_not_believed(
    options: list[str], controller: SmallController, compile_lists: Compile, tmp_path: Path
) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    (tmp_path / "other").mkdir()
    with SmallController(tmp_path / "other") as other:
        stranger = [str(other.ca_file) if option == str(controller.ca_file) else option for option in options]
        with RunningFilter(*stranger) as running:
            refused(running, "unreachable")
            assert controller.requests == []


def test_reports_are_totals_that_name_nobody(
    options: list[str], controller: SmallController, compile_lists: Compile
) -> None:
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        for _ in range(3):
            assert is_blocked(running, "www.neuf.example")
        running.ask("journal.example")
        controller.forget()
        controller.wait_for(204, "/filter/v1/reports", times=2)
    last, before = controller.reports[-1], controller.reports[-2]

    assert last["run"] == before["run"]
    assert last["bundle_serial"] == 8
    assert last["bundle_digest"] == controller.etag
    assert isinstance(last["counts"], list)
    counts = {(count["action"], count["category"]): count["queries"] for count in last["counts"]}
    assert counts == {("blocked", "jeux"): 3, ("allowed", ""): 1}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:00:00\+00:00", count["hour"]) for count in last["counts"])
    assert "neuf" not in str(last)
    assert "neuf" not in str(running.lines)


def echo(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, "charge.example. 1 IN A 93.184.216.34"))]


@needs("dnsperf")
def test_a_swap_under_load_loses_and_unfilters_no_query(
    options: list[str], controller: SmallController, upstream: ScriptedUpstream, compile_lists: Compile, tmp_path: Path
) -> None:
    """Blocked and allowed names at a steady pace while bundles of 100,000 names come and go."""
    upstream.scripts["charge.example"] = echo
    bulk = [f"n{number}.example" for number in range(100_000)]
    bundles = [compile_lists(serial, name=f"{serial}", jeux=[*bulk, "neuf.example"]) for serial in range(8, 14)]
    controller.publish(bundles[0])
    (tmp_path / "queries").write_text("neuf.example A\ncharge.example A\nwww.neuf.example HTTPS\nn5.example AAAA\n")
    dnsperf = find("dnsperf")
    assert dnsperf
    with RunningFilter(*options) as running:
        installed(running, 8)
        load = subprocess.Popen(
            [dnsperf, "-s", "127.0.0.1", "-p", str(running.port), "-d", str(tmp_path / "queries"), "-Q400", "-l8"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with load:
            for serial, path in enumerate(bundles[1:], start=9):
                controller.publish(path)
                installed(running, serial)
            told, _ = load.communicate(timeout=30)
    sent = re.search(r"Queries sent:\s+(\d+)", told)
    codes = re.search(r"Response codes:\s+(.*)", told)
    assert sent
    assert codes
    assert re.search(r"Queries lost:\s+0 ", told), told
    shares = {name: int(count) for name, count in re.findall(r"(\w+) (\d+) \(", codes[1])}
    assert int(sent[1]) > 1_000
    assert set(shares) == {"NOERROR", "NXDOMAIN"}
    assert abs(shares["NXDOMAIN"] - 3 * shares["NOERROR"]) <= 3, "a query was answered unfiltered, or not at all"


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


def test_a_fault_in_the_conversation_does_not_end_it(
    options: list[str], controller: SmallController, compile_lists: Compile, tmp_path: Path
) -> None:
    """The data folder is taken away: that ends nothing, and when it is back bundles come again."""
    controller.publish(compile_lists(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        (tmp_path / "data").rename(tmp_path / "away")
        controller.publish(compile_lists(9, jeux=["journal.example"]))
        refused(running, "disk")
        assert is_blocked(running, "neuf.example")
        (tmp_path / "away").rename(tmp_path / "data")
        installed(running, 9)
        assert is_blocked(running, "journal.example")
