"""Resolvers spoken to over TLS: verified, kept open, asked many things at once, and believed no more than others."""

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest
from dns.message import Message

from filter.resolvers import Resolver, Transport
from filter.serving import wire
from filter.serving.resolving.health import Server
from filter.serving.resolving.upstream import UpstreamFailed, Upstreams
from filter.serving.wire import UpstreamAnswer
from tests.certificates import Authority
from tests.filter.asking import hear
from tests.filter.running import RunningFilter, records_of
from tests.filter.scripted import ScriptedUpstream, answer, pack
from tests.filter.secure import SecureUpstream, WebUpstream

NAME = "resolveur.example"
TRUTH = "journal.example. 60 IN A 93.184.216.34"
KINDS = [(SecureUpstream, Transport.TLS), (WebUpstream, Transport.HTTPS)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def zone() -> ScriptedUpstream:
    """What is known; nobody listens."""
    known = ScriptedUpstream()
    known.udp.close()
    known.tcp.close()
    known.add(TRUTH)
    return known


@pytest.fixture(params=KINDS, ids=["dot", "doh"])
def secure(
    request: pytest.FixtureRequest, authority: Authority, zone: ScriptedUpstream
) -> Iterator[tuple[SecureUpstream, Resolver]]:
    make, transport = request.param
    with make(authority.issue(NAME, "127.0.0.1"), zone) as running:
        path = "/dns-query" if transport is Transport.HTTPS else ""
        yield running, Resolver("127.0.0.1", running.port, transport, NAME, path)


Secure = tuple[SecureUpstream, Resolver]


def question(name: str) -> wire.Question:
    return wire.read_query(dns.message.make_query(name, "A").to_wire()).question


async def ask(upstreams: Upstreams, name: str = "journal.example") -> UpstreamAnswer:
    return await hear(upstreams.forward, question(name))


def upstreams_of(resolver: Resolver, ca_file: Path | None) -> Upstreams:
    return Upstreams([Server(resolver)], lambda _upstream, _seconds, _answered: None, ca_file=ca_file)


def addresses(found: UpstreamAnswer) -> list[str]:
    return [".".join(map(str, found.data[record.rdata : record.end])) for record in found.answers]


def test_many_questions_share_one_connection(secure: Secure, authority: Authority) -> None:
    running, resolver = secure
    for number in range(40):
        running.zone.add(f"n{number}.example. 60 IN A 192.0.2.{number}")

    async def script() -> None:
        upstreams = upstreams_of(resolver, authority.certificate)
        assert addresses(await ask(upstreams)) == ["93.184.216.34"]
        found = await asyncio.gather(*(ask(upstreams, f"n{number}.example") for number in range(40)))
        assert [addresses(each) for each in found] == [[f"192.0.2.{number}"] for number in range(40)]
        upstreams.close()

    asyncio.run(script())
    assert running.connections == 1
    assert {len(message) % 128 for message in running.received} == {0}  # RFC 8467


def test_one_that_is_not_who_it_should_be_is_not_asked(secure: Secure, authority: Authority, tmp_path: Path) -> None:
    running, resolver = secure
    other = Resolver(resolver.host, resolver.port, resolver.transport, "autre.example", resolver.path)
    for chosen, ca_file in ((other, authority.certificate), (resolver, Authority.make(tmp_path).certificate)):
        with pytest.raises(UpstreamFailed) as failure:
            asyncio.run(ask(upstreams_of(chosen, ca_file)))
        assert isinstance(failure.value.__cause__, ssl.SSLCertVerificationError)
    assert running.received == []


def test_a_connection_that_the_other_side_left_is_made_again(secure: Secure, authority: Authority) -> None:
    running, resolver = secure

    async def script() -> None:
        upstreams = upstreams_of(resolver, authority.certificate)
        for _ in range(3):
            assert addresses(await ask(upstreams)) == ["93.184.216.34"]
            running.hang_up()
        upstreams.close()

    asyncio.run(script())
    assert running.connections == 3


def wrong_question(query: Message) -> bytes:
    other = dns.message.make_query("jeu.example", "A", id=query.id)
    return pack(answer(other, "jeu.example. 60 IN A 6.6.6.6"))


@pytest.mark.parametrize("lie", [wrong_question, lambda query: pack(answer(query, TRUTH))[:-3]])
def test_answers_are_checked_there_too(secure: Secure, authority: Authority, lie: object) -> None:
    running, resolver = secure
    running.zone.scripts["journal.example"] = lambda query, _udp: [lie(query)]  # type: ignore[operator]

    with pytest.raises(UpstreamFailed) as failure:
        asyncio.run(ask(upstreams_of(resolver, authority.certificate)))
    assert failure.value.ede == 23


@pytest.mark.parametrize(("status", "media_type"), [("500", "application/dns-message"), ("200", "text/html")])
def test_an_error_page_is_no_answer(authority: Authority, zone: ScriptedUpstream, status: str, media_type: str) -> None:
    with WebUpstream(authority.issue(NAME), zone) as running:
        running.status, running.media_type = status, media_type
        resolver = Resolver("127.0.0.1", running.port, Transport.HTTPS, NAME, "/dns-query")
        with pytest.raises(UpstreamFailed):
            asyncio.run(ask(upstreams_of(resolver, authority.certificate)))


def test_a_web_request_is_as_rfc_8484_has_it(authority: Authority, zone: ScriptedUpstream) -> None:
    with WebUpstream(authority.issue(NAME), zone) as running:
        resolver = Resolver("127.0.0.1", running.port, Transport.HTTPS, NAME, "/dns-query")
        asyncio.run(ask(upstreams_of(resolver, authority.certificate)))
    (request,) = running.requests
    assert (request[":method"], request[":path"]) == ("POST", "/dns-query")
    assert request[":authority"] == f"{NAME}:{running.port}"
    assert request["content-type"] == request["accept"] == "application/dns-message"
    assert running.received[0][:2] == b"\0\0"


def test_a_filter_in_front_of_them(secure: Secure, authority: Authority, bundle_file: Path) -> None:
    _, resolver = secure
    options = ("--bundle", str(bundle_file), "--upstream", str(resolver), "--upstream-ca", str(authority.certificate))
    with RunningFilter(*options) as served:
        assert records_of(served.ask("journal.example")) == ["A 93.184.216.34"]
