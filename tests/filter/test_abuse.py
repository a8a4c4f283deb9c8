"""Clients that want to keep a real filter process busy: slow ones, deaf ones, bombs, crowds. Others never notice."""

import itertools
import resource
import socket
import ssl
import struct
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import dns.message
import dns.rcode
import pytest
from dns.message import Message

from tests.certificates import Authority
from tests.embedded.waiting import until
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import NAME, EncryptedFilter, receive_exactly
from tests.filter.scripted import ScriptedUpstream, answer, pack
from tests.filter.standing import standing_of
from tests.filter.test_doh import GOOD, PREFACE, SETTINGS, closing, frame

CROWD = 10_000
TRICKLE = 0.2
HELD = 3 << 20
"""Bytes that one deaf client may cost, socket buffers apart."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedFilter]:
    folder: Path = tmp_path_factory.mktemp("abuse")
    bundle = compile_pair(LISTS, SCHOOL, folder / "ecole.preau", serial=7)
    with ScriptedUpstream() as upstream:
        upstream.add("journal.example. 300 IN A 93.184.216.34")
        upstream.add(*(f"long.example. 300 IN TXT {number}{'x' * 240}" for number in range(120)))
        options = ("--bundle", str(bundle), "--upstream", upstream.address)
        with EncryptedFilter(Authority.make(folder), *options) as running:
            yield running


def packet(name: str, qtype: str = "A") -> bytes:
    return dns.message.make_query(name, qtype, use_edns=0).to_wire()


def still_serves(served: EncryptedFilter) -> None:
    """Blocked and known names, over UDP and DoT."""
    assert served.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
    assert served.ask("journal.example").rcode() == dns.rcode.NOERROR
    (reply,) = served.ask_tls([packet("www.jeu.example")])
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN


UNFINISHED = {
    "no preface": PREFACE[:10],
    "no settings": PREFACE,
    "half a frame": PREFACE + SETTINGS + frame(1, 4, 1, GOOD)[:20],
    "headers without end": PREFACE + SETTINGS + frame(1, 0, 1, GOOD),
    "a body without end": PREFACE + SETTINGS + frame(1, 4, 1, GOOD) + frame(0, 0, 1, b"\0" * 20),
    "a window that stays shut": PREFACE + frame(4, 0, 0, struct.pack("!HI", 4, 0)) + frame(1, 4, 1, GOOD)
    + frame(0, 1, 1, packet("www.jeu.example")),
}  # fmt: skip


def test_what_is_never_finished_is_cut_off(served: EncryptedFilter) -> None:
    """All at once; one byte of the next frame now and then gains nothing."""
    clients = {}
    for name, sent in UNFINISHED.items():
        plain = socket.create_connection(("127.0.0.1", served.https), timeout=TRICKLE)
        clients[name] = served.context("h2").wrap_socket(plain, server_hostname=NAME)
        clients[name].sendall(sent)
    still_open = dict(clients)
    for _ in range(40):
        for name, client in list(still_open.items()):
            if is_cut_off(client):
                still_open.pop(name).close()
    for client in still_open.values():
        client.close()

    assert set(still_open) <= {"no settings"}  # an idle connection, which may stay for half a minute
    still_serves(served)


def is_cut_off(client: ssl.SSLSocket) -> bool:
    """Whether the server has closed, once all that came was read; sends one byte more where it has not."""
    try:
        while client.recv(65_536):
            pass
    except TimeoutError:
        try:
            client.sendall(b"\0")
        except OSError:
            return True
        return False
    except OSError:
        return True
    return True


def bomb() -> bytes:
    """A value of 4,000 bytes in the table, told again by one byte each (RFC 7541, 7.3)."""
    return b"\x83\x87\x04\x0a/dns-query" + b"\x40\x01a" + literal(b"x" * 4_000) + b"\xbe" * 3_000


def literal(text: bytes) -> bytes:
    """A string with its length (RFC 7541, 5.2)."""
    rest, written = len(text) - 127, bytearray(b"\x7f")
    while rest >= 128:
        written.append(rest & 127 | 128)
        rest >>= 7
    written.append(rest)
    return bytes(written) + text


def test_headers_that_unpack_into_too_much_end_the_connection(served: EncryptedFilter) -> None:
    with served.secure(served.https, "h2") as secured:
        frames = closing(secured, PREFACE + SETTINGS + frame(1, 5, 1, bomb()))

    assert [payload[4:] for kind, payload in frames if kind == 7] == [struct.pack("!I", 9)]
    still_serves(served)


def test_answers_that_are_asked_for_and_not_let_through_are_bounded(served: EncryptedFilter) -> None:
    """A hundred answers of 29 kB for windows that stay shut: the connection ends before they take 1 MiB."""
    before = standing_of(served).rss
    asked = b"".join(
        frame(1, 4, stream, GOOD) + frame(0, 1, stream, packet("long.example", "TXT")) for stream in range(1, 199, 2)
    )
    with served.secure(served.https, "h2") as secured:
        frames = closing(secured, PREFACE + frame(4, 0, 0, struct.pack("!HI", 4, 0)) + asked)

    assert [payload[4:] for kind, payload in frames if kind == 7] == [struct.pack("!I", 11)]
    assert (standing_of(served).rss - before) << 10 < HELD
    still_serves(served)


def test_who_never_reads_is_cut_off(served: EncryptedFilter) -> None:
    """Windows wide open, answers asked for without end, none of them read."""
    before = standing_of(served).rss
    wide = frame(4, 0, 0, struct.pack("!HI", 4, 2**31 - 1)) + frame(8, 0, 0, struct.pack("!I", 2**31 - 1 - 65_535))
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", served.https))
        secured = served.context("h2").wrap_socket(plain, server_hostname=NAME)
        secured.sendall(PREFACE + wide)
        with pytest.raises(OSError, match=r"reset|Broken|EOF"):
            ask_without_end(secured)
        secured.close()

    assert (standing_of(served).rss - before) << 10 < 4 * HELD
    still_serves(served)


def ask_without_end(secured: ssl.SSLSocket) -> None:
    for stream in range(1, 1_000_000, 2):
        secured.sendall(frame(1, 4, stream, GOOD) + frame(0, 1, stream, packet("long.example", "TXT")))


REFUSED = ("filter_handshakes_total", 'outcome="refused"')


def test_overload_sheds_what_is_dear_and_answers_the_rest(tmp_path: Path) -> None:
    """Misses to a resolver that fell silent, and handshakes without end: each blocked and each cached name is answered
    all the while, each asked once."""
    bundle = compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)
    silent = threading.Event()

    def fall_silent(query: Message, _over_udp: bool) -> Sequence[bytes]:
        return [] if silent.is_set() else [pack(answer(query, "journal.example. 600 IN A 93.184.216.34"))]

    with ScriptedUpstream() as upstream, ExitStack() as stack:
        upstream.scripts["journal.example"] = fall_silent
        options = ("--bundle", str(bundle), "--upstream", upstream.address, "--max-connections", "200")
        running = stack.enter_context(EncryptedFilter(Authority.make(tmp_path), *options))
        assert running.ask("journal.example").rcode() == dns.rcode.NOERROR
        silent.set()
        stop = threading.Event()
        crowd = [threading.Thread(target=ask_for_misses, args=(running, stop))]
        crowd += [threading.Thread(target=shake_hands, args=(running, stop)) for _ in range(4)]
        for each in crowd:
            each.start()
        try:
            until(lambda: measure(running, *REFUSED) > 0, "handshakes are refused", patience=60)
            outcomes = Counter(ask_once(running, name) for name in ("www.jeu.example", "journal.example") * 1_000)
        finally:
            stop.set()
            for each in crowd:
                each.join()

    assert outcomes == {dns.rcode.NXDOMAIN: 1_000, dns.rcode.NOERROR: 1_000}


def ask_for_misses(running: EncryptedFilter, stop: threading.Event) -> None:
    """New names without end, as many under way as there is room for; replies are left unread."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", running.port))
        for number in itertools.count():
            client.send(packet(f"n{number}.libre.example"))
            if number % 20 == 0 and stop.wait(0.002):
                return


def shake_hands(running: EncryptedFilter, stop: threading.Event) -> None:
    """Again and again, from one address that is not the machine's own."""
    while not stop.is_set():
        try:
            plain = socket.create_connection(("127.0.0.1", running.tls), timeout=8, source_address=("127.0.0.2", 0))
            running.context("dot").wrap_socket(plain, server_hostname=NAME).close()
        except OSError:
            continue


def ask_once(running: EncryptedFilter, name: str) -> int:
    """The answer's code; raise TimeoutError when none comes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(8)
        client.connect(("127.0.0.1", running.port))
        client.send(packet(name))
        return dns.message.from_wire(client.recv(4096)).rcode()


def measure(running: EncryptedFilter, name: str, label: str) -> float:
    """A sum over all series of a measure that bear this label."""
    with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics}/metrics", timeout=20) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{") and label in line)


@pytest.mark.long
def test_ten_thousand_idle_tls_connections_keep_nobody_waiting(served: EncryptedFilter, tmp_path: Path) -> None:
    """All resume one session, and ask now and then: their handshakes take about as long as they may be idle."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    bundle = compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)
    room = ("--max-connections", "12000", "--max-connections-per-client", "12000")
    with EncryptedFilter(
        Authority.make(tmp_path), "--bundle", str(bundle), "--upstream", "127.0.0.1:9", *room
    ) as running:
        before = standing_of(running).rss
        context = running.context("dot")
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        idle = [connect(running, context)]
        while len(idle) < CROWD:
            idle.append(connect(running, context, idle[0].session))
            if len(idle) % (CROWD // 4) == 0:
                ask_on_each(idle)
        held = standing_of(running).rss - before
        print(f"{CROWD} idle TLS connections: {(held << 10) / CROWD:.0f} bytes each")
        assert running.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
        assert len(running.ask_tls([packet("www.jeu.example")])) == 1
        ask_on_each(idle)
        for each in idle:
            each.close()

    assert (held << 10) / CROWD < 60_000


def ask_on_each(idle: list[ssl.SSLSocket]) -> None:
    query = packet("www.jeu.example")
    for each in idle:
        each.sendall(struct.pack("!H", len(query)) + query)
    for each in idle:
        assert dns.message.from_wire(receive_exactly(each)).rcode() == dns.rcode.NXDOMAIN


def connect(running: EncryptedFilter, context: ssl.SSLContext, session: ssl.SSLSession | None = None) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", running.tls), timeout=20)
    return context.wrap_socket(plain, server_hostname=NAME, session=session)
