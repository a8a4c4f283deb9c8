"""Whatever an upstream sends: what the plane makes of it by itself is, to the byte, what Python makes of it."""

import asyncio
import random
import struct
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from filter.plane.handing import Reason, flags_of, steady
from filter.policy import Policy
from filter.serving import wire
from filter.serving.resolving.asked import is_answer
from filter.serving.resolving.cache import CacheKey, keep
from filter.serving.resolving.upstream import EDE_NETWORK_ERROR, UpstreamFailed, is_referral
from filter.serving.wire import Question, UpstreamAnswer, WireError
from tests.filter.differential import World, pack_name
from tests.filter.judging import MONDAY, open_policy
from tests.filter.messages import message_for
from tests.filter.test_plane import LISTS, settings

TYPES = (1, 1, 1, 28, 28, 65, 5, 16, 15, 6, 39, 33, 12)
CRASHED = {"action": "failed", "rule": "error", "category": ""}
CLIENTS = ("10.1.0.7", "10.2.0.9", "198.51.100.9", "192.0.2.1")


class Flooded(World):
    """Whose plane is given each message as it came, as if it had asked itself; Python reads the same one."""

    def __init__(self, policy: Policy, now: datetime, seed: int) -> None:
        super().__init__(policy, now)
        self.seed = seed
        self.taken = self.refused = 0

    async def forward(self, question: Question, dnssec_ok: bool, checking_disabled: bool) -> UpstreamAnswer:
        draw = random.Random(f"{self.seed} {question.lowered.hex()} {dnssec_ok} {checking_disabled}")
        message = message_for(question.lowered, draw)
        key = CacheKey(question.lowered, dnssec_ok, checking_disabled)
        if is_answer(message, 0, question.lowered):  # the plane's own check, when it asks
            self.taken += self.plane.teach_answer(message, flags_of(key), steady(self.clock))
        try:
            answer = read_as_answer(message, question)
            keep(answer, dnssec_ok)
        except (WireError, UpstreamFailed) as error:
            self.refused += 1
            raise UpstreamFailed(EDE_NETWORK_ERROR, "unusable") from error
        return answer

    def tell(self, _key: CacheKey, _answer: bytes, _now: float) -> None:
        """The plane knows: it was there."""


def read_as_answer(message: bytes, question: Question) -> UpstreamAnswer:
    """As filter.serving.resolving.upstream does; raise WireError or UpstreamFailed."""
    if not is_answer(message, 0, question.lowered):
        raise WireError("another question")
    answer = wire.read_answer(message)
    if answer.truncated or is_referral(answer) or answer.rcode not in {wire.NOERROR, wire.NXDOMAIN}:
        raise UpstreamFailed(EDE_NETWORK_ERROR, "no answer")
    return answer


def query(draw: random.Random, name: str) -> bytes:
    flags = 0x0100 | draw.choice((0, 0, 0x0020, 0x0010))
    opt = b"" if draw.random() < 0.4 else struct.pack("!BHHIH", 0, 41, 1232, draw.choice((0, 0x8000)), 0)
    head = struct.pack("!6H", draw.randrange(1 << 16), flags, 1, 0, 0, 1 if opt else 0)
    return head + pack_name(name) + struct.pack("!HH", draw.choice(TYPES), 1) + opt


async def flood(world: Flooded, seed: int, names: Sequence[str]) -> None:
    draw = random.Random(seed)
    for name in names:
        packet, client = query(draw, name), draw.choice(CLIENTS)
        for _ in range(3):  # unknown, taught, and answered by the plane if it dares
            await world.compare(packet, client)
        world.wait(draw.choice((0, 0, 0, 1, 1, 7)))
        await world.compare(packet, draw.choice(CLIENTS))


def check(world: Flooded, seed: int, count: int) -> None:
    asyncio.run(flood(world, seed, [f"n{number}.libre{number % 7}.example" for number in range(count)]))
    assert world.handler.metrics.registry.get_sample_value("filter_queries_total", CRASHED) is None
    assert world.taken > count // 5
    assert world.refused > count // 10
    assert world.seen.became[Reason.ANSWERED] > count // 4


@pytest.mark.parametrize("seed", range(4))
def test_both_make_the_same_of_it(tmp_path: Path, seed: int) -> None:
    check(Flooded(open_policy(tmp_path, LISTS, settings()), MONDAY, seed), seed, 1_500)


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_many_more(tmp_path: Path) -> None:
    for seed in range(100, 108):
        check(Flooded(open_policy(tmp_path, LISTS, settings()), MONDAY, seed), seed, 20_000)
