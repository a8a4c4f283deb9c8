"""Anything at all, sent to a real filter: it lives, in bounded memory, and answers the next query as it should."""

import itertools
import random
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from filter.plane.choosing import is_compiled
from tests.certificates import Authority
from tests.filter.crowd import pack
from tests.filter.encrypted import EncryptedFilter, H2Client
from tests.filter.prompt import PromptUpstream
from tests.filter.standing import processes_of, standing_of

BATCH = 100
"""Packets between two queries that must be answered: fewer than the socket keeps, so that each one is read."""
MEMORY = 30_000
"""Kilobytes that may come on top of what a filter holds when its cache is small."""
NAMES = ("jeu.example", "journal.example", "www.bing.com", "permis.example", "xn--9ca.example", "a.lan", "")
TYPES = (1, 28, 65, 16, 255, 41, 0, 65_535)

needs_plane = pytest.mark.skipif(not is_compiled(), reason="the plane is not compiled: a C compiler is needed")
Record = Callable[[str, object], None]


class Packets:
    """Random, and damaged where it hurts: lengths, pointers, counts, cuts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def plain(self) -> bytes:
        draw = self.random
        query = bytearray(pack(draw.getrandbits(16), draw.choice(NAMES) or "."))
        if draw.random() < 0.3:
            query[-15:-13] = draw.choice(TYPES).to_bytes(2, "big")
        return bytes(query)

    def make(self) -> bytes:
        draw = self.random
        kind = draw.getrandbits(3)
        if kind == 0:
            return draw.randbytes(draw.randrange(600))
        packet = bytearray(self.plain())
        if kind == 1:
            return bytes(packet[: draw.randrange(len(packet) + 1)])
        if kind == 2:
            return bytes(packet) + draw.randbytes(draw.randrange(1400))
        if kind == 3:  # whatever the header says
            packet[2:12] = draw.randbytes(10)
        if kind == 4:  # a pointer somewhere
            at = draw.randrange(12, len(packet) - 1)
            packet[at : at + 2] = struct.pack("!H", 0xC000 | draw.getrandbits(6))
        for _ in range(draw.randrange(1, 4)):
            packet[draw.randrange(2, len(packet))] = draw.getrandbits(8)
        return bytes(packet)


@pytest.fixture
def upstream() -> Iterator[PromptUpstream]:
    with PromptUpstream() as prompt:
        yield prompt


def blocked(identifier: int, *, odd: bool = False) -> bytes:
    """A query whose answer is known; ``odd``: with an option that only Python reads, behind all that it was handed."""
    query = pack(identifier, "www.jeu.example")
    if not odd:
        return query
    return query[:-2] + struct.pack("!HHH4s", 8, 65_001, 4, b"prau")


def is_blocked(reply: bytes) -> bool:
    return reply[3] & 15 == 3 and reply[6:8] == b"\0\0"


def pelt(port: int, count: int, seed: int, pause: int = 8) -> int:
    """Send so many packets, and after each batch a query that must be blocked, asked again until it is; how many.

    Every ``pause`` batches it waits for Python: seldom, and what the plane hands over finds the queue full.
    """
    packets, asked = Packets(seed), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(1.0)
        for number, _ in enumerate(range(0, count, BATCH)):
            for _ in range(BATCH):
                client.send(packets.make())
            confirm(client, blocked(number & 0xFFFF, odd=number % pause == 0))
            asked += 1
    return asked


def confirm(client: socket.socket, query: bytes) -> None:
    """A blocked query is answered as such, whatever else comes back before it."""
    for _ in range(20):
        client.send(query)
        with suppress(TimeoutError):
            while (reply := client.recv(4096))[:2] != query[:2] or reply[12 : len(query) - 19] != query[12:-19]:
                pass
            assert is_blocked(reply), reply.hex()
            return
    pytest.fail("no answer")


def check_udp(
    upstream: PromptUpstream, bundle: Path, plane: str, count: int, record: Record, seed: int = 1, pause: int = 8
) -> None:
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--plane", plane, "--cache-mb", "4")
    with EncryptedFilter(Authority.make(bundle.parent), *options) as running:
        pelt(running.port, 5_000, 0)
        begun, processes = standing_of(running), processes_of(running)
        asked = pelt(running.port, count, seed, pause)
        ended = standing_of(running)
        assert processes_of(running) == processes
        told = f"{count} packets, {asked} queries between them answered right; {begun} -> {ended}"
        record(f"garbage-udp-{plane}", told)
        sys.stderr.write(f"udp {plane}: {told}\n")
        assert ended.rss - begun.rss < MEMORY
        assert not running.logged("query could not be answered")
        assert not running.logged("a packet could not be answered")


@pytest.mark.parametrize("plane", [pytest.param("compiled", marks=needs_plane), "python"])
def test_packets(upstream: PromptUpstream, bundle_file: Path, plane: str, record_property: Record) -> None:
    check_udp(upstream, bundle_file, plane, {"compiled": 60_000, "python": 20_000}[plane], record_property)


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("plane", "count", "seed"),
    [
        pytest.param("compiled", 5_000_000, 2, marks=needs_plane),
        pytest.param("compiled", 5_000_000, 3, marks=needs_plane),
        ("python", 1_000_000, 4),
    ],
)
def test_eleven_million_packets(
    upstream: PromptUpstream, bundle_file: Path, plane: str, count: int, seed: int, record_property: Record
) -> None:
    check_udp(upstream, bundle_file, plane, count, record_property, seed, 256 if plane == "compiled" else 8)


# --- streams ----------------------------------------------------------------------------------------------------------


def streams(seed: int) -> Iterator[bytes]:
    """What a client may say on a connection: noise, lengths that lie, messages that are none, HTTP/2 frames at will."""
    draw, packets = random.Random(seed), Packets(seed)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    while True:
        yield draw.randbytes(draw.randrange(1, 3_000))
        yield b"".join(struct.pack("!H", len(p)) + p for p in (packets.make() for _ in range(20)))
        yield struct.pack("!H", draw.getrandbits(16)) + packets.plain()
        frames = (draw.randbytes(draw.randrange(60)) for _ in range(10))
        yield (
            preface
            + b"\0\0\0\4\0\0\0\0\0"
            + b"".join(
                len(f).to_bytes(3, "big") + bytes((draw.randrange(12), draw.getrandbits(8))) + draw.randbytes(4) + f
                for f in frames
            )
        )


def say(client: socket.socket, said: bytes) -> None:
    """Send, end our side, and read until the other ends; a cut is as good an answer."""
    client.settimeout(20)
    with suppress(OSError):
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        while client.recv(65_536):
            pass


def check_streams(running: EncryptedFilter) -> None:
    """A correct query on each kind of connection."""
    assert is_blocked(running.send([blocked(1)])[0])
    assert is_blocked(running.send_tcp([blocked(2)])[0])
    assert is_blocked(running.ask_tls([blocked(3)])[0])
    with running.secure(running.https, "h2") as secured:
        headers = [("content-type", "application/dns-message")]
        status, _, body = H2Client(secured).request("POST", "/dns-query", blocked(4), headers)
    assert (status, is_blocked(body)) == (200, True)


def rounds_of_streams(running: EncryptedFilter, rounds: int, seed: int) -> int:
    """Each saying bare to each port, and within TLS; how many connections."""
    count = 0
    for number, said in enumerate(itertools.islice(streams(seed), rounds)):
        for port in (running.port, running.tls, running.https):
            with socket.create_connection(("127.0.0.1", port), timeout=8) as client:
                say(client, said)
                count += 1
        for port, protocol in ((running.tls, "dot"), (running.https, "h2")):
            with suppress(OSError), running.secure(port, protocol) as client:
                say(client, said)
            count += 1
        if number % 20 == 0:
            check_streams(running)
    return count


def check_all_streams(upstream: PromptUpstream, bundle: Path, rounds: int, record: Record) -> None:
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--cache-mb", "4")
    with EncryptedFilter(Authority.make(bundle.parent), *options) as running:
        rounds_of_streams(running, 8, 0)
        begun, processes = standing_of(running), processes_of(running)
        count = rounds_of_streams(running, rounds, 1)
        check_streams(running)
        ended = standing_of(running)
        assert processes_of(running) == processes
        told = f"{count} connections; {begun} -> {ended}"
        record("garbage-streams", told)
        sys.stderr.write(f"streams: {told}\n")
        assert ended.rss - begun.rss < MEMORY
        assert not running.logged("query could not be answered")
        assert not running.logged("a talk with the controller broke off")


def test_streams(upstream: PromptUpstream, bundle_file: Path, record_property: Record) -> None:
    check_all_streams(upstream, bundle_file, 100, record_property)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_many_streams(upstream: PromptUpstream, bundle_file: Path, record_property: Record) -> None:
    check_all_streams(upstream, bundle_file, 4_000, record_property)
