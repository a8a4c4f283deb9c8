"""The plane and the handler side by side: the same packets at the same moments, the same bytes or Python's turn."""

import asyncio
import random
import secrets
import struct
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address

from filter.metrics import Metrics
from filter.plane.handing import Handed, Reason, flags_of, steady
from filter.plane.teacher import Teacher
from filter.policy import Policy
from filter.serving import wire
from filter.serving.handler import Handler
from filter.serving.resolving.cache import Cache, CacheKey
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import EDE_NETWORK_ERROR, UpstreamFailed
from filter.serving.wire import Question, UpstreamAnswer
from tests.filter.asking import Told
from tests.filter.planes import Plane
from tests.filter.zone import answer_to

PAGE = (ip_address("192.0.2.80"), ip_address("2001:db8::80"))
TYPES = (*(1, 28, 65) * 6, 64, 5, 16, 15, 6, 2, 255, 39, 46, 41, 251, 252, 0, 65535)
CLIENTS = (
    "10.1.0.7",
    "10.2.0.9",
    "10.3.3.3",
    "10.4.9.1",
    "198.51.100.9",
    "2001:db8:7::5",
    "::ffff:10.2.0.1",
    "fd00::1",
)


@dataclass
class Seen:
    """What became of the packets."""

    became: Counter[Reason] = field(default_factory=Counter)
    counted: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    """By class, in the handler, for packets that the plane answered."""
    named: Counter[tuple[str, str, str]] = field(default_factory=Counter)


class RecordingMetrics(Metrics):
    """Tells what a packet counted as."""

    def __init__(self) -> None:
        super().__init__()
        self.last: list[tuple[str, str, str, str]] = []

    def count(self, now: datetime, action: str, rule: str, category: str | None, school: str = "") -> None:
        self.last.append((str(action), rule, category or "", school))
        super().count(now, action, rule, category, school)


class World:
    """One policy, one upstream, one clock; a handler and a plane that judge by them."""

    def __init__(self, policy: Policy, now: datetime, zones: Sequence[str] = ()) -> None:
        self.now = now
        self.clock = 1_000.0
        self.metrics = RecordingMetrics()
        lookup = Lookup(Told(self.forward), Cache(64 << 20), self.metrics.count_cache, lambda: self.clock)
        self.handler = Handler(lookup, self.metrics, lambda: self.now, PAGE)
        self.handler.loop_token = "f" * 32
        self.handler.policy = policy
        self.handler.observe = lambda name, qtype, profile, _client, _queries=1: self.observed.append(
            (name, qtype, profile)
        )
        self.observed: list[tuple[str, int, str]] = []
        self.plane = Plane(64 << 20, secrets.token_bytes(16))
        self.plane.count_names(bytes(16))
        self.teacher = Teacher(self.plane, self.handler, zones)
        self.teacher.install(policy)
        lookup.tell = self.tell
        self.seen = Seen()

    async def forward(self, question: Question, dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        message = answer_to(question.lowered, question.name, dnssec_ok)
        if message is None:
            raise UpstreamFailed(EDE_NETWORK_ERROR, "nobody there")
        return wire.read_answer(message)

    def tell(self, key: CacheKey, answer: bytes, now: float) -> None:
        self.plane.teach_answer(answer, flags_of(key), steady(now))

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.clock += seconds

    async def compare(self, packet: bytes, client: str) -> None:
        """Ask both; fail unless the plane leaves it to Python or says the same."""
        wall = round(self.now.timestamp() * 1_000_000)
        became, reply, message, stored = self.plane.answer(packet, client, wall, steady(self.clock))
        reason = Reason(became)
        self.seen.became[reason] += 1
        handed = Handed(packet, client, reason, message, stored)
        if reason not in (Reason.ANSWERED, Reason.DROPPED):
            self.teacher.learn(handed)
        self.metrics.last.clear()
        self.observed.clear()
        expected = await self.handler.answer(packet, client, True)
        await asyncio.sleep(0)
        if reason is Reason.ANSWERED:
            assert reply == expected, describe(packet, client, reply, expected)
        elif reason is Reason.DROPPED:
            assert expected is None, describe(packet, client, b"", expected)
        else:
            self.teacher.teach_rewritten(handed)
            return
        self.seen.counted.update(self.metrics.last)
        self.seen.named.update((name, str(qtype), profile) for name, qtype, profile in self.observed)

    def check_counts(self) -> None:
        """Fail unless the plane counted what the handler did for the same packets."""
        counted: Counter[tuple[str, str, str, str]] = Counter()
        for _, number, queries in self.plane.take_counts()["classes"]:
            counted[self.teacher.classes.keys[number]] += queries
        assert counted == self.seen.counted
        names = self.plane.take_names()
        assert sum(queries for _, _, _, queries, _ in names) == self.seen.named.total()
        told = {(name, self.teacher.slugs[slug]) for name, _, slug, _, _ in names}
        assert told == {(name, profile) for name, _, profile in self.seen.named}


def describe(packet: bytes, client: str, reply: bytes, expected: bytes | None) -> str:
    return f"{client} {packet.hex()}\nplane  {reply.hex()}\npython {expected and expected.hex()}"


def pack_name(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


class Packets:
    """Random queries about known names, some of them damaged."""

    def __init__(self, seed: int, names: Sequence[str]) -> None:
        self.random = random.Random(seed)
        self.names = tuple(names)
        self.recent: deque[bytes] = deque(maxlen=60)

    def make(self) -> bytes:
        packet = self.again() if self.recent and self.random.random() < 0.75 else self.query()
        return self.damage(packet) if self.random.random() < 0.1 else packet

    def again(self) -> bytes:
        """A query of late, from somebody else."""
        packet = self.random.choice(self.recent)
        return struct.pack("!H", self.random.randrange(1 << 16)) + packet[2:]

    def query(self) -> bytes:
        draw = self.random
        flags = draw.choices((0x0100, draw.getrandbits(16) & 0x07FF, draw.getrandbits(16)), (85, 13, 2))[0]
        qclass = 1 if draw.random() < 0.98 else draw.choice((3, 255, 0))
        question = pack_name(self.name()) + struct.pack("!HH", draw.choice(TYPES), qclass)
        opt = self.opt()
        packet = struct.pack("!HHHHHH", draw.randrange(1 << 16), flags, 1, 0, 0, 1 if opt else 0) + question + opt
        self.recent.append(packet)
        return packet

    def name(self) -> str:
        draw = self.random
        name = draw.choice(self.names)
        if draw.random() < 0.3:
            name = f"{draw.choice(('www', 'a.b', '_x', 'M', 'x' * 63))}.{name}"
        if draw.random() < 0.3:
            name = "".join(draw.choice((c.upper(), c)) for c in name)
        return name

    def opt(self) -> bytes:
        draw = self.random
        if draw.random() < 0.4:
            return b""
        size = draw.choice((0, 512, 600, 1232, 4096, 65535))
        version = 0 if draw.random() < 0.97 else 1
        options = b"" if draw.random() < 0.96 else bytes.fromhex("000a00080102030405060708")
        return struct.pack("!BHHBBHH", 0, 41, size, 0, version, draw.choice((0, 0, 0, 0x8000)), len(options)) + options

    def damage(self, packet: bytes) -> bytes:
        draw = self.random
        damaged = bytearray(packet)
        for _ in range(draw.choice((1, 1, 2, 5))):
            at = draw.randrange(len(damaged))
            match draw.randrange(5):
                case 0:
                    damaged[at] ^= 1 << draw.randrange(8)
                case 1:
                    damaged[at] = draw.randrange(256)
                case 2:
                    del damaged[at:]
                case 3:
                    damaged[at:at] = draw.randbytes(draw.randrange(1, 8))
                case _:
                    damaged += draw.randbytes(draw.randrange(1, 12))
            if not damaged:
                break
        return bytes(damaged)


async def run(world: World, packets: Packets, count: int) -> None:
    """So many packets, while time goes on, now and then by much; and sometimes it is set anew."""
    began = world.now
    draw = packets.random
    for _ in range(count):
        if draw.random() < 0.02:
            world.wait(draw.choice((0.25, 0.25, 1, 1, 7, 7, 61, 400)))
        if draw.random() < 0.002:
            world.now = began + timedelta(seconds=draw.randrange(9_000))
        await world.compare(packets.make(), draw.choice(CLIENTS))
    world.check_counts()
