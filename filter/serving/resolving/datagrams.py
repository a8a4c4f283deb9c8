"""One question to a resolver over UDP, and over TCP when the answer was cut."""

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeAlias

from filter.endpoints import Endpoint
from filter.serving import wire
from filter.serving.resolving.asked import Asked, CaseLost, is_answer, mix_case
from filter.serving.resolving.links import Channel, StreamLink
from filter.serving.wire import UpstreamAnswer

LARGEST = 65_535
LOOK_SECONDS = 0.05
"""Between two looks at what is late, and at ports that nobody needs."""
PLACES = 256
"""Ports that a question may leave from; at most 256, and a power of two."""
MOST_USES, LIFE_SECONDS = 64, 3.0
"""Of a port: then another is opened in its place."""
MOST_GUESSES = 16
"""Messages to a port that answer none of its questions: somebody is guessing."""

Heard: TypeAlias = bytes | Exception | None
"""The answer; the trouble there was; None when the answer is late, and may still be heard."""
Hear: TypeAlias = Callable[[Heard], None]


class Flight:
    """A question on its way. It ends with its answer or with trouble, or when nobody listens any more."""

    __slots__ = ("hear", "identifier", "late_at", "port", "question")

    def __init__(self, port: "Port", identifier: int, question: bytes, late_at: float, hear: Hear) -> None:
        self.port = port
        self.identifier = identifier
        self.question = question
        self.late_at = late_at
        self.hear = hear

    def end(self, heard: Heard = None) -> None:
        """Listen no more; tell what was heard at last."""
        self.port.flights.pop(self.identifier, None)
        hear, self.hear = self.hear, ignore  # who hears knows the flight: nothing is left to the garbage collector
        if heard is not None:
            hear(heard)


class Port:
    """A random port, connected, so that other sources are never heard."""

    __slots__ = ("flights", "guesses", "sock", "until", "uses")

    def __init__(self, endpoint: Endpoint, until: float) -> None:
        """Raise OSError."""
        self.sock = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.sock.setblocking(False)
            self.sock.connect(endpoint)
        except OSError:
            self.sock.close()
            raise
        self.until = until
        self.uses = self.guesses = 0
        self.flights: dict[int, Flight] = {}
        """By the ids of their messages."""

    def send(self, flight: Flight, message: bytes) -> None:
        """Raise OSError."""
        try:
            self.sock.send(message)
        except ConnectionError as error:  # what came back of an earlier question
            del self.flights[flight.identifier]
            self.fail(error)
            self.flights[flight.identifier] = flight
            self.sock.send(message)

    def receive(self) -> None:
        """Take one datagram; tell whoever waits for it."""
        try:
            data = self.sock.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError as error:  # nobody is there (ICMP)
            self.fail(error)
            return
        flight = self.flights.get(int.from_bytes(data[:2]))
        if flight is None:
            self.doubt()
            return
        try:
            answers = is_answer(data, flight.identifier, flight.question)
        except CaseLost as error:
            flight.end(error)
            return
        if answers:
            flight.end(data)
        else:
            self.doubt()

    def doubt(self) -> None:
        """What came answers nothing: perhaps somebody guesses."""
        self.guesses += 1
        if self.guesses == MOST_GUESSES:
            self.fail(OSError(errno.EAGAIN, "somebody guesses"))

    def fail(self, error: OSError) -> None:
        """Bear no more questions; those on their way are in trouble."""
        self.until = 0.0
        for flight in tuple(self.flights.values()):
            flight.end(error)


class Ports:
    """The ports of one channel, watched together: the loop has one thing to look at, however many there are."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.loop = asyncio.get_running_loop()
        self.epoll = select.epoll()
        self.places: list[Port | None] = [None] * PLACES
        self.open: dict[int, Port] = {}
        self.outgoing: list[tuple[Flight, bytes]] = []
        self.loop.add_reader(self.epoll.fileno(), self.receive)
        self.looking: asyncio.TimerHandle | None = None

    def send(self, asked: Asked, mixes_case: bool, patience: float | None, hear: Hear) -> Flight:
        """Ask; raise OSError when no port can be had. ``patience``: seconds until an answer is late; None: never."""
        now = self.loop.time()
        question = asked.question.lowered
        if mixes_case:
            question = mix_case(question)
        place, identifier = divmod(int.from_bytes(os.urandom(3)), 1 << 16)
        port = self.find(place % PLACES, now)
        while identifier in port.flights:
            identifier = int.from_bytes(os.urandom(2))
        late_at = float("inf") if patience is None else now + patience
        flight = port.flights[identifier] = Flight(port, identifier, question, late_at, hear)
        port.uses += 1
        if not self.outgoing:
            self.loop.call_soon(self.flush)
        self.outgoing.append((flight, asked.pack(identifier, question)))
        return flight

    def flush(self) -> None:
        """Send what gathered since the loop last looked for events: in one go the resolver wakes up once for it."""
        outgoing, self.outgoing = self.outgoing, []
        for flight, message in outgoing:
            port = flight.port
            if port.flights.get(flight.identifier) is not flight:
                continue
            try:
                port.send(flight, message)
            except OSError as error:
                flight.end(error)

    def find(self, place: int, now: float) -> Port:
        """The port of a place, or a new one; raise OSError."""
        port = self.places[place]
        if port is None or port.uses >= MOST_USES or now >= port.until:
            port = Port(self.endpoint, now + LIFE_SECONDS)
            self.epoll.register(port.sock, select.EPOLLIN)
            self.places[place] = self.open[port.sock.fileno()] = port
            if self.looking is None:
                self.looking = self.loop.call_later(LOOK_SECONDS, self.look)
        return port

    def receive(self) -> None:
        for descriptor, _ in self.epoll.poll(0):
            if (port := self.open.get(descriptor)) is not None:
                port.receive()

    def look(self) -> None:
        """Tell who waits for what is late by now; close what is used no more."""
        now = self.loop.time()
        for port in list(self.open.values()):
            for flight in [each for each in port.flights.values() if each.late_at <= now]:
                flight.late_at = float("inf")
                flight.hear(None)
            if not port.flights and (now >= port.until or port.uses >= MOST_USES):
                self.shut(port)
        self.looking = self.loop.call_later(LOOK_SECONDS, self.look) if self.open else None

    def shut(self, port: Port) -> None:
        del self.open[port.sock.fileno()]
        port.until = 0.0
        port.sock.close()  # which takes it from the epoll, too

    def close(self) -> None:
        if self.looking is not None:
            self.looking.cancel()
        for port in list(self.open.values()):
            self.shut(port)
        self.loop.remove_reader(self.epoll.fileno())
        self.epoll.close()


class DatagramChannel:
    """The way to a resolver."""

    def __init__(self, endpoint: Endpoint, mixes_case: bool = False) -> None:
        self.endpoint = endpoint
        self.mixes_case = mixes_case
        self.stream = Channel(partial(StreamLink.open, endpoint))
        self.ports: Ports | None = None

    def send(self, asked: Asked, hear: Hear, patience: float | None = None) -> Flight:
        """Ask over UDP; raise OSError when no port can be had. Unless something is heard, the flight is to be ended."""
        if self.ports is None or self.ports.loop is not asyncio.get_running_loop():
            self.ports = Ports(self.endpoint)
        return self.ports.send(asked, self.mixes_case, patience, hear)

    async def ask(self, asked: Asked) -> UpstreamAnswer:
        """Raises OSError or EOFError when nobody is there, WireError for a malformed answer."""
        return await self.wait(asked, self.send(asked, ignore))

    def wait(self, asked: Asked, flight: Flight) -> Coroutine[None, None, UpstreamAnswer]:
        """The answer to what was sent, however late; raises what ``ask`` does. From now on nobody else hears it."""
        heard: asyncio.Future[bytes | Exception] = asyncio.get_running_loop().create_future()
        flight.hear = partial(settle, heard)
        return self.finish(asked, flight, heard)

    async def finish(self, asked: Asked, flight: Flight, heard: asyncio.Future[bytes | Exception]) -> UpstreamAnswer:
        try:
            answer = read(await heard)
        finally:
            flight.end()
        return await self.stream.ask(asked) if answer is None else answer

    def close(self) -> None:
        self.stream.close()
        if self.ports is not None:
            self.ports.close()
            self.ports = None


def ignore(_heard: Heard) -> None:
    """Somebody else will listen."""


def settle(heard: asyncio.Future[bytes | Exception], what: Heard) -> None:
    """Tell who waits, however late it is."""
    if what is not None and not heard.done():
        heard.set_result(what)


def read(heard: bytes | Exception) -> UpstreamAnswer | None:
    """The answer; None when it is to be asked for again over TCP. Raise OSError or WireError for trouble."""
    if isinstance(heard, CaseLost):
        return None
    if isinstance(heard, Exception):
        raise heard
    answer = wire.read_answer(heard)
    return None if answer.truncated else answer
