"""DNS over HTTPS (RFC 8484) of a real filter process, asked by kdig, curl and the h2 library; and frames made by hand
that no client of good faith sends."""

import base64
import random
import socket
import ssl
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from filter.settings import LabelSettings, hash_label
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import NAME, EncryptedFilter, H2Client
from tests.filter.scripted import ScriptedUpstream
from tests.requirements import needs

MEDIA = ("content-type", "application/dns-message")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LABELLED = replace(SCHOOL, labels=(LabelSettings(hash_label("tablette-7"), "maitres"),))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedFilter]:
    folder: Path = tmp_path_factory.mktemp("doh")
    bundle = compile_pair(LISTS, LABELLED, folder / "ecole.preau", serial=7)
    with ScriptedUpstream() as upstream:
        upstream.add("journal.example. 300 IN A 93.184.216.34", "journal.example. 200 IN A 93.184.216.35")
        upstream.add("jeu.example. 300 IN A 93.184.216.36")
        upstream.add(*(f"long.example. 300 IN TXT {number}{'x' * 240}" for number in range(120)))
        options = ("--bundle", str(bundle), "--upstream", upstream.address)
        with EncryptedFilter(Authority.make(folder), *options) as running:
            yield running


@pytest.fixture
def client(served: EncryptedFilter) -> Iterator[H2Client]:
    with served.secure(served.https, "h2") as secured:
        yield H2Client(secured)


def packet(name: str = "journal.example", qtype: str = "A", *, edns: bool = False) -> bytes:
    query = dns.message.make_query(name, qtype, use_edns=0 if edns else False)
    query.id = 0
    return query.to_wire()


def in_path(query: bytes) -> str:
    return base64.urlsafe_b64encode(query).rstrip(b"=").decode()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_is_answered_with_how_long_it_may_be_kept(client: H2Client, method: str) -> None:
    if method == "GET":
        status, headers, body = client.request("GET", f"/dns-query?dns={in_path(packet())}")
    else:
        status, headers, body = client.request("POST", "/dns-query", packet(), [MEDIA])
    reply = dns.message.from_wire(body)

    assert status == 200
    assert headers["content-type"] == "application/dns-message"
    assert int(headers["content-length"]) == len(body)
    assert reply.id == 0
    least = min(each.ttl for each in reply.answer)
    assert {str(each) for rrset in reply.answer for each in rrset} == {"93.184.216.34", "93.184.216.35"}
    assert headers["cache-control"] == f"max-age={least}"


def test_a_blocked_name_is_kept_ten_seconds_and_padded(client: H2Client) -> None:
    _, headers, body = client.request("POST", "/dns-query", packet("www.jeu.example", edns=True), [MEDIA])
    reply = dns.message.from_wire(body)

    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert headers["cache-control"] == "max-age=10"
    assert len(body) % 468 == 0
    assert {int(option.otype) for option in reply.options} == {12, 15}


@pytest.mark.parametrize("path", ["/dns-query/tablette-7", "/dns-query/TABLETTE-7"])
def test_the_label_in_the_path_tells_the_device(client: H2Client, path: str) -> None:
    _, _, as_teacher = client.request("POST", path, packet("jeu.example"), [MEDIA])
    _, _, unknown = client.request("POST", "/dns-query/autre", packet("jeu.example"), [MEDIA])

    assert dns.message.from_wire(as_teacher).rcode() == dns.rcode.NOERROR
    assert dns.message.from_wire(unknown).rcode() == dns.rcode.NXDOMAIN


def test_the_label_in_the_server_name_tells_the_device(served: EncryptedFilter) -> None:
    with served.secure(served.https, "h2", name=f"tablette-7.{NAME}") as secured:
        _, _, body = H2Client(secured).request("POST", "/dns-query", packet("jeu.example"), [MEDIA])

    assert dns.message.from_wire(body).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/dns-query", b"", [MEDIA], 400),  # empty
        ("POST", "/dns-query", b"\0" * 11, [MEDIA], 400),  # no header
        ("POST", "/dns-query", packet(), [("content-type", "text/plain")], 415),
        ("POST", "/dns-query", packet(), [], 415),
        ("GET", "/dns-query", b"", [], 400),  # no parameter
        ("GET", "/dns-query?dns=", b"", [], 400),
        ("GET", "/dns-query?dns=%%%%", b"", [], 400),
        ("GET", "/dns-query?dns=AAA*", b"", [], 400),
        ("GET", "/dns-query?dns=AAAA&dns=AAAA", b"", [], 400),
        ("GET", f"/dns-query?dns={'A' * 5000}", b"", [], 414),
        ("GET", "/", b"", [], 404),
        ("GET", "/dns", b"", [], 404),
        ("GET", "/dns-query/a/b", b"", [], 404),
        ("GET", f"/dns-query/{'x' * 64}?dns=AAAA", b"", [], 404),
        ("PUT", "/dns-query", packet(), [MEDIA], 405),
        ("HEAD", "/dns-query", b"", [], 405),
        ("POST", "/dns-query", packet()[:2] + b"\x80" + packet()[3:], [MEDIA], 400),  # a response
    ],
)
def test_what_is_no_query_gets_an_http_error(
    client: H2Client, method: str, path: str, body: bytes, headers: list[tuple[str, str]], status: int
) -> None:
    assert client.request(method, path, body, headers)[0] == status
    assert client.request("POST", "/dns-query", packet(), [MEDIA])[0] == 200  # the connection goes on


@pytest.mark.parametrize(
    ("query", "rcode"),
    [
        (packet()[:4] + bytes(8), dns.rcode.FORMERR),  # no question
        (packet(qtype="AXFR"), dns.rcode.REFUSED),
        (packet() + b"more", dns.rcode.FORMERR),
    ],
)
def test_what_dns_refuses_is_told_in_dns(client: H2Client, query: bytes, rcode: dns.rcode.Rcode) -> None:
    status, headers, body = client.request("POST", "/dns-query", query, [MEDIA])

    assert (status, headers["cache-control"]) == (200, "max-age=0")
    assert body[3] & 15 == rcode


def test_a_hundred_requests_at_once_are_all_answered(client: H2Client) -> None:
    streams = [client.begin("POST", "/dns-query", packet(), [MEDIA]) for _ in range(90)]

    assert {status for status, _, _ in client.finish(*streams).values()} == {200}


def test_an_answer_larger_than_the_clients_window_waits_for_it(served: EncryptedFilter) -> None:
    with served.secure(served.https, "h2") as secured:
        client = H2Client(secured)
        client.http.update_settings({4: 1_000})  # bytes a stream may hold
        client.flush()
        status, headers, body = client.request("POST", "/dns-query", packet("long.example", "TXT"), [MEDIA])

    assert status == 200
    assert len(body) == int(headers["content-length"]) > 20_000
    assert len(dns.message.from_wire(body).answer[0]) == 120


def test_http_1_hears_that_it_is_not_spoken(served: EncryptedFilter) -> None:
    with served.secure(served.https) as secured:
        secured.sendall(b"GET /dns-query?dns=AAAA HTTP/1.1\r\nHost: dns.ecole.test\r\n\r\n")

        assert secured.recv(1000).startswith(b"HTTP/1.1 505 ")


# --- frames that no client of good faith sends ------------------------------------------------------------------------


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes((kind, flags)) + struct.pack("!I", stream) + payload


SETTINGS = frame(4, 0, 0)
HEADERS = b"\x83\x86\x87\x04\x0a/dns-query"  # POST, http, https: a scheme twice
GOOD = b"\x83\x87\x04\x0a/dns-query\x0f\x10\x17application/dns-message"


def closing(secured: ssl.SSLSocket, sent: bytes) -> list[tuple[int, bytes]]:
    """Every frame until the server closes: (type, payload)."""
    data = b""
    try:
        secured.sendall(sent)
        while more := secured.recv(65_536):
            data += more
    except OSError:
        pass
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((data[3], data[9 : 9 + length]))
        data = data[9 + length :]
    return found


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(0, 0, 1, b"x"), 1),  # data on a stream that is not open
        (frame(1, 4, 2, GOOD), 1),  # a stream that only servers open
        (frame(1, 4, 0, GOOD), 1),
        (frame(1, 0, 1, GOOD) + frame(6, 0, 0, bytes(8)), 1),  # headers broken off
        (frame(9, 4, 1, GOOD), 1),  # continuation of nothing
        (frame(1, 0, 1, GOOD) + frame(9, 0, 1, b"\x00\x01a\x01b" * 1000) * 2, 11),  # headers without end
        (frame(1, 4, 1, b"\xff\xff\xff\xff\xff"), 9),  # no entry of that number
        (frame(1, 4, 1, b"\x00\x7fabc"), 9),  # cut short
        (frame(1, 12, 1, b"\xff" + GOOD), 1),  # more padding than frame
        (frame(5, 4, 1, bytes(8)), 1),  # clients push nothing
        (frame(8, 0, 0, bytes(4)), 1),  # a window that opens by nothing
        (frame(8, 0, 0, b"\x7f\xff\xff\xff"), 3),  # and one too far
        (frame(4, 0, 0, struct.pack("!HI", 4, 2**31)), 3),
        (frame(4, 0, 0, b"12345"), 6),
        (frame(6, 0, 0, b"1234567"), 6),
        (frame(3, 0, 1, bytes(4)), 1),  # reset of a stream that never was
        (b"\xff\xff\xff" + bytes(6), 6),  # a frame too large
        (frame(6, 0, 0, bytes(8)) * 400, 11),  # pings
        (frame(4, 0, 0) * 400, 11),
        (frame(99, 0, 0) * 400, 11),  # unknown frames
        (b"".join(frame(1, 4, i, GOOD) + frame(3, 0, i, bytes(4)) for i in range(1, 301, 2)), 11),  # rapid reset
        (frame(1, 4, 1, GOOD) + frame(0, 0, 1) * 400, 11),  # data that is none
    ],
)
def test_bad_frames_end_the_connection(served: EncryptedFilter, sent: bytes, code: int) -> None:
    with served.secure(served.https, "h2") as secured:
        frames = closing(secured, PREFACE + SETTINGS + sent)

    assert frames[0][0] == 4
    (goaway,) = [payload for kind, payload in frames if kind == 7]
    assert struct.unpack("!II", goaway)[1] == code


@pytest.mark.parametrize(
    "block",
    [
        HEADERS,
        b"\x87\x04\x0a/dns-query",  # no method
        b"\x83\x87",  # no path
        b"\x83\x87\x04\x0a/dns-query\x00\x01A\x01b",  # capitals
        b"\x83\x00\x01a\x01b\x87\x04\x0a/dns-query",  # a pseudo-header behind others
        GOOD + b"\x00\x01a\x01b" * 70,  # too many
    ],
)
def test_bad_requests_end_their_stream_only(served: EncryptedFilter, block: bytes) -> None:
    with served.secure(served.https, "h2") as secured:
        query = packet()
        secured.sendall(PREFACE + SETTINGS + frame(1, 5, 1, block) + frame(1, 4, 3, GOOD) + frame(0, 1, 3, query))
        secured.sendall(frame(7, 0, 0, bytes(8)))  # that was all
        frames = closing(secured, b"")

    assert (3, struct.pack("!I", 1)) in frames
    assert any(kind == 0 and dns.message.from_wire(payload).answer for kind, payload in frames)


def test_a_body_longer_than_any_message_is_refused(served: EncryptedFilter) -> None:
    """Once, and the frames that still come of it end nothing."""
    with served.secure(served.https, "h2") as secured:
        sent = (
            frame(1, 4, 1, GOOD) + frame(0, 0, 1, bytes(16_384)) * 4 + frame(1, 4, 3, GOOD) + frame(0, 1, 3, packet())
        )
        frames = closing(secured, PREFACE + SETTINGS + sent + frame(7, 0, 0, bytes(8)))

    assert [kind for kind, _ in frames].count(1) == 2
    assert any(kind == 0 and dns.message.from_wire(payload).answer for kind, payload in frames)


def test_random_frames_never_stop_the_filter(served: EncryptedFilter) -> None:
    source = random.Random(7)
    for _ in range(150):
        with served.secure(served.https, "h2") as secured:
            sent = b"".join(
                frame(
                    source.randrange(11), source.randrange(256), source.randrange(6),
                    source.randbytes(source.randrange(40)),
                )
                for _ in range(20)
            )  # fmt: skip
            try:
                secured.sendall(PREFACE + SETTINGS + sent)
                secured.shutdown(socket.SHUT_WR)
            except OSError:
                continue
    with served.secure(served.https, "h2") as secured:
        assert H2Client(secured).request("POST", "/dns-query", packet(), [MEDIA])[0] == 200
    assert served.logged("query could not be answered") == []
    assert [line for line in served.lines if "Traceback" in str(line)] == []


# --- other people's clients -------------------------------------------------------------------------------------------


@needs("kdig")
@pytest.mark.parametrize("method", ["+nohttps-get", "+https-get"])
def test_kdig_asks_by_https(served: EncryptedFilter, method: str) -> None:
    done = subprocess.run(
        ["kdig", f"@127.0.0.1#{served.https}", "+https=/dns-query", method, f"+tls-ca={served.authority.certificate}",
         f"+tls-hostname={NAME}", "+edns", "+padding", "journal.example"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert "93.184.216.34" in done.stdout, done.stdout + done.stderr
    assert "HTTP/2" in done.stdout
    assert "Received 468 B" in done.stdout


@needs("curl")
def test_curl_gets_a_message(served: EncryptedFilter, tmp_path: Path) -> None:
    done = subprocess.run(
        ["curl", "-sS", "--http2", "--cacert", str(served.authority.certificate), "-w", "%{http_version} %{http_code}",
         "-o", str(tmp_path / "reply"), f"https://127.0.0.1:{served.https}/dns-query?dns={in_path(packet())}"],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert done.stdout == "2 200", done.stderr
    (records,) = dns.message.from_wire((tmp_path / "reply").read_bytes()).answer
    assert {str(each) for each in records} == {"93.184.216.34", "93.184.216.35"}
