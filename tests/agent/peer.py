"""The other side of the agent: a real HTTPS server that speaks the protocol and remembers what it heard."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from agent.protocol import (
    CheckIn,
    CheckInReply,
    DesiredState,
    EnrollmentReply,
    EnrollmentRequest,
    Outcome,
    Refusal,
    decode,
    encode,
)
from agent.tokens import pin_of
from tests.certificates import Authority, Issued

SECRET = "7K3MQ9XT2BRC"
CREDENTIAL = "c0ffee" * 10
DEVICE = "5b0c6d0e-0000-4000-8000-000000000001"


@dataclass
class Peer:
    """What the controller says, and what it heard. Change it between two conversations."""

    authority: Authority
    url: str = ""
    desired: DesiredState | None = None
    refusal: tuple[int, Refusal] | None = None
    """What every POST gets instead of an answer."""
    script: list[tuple[int, Refusal] | None] = field(default_factory=list)
    """What the next POSTs get; None: the usual answer."""
    next_check_in_seconds: int = 60
    serves_ca: bool = True
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    known_facts: str = ""
    enrollments: list[EnrollmentRequest] = field(default_factory=list)
    check_ins: list[CheckIn] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)

    @property
    def token(self) -> str:
        """What a person types: the secret and this authority's pin."""
        return SECRET + pin_of(ssl.PEM_cert_to_DER_cert(self.authority.certificate.read_text()))

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """The last outcome told of each resource."""
        return {outcome.resource: outcome for message in self.check_ins for outcome in message.outcomes}

    def enroll(self, message: EnrollmentRequest) -> EnrollmentReply:
        self.enrollments.append(message)
        return EnrollmentReply(DEVICE, CREDENTIAL, "AI-0001", "École des Tilleuls")

    def check_in(self, message: CheckIn) -> CheckInReply:
        self.check_ins.append(message)
        if message.facts is not None:
            self.known_facts = message.facts_hash
        is_new = self.desired is not None and self.desired.revision != message.applied_revision
        return CheckInReply(
            desired=self.desired if is_new else None,
            want_facts=message.facts_hash != self.known_facts,
            next_check_in_seconds=self.next_check_in_seconds,
            server_time=self.clock().isoformat(),
        )

    def answer(self, path: str, body: bytes) -> tuple[int, object]:
        scripted = self.script.pop(0) if self.script else None
        if (refusal := scripted or self.refusal) is not None:
            return refusal
        if path == "/agent/v1/enrollments":
            return 201, self.enroll(decode(EnrollmentRequest, body))
        return 200, self.check_in(decode(CheckIn, body))


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with connections kept, like the controller's."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    wbufsize = -1  # one packet for each answer: no delayed acknowledgement to wait for
    peer: ClassVar[Peer]

    def do_GET(self) -> None:
        found = self.peer.serves_ca and self.path == "/agent/v1/ca"
        content = self.peer.authority.certificate.read_bytes() if found else encode(Refusal("ca.none"))
        self.reply(200 if found else 404, content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.peer.authorizations.append(self.headers.get("Authorization", ""))
        status, message = self.peer.answer(self.path, body)
        self.reply(status, encode(message))

    def reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return format_datetime(self.peer.clock().astimezone(UTC), usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Agents that hang up, or are killed, are what we are here for."""


@contextmanager
def serve(peer: Peer, certificate: Issued) -> Iterator[Peer]:
    """Answer on a free port of loopback, in another thread."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    server = Server(("127.0.0.1", 0), type("PeerHandler", (Handler,), {"peer": peer}))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    peer.url = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield peer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_authority(directory: Path, name: str = "ca") -> Authority:
    folder = directory / name
    folder.mkdir()
    return Authority.make(folder)


def as_revision(desired: DesiredState, revision: str) -> DesiredState:
    return replace(desired, revision=revision)
