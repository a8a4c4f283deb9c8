"""Which resolver is asked, how long it has, what its silence costs, and what is done about one that leads back here."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence

import dns.edns
import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.resolvers import Resolver
from filter.serving import wire
from filter.serving.resolving import probing
from filter.serving.resolving.asked import mix_case
from filter.serving.resolving.health import LEAST_PATIENCE, MANY_FAILURES, MOST_PATIENCE, Server
from filter.serving.resolving.probing import Prober
from filter.serving.resolving.upstream import Forwarding, UpstreamFailed, Upstreams
from filter.serving.wire import Question
from tests.filter.asking import hear
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack

TRUTH = "journal.example. 60 IN A 93.184.216.34"
OTHER = "journal.example. 60 IN A 93.184.216.35"


@pytest.fixture
def two() -> Iterator[tuple[ScriptedUpstream, ScriptedUpstream]]:
    with ScriptedUpstream() as first, ScriptedUpstream() as second:
        first.add(TRUTH)
        second.add(OTHER)
        yield first, second


Two = tuple[ScriptedUpstream, ScriptedUpstream]


def observe(_upstream: str, _seconds: float, _answered: bool) -> None:
    """Nobody watches."""


def question(name: str = "journal.example") -> Question:
    return wire.read_query(dns.message.make_query(name, "A").to_wire()).question


def upstreams_of(*ports: int, mixes_case: bool = False) -> Upstreams:
    return Upstreams([Server(Resolver("127.0.0.1", port)) for port in ports], observe, mixes_case=mixes_case)


async def ask(upstreams: Upstreams, name: str = "journal.example") -> str:
    found = await hear(upstreams.forward, question(name))
    return ".".join(map(str, found.data[found.answers[0].rdata : found.answers[0].end]))


def test_a_late_one_is_overtaken_and_its_answer_still_counts_for_it(two: Two) -> None:
    first, second = two
    gate = threading.Event()

    def late(query: Message, _udp: bool) -> Sequence[bytes]:
        gate.wait(5)
        return [pack(answer(query, TRUTH))]

    first.scripts["journal.example"] = late

    async def script() -> None:
        upstreams = upstreams_of(first.port, second.port)
        assert await ask(upstreams) == "93.184.216.35"
        (waiting,) = upstreams.tries
        gate.set()
        await waiting
        assert [server.failures for server in upstreams.servers] == [0, 0]
        assert all(server.mean is not None for server in upstreams.servers)

    asyncio.run(script())


def test_a_silent_one_is_not_asked_first_any_more(two: Two) -> None:
    first, second = two
    first.scripts["journal.example"] = lambda _query, _udp: []

    async def script() -> None:
        upstreams = upstreams_of(first.port, second.port)
        for _ in range(MANY_FAILURES):
            assert await ask(upstreams) == "93.184.216.35"
        await asyncio.wait(upstreams.tries)
        assert upstreams.servers[0].is_down
        assert next(upstreams.candidates()) is upstreams.servers[1]
        before = len(first.asked)
        assert await ask(upstreams) == "93.184.216.35"
        assert len(first.asked) == before

    asyncio.run(script())


def test_all_down_are_asked_all_the_same(two: Two) -> None:
    upstreams = upstreams_of(two[0].port)
    for _ in range(5):
        upstreams.servers[0].failed(upstreams.clock())
    assert upstreams.is_down
    assert asyncio.run(ask(upstreams)) == "93.184.216.34"
    assert not upstreams.is_down


def test_patience_follows_what_was_measured() -> None:
    server = Server(Resolver("192.0.2.1", 53))
    for _ in range(50):
        server.answered(0.001)
    assert server.patience == LEAST_PATIENCE
    server.answered(0.5)
    assert LEAST_PATIENCE < server.patience < MOST_PATIENCE
    for _ in range(50):
        server.answered(3.0)
    assert server.patience == MOST_PATIENCE


def test_our_own_trouble_is_no_fault_of_theirs(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """No descriptor left: said at once, and the resolver is not held for down."""

    def no_socket(*_arguments: object, **_options: object) -> None:
        raise OSError(24, "Too many open files")

    async def script() -> None:
        upstreams = upstreams_of(two[0].port)
        with monkeypatch.context() as patch:
            patch.setattr("filter.serving.resolving.datagrams.socket.socket", no_socket)
            with pytest.raises(UpstreamFailed):
                await ask(upstreams)
        assert upstreams.servers[0].failures == 0
        assert await ask(upstreams) == "93.184.216.34"

    asyncio.run(script())


def test_what_the_resolver_says_of_its_failure_is_passed_on(two: Two) -> None:
    def bogus(query: Message, _udp: bool) -> Sequence[bytes]:
        reply = answer(query, rcode=dns.rcode.SERVFAIL)
        reply.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "signature perdue")])
        return [pack(reply)]

    two[0].scripts["journal.example"] = bogus
    with pytest.raises(UpstreamFailed) as failure:
        asyncio.run(ask(upstreams_of(two[0].port)))
    assert (failure.value.ede, failure.value.rcode, failure.value.was_answered) == (6, wire.SERVFAIL, True)


def test_zones_have_their_own_resolvers_and_no_others(two: Two) -> None:
    first, second = two
    second.add("a.intranet.example. 60 IN A 10.0.0.7")

    async def script() -> None:
        zones = {"intranet.example": upstreams_of(second.port), "mort.example": upstreams_of(free_port())}
        forwarding = Forwarding(upstreams_of(first.port), zones)
        found = await hear(forwarding.forward, question("a.intranet.example"))
        assert found.data[found.answers[0].rdata : found.answers[0].end] == bytes([10, 0, 0, 7])
        with pytest.raises(UpstreamFailed):
            await hear(forwarding.forward, question("a.mort.example"))
        await hear(forwarding.forward, question("xintranet.example"))

    asyncio.run(script())
    assert [name for _, name, _ in first.asked] == ["xintranet.example"]


def test_capitals_at_random_must_come_back(two: Two) -> None:
    first, _ = two
    seen: set[str] = set()

    def script(query: Message, _udp: bool) -> Sequence[bytes]:
        seen.add(query.question[0].name.to_text())
        return [pack(answer(query, TRUTH))]

    first.scripts["journal.example"] = script

    async def many() -> None:
        upstreams = upstreams_of(first.port, mixes_case=True)
        for _ in range(20):
            assert await ask(upstreams) == "93.184.216.34"

    asyncio.run(many())
    assert len(seen) > 15


def test_one_that_loses_capitals_is_asked_over_tcp(two: Two) -> None:
    first, _ = two

    def script(query: Message, over_udp: bool) -> Sequence[bytes]:
        reply = pack(answer(query, OTHER if over_udp else TRUTH))
        return [reply.replace(reply[12:29], reply[12:29].lower()) if over_udp else reply]

    first.scripts["journal.example"] = script
    assert asyncio.run(ask(upstreams_of(first.port, mixes_case=True))) == "93.184.216.34"
    assert [transport for transport, *_ in first.asked] == ["udp", "tcp"]


def test_only_letters_are_mixed() -> None:
    raw = b"\x3fabc" + b"-9_\x00" + b"\0\x61\0\x61"
    assert {mix_case(raw).lower() for _ in range(50)} == {raw}
    assert {mix_case(raw)[-4:] for _ in range(50)} == {raw[-4:]}


TOKEN = probing.make_token(("127.0.0.1:53",))


def look(*groups: Upstreams) -> None:
    asyncio.run(Prober(groups, TOKEN).look(lambda _server: True))


def leads_back(query: Message, _udp: bool) -> Sequence[bytes]:
    name = query.question[0].name.to_text()
    return [pack(answer(query, f'{name} 0 IN TXT "{name.split(".")[1]}"'))]


class Everything(dict[str, Callable[[Message, bool], Sequence[bytes]]]):
    """One script for every name."""

    def __init__(self, script: Callable[[Message, bool], Sequence[bytes]]) -> None:
        super().__init__()
        self.script = script

    def get(self, _key: object, _default: object = None) -> Callable[[Message, bool], Sequence[bytes]]:
        return self.script


def test_a_resolver_that_leads_back_is_not_asked(two: Two) -> None:
    first, second = two
    upstreams = upstreams_of(first.port, second.port)
    first.scripts = Everything(leads_back)
    look(upstreams)
    assert [server.leads_back for server in upstreams.servers] == [True, False]
    before = len(first.asked)
    assert asyncio.run(ask(upstreams)) == "93.184.216.35"
    assert len(first.asked) == before

    first.scripts = {}
    look(upstreams)
    assert not upstreams.servers[0].leads_back
    assert asyncio.run(ask(upstreams)) == "93.184.216.34"


def test_when_all_lead_back_nobody_is_asked(two: Two) -> None:
    first, _ = two
    upstreams = upstreams_of(first.port)
    first.scripts = Everything(leads_back)
    look(upstreams)
    with pytest.raises(UpstreamFailed):
        asyncio.run(ask(upstreams))
    assert len(first.asked) == 1


@pytest.mark.parametrize(("rcode", "is_down"), [(dns.rcode.NXDOMAIN, False), (dns.rcode.SERVFAIL, True)])
def test_one_that_was_down_is_back_when_it_can_answer(two: Two, rcode: dns.rcode.Rcode, is_down: bool) -> None:
    first, _ = two
    upstreams = upstreams_of(first.port)
    for _ in range(4):
        upstreams.servers[0].failed(upstreams.clock())
    first.scripts = Everything(lambda query, _udp: [pack(answer(query, rcode=rcode))])
    look(upstreams)
    assert upstreams.servers[0].is_down is is_down


def test_nobody_elses_token_is_taken_for_ours() -> None:
    assert probing.is_ours(f"abc.{TOKEN}.{probing.ZONE}", TOKEN)
    assert not probing.is_ours(f"abc.{'0' * 32}.{probing.ZONE}", TOKEN)
    assert probing.make_token(("127.0.0.1:53",)) == TOKEN != probing.make_token(("127.0.0.2:53",))


def test_a_referral_is_no_answer(two: Two) -> None:
    """Whoever only says whom else to ask is no resolver: the next one is asked, and SERVFAIL is all there is else."""
    first, second = two
    first.scripts["journal.example"] = lambda query, _udp: [
        pack(answer(query, authority=["example. 60 IN NS ns.example."]))
    ]
    assert asyncio.run(ask(upstreams_of(first.port, second.port))) == "93.184.216.35"
    with pytest.raises(UpstreamFailed) as failure:
        asyncio.run(ask(upstreams_of(first.port)))
    assert (failure.value.rcode, failure.value.was_answered) == (wire.SERVFAIL, True)
