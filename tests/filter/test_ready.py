"""What is remembered answers as the handler would: the same bytes, at every moment, after every change."""

import asyncio
import random
import struct
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from filter.policy import Policy
from filter.serving import ready as ready_module
from filter.serving import replies, wire
from filter.serving.handler import Handler
from filter.serving.ready import ReadyReplies
from filter.serving.resolving.cache import Cache
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import EDE_NETWORK_ERROR, UpstreamFailed
from filter.serving.udp import Later
from filter.serving.wire import Question, UpstreamAnswer
from tests.filter.asking import Told
from tests.filter.differential import CLIENTS, PAGE, Packets, RecordingMetrics
from tests.filter.judging import MONDAY, open_policy
from tests.filter.test_plane import LISTS, NAMES, VARIANTS, settings
from tests.filter.zone import answer_to

CHANGES: tuple[dict[str, object], ...] = ({}, {"lessons": (), "private_names": ()})


class Side:
    """One handler, with the names it counted."""

    def __init__(self, policy: Policy, now: Callable[[], datetime], clock: Callable[[], float]) -> None:
        self.metrics = RecordingMetrics()
        self.lookup = Lookup(Told(self.forward), Cache(8 << 20), self.metrics.count_cache, clock)
        self.handler = Handler(self.lookup, self.metrics, now, PAGE)
        self.handler.policy = policy
        self.handler.observe = self.observe
        self.names: Counter[tuple[str, int, str, str]] = Counter()

    def observe(self, name: str, qtype: int, profile: str, client: str, queries: int = 1) -> None:
        self.names[name, qtype, profile, client] += queries

    async def forward(self, question: Question, dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        if (message := answer_to(question.lowered, question.name, dnssec_ok)) is None:
            raise UpstreamFailed(EDE_NETWORK_ERROR, "nobody there")
        return wire.read_answer(message)

    def counted(self) -> dict[tuple[object, ...], float]:
        """Every total: by class, school, hour and outcome of the cache."""
        totals: dict[tuple[object, ...], float] = {
            (total.hour, total.key): float(total.queries) for total in self.metrics.hourly.news(1 << 30)
        }
        totals |= {(total.hour, total.key): float(total.queries) for total in self.metrics.by_school.news(1 << 30)}
        for metric in (self.metrics.queries, self.metrics.cache_lookups, self.metrics.dropped):
            for family in metric.collect():
                totals |= {
                    (sample.name, *sorted(sample.labels.items())): sample.value
                    for sample in family.samples
                    if not sample.name.endswith("_created")
                }
        return totals


async def given(later: Later) -> bytes | None:
    """What is replied in the end."""
    reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    later(reply.set_result)
    return await reply


class Pair:
    """The same world twice: with a memory, and without."""

    def __init__(self, policy: Policy) -> None:
        self.now, self.clock = MONDAY, 1_000.0
        self.quick = Side(policy, lambda: self.now, lambda: self.clock)
        self.plain = Side(policy, lambda: self.now, lambda: self.clock)
        self.ready = ReadyReplies(self.quick.handler)
        self.remembered = 0

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.clock += seconds

    def install(self, policy: Policy) -> None:
        self.quick.handler.policy = self.plain.handler.policy = policy

    async def compare(self, packet: bytes, client: str = "10.1.0.7") -> bytes | None:
        """The reply, which must be the same with and without a memory."""
        before = len(self.ready.told)
        answer = self.ready.answer(packet, client)
        reply = answer if answer is None or isinstance(answer, bytes) else await given(answer)
        self.remembered += len(self.ready.told) > before
        expected = await self.plain.handler.answer(packet, client, True)
        assert reply == expected, (
            f"{client} {packet.hex()}\nready {reply and reply.hex()}\nplain {expected and expected.hex()}"
        )
        await asyncio.sleep(0)
        return reply

    def check_counts(self) -> None:
        self.ready.drain()
        assert self.quick.counted() == self.plain.counted()
        assert self.quick.names == self.plain.names


def query(name: str, qtype: int = 1, *, flags: int = 0x0100, opt: bytes = b"") -> bytes:
    packed = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    return (
        struct.pack("!HHHHHH", random.randrange(1 << 16), flags, 1, 0, 0, 1 if opt else 0)
        + packed
        + struct.pack("!HH", qtype, 1)
        + opt
    )


def opt(size: int = 1232, *, dnssec_ok: bool = False) -> bytes:
    return struct.pack("!BHHIH", 0, 41, size, 0x8000 if dnssec_ok else 0, 0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(1))
def test_the_same_bytes_and_counts(tmp_path: Path, variant: str, seed: int) -> None:
    """Time goes on, jumps, goes back; policies are swapped: nothing shows but speed."""
    policies = []
    for number, changes in enumerate(CHANGES):
        (folder := tmp_path / str(number)).mkdir()
        policies.append(open_policy(folder, VARIANTS[variant], settings(**changes)))
    pair, packets = Pair(policies[0]), Packets(seed, NAMES)
    packets.recent = deque(maxlen=8)
    draw = packets.random

    async def run() -> None:
        for _ in range(2_500):
            if draw.random() < 0.01:
                pair.wait(draw.choice((0.25, 0.25, 1, 1, 7, 61, 400)))
            if draw.random() < 0.001:
                pair.now = MONDAY + timedelta(seconds=draw.randrange(9_000))
            if draw.random() < 0.001:
                pair.install(draw.choice(policies))
            await pair.compare(packets.make(), draw.choice(CLIENTS[:3]))

    asyncio.run(run())
    assert pair.remembered > 100
    pair.check_counts()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(open_policy(tmp_path, LISTS, settings()))


def ask(pair: Pair, packet: bytes, client: str = "10.1.0.7", times: int = 3) -> bytes | None:
    async def run() -> bytes | None:
        for _ in range(times):
            reply = await pair.compare(packet, client)
        return reply

    return asyncio.run(run())


def test_what_is_asked_twice_is_remembered(pair: Pair) -> None:
    ask(pair, query("bloque.example"), times=2)
    assert pair.remembered == 0
    ask(pair, query("bloque.example"))
    assert pair.remembered == 3


def test_what_lists_alone_say_holds_for_every_name_below(pair: Pair) -> None:
    """But not for a name of which a person, a rewrite or another set of entries speaks."""
    ask(pair, query("n1.jeu.example"), times=1)
    for number in range(20):
        ask(pair, query(f"{'x' * number}n.Jeu.example"), times=1)
    assert pair.remembered == 20
    for name in (
        "excepte.jeu.example",
        "en.deux.example",
        "x.education.example",
        "jeu.example",
        f"{'y' * 63}.{'y' * 63}.jeu.example",
    ):
        ask(pair, query(name), times=1)
    assert pair.remembered == 20
    pair.check_counts()


def test_capitals_edns_and_flags_come_back_as_they_were_sent(pair: Pair) -> None:
    for name in ("jeu.example", "JEU.example", "Libre.Example.org"):
        for extra in (b"", opt(), opt(512), opt(dnssec_ok=True)):
            for flags in (0x0100, 0x0000, 0x0110, 0x0120):
                reply = ask(pair, query(name, flags=flags, opt=extra))
                assert reply is not None
                assert reply[12:].startswith(query(name)[12:])


def test_an_override_starts_and_ends_in_its_second(pair: Pair) -> None:
    """« libre.example » is blocked from half past nine to eleven."""
    replies = []
    for seconds in (1_799.5, 0.5, 5_399.5, 0.5):
        pair.wait(seconds)
        replies.append(ask(pair, query("libre.example")))
    before, during, last, after = [reply and reply[2:] for reply in replies]
    assert during == last
    assert during not in (before, after)
    pair.check_counts()


def test_a_lesson_starts_and_ends_in_its_second(pair: Pair) -> None:
    room = "10.3.0.1"
    outcomes = []
    for seconds in (1_199.5, 0.5, 2_399.5, 0.5):
        pair.wait(seconds)
        ask(pair, query("education.example"), room)
        outcomes.append(
            bool(
                pair.quick.metrics.registry.get_sample_value(
                    "filter_queries_total", {"action": "blocked", "rule": "lesson", "category": ""}
                )
            )
        )
    assert outcomes == [False, True, True, True]
    pair.check_counts()


def test_a_swap_holds_from_the_next_query_on(pair: Pair, tmp_path: Path) -> None:
    for name in ("jeu.example", "libre.example"):
        ask(pair, query(name))
    (folder := tmp_path / "later").mkdir()
    pair.install(open_policy(folder, LISTS[1:], settings()))
    for name in ("jeu.example", "libre.example"):
        ask(pair, query(name))
    pair.check_counts()


def test_a_client_that_moves_gets_the_other_profile(pair: Pair) -> None:
    page, zero = ask(pair, query("jeu.example"), "10.1.0.7"), ask(pair, query("jeu.example"), "10.2.0.9")
    assert page is not None
    assert zero is not None
    assert page[12:] != zero[12:]


def test_ttls_fall_each_second_and_the_answer_is_fetched_again(pair: Pair) -> None:
    names = [f"n{number}.libre.example" for number in range(24)]
    for _ in range(70):
        for name in names:
            ask(pair, query(name), times=2)
        pair.wait(1)
    pair.check_counts()


def test_a_ttl_above_what_devices_are_told_falls_from_the_second_it_is_below(pair: Pair) -> None:
    """Until then the reply reads the same, and is not written anew."""

    async def forward(question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        address = struct.pack("!HHHIH", 0xC00C, 1, 1, replies.LONGEST_TOLD + 5, 4) + bytes([192, 0, 2, 1])
        return wire.read_answer(struct.pack("!6H", 7, 0x8180, 1, 1, 0, 0) + question.lowered + address)

    for side in (pair.quick, pair.plain):
        side.lookup.forward = Told(forward)
    for _ in range(10):
        ask(pair, query("libre.example"))
        pair.wait(1)
    assert pair.remembered > 20


def test_the_memory_is_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MOST_READY", "MOST_SEEN", "MOST_CLIENTS"):
        monkeypatch.setattr(ready_module, limit, 50)
    for number in range(400):
        ask(pair, query(f"n{number}.libre.example"), f"10.1.{number % 200}.1")
    memory = pair.ready
    assert max(map(len, (memory.young, memory.old, memory.seen, memory.pages, memory.marks))) <= 50
    ask(pair, query("libre.example", opt=opt() + bytes(400)))
    pair.check_counts()
