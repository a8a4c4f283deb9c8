"""Resolvers that lie, dawdle, fall silent or go away: the client gets the truth, an old truth, or SERVFAIL in time."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.resolvers import Resolver
from filter.serving import wire
from filter.serving.cache import STALE_SECONDS, Cache, CacheKey, KeptAnswer, find_ttl, keep
from filter.serving.health import Server
from filter.serving.lookup import FAILURE_SECONDS, Lookup
from filter.serving.upstream import ALL_SECONDS, TRIES, UpstreamFailed, Upstreams
from filter.serving.wire import ClientQuery, Question, UpstreamAnswer
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


def observe(_seconds: float, _answered: bool) -> None:
    """Nobody watches."""


def forward(*servers: Server, name: str = "journal.example") -> UpstreamAnswer:
    return asyncio.run(Upstreams(servers, observe).forward(query_for(name).question, False, False))


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
            await upstreams.forward(query_for().question, False, False)

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


class Fake:
    """An upstream of one line, for what only the clock decides."""

    def __init__(self, *outcomes: UpstreamAnswer | UpstreamFailed) -> None:
        self.outcomes = list(outcomes)
        self.asked = 0

    async def __call__(self, _question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        self.asked += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, UpstreamFailed):
            raise outcome
        return outcome


def truth(*records: str, authority: Sequence[str] = (), rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> UpstreamAnswer:
    query = dns.message.make_query("journal.example", "A")
    return wire.read_answer(pack(answer(query, *records, authority=authority, rcode=rcode)))


class LookupAt:
    """A look-up whose clock the test turns."""

    def __init__(self, fake: Callable[[Question, bool, bool], Awaitable[UpstreamAnswer]]) -> None:
        self.now = 1000.0
        self.counted: list[str] = []
        self.lookup = Lookup(fake, Cache(1 << 20), self.counted.append, clock=lambda: self.now)

    async def find(self) -> tuple[int, bool]:
        found = await self.lookup.find(query_for())
        return found.age, found.is_stale


def test_an_answer_lives_as_long_as_its_ttl() -> None:
    fake = Fake(truth(TRUTH))
    at = LookupAt(fake)

    async def script() -> None:
        assert await at.find() == (0, False)
        at.now += 59.9
        assert await at.find() == (59, False)
        assert fake.asked == 1
        at.now += 0.2
        assert await at.find() == (0, False)
        assert fake.asked == 2

    asyncio.run(script())
    assert at.counted == ["miss", "hit", "miss"]


def test_failures_are_remembered_for_a_moment() -> None:
    fake = Fake(UpstreamFailed(22, "gone"), truth(TRUTH))
    at = LookupAt(fake)

    async def script() -> None:
        for _ in range(3):
            with pytest.raises(UpstreamFailed):
                await at.find()
        assert fake.asked == 1
        at.now += FAILURE_SECONDS
        assert await at.find() == (0, False)

    asyncio.run(script())


def test_an_old_answer_bridges_an_outage_but_not_for_ever() -> None:
    fake = Fake(truth(TRUTH), UpstreamFailed(22, "gone"))
    at = LookupAt(fake)

    async def script() -> None:
        await at.find()
        at.now += 3600
        assert await at.find() == (3600, True)
        at.now += STALE_SECONDS
        with pytest.raises(UpstreamFailed):
            await at.find()

    asyncio.run(script())
    assert at.counted == ["miss", "stale"]


def test_a_stale_answer_says_thirty_seconds() -> None:
    kept = keep(truth(TRUTH), dnssec_ok=False)
    ttl = slice(kept.body + 6, kept.body + 10)

    assert kept.aged(3600, stale=True)[ttl] == (30).to_bytes(4, "big")
    assert kept.aged(3600)[ttl] == bytes(4)
    assert kept.aged(20)[ttl] == (40).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("records", "authority", "rcode", "ttl"),
    [
        ([TRUTH], [], dns.rcode.NOERROR, 60),
        ([TRUTH, "journal.example. 7 IN A 93.184.216.35"], [], dns.rcode.NOERROR, 7),
        (["journal.example. 0 IN A 93.184.216.34"], [], dns.rcode.NOERROR, 0),
        (["journal.example. 604800 IN A 93.184.216.34"], [], dns.rcode.NOERROR, 86_400),
        (["journal.example. 60 IN CNAME a.example.", "a.example. 20 IN A 93.184.216.34"], [], dns.rcode.NOERROR, 20),
        ([], [SOA], dns.rcode.NXDOMAIN, 60),
        ([], [SOA.replace(" 60 IN", " 9 IN")], dns.rcode.NXDOMAIN, 9),
        ([], ["example. 86400 IN SOA ns.example. root.example. 1 2 3 4 86400"], dns.rcode.NOERROR, 3600),
        ([], [], dns.rcode.NXDOMAIN, 0),
        (["journal.example. 60 IN CNAME a.example."], [SOA.replace(" 60 IN", " 9 IN")], dns.rcode.NOERROR, 9),
        ([], [SOA], dns.rcode.SERVFAIL, 0),
    ],
)
def test_how_long_an_answer_is_kept(records: list[str], authority: list[str], rcode: dns.rcode.Rcode, ttl: int) -> None:
    assert find_ttl(truth(*records, authority=authority, rcode=rcode)) == ttl


def test_a_ttl_with_the_highest_bit_is_zero() -> None:
    data = bytearray(pack(answer(dns.message.make_query("journal.example", "A"), TRUTH)))
    data[-10] = 0x80

    assert find_ttl(wire.read_answer(bytes(data))) == 0


def test_the_cache_stays_within_its_bytes_and_forgets_the_oldest() -> None:
    cache = Cache(20_000)
    kept = keep(truth(TRUTH), dnssec_ok=False)

    def key(number: int) -> CacheKey:
        return CacheKey(b"%d" % number, False, False)

    for number in range(100):
        cache.put(key(number), kept, now=0.0)
        cache.find(key(0), now=0.0)  # in use: it stays
        assert cache.bytes <= 20_000
    assert len(cache) < 30
    assert cache.find(key(0), now=1.0)
    assert cache.find(key(1), now=1.0) is None
    for number in range(100):
        cache.drop(key(number))
    assert (cache.bytes, len(cache)) == (0, 0)


def test_the_authority_goes_unless_it_is_needed() -> None:
    ns = "example. 60 IN NS ns.example."
    denial = "example. 60 IN NSEC z.example. A NSEC"

    def authorities(kept: KeptAnswer) -> int:
        return kept.authorities

    assert authorities(keep(truth(TRUTH, authority=[ns]), dnssec_ok=False)) == 0
    assert authorities(keep(truth(TRUTH, authority=[ns]), dnssec_ok=True)) == 0
    assert authorities(keep(truth(TRUTH, authority=[ns, denial]), dnssec_ok=True)) == 1
    assert authorities(keep(truth(authority=[denial]), dnssec_ok=False)) == 0
    assert authorities(keep(truth(authority=[SOA]), dnssec_ok=False)) == 1


def test_many_waiters_share_one_query_and_a_client_that_leaves_spoils_nothing() -> None:
    gate = asyncio.Event()
    asked = []

    async def slow(_question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        asked.append(1)
        await gate.wait()
        return truth(TRUTH)

    async def script() -> None:
        at = LookupAt(slow)
        waiters = [asyncio.create_task(at.find()) for _ in range(20)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        await asyncio.sleep(0)
        gate.set()
        done = await asyncio.gather(*waiters, return_exceptions=True)
        assert isinstance(done[0], asyncio.CancelledError)
        assert done[1:] == [(0, False)] * 19
        assert at.lookup.in_flight == {}

    asyncio.run(script())
    assert asked == [1]


def test_a_silent_upstream_is_given_up_after_the_last_try() -> None:
    with ScriptedUpstream() as silent:
        silent.scripts["journal.example"] = lambda _query, _udp: []
        with pytest.raises(UpstreamFailed) as failure:
            forward(server_of(silent))
    assert failure.value.ede == 22
    assert [transport for transport, *_ in silent.asked] == ["udp"] * TRIES


def test_rrsets_of_the_script_are_what_they_say() -> None:
    assert rrset(TRUTH).to_text() == TRUTH
