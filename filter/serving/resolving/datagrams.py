"""One question to a resolver over UDP, and over TCP when the answer was cut."""

import asyncio
import secrets
import select
import socket
from functools import partial

from filter.endpoints import Endpoint
from filter.serving import wire
from filter.serving.resolving.asked import Asked, CaseLost, is_answer, mix_case
from filter.serving.resolving.links import Channel, StreamLink
from filter.serving.wire import UpstreamAnswer, WireError

LARGEST = 65_535
LOOK_SECONDS = 0.05
"""Between two looks at what is late."""


class Flight:
    """A question on its way: a fresh random port, connected, so that other sources are never heard."""

    __slots__ = ("heard", "identifier", "late_at", "question", "sock")

    def __init__(self, sock: socket.socket, identifier: int, question: bytes, late_at: float) -> None:
        self.sock = sock
        self.identifier = identifier
        self.question = question
        self.late_at = late_at
        self.heard: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        """The answer; None when it is late; the trouble there was. More may be heard after None."""

    def receive(self) -> None:
        """Take one datagram; settle what is waited for when it is the answer."""
        try:
            data = self.sock.recv(LARGEST)
            if not self.heard.done() and is_answer(data, self.identifier, self.question):
                self.heard.set_result(data)
        except BlockingIOError:
            return
        except (OSError, WireError) as error:
            if not self.heard.done():
                self.heard.set_exception(error)


class Flights:
    """The sockets of one channel, watched together: the loop has one thing to look at, however many there are."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.epoll = select.epoll()
        self.known: dict[int, Flight] = {}
        self.loop.add_reader(self.epoll.fileno(), self.receive)
        self.looking: asyncio.TimerHandle | None = None

    def send(self, endpoint: Endpoint, asked: Asked, mixes_case: bool, patience: float | None) -> Flight:
        """Ask; raise OSError. ``patience``: seconds after which an answer is late; None: never."""
        identifier = secrets.randbits(16)
        question = mix_case(asked.question.lowered) if mixes_case else asked.question.lowered
        sock = socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(endpoint)
            sock.send(asked.pack(identifier, question))
            self.epoll.register(sock, select.EPOLLIN)
        except OSError:
            sock.close()
            raise
        late_at = float("inf") if patience is None else self.loop.time() + patience
        flight = self.known[sock.fileno()] = Flight(sock, identifier, question, late_at)
        if patience is not None and self.looking is None:
            self.looking = self.loop.call_later(LOOK_SECONDS, self.look)
        return flight

    def end(self, flight: Flight) -> None:
        """Listen no more."""
        self.known.pop(flight.sock.fileno(), None)
        flight.sock.close()  # which takes it from the epoll, too

    def receive(self) -> None:
        for number, _ in self.epoll.poll(0):
            if (flight := self.known.get(number)) is not None:
                flight.receive()

    def look(self) -> None:
        """Tell those who wait for what is late."""
        now = self.loop.time()
        for flight in self.known.values():
            if flight.late_at <= now and not flight.heard.done():
                flight.heard.set_result(None)
        self.looking = self.loop.call_later(LOOK_SECONDS, self.look) if self.known else None

    def close(self) -> None:
        if self.looking is not None:
            self.looking.cancel()
        self.loop.remove_reader(self.epoll.fileno())
        self.epoll.close()


class DatagramChannel:
    """A socket for each query."""

    def __init__(self, endpoint: Endpoint, mixes_case: bool = False) -> None:
        self.endpoint = endpoint
        self.mixes_case = mixes_case
        self.stream = Channel(partial(StreamLink.open, endpoint))
        self.flights: Flights | None = None

    def send(self, asked: Asked, patience: float | None = None) -> Flight:
        """Ask over UDP; raise OSError. The flight is to be ended."""
        if self.flights is None or self.flights.loop is not asyncio.get_running_loop():
            self.flights = Flights()
        return self.flights.send(self.endpoint, asked, self.mixes_case, patience)

    async def ask(self, asked: Asked) -> UpstreamAnswer:
        """Raises OSError or EOFError when nobody is there, WireError for a malformed answer."""
        return await self.wait(asked, self.send(asked))

    async def wait(self, asked: Asked, flight: Flight) -> UpstreamAnswer:
        """The answer to what was sent, however late; raises what ``ask`` does."""
        try:
            if (answer := await self.hear(flight)) is None:
                flight.late_at, flight.heard = float("inf"), flight.heard.get_loop().create_future()
                answer = await self.hear(flight)
        except CaseLost:
            answer = None
        finally:
            self.end(flight)
        return await self.stream.ask(asked) if answer is None or answer.truncated else answer

    async def hear(self, flight: Flight) -> UpstreamAnswer | None:
        """The answer over UDP; None when it is late."""
        data = await flight.heard
        return None if data is None else wire.read_answer(data)

    def end(self, flight: Flight) -> None:
        if self.flights is not None:
            self.flights.end(flight)

    def close(self) -> None:
        self.stream.close()
        if self.flights is not None:
            self.flights.close()
            self.flights = None
