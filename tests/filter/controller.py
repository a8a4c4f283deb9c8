"""A small controller over HTTPS: serves one bundle as the real one does, cuts and lies when told, keeps the reports."""

import hashlib
import json
import re
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CREDENTIAL = "5b1c6f0e-0000-4000-8000-000000000001.secret"


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority; its file and its key's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "contrôleur d’essai")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "ca.pem", folder / "key.pem"


class SmallController:
    """Started by ``with``. ``publish`` a file; ``cut_after`` bytes, once; announce a ``wrong_etag``; or be ``down``."""

    def __init__(self, folder: Path) -> None:
        self.ca_file, key = make_certificate(folder)
        self.content: bytes | None = None
        self.cut_after: int | None = None
        self.wrong_etag: str | None = None
        self.refuses = False
        self.requests: list[tuple[str, int, int, int]] = []
        """(path, status, first byte, bytes sent) of every request answered."""
        self.reports: list[dict[str, object]] = []
        self.changed = threading.Condition()
        controller = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                controller.answer_get(self)

            def do_POST(self) -> None:
                controller.answer_post(self)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join(5)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_port}"

    @property
    def etag(self) -> str:
        return self.wrong_etag or hashlib.sha256(self.content or b"").hexdigest()

    def publish(self, path: Path) -> None:
        self.content = path.read_bytes()

    def done(self, path: str, status: int, first: int, sent: int) -> None:
        with self.changed:
            self.requests.append((path, status, first, sent))
            self.changed.notify_all()

    def wait_for(self, status: int, path: str = "/filter/v1/bundle", times: int = 1) -> None:
        """Until this many requests were answered so."""

        def enough() -> bool:
            return sum(1 for asked, given, *_ in self.requests if (asked, given) == (path, status)) >= times

        with self.changed:
            assert self.changed.wait_for(enough, 20), self.requests

    def forget(self) -> None:
        """Count anew."""
        with self.changed:
            self.requests.clear()

    def answer_get(self, request: BaseHTTPRequestHandler) -> None:
        status, first, body = self.choose(request)
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        if self.content is not None:
            request.send_header("ETag", f'"{self.etag}"')
        if status == 206:
            request.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{first + len(body)}")
        request.end_headers()
        if self.cut_after is not None and len(body) > self.cut_after:
            body, self.cut_after = body[: self.cut_after], None
            request.close_connection = True
        request.wfile.write(body)
        request.wfile.flush()
        self.done(request.path, status, first, len(body))

    def choose(self, request: BaseHTTPRequestHandler) -> tuple[int, int, bytes]:
        """Status, first byte and body of the bundle's answer."""
        if self.refuses or request.headers["Authorization"] != f"Bearer {CREDENTIAL}":
            return 401, 0, b""
        if request.path != "/filter/v1/bundle" or self.content is None:
            return 404, 0, b'{"code":"filtering.none_published"}'
        if request.headers["If-None-Match"] == f'"{self.etag}"':
            return 304, 0, b""
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers["Range"] or "")
        if wanted and request.headers["If-Range"] == f'"{self.etag}"':
            first = int(wanted[1])
            return (206, first, self.content[first:]) if first < len(self.content) else (416, 0, b"")
        return 200, 0, self.content

    def answer_post(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        is_known = request.headers["Authorization"] == f"Bearer {CREDENTIAL}"
        if is_known:
            self.reports.append(json.loads(body))
        request.send_response(204 if is_known else 401)
        request.send_header("Content-Length", "0")
        request.end_headers()
        self.done(request.path, 204 if is_known else 401, 0, 0)
