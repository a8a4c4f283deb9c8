"""Scripted resolvers that are spoken to over TLS: DoT and DoH. What they say is a ScriptedUpstream's to know."""

import socket
import ssl
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from h2.exceptions import H2Error

from tests.certificates import Issued
from tests.filter.scripted import ScriptedUpstream


class SecureUpstream:
    """Answers whole connections as ``records`` and ``scripts`` of ``zone`` say, each connection in a thread."""

    protocol = "dot"

    def __init__(self, issued: Issued, zone: ScriptedUpstream) -> None:
        self.zone = zone
        self.connections = 0
        self.received: list[bytes] = []
        """Messages as they came."""
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(issued.certificate, issued.key)
        self.context.set_alpn_protocols([self.protocol])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.open: set[socket.socket] = set()
        self.threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start(self.accept)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up()
        for thread in self.threads:
            thread.join(5)

    def start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self.threads.append(thread)
        thread.start()

    def hang_up(self) -> None:
        """Leave every connection without a word."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:
                return
            self.start(self.serve, plain)

    def serve(self, plain: socket.socket) -> None:
        self.open.add(plain)
        with plain, suppress(OSError, H2Error), self.context.wrap_socket(plain, server_side=True) as connection:
            self.open.add(connection)
            self.connections += 1
            self.converse(connection)
            self.open.discard(connection)
        self.open.discard(plain)

    def converse(self, connection: ssl.SSLSocket) -> None:
        """Length-prefixed messages (RFC 7858), those that came together answered the last one first."""
        pending = b""
        while data := connection.recv(65_535):
            pending += data
            messages = []
            while len(pending) >= 2 and len(pending) >= 2 + (length := struct.unpack_from("!H", pending)[0]):
                messages.append(pending[2 : 2 + length])
                pending = pending[2 + length :]
            for message in reversed(messages):
                self.received.append(message)
                for reply in self.zone.respond(message, False):
                    connection.sendall(struct.pack("!H", len(reply)) + reply)


class WebUpstream(SecureUpstream):
    """The same over HTTP/2; ``status`` and ``media_type`` are those of every response."""

    protocol = "h2"
    status = "200"
    media_type = "application/dns-message"

    def __init__(self, issued: Issued, zone: ScriptedUpstream) -> None:
        super().__init__(issued, zone)
        self.requests: list[dict[str, str]] = []

    def converse(self, connection: ssl.SSLSocket) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        connection.sendall(http.data_to_send())
        bodies: dict[int, bytes] = {}
        while data := connection.recv(65_535):
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.requests.append({str(name): str(value) for name, value in event.headers})
                    bodies[event.stream_id] = b""
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id] += event.data
                    http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, StreamEnded):
                    self.answer(http, event.stream_id, bodies.pop(event.stream_id))
            connection.sendall(http.data_to_send())

    def answer(self, http: H2Connection, stream: int, body: bytes) -> None:
        self.received.append(body)
        for reply in self.zone.respond(body, False):
            http.send_headers(stream, [(":status", self.status), ("content-type", self.media_type)])
            http.send_data(stream, reply, end_stream=True)
