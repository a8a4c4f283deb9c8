"""Clients that ask over UDP, TCP, DoT and DoH at once, each in its thread, while a publication changes under them.

Every query is asked once and every reply judged, also by what is in force: NEWS is blocked by one publication and
allowed by the other.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from tests.filter.encrypted import EncryptedFilter, H2Client, receive_exactly
from tests.filter.load import ADDRESS, PATIENCE, Figures
from tests.filter.running import RunningFilter, receive

NEWS = "journal.example"
"""What the two publications differ in."""
BLOCKED, KNOWN, FRESH = "jeu.example", "connu.example", "libre.example"
BATCH = 20
QUESTION = b"\0\1\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


class Mouth(Protocol):
    """One client's way of asking."""

    def ask(self, packets: Sequence[bytes]) -> list[bytes]:
        """The replies that came, in any order; fewer than packets when some are lost."""


class UdpMouth:
    def __init__(self, client: socket.socket) -> None:
        self.client = client

    def ask(self, packets: Sequence[bytes]) -> list[bytes]:
        for each in packets:
            self.client.send(each)
        wanted, replies = {each[:2] for each in packets}, []
        self.client.settimeout(PATIENCE)
        try:
            while wanted:
                reply = self.client.recv(4096)
                if reply[:2] in wanted:
                    wanted.discard(reply[:2])
                    replies.append(reply)
        except TimeoutError:
            pass
        return replies


class StreamMouth:
    """TCP."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client

    def ask(self, packets: Sequence[bytes]) -> list[bytes]:
        self.client.sendall(b"".join(struct.pack("!H", len(each)) + each for each in packets))
        return [receive(self.client) for _ in packets]


class TlsMouth:
    def __init__(self, running: EncryptedFilter, stack: ExitStack) -> None:
        self.client = stack.enter_context(running.secure(running.tls, "dot"))

    def ask(self, packets: Sequence[bytes]) -> list[bytes]:
        self.client.sendall(b"".join(struct.pack("!H", len(each)) + each for each in packets))
        return [receive_exactly(self.client) for _ in packets]


class HttpMouth:
    def __init__(self, running: EncryptedFilter, stack: ExitStack) -> None:
        self.client = H2Client(stack.enter_context(running.secure(running.https, "h2")))

    def ask(self, packets: Sequence[bytes]) -> list[bytes]:
        kind = [("content-type", "application/dns-message")]
        streams = [self.client.begin("POST", "/dns-query", each, kind) for each in packets]
        return [body for status, _, body in self.client.finish(*streams).values() if status == 200]


def open_mouth(running: RunningFilter, how: str, stack: ExitStack) -> Mouth:
    """A connection of its own: ``udp``, ``tcp``, ``tls`` or ``https``."""
    if how in {"udp", "tcp"}:
        kind = socket.SOCK_DGRAM if how == "udp" else socket.SOCK_STREAM
        client = stack.enter_context(socket.socket(socket.AF_INET, kind))
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", running.port))
        return UdpMouth(client) if how == "udp" else StreamMouth(client)
    assert isinstance(running, EncryptedFilter)
    return TlsMouth(running, stack) if how == "tls" else HttpMouth(running, stack)


@dataclass
class InForce:
    """Whether NEWS is blocked now; None while one publication takes the other's place."""

    blocked: bool | None = False


@dataclass
class Client:
    """One of the crowd: a thread that asks batch after batch."""

    running: RunningFilter
    how: str
    number: int
    in_force: InForce
    batches: int = 0
    """Batches for each connection; 0: one connection for good."""
    pause: float = 0.0
    """Seconds between two batches."""
    figures: Figures = field(default_factory=Figures)
    asked: int = 0
    rounds: int = 0
    broken: list[str] = field(default_factory=list)
    """What ended a connection before we did."""

    def names(self) -> list[str]:
        first, self.asked = self.asked, self.asked + BATCH
        mine = f"{self.how}{self.number}"
        return [
            (f"n{mine}-{at}.{BLOCKED}", f"k{at % 200}.{KNOWN}", NEWS, f"f{mine}-{at // 40}.{FRESH}")[at % 4]
            for at in range(first, first + BATCH)
        ]

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            with ExitStack() as stack:
                try:
                    self.converse(stop, open_mouth(self.running, self.how, stack))
                except (OSError, EOFError, struct.error) as error:
                    self.broken.append(f"{self.how}: {error!r}")
                    stop.wait(0.2)

    def converse(self, stop: threading.Event, mouth: Mouth) -> None:
        """Ask over one connection."""
        done = 0
        while not stop.is_set() and (not self.batches or done < self.batches):
            self.ask_batch(mouth)
            done += 1
            stop.wait(self.pause)

    def ask_batch(self, mouth: Mouth) -> None:
        names = self.names()
        packets = {at.to_bytes(2, "big"): pack(at, name) for at, name in enumerate(names)}
        before, started = self.in_force.blocked, time.monotonic()
        self.figures.sent += len(packets)
        replies: list[bytes] = []
        try:
            replies = mouth.ask(list(packets.values()))
        finally:
            after = self.in_force.blocked
            self.figures.slowest = max(self.figures.slowest, time.monotonic() - started)
            for reply in replies:
                name = names[int.from_bytes(reply[:2], "big")]
                blocked = before if before == after else None
                self.figures.outcomes[judge(name, packets[reply[:2]], reply, blocked)] += 1
            self.figures.outcomes["lost"] += len(packets) - len(replies)
            self.rounds += 1


def pack(identifier: int, name: str) -> bytes:
    """A query for A, with EDNS."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return struct.pack("!HHHHHH", identifier, 0x0100, 1, 0, 0, 1) + labels + b"\0" + QUESTION + OPT


def judge(name: str, query: bytes, reply: bytes, news_blocked: bool | None) -> str:
    """What a reply says of its query; ``news_blocked`` None: either is right for NEWS."""
    rcode, answers = reply[3] & 15, int.from_bytes(reply[6:8], "big")
    if reply[12 : len(query) - len(OPT)] != query[12 : -len(OPT)]:
        return "wrong"
    is_blocked = rcode == 3 and answers == 0
    is_answered = rcode == 0 and answers == 1 and ADDRESS in reply[len(query) - len(OPT) :]
    if name.endswith(BLOCKED) or (name == NEWS and news_blocked):
        return "right" if is_blocked else "unfiltered" if answers else "failed"
    if rcode == 2:
        return "failed"
    return "right" if is_answered or (is_blocked and name == NEWS and news_blocked is None) else "wrong"


class Crowd(AbstractContextManager["Crowd"]):
    """Started by ``with``; stopped and added up when left."""

    def __init__(self, clients: Sequence[Client]) -> None:
        self.clients = clients
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=each.run, args=(self.stop,), daemon=True) for each in clients]

    def __enter__(self) -> Self:
        for each in self.threads:
            each.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.stop.set()
        for each in self.threads:
            each.join(4 * PATIENCE)

    def wait_for_rounds(self, rounds: int, wait: Callable[[Callable[[], bool]], None]) -> None:
        """Until every client has asked so many more whole batches, from beginning to end."""
        before = [each.rounds for each in self.clients]
        wait(lambda: all(each.rounds > was + rounds for each, was in zip(self.clients, before, strict=True)))

    @property
    def figures(self) -> Figures:
        total = Figures()
        for each in self.clients:
            total.sent += each.figures.sent
            total.outcomes += each.figures.outcomes
            total.slowest = max(total.slowest, each.figures.slowest)
        return total

    @property
    def broken(self) -> list[str]:
        return [each for client in self.clients for each in client.broken]


def check(figures: Figures) -> None:
    """Every query was answered, and rightly."""
    told = (figures.unfiltered, figures.wrong, figures.failed, figures.lost)
    assert told == (0, 0, 0, 0), str(figures)
    assert figures.right == figures.sent, str(figures)
