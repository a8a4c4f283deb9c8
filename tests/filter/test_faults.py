"""A serving process while what is around it fails: resolvers that die, dawdle, lie or come and go, no descriptors, no
disk, time that jumps. Blocked names stay blocked, and what can be answered is."""

import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import pytest
from dns.message import Message

from filter.serving.probing import ZONE
from tests.conformance.served import ClockedFilter
from tests.filter import load
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.load import Figures
from tests.filter.running import ROOT, RunningFilter, records_of
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack

Reply = Callable[[Message, bool], Sequence[bytes]]


class Everywhere(dict[str, Reply]):
    """One script for every name."""

    def __init__(self, script: Reply) -> None:
        super().__init__()
        self.script = script

    def get(self, _key: object, _default: object = None) -> Reply:
        return self.script


def truth(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [pack(answer(query, f"{query.question[0].name} 1 IN A 93.184.216.34"))]


def lie(query: Message) -> bytes:
    return pack(answer(query, f"{query.question[0].name} 1 IN A 6.6.6.6"))


def other_id(query: Message, _over_udp: bool) -> Sequence[bytes]:
    data = lie(query)
    return [bytes([data[0] ^ 1]) + data[1:]]


def other_question(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [lie(dns.message.make_query("banque.example", "A", id=query.id))]


def cut_short(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [lie(query)[:-3]]


def always_truncated(query: Message, _over_udp: bool) -> Sequence[bytes]:
    reply = answer(query)
    reply.flags |= dns.flags.TC
    return [pack(reply)]


def garbage(query: Message, _over_udp: bool) -> Sequence[bytes]:
    return [query.id.to_bytes(2, "big") + b"\x81\x80" + b"\xff" * 100, b"", b"x"]


def silence(_query: Message, _over_udp: bool) -> Sequence[bytes]:
    return []


@pytest.fixture
def good() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        upstream.scripts = Everywhere(truth)
        yield upstream


@pytest.fixture
def bad() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


def measure(served: RunningFilter, prefix: str, record: Callable[[str, object], None], count: int = 900) -> Figures:
    """Load, and its figures told: to whoever reads the report, and with ``-s`` to whoever watches."""
    figures = load.run(served.port, prefix, count)
    figures.memory = load.memory_of(served.process.pid)
    record(prefix, str(figures))
    sys.stderr.write(f"{prefix}: {figures}\n")
    return figures


def check(figures: Figures) -> None:
    """Everything was answered, and rightly."""
    assert (figures.unfiltered, figures.wrong, figures.lost) == (0, 0, 0), str(figures)
    assert figures.right == figures.sent, str(figures)


@pytest.mark.parametrize(
    "script", [silence, other_id, other_question, cut_short, always_truncated, garbage], ids=lambda each: each.__name__
)
def test_the_first_resolver_fails_in_its_way_and_the_second_answers(
    good: ScriptedUpstream,
    bad: ScriptedUpstream,
    bundle_file: Path,
    script: Reply,
    record_property: Callable[[str, object], None],
) -> None:
    bad.scripts = Everywhere(script)
    with RunningFilter("--bundle", str(bundle_file), "--upstream", bad.address, "--upstream", good.address) as served:
        check(measure(served, script.__name__, record_property))


def test_an_answer_from_another_port_is_never_heard(
    good: ScriptedUpstream, bad: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def script(query: Message, _over_udp: bool) -> Sequence[bytes]:
            stranger.sendto(lie(query), bad.client)
            return []

        bad.scripts = Everywhere(script)
        options = ("--bundle", str(bundle_file), "--upstream", bad.address, "--upstream", good.address)
        with RunningFilter(*options) as served:
            check(measure(served, "other_port", record_property))


def test_a_dead_resolver(
    good: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]
) -> None:
    options = ("--bundle", str(bundle_file), "--upstream", f"127.0.0.1:{free_port()}", "--upstream", good.address)
    with RunningFilter(*options) as served:
        check(measure(served, "dead", record_property))


def test_a_resolver_that_comes_and_goes(
    good: ScriptedUpstream, bad: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]
) -> None:
    count = [0]

    def flapping(query: Message, over_udp: bool) -> Sequence[bytes]:
        count[0] += 1
        return truth(query, over_udp) if count[0] // 40 % 2 else []

    bad.scripts = Everywhere(flapping)
    with RunningFilter("--bundle", str(bundle_file), "--upstream", bad.address, "--upstream", good.address) as served:
        check(measure(served, "flapping", record_property))


def test_nobody_answers_and_then_somebody_does(
    bad: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]
) -> None:
    """What is blocked is blocked all the while; the rest fails, in time, and is answered when the resolver is back."""
    bad.scripts = Everywhere(silence)
    with RunningFilter("--bundle", str(bundle_file), "--upstream", bad.address) as served:
        during = measure(served, "nobody", record_property, 300)
        assert (during.unfiltered, during.wrong, during.lost) == (0, 0, 0), str(during)
        assert (during.right, during.failed) == (100, 200), str(during)
        bad.scripts = Everywhere(truth)
        check(measure(served, "back", record_property))


def test_all_of_a_school_asks_for_one_name_while_its_resolver_is_slow(bad: ScriptedUpstream, bundle_file: Path) -> None:
    """One question goes out, and its answer serves all."""
    gate = threading.Event()

    def slow(query: Message, over_udp: bool) -> Sequence[bytes]:
        gate.wait(3)
        return truth(query, over_udp)

    bad.scripts["seul.example"] = slow
    query = dns.message.make_query("seul.example", "A").to_wire()
    with RunningFilter("--bundle", str(bundle_file), "--upstream", bad.address) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(8)
            client.connect(("127.0.0.1", served.port))
            for number in range(200):
                client.send(number.to_bytes(2, "big") + query[2:])
            gate.set()
            replies = {client.recv(4096)[:2] for _ in range(200)}
        assert len(replies) == 200
    assert len(bad.asked_for("seul.example")) <= 6  # one a try, by each process that answers


class WithoutDisk(RunningFilter):
    """It may write no byte to any file."""

    def start(self) -> "subprocess.Popen[str]":
        command = ["/bin/sh", "-c", 'ulimit -f 0 && exec "$@"', "sh", sys.executable, "-m", "filter", *self.options]
        return subprocess.Popen(command, cwd=ROOT, env=self.environ, stderr=subprocess.PIPE, text=True)


def processes_of(served: RunningFilter) -> tuple[int, ...]:
    return (served.process.pid, *load.children_of(served.process.pid))


def test_no_descriptor_is_left(
    good: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]
) -> None:
    """What needs none is answered on, the rest fails at once; and all is answered when there are some again."""
    with RunningFilter("--bundle", str(bundle_file), "--upstream", good.address) as served:
        before = {each: resource.prlimit(each, resource.RLIMIT_NOFILE) for each in processes_of(served)}
        for each, (_, hard) in before.items():
            resource.prlimit(each, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{each}/fd").iterdir())) + 1, hard))
        during = measure(served, "no_descriptors", record_property, 300)
        assert (during.unfiltered, during.wrong, during.lost) == (0, 0, 0), str(during)
        assert during.right >= 100, str(during)
        for each, limits in before.items():
            resource.prlimit(each, resource.RLIMIT_NOFILE, limits)
        check(measure(served, "descriptors", record_property))


def test_the_disk_is_full(
    good: ScriptedUpstream, bundle_file: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Nothing more can be written: names go uncounted, and are answered."""
    with RunningFilter(
        "--bundle", str(bundle_file), "--upstream", good.address, "--data-dir", str(tmp_path / "donnees")
    ) as served:
        for each in processes_of(served):
            resource.prlimit(each, resource.RLIMIT_FSIZE, (0, 0))
        check(measure(served, "disk_full", record_property))


def test_a_start_with_a_full_disk(good: ScriptedUpstream, bundle_file: Path, tmp_path: Path) -> None:
    with WithoutDisk(
        "--bundle", str(bundle_file), "--upstream", good.address, "--data-dir", str(tmp_path / "donnees")
    ) as served:
        assert served.ask("x.connu.example").answer
        assert served.logged("names are not counted")


def test_time_jumps(good: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]) -> None:
    """A gateway that slept for a week: what it keeps is too old, and asked for anew."""
    with ClockedFilter("--bundle", str(bundle_file), "--upstream", good.address) as served:
        check(measure(served, "before", record_property, 300))
        for _ in range(3):
            served.advance(7 * 86_400)
            check(measure(served, "after", record_property, 300))


def test_a_resolver_that_asks_this_filter(
    good: ScriptedUpstream, bad: ScriptedUpstream, bundle_file: Path, record_property: Callable[[str, object], None]
) -> None:
    """A loop: found at the start, said, and not entered."""
    port = free_port()
    options = ("--bundle", str(bundle_file), "--upstream", bad.address, "--upstream", good.address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
        relay.settimeout(5)
        relay.connect(("127.0.0.1", port))

        def back(query: Message, _over_udp: bool) -> Sequence[bytes]:
            relay.send(query.to_wire())
            return [relay.recv(4096)]

        bad.scripts = Everywhere(back)
        with RunningFilter(*options, port=port) as served:
            served.wait_for("upstream leads back to this filter")
            check(measure(served, "loop", record_property, 300))


def test_a_zone_of_the_schools_own(good: ScriptedUpstream, bad: ScriptedUpstream, tmp_path: Path) -> None:
    """Its names go to its resolver alone; their addresses may be private when the policy says that they are."""
    settings = replace(SCHOOL, private_names=("intranet.example", "lan"))
    bundle = compile_pair(LISTS, settings, tmp_path / "b", serial=1)
    for name in ("portail.intranet.example", "imprimante.lan", "portail.public.example"):
        bad.add(f"{name}. 60 IN A 10.0.0.7")
    forwards = [f"--forward={zone}={bad.address}" for zone in ("intranet.example", "lan", "public.example")]
    with RunningFilter("--bundle", str(bundle), "--upstream", good.address, *forwards) as served:
        for name in ("portail.intranet.example", "imprimante.lan"):
            assert records_of(served.ask(name)) == ["A 10.0.0.7"]
        assert records_of(served.ask("portail.public.example")) == []
        assert records_of(served.ask("ailleurs.example")) == ["A 93.184.216.34"]
    assert {name for _, name, _ in good.asked if not name.endswith(ZONE)} == {"ailleurs.example"}
