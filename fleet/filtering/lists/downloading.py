"""One download of one list: conditional, resumed, bounded, and never from where it must not come."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol

import httpx2

from fleet.filtering.lists.reaching import Forbidden, Unreachable, check_url
from fleet.filtering.models import FetchOutcome

MOST_REDIRECTS = 5
AGENT = "Preau (DNS filter lists for schools)"
RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
"""Of an answer: its first and last byte, and how many the whole has (RFC 9110, 14.4)."""
Resolve = Callable[[str, int], list[str]]
"""Host and port -> the addresses that may be connected to; raises Unreachable or Forbidden."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one download may take."""

    most_bytes: int = 512 << 20
    connect_seconds: float = 10
    read_seconds: float = 60
    """Between two pieces."""
    total_seconds: float = 1200
    """In all; what is here by then is kept, and the next try goes on from there."""


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Known:
    """What is here already of the same URL."""

    etag: str | None = None
    last_modified: str | None = None
    partial_tag: str | None = None
    """Of a download that was cut: its strong ETag, or its Last-Modified."""
    received: int = 0


class Sink(Protocol):
    """Where a body goes."""

    def begin(self, etag: str | None, last_modified: str | None, *, resumes: bool) -> None:
        """A body comes: from the start, or behind what is here (``resumes``)."""

    def write(self, data: bytes) -> None:
        """The next bytes."""

    def forget(self) -> None:
        """What is here of a cut download is worth nothing."""


class FetchFailed(Exception):
    """Nothing usable came. The text is French; ``retry_after`` is what the server asked for."""

    def __init__(self, outcome: FetchOutcome, reason: str, retry_after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.retry_after = retry_after


def download(url: str, known: Known, sink: Sink, resolve: Resolve, limits: Limits = LIMITS) -> bool:
    """Bring the body to the sink; False when the server says that it has not changed. Raise FetchFailed.

    Whatever came before a failure stays in the sink.
    """
    with conversation(url, conditions(known), resolve, limits) as response:
        if response.status_code == httpx2.codes.NOT_MODIFIED:
            return False
        total = check_status(response, known, sink)
        resumes = total is not None
        etag, last_modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        if is_encoded(response):  # a part of it could not be taken up again
            etag = last_modified = None
        sink.begin(etag, last_modified, resumes=resumes)
        received = known.received if resumes else 0
        for data in bounded(response, received, limits):
            received += len(data)
            sink.write(data)
        if total not in {None, received}:
            sink.forget()
            raise FetchFailed(FetchOutcome.BAD_ANSWER, f"{received} octets sont arrivés sur les {total} annoncés")
        return True


def read_small(url: str, resolve: Resolve, limits: Limits = LIMITS, most_bytes: int = 256 * 1024) -> bytes:
    """The whole of a small file; raise FetchFailed."""
    small = Limits(most_bytes, limits.connect_seconds, limits.read_seconds, limits.total_seconds)
    with conversation(url, {}, resolve, small) as response:
        if response.status_code != httpx2.codes.OK:
            raise refusal(response)
        return b"".join(bounded(response, 0, small))


def conditions(known: Known) -> dict[str, str]:
    """Headers that say what is here."""
    headers = {}
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    if known.partial_tag and known.received:
        headers |= {"Range": f"bytes={known.received}-", "If-Range": known.partial_tag}
    return headers


def check_status(response: httpx2.Response, known: Known, sink: Sink) -> int | None:
    """Bytes of the whole when the body goes on where the last one was cut, to the end; None when it is the whole.

    Raise FetchFailed for anything else: a part that nobody asked for, or a shorter one, is not the list.
    """
    if response.status_code == httpx2.codes.OK:
        return None
    if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
        sink.forget()
        raise FetchFailed(FetchOutcome.BROKEN_OFF, "la partie reçue ne vient pas de ce fichier : tout est repris")
    if response.status_code != httpx2.codes.PARTIAL_CONTENT:
        raise refusal(response)
    first, last, total = read_range(response.headers.get("Content-Range", ""))
    was_asked = bool(known.partial_tag and known.received)
    if not was_asked or first != known.received or last + 1 != total or is_encoded(response):
        sink.forget()
        raise FetchFailed(FetchOutcome.BAD_ANSWER, "le serveur a envoyé une autre partie que celle demandée")
    return total


def read_range(header: str) -> tuple[int, int, int]:
    """First byte, last byte and size of the whole; of what says less, a range that fits nothing."""
    found = RANGE.fullmatch(header.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else (-1, -1, -1)


def is_encoded(response: httpx2.Response) -> bool:
    """Whether the body is compressed on its way."""
    return response.headers.get("Content-Encoding", "identity").lower() not in {"", "identity"}


def refusal(response: httpx2.Response) -> FetchFailed:
    """What to say of a status that brings no body."""
    reason = f"le serveur a répondu {response.status_code} ({response.reason_phrase})"
    return FetchFailed(FetchOutcome.BAD_ANSWER, reason, retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """What ``Retry-After`` asks for: seconds or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal() and len(text) < 8:
        return timedelta(seconds=int(text))
    try:
        return max(parsedate_to_datetime(text) - datetime.now(UTC), timedelta())
    except (ValueError, TypeError):
        return None


def bounded(response: httpx2.Response, received: int, limits: Limits) -> Iterator[bytes]:
    """The body, piece by piece, within the limits; raise FetchFailed."""
    if isinstance(response.stream, httpx2.SyncByteStream):
        response.stream = Timed(response.stream, time.monotonic() + limits.total_seconds)
    for data in response.iter_bytes():
        received += len(data)
        if received > limits.most_bytes:
            reason = f"plus de {limits.most_bytes >> 20} Mio" if limits.most_bytes >> 20 else "trop de données"
            raise FetchFailed(FetchOutcome.TOO_LARGE, reason)
        yield data


class Timed(httpx2.SyncByteStream):
    """A body as it comes off the line: whatever it becomes, and however small its pieces, it ends in time."""

    def __init__(self, inner: httpx2.SyncByteStream, end: float) -> None:
        self.inner = inner
        self.end = end

    def __iter__(self) -> Iterator[bytes]:
        """The pieces received; raise FetchFailed behind the one that is too late."""
        for data in self.inner:
            yield data
            if time.monotonic() > self.end:
                raise FetchFailed(FetchOutcome.BROKEN_OFF, "trop lent : la suite viendra au prochain essai")

    def close(self) -> None:
        """Close what it is read from."""
        self.inner.close()


@contextlib.contextmanager
def conversation(url: str, headers: Mapping[str, str], resolve: Resolve, limits: Limits) -> Iterator[httpx2.Response]:
    """The answer behind redirects, its body still to be read; what breaks, here or while it is read, is FetchFailed."""
    timeout = httpx2.Timeout(limits.read_seconds, connect=limits.connect_seconds)
    sent = {"User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
    try:
        with httpx2.Client(timeout=timeout, trust_env=False, headers=sent) as client, contextlib.ExitStack() as opened:
            yield follow(client, opened, url, resolve)
    except Forbidden as error:
        raise FetchFailed(FetchOutcome.FORBIDDEN_ADDRESS, str(error)) from error
    except (Unreachable, httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise FetchFailed(FetchOutcome.UNREACHABLE, f"connexion impossible : {error}") from error
    except httpx2.TimeoutException as error:
        raise FetchFailed(FetchOutcome.BROKEN_OFF, "le serveur ne répond plus") from error
    except (httpx2.NetworkError, httpx2.RemoteProtocolError) as error:
        raise FetchFailed(FetchOutcome.BROKEN_OFF, "la connexion a été coupée") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise FetchFailed(FetchOutcome.BAD_ANSWER, f"réponse incompréhensible : {error}") from error


def follow(client: httpx2.Client, opened: contextlib.ExitStack, url: str, resolve: Resolve) -> httpx2.Response:
    """The first answer that is no redirect, left open on the stack."""
    for _ in range(MOST_REDIRECTS + 1):
        response = ask(client, httpx2.URL(check_url(url)), resolve)
        if not response.has_redirect_location:
            opened.callback(response.close)
            return response
        response.close()
        target = httpx2.URL(url).join(response.headers["Location"])
        if url.startswith("https:") and target.scheme != "https":
            raise Forbidden("une redirection quitte https")
        url = str(target)
    raise Forbidden(f"plus de {MOST_REDIRECTS} redirections")


def ask(client: httpx2.Client, url: httpx2.URL, resolve: Resolve) -> httpx2.Response:
    """Connect to an address that was checked, and to no other; the certificate is still that of the name."""
    port = url.port or (443 if url.scheme == "https" else 80)
    failed: httpx2.ConnectError | httpx2.ConnectTimeout | None = None
    for address in resolve(url.host, port):
        request = client.build_request(
            "GET",
            url.copy_with(host=address),
            headers={"Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.host},
        )
        try:
            return client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            failed = error
    raise failed or Unreachable(f"le nom {url.host} n’a pas d’adresse")
