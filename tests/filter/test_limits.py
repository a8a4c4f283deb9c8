"""How often clients may ask, and what still goes on when they ask too often: the arithmetic, and a real process."""

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.clients import Networks
from filter.metrics import Metrics
from filter.serving.buckets import MOST, Buckets
from filter.serving.limits import RateLimits, cut_reply
from filter.settings import LabelSettings, NetworkSettings, hash_label
from tests.certificates import Authority
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.encrypted import EncryptedFilter, H2Client
from tests.filter.running import RunningFilter, receive
from tests.filter.scripted import ScriptedUpstream

NETWORKS = Networks(
    [("10.0.0.0/8", "x"), ("198.51.100.7/32", "x"), ("2001:db8::/32", "x"), ("2a01:5:5:5::7/128", "x")], ""
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def limits(rate: int, clock: Clock) -> RateLimits:
    return RateLimits(rate, NETWORKS.locate, Metrics(), clock, {"tablette"}.__contains__)


def admitted(of: RateLimits, client: str, queries: int, label: str | None = None) -> int:
    return sum(of.wait(client, label) == 0.0 for _ in range(queries))


@pytest.mark.parametrize(
    ("client", "label", "burst"),
    [
        ("203.0.113.9", None, 20),
        ("2a01::1", None, 20),
        ("10.1.2.3", None, 100),  # of a network that the policy knows
        ("198.51.100.7", None, 400),  # a school behind one address
        ("2001:db8::1", None, 100),
        ("198.51.100.7", "tablette", 20),  # a device that says who it is
        ("198.51.100.7", "inconnue", 400),  # a name that anybody may make up
        ("2a01:5:5:5::7", None, 400),
        ("127.0.0.1", None, 5000),  # this machine
        ("::ffff:127.0.0.1", None, 5000),
    ],
)
def test_who_may_ask_how_often(client: str, label: str | None, burst: int) -> None:
    clock = Clock()
    of = limits(10, clock)

    assert admitted(of, client, 5000, label) == burst
    clock.now += 1.0
    assert admitted(of, client, 5000, label) == (burst // 2 if burst < 5000 else 5000)


def test_a_subnet_of_unknown_addresses_has_its_own_limit() -> None:
    of = limits(10, Clock())

    assert sum(admitted(of, f"203.0.113.{host}", 20) for host in range(200)) == 80
    assert admitted(of, "203.0.114.1", 20) == 20
    assert sum(admitted(of, f"2a01:0:0:{host:x}::1", 20) for host in range(200)) == 80


def test_one_address_does_not_use_up_what_its_neighbours_have() -> None:
    of = limits(10, Clock())
    admitted(of, "203.0.113.1", 100_000)

    assert admitted(of, "203.0.113.2", 20) == 20


def test_a_known_address_does_not_share_with_the_unknown_rest_of_its_network() -> None:
    of = limits(10, Clock())
    admitted(of, "2a01:5:5:5::66", 100_000)

    assert admitted(of, "2a01:5:5:5::7", 1000) == 400


def test_made_up_labels_share_what_their_address_has() -> None:
    of = limits(10, Clock())

    assert sum(admitted(of, "203.0.113.9", 1, f"x{number}") for number in range(100)) == 20


def test_without_a_limit_all_may_ask() -> None:
    assert admitted(limits(0, Clock()), "203.0.113.9", 10_000) == 10_000


def test_there_are_never_more_buckets_than_their_number() -> None:
    buckets = Buckets()
    for number in range(MOST + 500):
        buckets.draw(str(number), 1.0, 0.0)

    assert len(buckets.known) == MOST


def test_over_udp_one_in_three_is_cut_and_none_is_longer_than_its_question() -> None:
    of = limits(1, Clock())
    query = dns.message.make_query("www.jeu.example", "A", use_edns=0).to_wire()
    got = [of.admit(query, "203.0.113.9") for _ in range(302)]

    assert got[:2] == [None, None]
    assert got.count(b"") == 200
    cut = [each for each in got if each]
    assert len(cut) == 100
    assert all(len(each) <= len(query) for each in cut)
    told = dns.message.from_wire(cut[0])
    assert told.flags & dns.flags.TC
    assert dns.message.from_wire(query).is_response(told)


@pytest.mark.parametrize("data", [b"", b"\0" * 11, b"\0" * 12, b"\0\0\x80" + b"\0" * 30, b"\0\0\x28" + b"\0" * 30])
def test_what_is_no_query_gets_no_cut_reply(data: bytes) -> None:
    assert cut_reply(data) == b""


# --- a real process ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        scripted.add("journal.example. 300 IN A 93.184.216.34")
        yield scripted


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncryptedFilter]:
    folder: Path = tmp_path_factory.mktemp("limits")
    labels = (LabelSettings(hash_label("tablette-7"), "ecole"),)
    school = replace(SCHOOL, networks=(NetworkSettings("127.0.7.0/24", "ecole"),), labels=labels)
    bundle = compile_pair(LISTS, school, folder / "ecole.preau", serial=7)
    options = ("--bundle", str(bundle), "--upstream", upstream.address, "--rate-limit", "20", "--plane", "python")
    with EncryptedFilter(Authority.make(folder), *options) as running:
        yield running


def packet(name: str = "www.jeu.example") -> bytes:
    return dns.message.make_query(name, "A", use_edns=0).to_wire()


def flood(served: RunningFilter, source: str, packets: int) -> list[bytes]:
    """What comes back for so many datagrams, none of them asked again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.connect(("127.0.0.1", served.port))
        client.settimeout(1.0)
        for _ in range(packets):
            client.send(packet())
        found = []
        try:
            while True:
                found.append(client.recv(4096))
        except TimeoutError:
            return found


def test_a_flood_gets_little_and_others_all(served: EncryptedFilter) -> None:
    before = time.monotonic()
    replies = flood(served, "127.0.0.66", 600)
    seconds = time.monotonic() - before
    whole = [each for each in replies if not each[2] & 2]

    assert 40 <= len(whole) <= 40 + 20 * (seconds + 1)
    assert len(replies) < 400
    assert len(flood(served, "127.0.7.5", 150)) == 150  # of a network that the policy knows
    assert len(flood(served, "127.0.0.1", 200)) == 200


def test_a_stream_is_read_more_slowly_and_loses_nothing(served: EncryptedFilter) -> None:
    packets = [packet() for _ in range(70)]
    with socket.create_connection(("127.0.0.1", served.port), timeout=20, source_address=("127.0.0.67", 0)) as client:
        began = time.monotonic()
        client.sendall(b"".join(struct.pack("!H", len(each)) + each for each in packets))
        replies = [receive(client) for _ in packets]

    assert {each[:2] for each in replies} == {each[:2] for each in packets}
    assert time.monotonic() - began > 1.0  # thirty more than the burst, at twenty a second: no less, however fast


def test_doh_says_429(served: EncryptedFilter) -> None:
    plain = socket.create_connection(("127.0.0.1", served.https), timeout=8, source_address=("127.0.0.68", 0))
    with served.context("h2").wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        client = H2Client(secured)
        media = [("content-type", "application/dns-message")]
        statuses = [client.request("POST", "/dns-query", packet(), media)[0] for _ in range(150)]

    assert statuses[:40] == [200] * 40
    assert 429 in statuses


def statuses_of(served: EncryptedFilter, source: str, paths: Sequence[str]) -> list[int]:
    """Of requests on one connection from this address."""
    plain = socket.create_connection(("127.0.0.1", served.https), timeout=8, source_address=(source, 0))
    with served.context("h2").wrap_socket(plain, server_hostname="127.0.0.1") as secured:
        client = H2Client(secured)
        media = [("content-type", "application/dns-message")]
        return [client.request("POST", path, packet(), media)[0] for path in paths]


def test_a_made_up_label_buys_nothing_and_a_known_one_has_its_own(served: EncryptedFilter) -> None:
    made_up = statuses_of(served, "127.0.0.70", [f"/dns-query/x{number}" for number in range(150)])

    assert 429 in made_up
    assert statuses_of(served, "127.0.0.70", ["/dns-query/tablette-7"] * 5) == [200] * 5


def test_http_errors_are_limited_too(served: EncryptedFilter) -> None:
    statuses = statuses_of(served, "127.0.0.71", ["/autre"] * 150)

    assert statuses[0] == 404
    assert 429 in statuses


def test_handshakes_of_one_client_are_limited(served: EncryptedFilter) -> None:
    refused = 0
    for _ in range(120):
        try:
            plain = socket.create_connection(("127.0.0.1", served.tls), timeout=8, source_address=("127.0.0.69", 0))
            served.context("dot").wrap_socket(plain, server_hostname="127.0.0.1").close()
        except OSError:
            refused += 1

    assert refused
    with served.secure(served.tls, "dot"):  # another client's
        pass


def test_blocked_and_cached_names_are_answered_while_no_resolver_is(tmp_path: Path) -> None:
    def silent(_query: Message, _over_udp: bool) -> Sequence[bytes]:
        return []

    bundle = compile_pair(LISTS, SCHOOL, tmp_path / "ecole.preau", serial=7)
    with ScriptedUpstream() as upstream:
        upstream.add("journal.example. 300 IN A 93.184.216.34")
        for number in range(6_000):
            upstream.scripts[f"n{number}.example"] = silent
        options = ("--bundle", str(bundle), "--upstream", upstream.address, "--plane", "python")
        with RunningFilter(*options) as running:
            running.ask("journal.example")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(("127.0.0.1", running.port))
                for number in range(6_000):
                    client.send(packet(f"n{number}.example"))
                    if number % 500 == 0:  # every so often, what costs nothing
                        assert running.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
                        assert running.ask("journal.example").rcode() == dns.rcode.NOERROR
                assert running.ask("www.jeu.example").rcode() == dns.rcode.NXDOMAIN
                assert running.ask("journal.example").rcode() == dns.rcode.NOERROR
