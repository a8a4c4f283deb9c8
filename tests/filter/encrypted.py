"""A filter that serves DoT and DoH, and clients of other people's making: Python's ssl, h2, dnspython."""

import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h2.config
import h2.connection
import h2.events

from tests.certificates import Authority
from tests.filter.running import RunningFilter
from tests.filter.scripted import free_port

NAME = "dns.ecole.test"


class EncryptedFilter(RunningFilter):
    """``tls`` and ``https`` are the ports of DoT and DoH."""

    def __init__(self, authority: Authority, *options: str, certificate: Path | None = None) -> None:
        self.authority = authority
        self.tls, self.https = free_port(), free_port()
        issued = authority.issue(NAME, f"*.{NAME}", "127.0.0.1")
        super().__init__(
            "--listen-tls", f"127.0.0.1:{self.tls}", "--listen-https", f"127.0.0.1:{self.https}",
            "--certificate", str(certificate or issued.certificate), "--certificate-key", str(issued.key),
            "--public-name", NAME, *options,
        )  # fmt: skip

    def context(self, *protocols: str) -> ssl.SSLContext:
        """A client's."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    @contextmanager
    def secure(self, port: int, *protocols: str, name: str = NAME) -> Iterator[ssl.SSLSocket]:
        """A connection whose handshake is over."""
        plain = socket.create_connection(("127.0.0.1", port), timeout=8)
        with self.context(*protocols).wrap_socket(plain, server_hostname=name) as secured:
            yield secured

    def ask_tls(self, packets: Sequence[bytes], name: str = NAME) -> list[bytes]:
        """All packets on one DoT connection, then all replies."""
        with self.secure(self.tls, "dot", name=name) as client:
            client.sendall(b"".join(struct.pack("!H", len(packet)) + packet for packet in packets))
            return [receive_exactly(client) for _ in packets]


def receive_exactly(client: ssl.SSLSocket) -> bytes:
    """One length-prefixed message."""
    (length,) = struct.unpack("!H", read(client, 2))
    return read(client, length)


def read(client: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        if not (more := client.recv(size - len(data))):
            raise EOFError
        data += more
    return data


class H2Client:
    """One HTTP/2 connection by the h2 library."""

    def __init__(self, secured: ssl.SSLSocket) -> None:
        self.socket = secured
        self.http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.http.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.socket.sendall(self.http.data_to_send())

    def begin(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = (), *, ends: bool = True
    ) -> int:
        """Send a request; its stream."""
        stream = self.http.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", NAME), (":path", path)]
        self.http.send_headers(stream, [*pseudo, *headers], end_stream=ends and not body)
        if body:
            self.http.send_data(stream, body, end_stream=ends)
        self.flush()
        return stream

    def events(self) -> list[h2.events.Event]:
        """What comes next; raise EOFError when the server closed."""
        if not (data := self.socket.recv(65_536)):
            raise EOFError
        found = self.http.receive_data(data)
        for event in found:
            if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                self.http.acknowledge_received_data(event.flow_controlled_length, event.stream_id or 0)
        self.flush()
        return found

    def finish(self, *streams: int) -> dict[int, tuple[int, dict[str, str], bytes]]:
        """Stream -> status, headers, body; status 0 for one that was reset."""
        heads: dict[int, dict[str, str]] = {}
        bodies: dict[int, bytes] = dict.fromkeys(streams, b"")
        open_streams = set(streams)
        while open_streams:
            for event in self.events():
                match event:
                    case h2.events.ResponseReceived():
                        heads[event.stream_id or 0] = {str(n): str(v) for n, v in event.headers or ()}
                    case h2.events.DataReceived():
                        bodies[event.stream_id or 0] += event.data or b""
                    case h2.events.StreamEnded():
                        open_streams.discard(event.stream_id or 0)
                    case h2.events.StreamReset():
                        heads[event.stream_id or 0] = {":status": "0"}
                        open_streams.discard(event.stream_id or 0)
                    case h2.events.ConnectionTerminated():
                        raise EOFError(f"GOAWAY {event.error_code}")
                    case _:
                        pass
        return {each: (int(heads[each][":status"]), heads[each], bodies[each]) for each in streams}

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, dict[str, str], bytes]:
        stream = self.begin(method, path, body, headers)
        return self.finish(stream)[stream]
