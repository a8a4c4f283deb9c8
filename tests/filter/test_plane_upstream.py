"""How the plane asks its resolvers: ports that do not last, guesses that are counted, failures that erase nothing."""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import dns.rcode
from dns.message import Message

from tests.filter.running import RunningFilter, errors_of, records_of
from tests.filter.scripted import ScriptedUpstream, answer, pack
from tests.filter.served import PATIENCE, Client, served

GUESSES = 16
"""Of one port, as upstream.h has it."""


class Watched(ScriptedUpstream):
    """Notes who asked."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: list[int] = []

    def respond(self, data: bytes, over_udp: bool) -> Sequence[bytes]:
        if over_udp:
            self.ports.append(self.client[1])
        return super().respond(data, over_udp)


async def ask_many(client: Client, first: int, count: int) -> None:
    for number in range(first, first + count):
        await client.ask(f"n{number}.example")


def test_questions_leave_by_many_ports(tmp_path: Path) -> None:
    async def story() -> None:
        with Watched() as upstream:
            async with served(tmp_path / "a", [upstream.port]) as client:
                await ask_many(client, 0, 600)
                assert len(set(upstream.ports)) > 100

    asyncio.run(story())


def test_a_port_lasts_seconds(tmp_path: Path) -> None:
    """A forger who found one has it for no longer."""

    async def story() -> None:
        with Watched() as upstream:
            async with served(tmp_path / "a", [upstream.port]) as client:
                await ask_many(client, 0, 300)
                before = set(upstream.ports)
                upstream.ports.clear()
                for number in range(int(PATIENCE)):  # until all that were open are too old
                    await asyncio.sleep(0.5)
                    await ask_many(client, 1_000 + 20 * number, 20)
                    if not before & set(upstream.ports[-20:]) and number >= 6:
                        break
                assert not before & set(upstream.ports[-20:])

    asyncio.run(story())


def test_idle_ports_are_closed(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            async with served(tmp_path / "a", [upstream.port]) as client:
                before = len(os.listdir("/proc/self/fd"))
                await ask_many(client, 0, 100)
                assert len(os.listdir("/proc/self/fd")) > before + 50
                async with asyncio.timeout(PATIENCE):
                    while len(os.listdir("/proc/self/fd")) > before + 5:
                        await asyncio.sleep(0.1)

    asyncio.run(story())


def test_guesses_end_a_port(tmp_path: Path) -> None:
    """The question goes to Python then, and from another port."""

    def guess(query: Message, _over_udp: bool) -> Sequence[bytes]:
        right = pack(answer(query, "vrai.example. 60 IN A 93.184.216.34"))
        forged = pack(answer(query, "vrai.example. 60 IN A 93.184.216.66"))
        guesses = [bytes([forged[0], forged[1] ^ number]) + forged[2:] for number in range(1, GUESSES + 1)]
        return [right] if len(upstream.asked_for("vrai.example")) > 1 else [*guesses, right]

    async def story() -> None:
        async with served(tmp_path / "a", [upstream.port]) as client:
            assert records_of(await client.ask("vrai.example")) == ["A 93.184.216.34"]
            assert upstream.asked_for("vrai.example") == [("udp", "A")] * 2
            assert len(set(upstream.ports)) == 2
            assert client.udp.plane.take_counts()["misses"] == 0  # nothing was believed there

    with Watched() as upstream:
        upstream.scripts["vrai.example"] = guess
        asyncio.run(story())


def test_a_failure_told_in_words_leaves_the_old_answer(tmp_path: Path) -> None:
    """RFC 8767 4: SERVFAIL is no answer."""

    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 1 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                await client.ask("autre.example")  # what holds is taught: the next one the plane asks itself
                await client.ask("journal.example")
                upstream.scripts["journal.example"] = lambda query, _: [pack(answer(query, rcode=dns.rcode.SERVFAIL))]
                async with asyncio.timeout(PATIENCE):
                    while not errors_of(reply := await client.ask("journal.example")):
                        await asyncio.sleep(0.05)
                assert reply.rcode() == dns.rcode.NOERROR
                assert records_of(reply) == ["A 93.184.216.34"]
                assert [code for code, _ in errors_of(reply)] == [3]

    asyncio.run(story())


def test_more_resolvers_than_the_plane_can_ask(bundle_file: Path) -> None:
    """Python asks them; the filter starts all the same."""
    with ScriptedUpstream() as upstream:
        upstream.add("journal.example. 300 IN A 93.184.216.34")
        many = [option for _ in range(9) for option in ("--upstream", upstream.address)]
        with RunningFilter("--bundle", str(bundle_file), *many, "--plane", "compiled") as running:
            assert records_of(running.ask("journal.example")) == ["A 93.184.216.34"]
