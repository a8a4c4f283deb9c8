"""TCP as RFC 7766 wants it, of a real filter process: pieces, pipelines, silence, slowness, crowds."""

import random
import resource
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.settings import NetworkSettings
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.running import RunningFilter, receive
from tests.filter.scripted import ScriptedUpstream, answer, pack


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.add("journal.example. 300 IN A 93.184.216.34")
        yield scripted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pair(LISTS, SCHOOL, tmp_path_factory.mktemp("streams") / "ecole.preau", serial=7)


@pytest.fixture(scope="module")
def served(bundle: Path, upstream: ScriptedUpstream) -> Iterator[RunningFilter]:
    with RunningFilter("--bundle", str(bundle), "--upstream", upstream.address) as running:
        yield running


def packet(name: str = "journal.example") -> bytes:
    return dns.message.make_query(name, "A", use_edns=0).to_wire()


def framed(*packets: bytes) -> bytes:
    return b"".join(struct.pack("!H", len(each)) + each for each in packets)


def connect(served: RunningFilter, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=20, source_address=(source, 0))


def is_closed(client: socket.socket) -> bool:
    """Whether the server ends the connection, in whatever way; waits for it."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_message_in_single_bytes_is_one_message(served: RunningFilter) -> None:
    query = packet()
    with connect(served) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in framed(query):
            client.send(bytes([byte]))
        assert receive(client)[:2] == query[:2]


def test_a_thousand_queries_in_one_go_are_all_answered(served: RunningFilter) -> None:
    packets = [packet(random.choice(["journal.example", "www.jeu.example"])) for _ in range(1000)]
    with connect(served) as client:
        sender = threading.Thread(target=client.sendall, args=(framed(*packets),))
        sender.start()
        replies = [receive(client) for _ in packets]
        sender.join()

    assert sorted(each[:2] for each in replies) == sorted(each[:2] for each in packets)


def test_a_late_answer_holds_no_other_up(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    release = threading.Event()

    def late(query: Message, _over_udp: bool) -> Sequence[bytes]:
        assert release.wait(10)
        return [pack(answer(query, "lent.example. 300 IN A 93.184.216.40"))]

    upstream.scripts["lent.example"] = late
    slow, quick = packet("lent.example"), packet("www.jeu.example")
    with connect(served) as client:
        client.sendall(framed(slow, quick))
        first = receive(client)
        release.set()
        second = receive(client)

    assert (first[:2], second[:2]) == (quick[:2], slow[:2])


def test_what_was_asked_before_the_client_closed_its_side_is_answered(served: RunningFilter) -> None:
    with connect(served) as client:
        client.sendall(framed(packet(), packet("www.jeu.example")))
        client.shutdown(socket.SHUT_WR)
        assert len(receive(client)) > 12
        assert len(receive(client)) > 12
        assert is_closed(client)


@pytest.mark.parametrize(
    "sent",
    [b"\0\0", b"\0\x0b" + bytes(11), framed(packet()) + b"\0\x01x"],
    ids=["empty", "shorter than a header", "behind a query"],  # workers collect the same names: an id is drawn by lot
)
def test_what_holds_no_message_ends_the_connection(served: RunningFilter, sent: bytes) -> None:
    with connect(served) as client:
        client.sendall(sent)
        while not is_closed(client):
            pass


def test_a_response_sent_as_a_query_is_not_answered(served: RunningFilter) -> None:
    query = packet()
    with connect(served) as client:
        client.sendall(framed(query[:2] + b"\x80" + query[3:], query))
        assert receive(client)[:2] == query[:2]


def test_a_byte_now_and_then_keeps_nobody_busy(served: RunningFilter) -> None:
    with connect(served) as client:
        stop = threading.Event()

        def dribble() -> None:
            try:
                for byte in framed(bytes(2000)):
                    if stop.wait(0.2):
                        return
                    client.send(bytes([byte]))
            except OSError:
                pass

        dribbling = threading.Thread(target=dribble)
        dribbling.start()
        assert is_closed(client)
        stop.set()
        dribbling.join()


def test_a_client_that_reads_nothing_is_cut_off(served: RunningFilter) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(20)
        client.connect(("127.0.0.1", served.port))
        flood = framed(*(packet("www.jeu.example") for _ in range(1_000))) * 500
        with pytest.raises(OSError, match=r"reset|Broken"):
            client.sendall(flood)


def test_one_client_does_not_take_all_connections(bundle: Path, upstream: ScriptedUpstream) -> None:
    options = ("--max-connections", "12", "--max-connections-per-client", "8")
    with RunningFilter("--bundle", str(bundle), "--upstream", upstream.address, *options) as running:
        mine = [connect(running) for _ in range(8)]
        for each in mine:
            each.sendall(framed(packet()))
            receive(each)
        with connect(running) as one_more:
            assert is_closed(one_more)
        others = [connect(running, f"127.0.0.{number}") for number in range(2, 7)]
        for each in others:  # the fifth finds the house full, and an idle one makes room for it
            each.sendall(framed(packet()))
            assert len(receive(each)) > 12
        assert is_closed(mine[0])
        mine[1].sendall(framed(packet()))
        assert len(receive(mine[1])) > 12
        for each in mine + others:
            each.close()


def test_a_known_network_may_hold_more_connections(bundle: Path, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    known = replace(SCHOOL, networks=(NetworkSettings("127.0.0.9/32", "ecole"),))
    names = compile_pair(LISTS, known, tmp_path / "ecole.preau", serial=7)
    options = ("--bundle", str(names), "--upstream", upstream.address, "--max-connections-per-client", "2")
    with RunningFilter(*options) as running:
        school = [connect(running, "127.0.0.9") for _ in range(20)]
        for each in school:
            each.sendall(framed(packet()))
            assert len(receive(each)) > 12
        strangers = [connect(running) for _ in range(3)]
        assert is_closed(strangers[2])
        for each in school + strangers:
            each.close()


def test_random_bytes_never_stop_the_filter(served: RunningFilter) -> None:
    source = random.Random(3)
    for _ in range(80):
        with connect(served) as client:
            try:
                client.sendall(source.randbytes(source.randrange(1, 400)))
            except OSError:
                continue
    assert served.ask("journal.example", over_tcp=True).rcode() == dns.rcode.NOERROR
    assert [line for line in served.lines if "Traceback" in str(line)] == []


@pytest.mark.long
def test_silence_ends_a_connection(served: RunningFilter) -> None:
    with connect(served) as client:
        client.sendall(framed(packet()))
        receive(client)
        assert is_closed(client)


@pytest.mark.long
def test_ten_thousand_idle_connections_keep_nobody_waiting(bundle: Path, upstream: ScriptedUpstream) -> None:
    """From many addresses, so that none has too many; they are let go when their time is over."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--max-connections", "12000")
    with RunningFilter(*options) as running:
        before = resident(running)
        idle = [connect(running, f"127.0.{1 + number // 90}.9") for number in range(10_000)]
        for each in idle[::100]:
            each.sendall(framed(packet()))
            assert len(receive(each)) > 12
        assert running.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
        assert running.ask("www.jeu.example", over_tcp=True).rcode() == dns.rcode.NXDOMAIN
        held = resident(running) - before
        print(f"{len(idle)} idle TCP connections: {held / len(idle):.0f} bytes each")
        assert held < 200 << 20
        for each in idle:
            assert is_closed(each)
            each.close()


def resident(running: RunningFilter) -> int:
    """Bytes of memory that the process holds."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmRSS"))
