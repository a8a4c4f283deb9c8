"""The ports that questions to a resolver leave from: few, changing, and given up when somebody guesses."""

import asyncio
import gc
import socket
import struct
from collections.abc import Iterator

import pytest

from filter.endpoints import Endpoint
from filter.resolvers import Resolver
from filter.serving import wire
from filter.serving.resolving import datagrams
from filter.serving.resolving.asked import Asked
from filter.serving.resolving.datagrams import MOST_GUESSES, MOST_USES, Heard, Ports
from filter.serving.resolving.health import Server
from filter.serving.resolving.upstream import Outcome, Race, Upstreams
from filter.serving.wire import Question

NAME = b"\x07journal\x07exemple\x02fr\0"
QUESTION = Question(NAME + struct.pack("!HH", 1, 1), "journal.exemple.fr", 1, 1)
PATIENCE = 5.0


@pytest.fixture
def resolver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


class Client:
    """Questions, and what was heard of them."""

    def __init__(self, resolver: socket.socket) -> None:
        self.resolver = resolver
        self.ports = Ports(Endpoint(*resolver.getsockname()))
        self.heard: list[Heard] = []

    def ask(self, patience: float | None = PATIENCE) -> datagrams.Flight:
        return self.ports.send(Asked(QUESTION), False, patience, self.heard.append)

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        """A question as it comes to the resolver."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(5):
            data, sender = await loop.sock_recvfrom(self.resolver, 4096)
        return data, sender

    async def hear(self, many: int = 1) -> list[Heard]:
        async with asyncio.timeout(5):
            while len(self.heard) < many:
                await asyncio.sleep(0.001)
        return self.heard


def reply_to(query: bytes) -> bytes:
    return query[:2] + b"\x81\x80" + query[4:6] + bytes(6) + QUESTION.raw


def test_an_answer_is_heard_once(resolver: socket.socket) -> None:
    async def script() -> None:
        client = Client(resolver)
        flight = client.ask()
        query, sender = await client.receive()
        for _ in range(3):
            resolver.sendto(reply_to(query), sender)
        assert await client.hear() == [reply_to(query)]
        async with asyncio.timeout(5):
            while flight.port.guesses < 2:
                await asyncio.sleep(0.001)
        assert len(client.heard) == 1
        client.ports.close()

    asyncio.run(script())


def test_a_port_bears_so_many_questions_and_no_more(resolver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "PLACES", 1)

    async def script() -> None:
        client = Client(resolver)
        ports = [client.ask().port for _ in range(2 * MOST_USES + 1)]
        assert [len(set(ports[start : start + MOST_USES])) for start in (0, MOST_USES)] == [1, 1]
        assert len(set(ports)) == 3
        assert len({port.sock.getsockname() for port in ports}) == 3
        assert all(len({each.identifier for each in port.flights.values()}) == port.uses for port in ports)
        client.ports.close()

    asyncio.run(script())


def test_questions_leave_from_many_ports(resolver: socket.socket) -> None:
    async def script() -> None:
        client = Client(resolver)
        assert len({client.ask().port for _ in range(200)}) > 80  # of 256 places; 139 are to be expected
        client.ports.close()

    asyncio.run(script())


def test_ports_are_closed_when_nobody_needs_them(resolver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "LIFE_SECONDS", 0.1)

    async def script() -> None:
        client = Client(resolver)
        first, waiting = client.ask(), client.ask()
        first.end()
        async with asyncio.timeout(5):
            while len(client.ports.open) != len({waiting.port}):
                await asyncio.sleep(0.01)
        waiting.end()
        async with asyncio.timeout(5):
            while client.ports.open:
                await asyncio.sleep(0.01)
        assert client.ports.looking is None
        assert client.ask().port.sock.fileno() >= 0
        client.ports.close()

    asyncio.run(script())


def test_a_port_that_somebody_guesses_at_is_given_up(resolver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "PLACES", 1)

    async def script() -> None:
        client = Client(resolver)
        flight = client.ask()
        query, sender = await client.receive()
        wrong = (int.from_bytes(query[:2]) ^ 1).to_bytes(2) + reply_to(query)[2:]
        for _ in range(MOST_GUESSES):
            resolver.sendto(wrong, sender)
        (trouble,) = await client.hear()
        assert isinstance(trouble, OSError)
        resolver.sendto(reply_to(query), sender)
        port = flight.port
        assert port.flights == {}
        assert client.ask().port is not port
        client.ports.close()

    asyncio.run(script())


def test_what_is_late_may_still_come(resolver: socket.socket) -> None:
    async def script() -> None:
        client = Client(resolver)
        client.ask(0.01)
        query, sender = await client.receive()
        later: list[Heard] = []
        client.ports.send(Asked(QUESTION), False, 0.2, later.append)
        async with asyncio.timeout(5):
            while not later:
                await asyncio.sleep(0.001)
        assert client.heard == [None]  # once
        resolver.sendto(reply_to(query), sender)
        assert await client.hear(2) == [None, reply_to(query)]
        client.ports.close()

    asyncio.run(script())


def test_nobody_there_is_told_to_all_who_wait(resolver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "PLACES", 1)

    async def script() -> None:
        client = Client(resolver)
        first = [client.ask(), client.ask()]
        await client.receive()
        resolver.close()
        second = client.ask()
        assert {each.port for each in (*first, second)} == {second.port}
        heard = await client.hear(3)
        assert [type(each) for each in heard] == [ConnectionRefusedError] * 3
        client.ports.close()

    asyncio.run(script())


def test_what_came_back_of_one_question_does_not_keep_the_next_from_leaving(
    resolver: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagrams, "PLACES", 1)

    async def script() -> None:
        client = Client(resolver)
        address = resolver.getsockname()
        resolver.close()
        client.ask()
        client.ports.flush()  # refused, as the port hears at once on this machine
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client.resolver:
            client.resolver.setblocking(False)
            client.resolver.bind(address)
            client.ask()
            client.ports.flush()
            query, sender = await client.receive()
            client.resolver.sendto(reply_to(query), sender)
            refused, answered = await client.hear(2)
        assert isinstance(refused, ConnectionRefusedError)
        assert answered == reply_to(query)
        client.ports.close()

    asyncio.run(script())


def test_ids_of_a_port_are_never_the_same(resolver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    chances = iter([b"\0\0\5", b"\0\0\5", b"\0\5", b"\0\6"])

    async def script() -> None:
        client = Client(resolver)
        with monkeypatch.context() as patch:
            patch.setattr("filter.serving.resolving.datagrams.os.urandom", lambda _bytes: next(chances))
            assert [client.ask().identifier for _ in range(2)] == [5, 6]
        client.ports.close()

    asyncio.run(script())


def test_an_old_port_is_asked_from_no_more(resolver: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datagrams, "PLACES", 1)
    monkeypatch.setattr(datagrams, "LIFE_SECONDS", 0.0)

    async def script() -> None:
        client = Client(resolver)
        first, second = client.ask(), client.ask()
        assert first.port is not second.port
        for _ in range(2):
            query, sender = await client.receive()
            resolver.sendto(reply_to(query), sender)
        assert all(isinstance(each, bytes) for each in await client.hear(2))  # the old one still listens
        client.ports.close()

    asyncio.run(script())


def test_wrong_questions_are_guesses(resolver: socket.socket) -> None:
    async def script() -> None:
        client = Client(resolver)
        flight = client.ask()
        query, sender = await client.receive()
        other = reply_to(query).replace(b"journal", b"jornaux")
        resolver.sendto(other, sender)
        resolver.sendto(query[:2] + b"\x01\x80" + reply_to(query)[4:], sender)  # no response
        resolver.sendto(query[: wire.HEADER.size - 1], sender)
        resolver.sendto(reply_to(query), sender)
        assert await client.hear() == [reply_to(query)]
        assert flight.port.guesses == 3
        client.ports.close()

    asyncio.run(script())


def test_questions_leave_nothing_for_the_garbage_collector(resolver: socket.socket) -> None:
    """Thousands of them a second would keep it busy."""

    async def script() -> None:
        upstreams = Upstreams([Server(Resolver(*resolver.getsockname()))], lambda _upstream, _seconds, _answered: None)
        outcomes: list[Outcome] = []
        upstreams.forward(QUESTION, False, False, outcomes.append)
        query, sender = await asyncio.get_running_loop().sock_recvfrom(resolver, 4096)
        resolver.sendto(reply_to(query), sender)
        async with asyncio.timeout(5):
            while not outcomes:
                await asyncio.sleep(0.001)
        left = [each for each in gc.get_objects() if isinstance(each, (Race, datagrams.Flight))]
        assert left == []
        upstreams.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(script())
    finally:
        gc.enable()
