"""What one HTTP/2 connection may hold and how much it may bother, by a real process."""

import struct
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import EncryptedFilter, H2Client
from tests.filter.scripted import ScriptedUpstream, answer, pack
from tests.filter.test_doh import GOOD, PREFACE, SETTINGS, closing, frame

CALM = 11
PROTOCOL = 1
NOWHERE = b"\x82\x87\x04\x06/autre"
"""GET of a place that is none."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedFilter]:
    folder: Path = tmp_path_factory.mktemp("bounds")
    bundle = compile_pair(LISTS, SCHOOL, folder / "ecole.preau", serial=7)
    with ScriptedUpstream() as upstream:
        upstream.add("journal.example. 300 IN A 93.184.216.34")
        with EncryptedFilter(
            Authority.make(folder), "--bundle", str(bundle), "--upstream", upstream.address
        ) as running:
            yield running


def ends_with(served: EncryptedFilter, sent: bytes) -> int:
    """The code of the GOAWAY that this brings."""
    with served.secure(served.https, "h2") as secured:
        frames = closing(secured, PREFACE + SETTINGS + sent + frame(7, 0, 0, bytes(8)))
    codes = [struct.unpack("!II", payload)[1] for kind, payload in frames if kind == 7]
    return codes[0] if codes else -1


def opened(stream: int) -> bytes:
    return frame(1, 5, stream, NOWHERE)


LARGE = struct.pack("!I", 16_384)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(8, 0, 1, LARGE), PROTOCOL),  # a window of a stream that never was (RFC 9113, 5.1)
        (opened(1) + frame(8, 0, 3, LARGE), PROTOCOL),
        (opened(1) + frame(8, 0, 2, LARGE), PROTOCOL),  # and of one that only servers open
        (opened(1) + frame(8, 0, 1, LARGE) * 400, CALM),  # of one that is over
        (frame(4, 1, 0) * 400, CALM),  # acknowledgements of nothing
        (frame(6, 1, 0, bytes(8)) * 400, CALM),
        (
            b"".join(  # resets behind requests that are refused
                frame(1, 4, i, GOOD) + frame(3, 0, i, bytes(4)) + opened(i + 2) + opened(i + 4)
                for i in range(1, 900, 6)
            ),
            CALM,
        ),
    ],
)
def test_what_asks_nothing_ends_the_connection(served: EncryptedFilter, sent: bytes, code: int) -> None:
    assert ends_with(served, sent) == code


def test_the_acknowledgement_that_is_owed_costs_nothing(served: EncryptedFilter) -> None:
    assert ends_with(served, frame(4, 1, 0) + frame(6, 0, 0, bytes(8)) * 299 + opened(1)) == -1


def test_no_body_is_longer_than_a_query_may_be(served: EncryptedFilter) -> None:
    with served.secure(served.https, "h2") as secured:
        client = H2Client(secured)
        media = [("content-type", "application/dns-message")]
        query = dns.message.make_query("journal.example", "A").to_wire(max_size=65_535)

        assert client.request("POST", "/dns-query", query, media)[0] == 200
        assert client.request("POST", "/dns-query", query + bytes(5_000), media)[0] == 413


def test_http_2_is_spoken_with_who_agreed_to_it(served: EncryptedFilter) -> None:
    """RFC 9113, 3.2; what another protocol's client is led to send us is not taken for requests."""
    with served.secure(served.https) as secured:
        secured.sendall(PREFACE + SETTINGS)

        assert secured.recv(4096).startswith(b"HTTP/1.1 505")


def test_a_negative_answer_is_kept_for_no_longer_than_its_zone_says(tmp_path: Path) -> None:
    """RFC 8484, 5.1; RFC 2308, 5."""
    bundle = compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)
    soa = "zone.example. 3600 IN SOA ns.zone.example. root.zone.example. 1 2 3 4 5"
    with ScriptedUpstream() as upstream:
        upstream.scripts["rien.zone.example"] = lambda query, _over_udp: [
            pack(answer(query, rcode=dns.rcode.NXDOMAIN, authority=[soa]))
        ]
        options = ("--bundle", str(bundle), "--upstream", upstream.address)
        running = EncryptedFilter(Authority.make(tmp_path), *options)
        with running, running.secure(running.https, "h2") as secured:
            client = H2Client(secured)
            media = [("content-type", "application/dns-message")]
            query = dns.message.make_query("rien.zone.example", "A").to_wire()
            kept = [client.request("POST", "/dns-query", query, media)[1]["cache-control"] for _ in range(2)]

    assert all(int(each.removeprefix("max-age=")) <= 5 for each in kept), kept
