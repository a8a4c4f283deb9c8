"""What is kept of answers and failures, for how long, and who waits for what."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import dns.message
import dns.rcode
import pytest

from filter.serving import replies, wire
from filter.serving.resolving.cache import HOT_HITS, STALE_SECONDS, Cache, CacheKey, Found, KeptAnswer, find_ttl, keep
from filter.serving.resolving.lookup import FAILURE_SECONDS, LONGEST_FAILURE, Lookup
from filter.serving.resolving.upstream import UpstreamFailed
from filter.serving.wire import ClientQuery, Question, UpstreamAnswer
from tests.filter.asking import Told
from tests.filter.running import errors_of
from tests.filter.scripted import answer, pack, soa_for

TRUTH = "journal.example. 60 IN A 93.184.216.34"
SOA = soa_for("journal.example")


def query_for(name: str = "journal.example", qtype: str = "A") -> ClientQuery:
    return wire.read_query(dns.message.make_query(name, qtype).to_wire())


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
        self.forward = Told(fake)
        self.lookup = Lookup(self.forward, Cache(1 << 20), self.counted.append, clock=lambda: self.now)

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


@pytest.mark.parametrize(("rcode", "told"), [(dns.rcode.NOERROR, 3), (dns.rcode.NXDOMAIN, 19)])
def test_a_stale_answer_says_that_it_is(rcode: dns.rcode.Rcode, told: int) -> None:
    """RFC 8914, 4.4 and 4.20."""
    found = Found(keep(truth(rcode=rcode, authority=[SOA]), dnssec_ok=False), 90, is_stale=True)
    query = wire.read_query(dns.message.make_query("journal.example", "A", use_edns=0).to_wire())
    reply = dns.message.from_wire(replies.forwarded(query, 1232, found))

    assert (reply.rcode(), [code for code, _ in errors_of(reply)]) == (rcode, [told])


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


def test_what_a_resolver_cannot_answer_is_asked_less_and_less() -> None:
    """RFC 9520, 3.2. One that could not be reached is asked again soon: it may be back."""

    def waits(failure: UpstreamFailed) -> list[float]:
        at = LookupAt(Fake(failure))

        async def script() -> list[float]:
            found = []
            for _ in range(6):
                with pytest.raises(UpstreamFailed):
                    await at.find()
                (known,) = at.lookup.failures.values()
                found.append(known.seconds)
                at.now = known.until
            return found

        return asyncio.run(script())

    assert waits(UpstreamFailed(0, "SERVFAIL", was_answered=True)) == [5, 10, 20, 40, LONGEST_FAILURE, LONGEST_FAILURE]
    assert waits(UpstreamFailed(22, "gone")) == [FAILURE_SECONDS] * 6


def test_what_is_asked_for_often_is_fetched_before_it_is_too_old() -> None:
    fake = Fake(truth(TRUTH))
    at = LookupAt(fake)

    async def script() -> None:
        await at.find()
        for _ in range(HOT_HITS):
            await at.find()
        at.now += 50
        await at.find()
        assert fake.asked == 1
        at.now += 4.5
        assert await at.find() == (54, False)  # nobody waits
        await asyncio.gather(*at.forward.tasks)
        assert fake.asked == 2
        assert await at.find() == (0, False)

    asyncio.run(script())
    assert at.counted.count("prefetch") == 1
    assert at.counted.count("miss") == 1


def test_what_is_asked_for_once_in_a_while_is_not() -> None:
    fake = Fake(truth(TRUTH))
    at = LookupAt(fake)

    async def script() -> None:
        await at.find()
        at.now += 59
        await at.find()

    asyncio.run(script())
    assert fake.asked == 1


def test_an_old_answer_comes_at_once_while_nobody_is_known_to_answer() -> None:
    """Its look-up goes on behind it, and serves whoever asks next."""
    gate = asyncio.Event()
    asked = []

    async def slow(_question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        asked.append(1)
        if len(asked) > 1:
            await gate.wait()
        return truth(TRUTH)

    at = LookupAt(slow)
    at.lookup.is_down = lambda name: name == "journal.example"

    async def script() -> None:
        await at.find()
        at.now += 3600
        assert await at.find() == (3600, True)
        gate.set()
        await asyncio.gather(*at.forward.tasks)
        assert await at.find() == (0, False)

    asyncio.run(script())
    assert len(asked) == 2


def test_an_answer_without_signatures_is_better_than_none() -> None:
    """Those who ask with DNSSEC while the upstream fails are given what others were told."""
    fake = Fake(truth(TRUTH), UpstreamFailed(22, "gone"))
    at = LookupAt(fake)
    signed = wire.read_query(dns.message.make_query("journal.example", "A", want_dnssec=True).to_wire())

    async def script() -> None:
        await at.find()
        at.now += 3600
        assert (await at.lookup.find(signed)).is_stale

    asyncio.run(script())
    assert at.counted == ["miss", "stale"]


def test_whoever_waits_hears_that_an_answer_could_not_be_kept() -> None:
    at = LookupAt(Fake(truth(TRUTH)))

    def fail(_key: CacheKey, _data: bytes, _now: float) -> None:
        raise ZeroDivisionError

    async def script() -> None:
        at.lookup.tell = fail
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(*(at.find() for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in outcomes] == [ZeroDivisionError] * 3
        assert at.lookup.in_flight == {}
        assert at.lookup.waiting == 0

    asyncio.run(script())
