"""A small controller over HTTPS: it speaks as the real one does, cuts and lies when told, and keeps what it hears."""

import gzip
import json
import re
import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from filter.bundle import NamesFile, PolicyFile

CREDENTIAL = "5b1c6f0e-0000-4000-8000-000000000001.secret"
NAMES, DELTA, POLICY = "/filter/v1/names", "/filter/v1/names/delta", "/filter/v1/policy"
PREVIEWS = "/filter/v1/previews"


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


class Served(NamedTuple):
    """One file as it is offered."""

    content: bytes
    etag: str


class Answered(NamedTuple):
    """One request and what came of it."""

    path: str
    status: int
    first: int
    """Position of the first byte sent."""
    sent: int


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    etag: str = ""
    first: int = 0


class SmallController:
    """Started by ``with``. ``publish`` a pair or one of its files; ``cut_after`` bytes, once; or be ``down``."""

    def __init__(self, folder: Path) -> None:
        self.ca_file, key = make_certificate(folder)
        self.names: Served | None = None
        self.policy: Served | None = None
        self.deltas: dict[str, Served] = {}
        """ETag that a filter has -> the delta from it."""
        self.cut_after: int | None = None
        self.refuses = False
        self.request_status = 204
        self.holds = True
        """Whether questions for the policy wait for a change; without, every answer comes at once."""
        self.stopping = False
        self.requests: list[Answered] = []
        self.reports: list[dict[str, object]] = []
        self.asked: list[dict[str, object]] = []
        """Requests to unblock that were taken."""
        self.preview: str | None = None
        """Id of the preview that filters are asked for."""
        self.pages: dict[str, Served] = {}
        """What else is served, by path: of previews."""
        self.answers: list[dict[str, object]] = []
        """Of previews."""
        self.answer_refused: int | None = None
        """The status of every answer to a preview that says more than that it failed."""
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
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join(5)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.server_port}"

    # --- what it offers -----------------------------------------------------------------------------------------------

    def publish(self, names: Path) -> None:
        """A names file and the policy beside it."""
        self.publish_names(names)
        self.publish_policy(names.with_name(f"{names.name}.policy"))

    def publish_names(self, path: Path) -> None:
        with self.changed:
            self.names = Served(path.read_bytes(), NamesFile.open(path).etag)
            self.changed.notify_all()

    def publish_policy(self, path: Path) -> None:
        with self.changed:
            self.policy = Served(path.read_bytes(), PolicyFile.open(path).etag)
            self.changed.notify_all()

    def offer(self, names: Served | None = None, policy: Served | None = None) -> None:
        """Whatever the test wants, whether it is right or not."""
        with self.changed:
            self.names, self.policy = names or self.names, policy or self.policy
            self.changed.notify_all()

    # --- what it was asked --------------------------------------------------------------------------------------------

    def done(self, path: str, answer: Answer, sent: int) -> None:
        with self.changed:
            self.requests.append(Answered(path, answer.status, answer.first, sent))
            self.changed.notify_all()

    def wait_for(self, status: int, path: str = NAMES, times: int = 1) -> None:
        """Until this many requests were answered so."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.answered(path, status)) >= times, 20), self.requests

    def answered(self, path: str, status: int | None = None) -> list[Answered]:
        return [each for each in self.requests if each.path == path and status in (None, each.status)]

    def forget(self) -> None:
        """Count anew."""
        with self.changed:
            self.requests.clear()

    # --- how it answers -----------------------------------------------------------------------------------------------

    def answer_get(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        answer = self.choose(request, url.path, parse_qs(url.query))
        packs = url.path == POLICY and answer.status == 200 and request.headers["Accept-Encoding"] == "gzip"
        if packs:
            answer = answer._replace(body=gzip.compress(answer.body))
        request.send_response(answer.status)
        request.send_header("Content-Length", str(len(answer.body)))
        if packs:
            request.send_header("Content-Encoding", "gzip")
        if answer.etag:
            request.send_header("ETag", f'{"W/" if packs else ""}"{answer.etag}"')
        if self.names is not None and url.path == POLICY:
            request.send_header("X-Preau-Names", f'"{self.names.etag}"')
        if self.preview is not None and url.path == POLICY:
            request.send_header("X-Preau-Preview", self.preview)
        if answer.status == 206:
            end = answer.first + len(answer.body)
            request.send_header("Content-Range", f"bytes {answer.first}-{end - 1}/{end}")
        request.end_headers()
        body = answer.body
        if self.cut_after is not None and len(body) > self.cut_after:
            body, self.cut_after = body[: self.cut_after], None
            request.close_connection = True
        request.wfile.write(body)
        request.wfile.flush()
        self.done(url.path, answer, len(body))

    def choose(self, request: BaseHTTPRequestHandler, path: str, query: dict[str, list[str]]) -> Answer:
        if not self.knows(request):
            return Answer(401)
        match path:
            case "/filter/v1/names" if self.names is not None:
                return self.send_names(request, self.names)
            case "/filter/v1/names/delta":
                found = self.deltas.get(query["from"][0])
                return Answer(404) if found is None else Answer(200, found.content, found.etag)
            case "/filter/v1/policy":
                headers = request.headers
                known = (headers["If-None-Match"], headers["X-Preau-Names"], headers["X-Preau-Preview"])
                return self.send_policy(*known, int(query["wait"][0]))
            case _ if path in self.pages:
                return Answer(200, *self.pages[path])
            case _:
                return Answer(404, b'{"code":"filtering.none_published"}')

    def knows(self, request: BaseHTTPRequestHandler) -> bool:
        return not self.refuses and request.headers["Authorization"] == f"Bearer {CREDENTIAL}"

    def send_names(self, request: BaseHTTPRequestHandler, names: Served) -> Answer:
        wanted = re.fullmatch(r"bytes=(\d+)-", request.headers["Range"] or "")
        if wanted and request.headers["If-Range"] == f'"{names.etag}"':
            first = int(wanted[1])
            rest = names.content[first:]
            return Answer(206, rest, names.etag, first) if rest else Answer(416)
        return Answer(200, names.content, names.etag)

    def send_policy(self, known: str | None, names: str | None, preview: str | None, wait: int) -> Answer:
        """At once when the filter knows other files than these; else when one changes, or after the wait."""
        with self.changed:
            if self.holds and self.policy is not None:
                self.changed.wait_for(lambda: self.stopping or self.has_news(known, names, preview), wait)
            if self.policy is None:
                return Answer(404, b'{"code":"filtering.none_published"}')
            if known == f'"{self.policy.etag}"':
                return Answer(304, etag=self.policy.etag)
            return Answer(200, self.policy.content, self.policy.etag)

    def has_news(self, policy: str | None, names: str | None, preview: str | None) -> bool:
        current = [each and f'"{each.etag}"' for each in (self.policy, self.names)]
        return current != [policy, names] or self.preview not in {None, preview}

    def ask(self, preview: str, **pages: Served) -> None:
        """Ask filters for a preview: its question, and the candidate files under their names."""
        with self.changed:
            self.pages = {f"{PREVIEWS}/{preview}/{name}": page for name, page in pages.items()}
            self.pages[f"{PREVIEWS}/{preview}"] = self.pages.pop(f"{PREVIEWS}/{preview}/question")
            self.preview = preview
            self.changed.notify_all()

    def answer_post(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        status = 204 if self.knows(request) else 401
        if status == 204 and request.path.endswith("/reports"):
            self.reports.append(body)
        elif status == 204 and request.path.startswith(PREVIEWS) and self.answer_refused and len(body) > 1:
            status = self.answer_refused
        elif status == 204 and request.path.startswith(PREVIEWS):
            self.answers.append(body)
        elif status == 204:
            status = self.request_status
            if status == 204:
                self.asked.append(body)
        request.send_response(status)
        request.send_header("Content-Length", "0")
        request.end_headers()
        self.done(request.path, Answer(status), 0)
