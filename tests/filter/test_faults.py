"""A serving process while what is around it fails: resolvers that die, dawdle, lie or come and go, no descriptors, no
disk, time that jumps. Blocked names stay blocked, and what can be answered is."""

import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.serving.resolving.probing import ZONE
from filter.serving.resolving.upstream import TRIES
from tests.conformance.served import ClockedFilter
from tests.filter import load
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.load import Figures
from tests.filter.lying import PLANES, Everywhere, silence, truth
from tests.filter.running import ROOT, RunningFilter, records_of
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack


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


QUESTION_VARIANTS = 4
"""An answer is kept with and without DO and CD: (RFC 6840) these are questions of their own."""
TRIES_OF_ONE = 1 + TRIES
"""One by the plane, which gives up; then Python's."""


@pytest.mark.parametrize("plane", PLANES)
def test_a_name_is_never_asked_for_many_times_at_once(bad: ScriptedUpstream, bundle_file: Path, plane: str) -> None:
    """Whoever forges answers has better odds the more equal questions are under way (RFC 5452, 5): whatever clients
    send, and over whatever they send it, there are few."""
    bad.scripts["devine.example"] = silence
    packets = []
    for flags in (0x0100, 0x0110, 0x0120, 0x0130):
        for do in (False, True):
            query = dns.message.make_query("devine.example", "A", use_edns=0, want_dnssec=do)
            packets += [
                number.to_bytes(2, "big") + flags.to_bytes(2, "big") + query.to_wire()[4:] for number in range(60)
            ]
    options = ("--bundle", str(bundle_file), "--upstream", bad.address, "--plane", plane, "--rate-limit", "0")
    with RunningFilter(*options) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(8)
            client.connect(("127.0.0.1", served.port))
            for packet in packets:
                client.send(packet)
            assert dns.message.from_wire(client.recv(4096)).rcode() == dns.rcode.SERVFAIL  # the first has given up
        for packet in packets[:: len(packets) // 8]:
            (reply,) = served.send_tcp([packet])
            assert dns.message.from_wire(reply).rcode() == dns.rcode.SERVFAIL
    assert 0 < len(bad.asked_for("devine.example")) <= QUESTION_VARIANTS * TRIES_OF_ONE


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


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("plane", PLANES)
def test_a_zone_of_the_schools_own(
    good: ScriptedUpstream, bad: ScriptedUpstream, tmp_path: Path, plane: str, workers: str
) -> None:
    """Its names go to its resolver alone, and are private names: whatever their suffix and their addresses."""
    bundle = compile_pair(LISTS, replace(SCHOOL, private_names=()), tmp_path / "b", serial=1)
    internal = {
        "portail.intranet.example": ("A", "10.0.0.7"),
        "imprimante.lan": ("A", "192.168.1.9"),
        "7.0.0.10.in-addr.arpa": ("PTR", "portail.intranet.example."),
    }
    for name, (qtype, data) in internal.items():
        bad.add(f"{name}. 60 IN {qtype} {data}")
    good.scripts = Everywhere(lambda query, _udp: [pack(answer(query, f"{query.question[0].name} 60 IN A 10.0.0.7"))])
    forwards = [f"--forward={zone}={bad.address}" for zone in ("intranet.example", "lan", "10.in-addr.arpa")]
    plane_and_workers = ("--plane", plane, "--workers", workers)
    options = ("--bundle", str(bundle), "--upstream", good.address, *forwards, *plane_and_workers)
    with RunningFilter(*options) as served:
        for _ in range(3):  # asked, then from the cache
            for name, (qtype, data) in internal.items():
                assert records_of(served.ask(name, qtype)) == [f"{qtype} {data}"]
        assert records_of(served.ask("ailleurs.example")) == []  # a private address for a public name
        assert served.ask("x.home").rcode() == dns.rcode.NXDOMAIN
        assert served.ask("1.168.192.in-addr.arpa", "PTR").rcode() == dns.rcode.NXDOMAIN
    assert {name for _, name, _ in good.asked if not name.endswith(ZONE)} == {"ailleurs.example"}
