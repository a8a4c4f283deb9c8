"""A supervisor and its workers: what they answer and count together, and what a dead one takes with it."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from filter.namecounts import FILE, read_counts
from filter.plane.choosing import is_compiled
from filter.processes.sums import Family, add_up, as_families, lasting, render
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair, make_list
from tests.filter.encrypted import EncryptedFilter
from tests.filter.running import PATIENCE, ROOT, RunningFilter
from tests.filter.scripted import ScriptedUpstream


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.add("journal.example. 300 IN A 93.184.216.34")
        yield scripted


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)


@pytest.fixture
def served(upstream: ScriptedUpstream, bundle: Path, tmp_path: Path) -> Iterator[EncryptedFilter]:
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--workers", "2")
    with EncryptedFilter(Authority.make(tmp_path), *options) as running:
        yield running


def packet(name: str = "www.jeu.example") -> bytes:
    return dns.message.make_query(name, "A", use_edns=0).to_wire()


def workers_of(running: RunningFilter) -> list[int]:
    """The process ids of the workers."""
    told = subprocess.run(["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True)
    return [int(each) for each in told.stdout.split()]


def measures(running: RunningFilter) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics}/metrics", timeout=10) as response:
        return str(response.read().decode())


def measure(running: RunningFilter, name: str) -> float:
    """The sum of all samples of that name."""
    lines = [line for line in measures(running).splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_all_transports_are_answered_and_counted_once(served: EncryptedFilter) -> None:
    packets = [packet() for _ in range(50)]
    for each in packets:  # every socket of a client may meet another worker
        served.send([each])
    for _ in range(10):
        served.send_tcp(packets[:5])
        served.ask_tls(packets[:5])

    assert measure(served, "filter_queries_total") == 150
    assert measure(served, "filter_answer_seconds_count") == 150
    assert measure(served, "filter_ready") == 1
    assert len(workers_of(served)) == 2


def test_a_killed_worker_is_replaced_and_what_waits_in_its_socket_is_answered(served: EncryptedFilter) -> None:
    served.send([packet() for _ in range(20)])
    before = measure(served, "filter_queries_total")
    victims = workers_of(served)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:  # nobody is there but the socket itself
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", served.port))
        query = packet()
        client.send(query)
        reply = client.recv(4096)

    assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN
    served.wait_for("a worker died, another takes its place", times=2)
    assert before == 20
    wait_until(lambda: measure(served, "filter_queries_total") == 21)
    assert measure(served, "filter_worker_restarts_total") == 2
    assert not set(workers_of(served)) & set(victims)


def test_clients_that_ask_again_lose_nothing_when_workers_die(served: EncryptedFilter) -> None:
    failed: list[bytes] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            (reply,) = served.send([packet()], timeout=PATIENCE)
            if dns.message.from_wire(reply).rcode() != dns.rcode.NXDOMAIN:
                failed.append(reply)

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for each in clients:
        each.start()
    for times in range(1, 4):
        os.kill(workers_of(served)[0], signal.SIGKILL)
        served.wait_for("a worker died, another takes its place", times=times)
        wait_until(lambda: len(workers_of(served)) == 2)
    stop.set()
    for each in clients:
        each.join()

    assert failed == []


def test_new_lists_reach_every_worker(served: EncryptedFilter, bundle: Path) -> None:
    assert served.ask("journal.example").rcode() == dns.rcode.NOERROR
    compile_pair([*LISTS, make_list("jeux2", "journal.example", category="jeux")], SCHOOL, bundle, serial=8)
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("bundle reloaded")

    rcodes = {served.ask("journal.example").rcode() for _ in range(30)}

    assert rcodes == {dns.rcode.NXDOMAIN}


def test_workers_go_with_their_supervisor(served: EncryptedFilter) -> None:
    pids = workers_of(served)
    served.process.kill()

    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_names_are_counted_over_all_workers(upstream: ScriptedUpstream, bundle: Path, tmp_path: Path) -> None:
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--workers", "2")
    with RunningFilter(*options, "--data-dir", str(tmp_path / "data")) as running:
        for _ in range(40):
            running.send([packet()])
    (counted,) = read_counts(tmp_path / "data" / FILE)

    assert (counted.name, counted.queries, counted.clients) == ("www.jeu.example", 40, 1)


def test_status_tells_of_the_workers(served: EncryptedFilter) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.metrics}/health/ready", timeout=10) as response:
        told = response.read().decode()

    shown = subprocess.run(
        [sys.executable, "-m", "filter", "status", "--metrics", f"127.0.0.1:{served.metrics}"],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert told.count('"pid"') == 2
    assert "processus    : 2 sur 2 répondent, 0 remplacés" in shown.stdout
    assert ("le module compilé répond" if is_compiled() else "Python répond") in shown.stdout


def test_measures_of_several_processes_are_added_up() -> None:
    one = [Family("a", "A.", "counter", [("a_total", {"x": "1"}, 2.0), ("a_created", {"x": "1"}, 100.0)])]
    two = [Family("a", "A.", "counter", [("a_total", {"x": "1"}, 3.0), ("a_created", {"x": "1"}, 90.0)])]
    gauge = [Family("g", "G.", "gauge", [("g", {}, 1.0)])]
    gone = as_families(add_up([lasting([*one, *gauge])]))

    text = render([gone, two, gauge]).decode()

    assert 'a_total{x="1"} 5.0' in text
    assert 'a_created{x="1"} 90.0' in text
    assert "g 1.0" in text
