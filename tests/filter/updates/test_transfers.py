"""Names from a controller: deltas, cut downloads, parts that were altered meanwhile."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from dns.message import Message

from filter.layout.delta import make_delta
from filter.signing import SigningKey
from tests.filter.conftest import SCHOOL, compile_pair, make_list
from tests.filter.controller import DELTA, NAMES, SmallController
from tests.filter.publishing import Publisher, blocking, installed, refused
from tests.filter.running import RunningFilter
from tests.filter.scripted import ScriptedUpstream, answer, pack
from tests.filter.updates.served import MANY, is_blocked, offer_delta
from tests.requirements import find, needs


def test_a_delta_is_taken_instead_of_the_whole(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    old = publisher.pair(8, jeux=MANY)
    controller.publish(old)
    with RunningFilter(*options) as running:
        installed(running, 8)
        new = publisher.names(9, jeux=[*MANY, "journal.example"])
        offer_delta(controller, old, new)
        controller.publish_names(new)
        installed(running, 9, 8)

        assert is_blocked(running, "journal.example")
        assert is_blocked(running, "n19999.example")
    assert len(controller.answered(NAMES)) == 1
    assert controller.answered(DELTA, 200)[0].sent < new.stat().st_size / 3


@pytest.mark.parametrize("lie", ["garbage", "cut", "other file", "wrong signature", "older"])
def test_a_delta_that_lies_costs_one_whole_transfer(
    options: list[str], controller: SmallController, publisher: Publisher, lie: str
) -> None:
    old, new = publisher.pair(8, jeux=MANY), publisher.names(10, jeux=[*MANY, "journal.example"])
    controller.publish(old)
    with RunningFilter(*options) as running:
        installed(running, 8)
        offer_delta(controller, old, new, spoil_delta(publisher, old, new, lie))
        controller.publish_names(new)
        installed(running, 10, 8)
        assert is_blocked(running, "journal.example")
        assert running.logged("delta not used, the whole file is fetched")
    assert len(controller.answered(DELTA, 200)) == 1
    assert len(controller.answered(NAMES, 200)) == 2


def spoil_delta(publisher: Publisher, old: Path, new: Path, lie: str) -> bytes:
    right = make_delta(old, new)
    match lie:
        case "garbage":
            return b"\0" * 1000
        case "cut":
            return right[: len(right) // 2]
        case "other file":
            return make_delta(old, publisher.names(9, jeux=[*MANY, "autre.example"]))
        case "older":
            return make_delta(old, publisher.names(7, jeux=[*MANY, "autre.example"]))
        case _:
            stranger = publisher.folder / "stranger"
            compile_pair([make_list("jeux", *MANY)], SCHOOL, stranger, serial=10, sign=SigningKey.generate().sign)
            return make_delta(old, stranger)


def test_without_a_delta_the_whole_file_comes(
    options: list[str], controller: SmallController, publisher: Publisher
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        controller.publish_names(publisher.names(9, jeux=["journal.example"]))
        installed(running, 9, 8)
        assert controller.answered(DELTA, 404)
        assert is_blocked(running, "journal.example")


def test_a_cut_download_is_resumed(options: list[str], controller: SmallController, publisher: Publisher) -> None:
    path = publisher.pair(8, jeux=MANY)
    controller.publish(path)
    controller.cut_after = 100_000
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "n19999.example")
    (resumed,) = controller.answered(NAMES, 206)
    assert 0 < resumed.first <= 100_000
    assert resumed.first + resumed.sent == path.stat().st_size


def test_a_cut_download_of_other_names_starts_over(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    (data / "names.part").write_bytes(b"x" * 50)
    (data / "names.part.etag").write_text(f"{'0' * 64}.7")
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    with RunningFilter(*options) as running:
        installed(running, 8)
        assert is_blocked(running, "neuf.example")


def test_a_part_that_was_altered_meanwhile_is_thrown_away(
    options: list[str], controller: SmallController, publisher: Publisher, data: Path
) -> None:
    controller.publish(publisher.pair(8, jeux=["neuf.example"]))
    assert controller.names
    (data / "names.part").write_bytes(b"x" * 50)
    (data / "names.part.etag").write_text(controller.names.etag)
    with RunningFilter(*options) as running:
        refused(running, "names", "foreign")
        installed(running, 8)  # asked for once more, from the start
        assert is_blocked(running, "neuf.example")
    assert not list(data.glob("names.part*"))


def echo(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, "charge.example. 1 IN A 93.184.216.34"))]


@needs("dnsperf")
def test_swaps_under_load_lose_and_unfilter_no_query(
    options: list[str], controller: SmallController, upstream: ScriptedUpstream, publisher: Publisher, tmp_path: Path
) -> None:
    """Blocked and allowed names at a steady pace while names (by delta and whole) and policies come and go."""
    upstream.scripts["charge.example"] = echo
    bulk = [f"n{number}.example" for number in range(100_000)]
    versions = [publisher.names(serial, jeux=[*bulk, "neuf.example", f"v{serial}.example"]) for serial in range(8, 14)]
    policies = [publisher.policy(serial, blocking("jeux", f"autre{serial}")) for serial in range(8, 14)]
    for old, new in ((versions[1], versions[2]), (versions[3], versions[4])):
        offer_delta(controller, old, new)
    controller.publish_names(versions[0])
    controller.publish_policy(policies[0])
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
            for serial, names, policy in zip(range(9, 14), versions[1:], policies[1:], strict=True):
                controller.publish_names(names)
                installed(running, serial, serial - 1)
                controller.publish_policy(policy)
                installed(running, serial)
            assert load.poll() is None, "the load ended before the last swap"
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
    assert len(controller.answered(DELTA, 200)) == 2
