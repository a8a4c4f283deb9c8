"""A supervisor and its workers: what they answer and count together, and what a dead one takes with it."""

import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from filter.namecounts import FILE, read_counts
from filter.plane.choosing import is_compiled
from filter.processes.sums import Family, add_up, as_families, lasting, render
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair, make_list
from tests.filter.encrypted import NAME, EncryptedFilter, receive_exactly
from tests.filter.running import PATIENCE, ROOT, RunningFilter
from tests.filter.scripted import ScriptedUpstream
from tests.filter.standing import wait_until
from tests.filter.workforce import workers_of


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


def measures(running: RunningFilter) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics}/metrics", timeout=10) as response:
        return str(response.read().decode())


def measure(running: RunningFilter, name: str) -> float:
    """The sum of all samples of that name."""
    lines = [line for line in measures(running).splitlines() if line.split("{")[0].split(" ")[0] == name]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


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


def shake_hands(served: EncryptedFilter, context: ssl.SSLContext, session: ssl.SSLSession | None) -> ssl.SSLSession:
    """Ask once over DoT; the session, which was resumed if there was one before."""
    plain = socket.create_connection(("127.0.0.1", served.tls), timeout=8)
    with context.wrap_socket(plain, server_hostname=NAME, session=session) as secured:
        secured.sendall(struct.pack("!H", len(packet())) + packet())
        assert dns.message.from_wire(receive_exactly(secured)).rcode() == dns.rcode.NXDOMAIN
        assert secured.session_reused is (session is not None)
        assert secured.session is not None
        return secured.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_of_one_worker_is_resumed_by_every_other(served: EncryptedFilter, version: ssl.TLSVersion) -> None:
    """Those who come later, and under another certificate, too."""
    context = served.context("dot")
    context.maximum_version = version
    session = shake_hands(served, context, None)
    for _ in range(8):
        session = shake_hands(served, context, session)
    victims = workers_of(served)
    for each in victims:
        os.kill(each, signal.SIGKILL)
    wait_until(lambda: len(set(workers_of(served)) - set(victims)) == 2)
    session = shake_hands(served, context, session)

    replace_certificate(served)
    shake_hands(served, context, session)


def replace_certificate(served: EncryptedFilter) -> None:
    """Another one of the same authority is in use when this returns."""
    folder = served.authority.directory
    fresh = folder / "frais"
    fresh.mkdir()
    issued = replace(served.authority, directory=fresh).issue(NAME, f"*.{NAME}", "127.0.0.1")
    for path in (issued.key, issued.certificate):
        path.replace(folder / path.name)
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("certificate reloaded")


def test_a_new_certificate_reaches_every_worker_and_no_connection_is_lost(served: EncryptedFilter) -> None:
    def number(secured: ssl.SSLSocket) -> object:
        certificate = secured.getpeercert()
        assert certificate
        return certificate["serialNumber"]

    with ExitStack() as stack:
        before = [stack.enter_context(served.secure(served.tls, "dot")) for _ in range(12)]
        old = {number(each) for each in before}
        replace_certificate(served)
        after = [stack.enter_context(served.secure(served.tls, "dot")) for _ in range(12)]
        new = {number(each) for each in after}
        for each in (*before, *after):
            each.sendall(struct.pack("!H", len(packet())) + packet())
            assert dns.message.from_wire(receive_exactly(each)).rcode() == dns.rcode.NXDOMAIN

    assert len(old) == len(new) == 1
    assert old != new


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
