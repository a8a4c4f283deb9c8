"""Resolvers that lie, dawdle, fall silent or go away: the client gets the truth, an old truth, or SERVFAIL in time."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.resolvers import Resolver
from filter.serving import wire
from filter.serving.resolving.health import Server
from filter.serving.resolving.upstream import ALL_SECONDS, TRIES, UpstreamFailed, Upstreams
from filter.serving.wire import ClientQuery, UpstreamAnswer
from tests.filter.asking import hear
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack, rrset, soa_for

SOA = soa_for("journal.example")
TRUTH = "journal.example. 60 IN A 93.184.216.34"
LIE = "journal.example. 60 IN A 6.6.6.6"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as scripted:
        yield scripted


def query_for(name: str = "journal.example", qtype: str = "A") -> ClientQuery:
    return wire.read_query(dns.message.make_query(name, qtype).to_wire())


def observe(_upstream: str, _seconds: float, _answered: bool) -> None:
    """Nobody watches."""


def forward(*servers: Server, name: str = "journal.example") -> UpstreamAnswer:
    async def ask() -> UpstreamAnswer:
        return await hear(Upstreams(servers, observe).forward, query_for(name).question)

    return asyncio.run(ask())


def server_of(scripted: ScriptedUpstream) -> Server:
    return Server(Resolver("127.0.0.1", scripted.port))


def addresses(answer: UpstreamAnswer) -> list[str]:
    return [".".join(map(str, answer.data[record.rdata : record.end])) for record in answer.answers]


def wrong_id(query: Message) -> bytes:
    data = bytearray(pack(answer(query, LIE)))
    data[0] ^= 0xFF
    return bytes(data)


def wrong_question(query: Message) -> bytes:
    other = dns.message.make_query("jeu.example", "A", id=query.id)
    return pack(answer(other, LIE))


def wrong_type(query: Message) -> bytes:
    other = dns.message.make_query("journal.example", "AAAA", id=query.id)
    return pack(answer(other, LIE))


def no_response(query: Message) -> bytes:
    data = bytearray(pack(answer(query, LIE)))
    data[2] &= 0x7F
    return bytes(data)


@pytest.mark.parametrize(
    "lie",
    [
        wrong_id,
        wrong_question,
        wrong_type,
        no_response,
        lambda _query: b"",
        lambda _query: b"\0" * 11,
        lambda _query: b"x" * 600,
    ],
)
def test_what_does_not_answer_the_question_is_waited_out(
    upstream: ScriptedUpstream, lie: Callable[[Message], bytes]
) -> None:
    upstream.scripts["journal.example"] = lambda query, _udp: [lie(query), pack(answer(query, TRUTH))]

    assert addresses(forward(server_of(upstream))) == ["93.184.216.34"]
    assert len(upstream.asked) == 1


def test_another_source_is_not_heard(upstream: ScriptedUpstream) -> None:
    """The right id and question from another port: the socket is connected, so it never arrives."""
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def script(query: Message, _udp: bool) -> Sequence[bytes]:
        stranger.sendto(pack(answer(query, LIE)), upstream.client)
        return [pack(answer(query, TRUTH))]

    upstream.scripts["journal.example"] = script
    with stranger:
        assert addresses(forward(server_of(upstream))) == ["93.184.216.34"]


def test_ids_and_ports_are_new_each_time(upstream: ScriptedUpstream) -> None:
    ids: set[int] = set()

    def script(query: Message, _udp: bool) -> Sequence[bytes]:
        ids.add(query.id)
        return [pack(answer(query, TRUTH))]

    upstream.scripts["journal.example"] = script

    async def ask() -> None:
        upstreams = Upstreams([server_of(upstream)], observe)
        for _ in range(40):
            await hear(upstreams.forward, query_for().question)

    asyncio.run(ask())
    assert len(ids) > 35


def test_a_malformed_answer_is_not_believed(upstream: ScriptedUpstream) -> None:
    upstream.scripts["journal.example"] = lambda query, _udp: [pack(answer(query, LIE))[:-2]]

    with pytest.raises(UpstreamFailed) as failure:
        forward(server_of(upstream))
    assert (failure.value.rcode, failure.value.ede) == (wire.SERVFAIL, 23)


def test_the_next_upstream_is_asked_when_one_is_gone(upstream: ScriptedUpstream) -> None:
    upstream.add(TRUTH)
    gone = Server(Resolver("127.0.0.1", free_port()))

    assert addresses(forward(gone, server_of(upstream))) == ["93.184.216.34"]
    assert (gone.failures, gone.retry_at > 0) == (1, True)


def test_the_next_upstream_is_asked_when_one_is_unwilling(upstream: ScriptedUpstream) -> None:
    with ScriptedUpstream() as unwilling:
        unwilling.scripts["journal.example"] = lambda query, _udp: [pack(answer(query, rcode=dns.rcode.REFUSED))]
        upstream.add(TRUTH)
        assert addresses(forward(server_of(unwilling), server_of(upstream))) == ["93.184.216.34"]
        with pytest.raises(UpstreamFailed) as failure:
            forward(server_of(unwilling))
        assert failure.value.rcode == wire.REFUSED
        assert len(unwilling.asked) == 2  # it answered: asking again changes nothing


def test_the_healthy_one_is_asked_first() -> None:
    now = [100.0]
    first, second = Server(Resolver("192.0.2.1", 53)), Server(Resolver("192.0.2.2", 53))
    upstreams = Upstreams([first, second], observe, clock=lambda: now[0])
    first.failed(now[0])

    assert list(upstreams.candidates()) == [second, first, second]
    now[0] += 3.0
    assert list(upstreams.candidates()) == [first, second, first]
    first.answered(0.01)
    assert first.failures == 0


def test_a_dead_upstream_is_given_up_in_time() -> None:
    """Less than five seconds in all: what a stub resolver waits."""
    assert ALL_SECONDS < 5
    with pytest.raises(UpstreamFailed) as failure:
        forward(Server(Resolver("127.0.0.1", free_port())))
    assert failure.value.ede == 23


def test_a_truncated_answer_that_is_cut_over_tcp_too_is_not_believed(upstream: ScriptedUpstream) -> None:
    def script(query: Message, _udp: bool) -> Sequence[bytes]:
        reply = answer(query)
        reply.flags |= dns.flags.TC
        return [pack(reply)]

    upstream.scripts["journal.example"] = script
    with pytest.raises(UpstreamFailed):
        forward(server_of(upstream))


def test_a_silent_upstream_is_given_up_after_the_last_try() -> None:
    with ScriptedUpstream() as silent:
        silent.scripts["journal.example"] = lambda _query, _udp: []
        with pytest.raises(UpstreamFailed) as failure:
            forward(server_of(silent))
    assert failure.value.ede == 22
    assert [transport for transport, *_ in silent.asked] == ["udp"] * TRIES


def test_rrsets_of_the_script_are_what_they_say() -> None:
    assert rrset(TRUTH).to_text() == TRUTH
