"""A web server of lists on loopback: it knows ETags, dates and ranges, and misbehaves as it is told."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What one path answers."""

    body: bytes = b""
    etag: str | None = None
    last_modified: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """The connection is closed behind so many bytes of this answer."""
    stalls_after: int | None = None
    """Nothing more comes behind so many bytes, while the connection stays open."""
    lies_about_range: bool = False
    range_ends_early: int = 0
    """A part is so many bytes shorter than what was asked, and says so."""
    every_seconds: float = 0
    """The body comes byte by byte, so long apart."""


@dataclass(frozen=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]


class ListServer:
    """Pages by path, and what was asked of them so far."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self.dribbled = 0
        """Bytes sent one by one in the last answer."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def headers_of(self, number: int = -1) -> dict[str, str]:
        """Headers of a request, the last one unless told otherwise; names in lower case."""
        return self.asked[number].headers

    def handler(self) -> type[BaseHTTPRequestHandler]:
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                served.asked.append(Asked(self.path, {name.lower(): value for name, value in self.headers.items()}))
                page = served.pages.get(self.path, Page(status=404))
                self.close_connection = True
                served.answer(self, page)

            def log_message(self, *_: Any) -> None:
                """Tests tell what went wrong themselves."""

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler, page: Page) -> None:
        sent = {name.lower(): value for name, value in handler.headers.items()}
        known = (page.etag and sent.get("if-none-match") == page.etag) or (
            not page.etag and page.last_modified and sent.get("if-modified-since") == page.last_modified
        )
        status, first = (304, 0) if known else (page.status, 0)
        wanted, tag = sent.get("range"), sent.get("if-range")
        if status == 200 and wanted and tag in {page.etag, page.last_modified} - {None}:
            first = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = 206 if first < len(page.body) else 416
        handler.send_response(status)
        for name, value in self.headers(page, status, first).items():
            handler.send_header(name, value)
        handler.end_headers()
        if status in {200, 206}:
            self.send(
                handler, page, page.body[first : len(page.body) - (page.range_ends_early if status == 206 else 0)]
            )

    def headers(self, page: Page, status: int, first: int) -> dict[str, str]:
        found = {"ETag": page.etag, "Last-Modified": page.last_modified, **page.headers}
        length = len(page.body) - first if status in {200, 206} else 0
        found["Content-Length"] = str(length)
        if status == 206:
            start = first + 1 if page.lies_about_range else first
            end = len(page.body) - page.range_ends_early
            found["Content-Length"] = str(end - first)
            found.setdefault("Content-Range", f"bytes {start}-{end - 1}/{len(page.body)}")
        return {name: value for name, value in found.items() if value is not None}

    def send(self, handler: BaseHTTPRequestHandler, page: Page, body: bytes) -> None:
        self.dribbled = 0
        for number in range(len(body) if page.every_seconds else 0):
            if self.released.wait(page.every_seconds):
                return
            with contextlib.suppress(OSError):  # the client has left
                handler.wfile.write(body[number : number + 1])
            self.dribbled = number + 1
        if page.every_seconds:
            return
        end = page.cut_after if page.cut_after is not None else page.stalls_after
        handler.wfile.write(body[:end])
        handler.wfile.flush()
        if page.stalls_after is not None:
            self.released.wait(60)


@contextmanager
def list_server() -> Iterator[ListServer]:
    """A server that runs while the block lasts."""
    served = ListServer()
    thread = threading.Thread(target=served.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        served.released.set()
        served.server.shutdown()
        served.server.server_close()
        thread.join()
