"""One question to a resolver over UDP, and over TCP when the answer was cut."""

import asyncio
import secrets
import socket
from functools import partial

from filter.endpoints import Endpoint
from filter.serving import wire
from filter.serving.asked import Asked, CaseLost, is_answer, mix_case
from filter.serving.links import Channel, StreamLink
from filter.serving.wire import UpstreamAnswer, WireError

LARGEST = 65_535


class DatagramChannel:
    """A socket for each query: a fresh random port, connected, so that other sources are never heard."""

    def __init__(self, endpoint: Endpoint, mixes_case: bool = False) -> None:
        self.endpoint = endpoint
        self.mixes_case = mixes_case
        self.stream = Channel(partial(StreamLink.open, endpoint))

    async def ask(self, asked: Asked) -> UpstreamAnswer:
        """Raises OSError or EOFError when nobody is there, WireError for a malformed answer."""
        try:
            answer = await ask_udp(self.endpoint, asked, self.mixes_case)
        except CaseLost:
            return await self.stream.ask(asked)
        return await self.stream.ask(asked) if answer.truncated else answer

    def close(self) -> None:
        self.stream.close()


async def ask_udp(endpoint: Endpoint, asked: Asked, mixes_case: bool = False) -> UpstreamAnswer:
    """Raises OSError when nobody is there, WireError for a malformed answer. What does not answer is waited out."""
    loop = asyncio.get_running_loop()
    identifier = secrets.randbits(16)
    question = mix_case(asked.question.lowered) if mixes_case else asked.question.lowered
    reply: asyncio.Future[bytes] = loop.create_future()
    with socket.socket(socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect(endpoint)
        sock.send(asked.pack(identifier, question))
        loop.add_reader(sock, receive, sock, reply, identifier, question)
        try:
            return wire.read_answer(await reply)
        finally:
            loop.remove_reader(sock)


def receive(sock: socket.socket, reply: asyncio.Future[bytes], identifier: int, question: bytes) -> None:
    """Take one datagram; settle the reply when it is the answer."""
    try:
        data = sock.recv(LARGEST)
        if not reply.done() and is_answer(data, identifier, question):
            reply.set_result(data)
    except BlockingIOError:
        return
    except (OSError, WireError) as error:
        if not reply.done():
            reply.set_exception(error)
