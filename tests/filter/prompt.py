"""A resolver that answers at once and never reads more than it must: behind a filter under load."""

import socket
import threading
from types import TracebackType
from typing import Self

from tests.filter.load import ADDRESS
from tests.filter.scripted import free_port

TTL = 300
HEADER, QUESTION_TAIL = 12, 4
TYPE_A = b"\0\1"


class PromptUpstream:
    """Started by ``with``: every name has ADDRESS, and no record of any other type."""

    def __init__(self) -> None:
        self.port = free_port()
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.sock.bind(("127.0.0.1", self.port))
        self.sock.settimeout(0.2)
        self.asked = 0
        self.closed = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.closed.set()
        self.thread.join(5)
        self.sock.close()

    def serve(self) -> None:
        while not self.closed.is_set():
            try:
                data, client = self.sock.recvfrom(4096)
            except TimeoutError:
                continue
            self.asked += 1
            self.sock.sendto(reply_to(data), client)


def reply_to(query: bytes) -> bytes:
    """The reply to a plain query with one question."""
    end = query.index(b"\0", HEADER) + 1 + QUESTION_TAIL
    question = query[HEADER:end]
    has_answer = question[-4:-2] == TYPE_A
    head = query[:2] + b"\x81\x80\0\1" + bytes([0, has_answer]) + bytes(4)
    record = b"\xc0\x0c\0\1\0\1" + TTL.to_bytes(4, "big") + b"\0\4" + ADDRESS
    return head + question + (record if has_answer else b"")
