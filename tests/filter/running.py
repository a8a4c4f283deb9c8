"""A real `python -m filter serve` process, and what a client sends it."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.message
import dns.rdatatype

from tests.filter.scripted import free_port

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 20.0


class RunningFilter:
    """Started by ``with``; ``port`` answers DNS, ``metrics`` answers HTTP."""

    def __init__(self, *options: str, port: int | None = None, environ: dict[str, str] | None = None) -> None:
        self.port = port or free_port()
        self.metrics = free_port()
        self.options = [
            "serve", "--listen", f"127.0.0.1:{self.port}", "--metrics", f"127.0.0.1:{self.metrics}", *options,
        ]  # fmt: skip
        self.environ = {"PREAU_FILTER_WORKERS": "0", **os.environ, **(environ or {})}  # workers where they are wanted
        self.lines: list[dict[str, object]] = []
        self.arrived = threading.Condition()

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "filter", *self.options],
            cwd=ROOT, env=self.environ, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.process = self.start()
        self.reader = threading.Thread(target=self.read_log, daemon=True)
        self.reader.start()
        self.wait_for("filter answers")
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.reader.join(5)
            if self.process.stderr:
                self.process.stderr.close()

    def read_log(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            with self.arrived:
                try:
                    self.lines.append(json.loads(line))
                except ValueError:
                    self.lines.append({"message": line})
                self.arrived.notify_all()
        with self.arrived:
            self.lines.append({"message": "the process is gone"})
            self.arrived.notify_all()

    def logged(self, message: str) -> list[dict[str, object]]:
        return [line for line in self.lines if line["message"] == message]

    def wait_for(self, message: str, times: int = 1) -> dict[str, object]:
        """The log line with this message; fails when the process dies or says nothing for long."""

        def is_there() -> bool:
            return len(self.logged(message)) >= times or bool(self.logged("the process is gone"))

        with self.arrived:
            assert self.arrived.wait_for(is_there, PATIENCE), self.lines
            assert len(self.logged(message)) >= times, self.lines
            return self.logged(message)[times - 1]

    def ask(
        self, name: str, qtype: str = "A", *, over_tcp: bool = False, edns: bool = True, source: str = "127.0.0.1"
    ) -> dns.message.Message:
        """One query through dnspython, which knows nothing of our own code."""
        query = dns.message.make_query(name, qtype, use_edns=0 if edns else False, payload=1232)
        packets = [query.to_wire()]
        reply = self.send_tcp(packets)[0] if over_tcp else self.send(packets, source=source)[0]
        message = dns.message.from_wire(reply)
        assert query.is_response(message)
        return message

    def send(self, packets: Iterable[bytes], timeout: float = 8.0, source: str = "127.0.0.1") -> list[bytes]:
        """Each packet over UDP, waiting for its reply; sent again each second, as a stub resolver does."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(1.0)
            client.bind((source, 0))
            client.connect(("127.0.0.1", self.port))
            return [exchange(client, packet, tries=int(timeout)) for packet in packets]

    def send_tcp(self, packets: Sequence[bytes]) -> list[bytes]:
        """All packets on one connection, then all replies, in the order in which they come."""
        return list(self.replies_over_tcp(packets))

    def replies_over_tcp(self, packets: Sequence[bytes]) -> Iterator[bytes]:
        """All packets on one connection, then each reply as it comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=8) as client:
            client.sendall(b"".join(struct.pack("!H", len(packet)) + packet for packet in packets))
            for _ in packets:
                yield receive(client)


def exchange(client: socket.socket, packet: bytes, tries: int) -> bytes:
    """The reply to a packet; raise TimeoutError when none comes."""
    for _ in range(tries):
        client.send(packet)
        try:
            while (reply := client.recv(65_535))[:2] != packet[:2]:
                pass  # to an earlier packet that was sent twice
        except TimeoutError:
            continue
        return reply
    raise TimeoutError


def receive(client: socket.socket) -> bytes:
    """One length-prefixed message."""
    (length,) = struct.unpack("!H", client.recv(2, socket.MSG_WAITALL))
    return client.recv(length, socket.MSG_WAITALL)


def errors_of(message: dns.message.Message) -> list[tuple[int, str]]:
    """The extended errors (RFC 8914) in a reply."""
    return [(int(option.code), option.text or "") for option in message.options if option.otype == 15]


def records_of(message: dns.message.Message) -> list[str]:
    """The answer section as text, without TTLs."""
    return [f"{dns.rdatatype.to_text(s.rdtype)} {record}" for s in message.answer for record in s]
