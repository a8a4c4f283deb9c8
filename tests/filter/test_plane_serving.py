"""The plane's thread on real sockets: before a handler, in front of a scripted resolver, while policies are swapped."""

import asyncio
import gc
import socket
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.plane.handing import Handed
from filter.settings import NameRule, Verdict
from filter.tally import Tally
from tests.filter.conftest import SCHOOL
from tests.filter.running import errors_of, records_of
from tests.filter.scripted import ScriptedUpstream, answer, free_port, pack
from tests.filter.served import PATIENCE, Client, make_pair, served


def test_blocked_allowed_and_cached(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 300 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                for _ in range(3):
                    blocked = await client.ask("www.jeu.example")
                    assert blocked.rcode() == dns.rcode.NXDOMAIN
                    assert errors_of(blocked) == [(17, "catégorie : Liste jeux")]
                    assert records_of(await client.ask("journal.example")) == ["A 93.184.216.34"]
                assert upstream.asked == [("udp", "journal.example", "A")]
                queries = {"action": "blocked", "rule": "category_deny", "category": "jeux"}
                assert client.measure("filter_queries_total", **queries) == 3
                queries = {"action": "allowed", "rule": "default", "category": ""}
                assert client.measure("filter_queries_total", **queries) == 3
                assert client.measure("filter_cache_lookups_total", outcome="hit") == 2
                assert client.measure("filter_cache_lookups_total", outcome="miss") == 1
                assert client.measure("filter_answer_seconds_count") == 6

    asyncio.run(story())


def test_a_new_policy_holds_from_the_next_batch_and_the_old_one_goes(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 300 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                assert (await client.ask("journal.example")).rcode() == dns.rcode.NOERROR
                gone = weakref.ref(client.udp.teacher.policy.names) if client.udp.teacher.policy else None
                profile = replace(SCHOOL.profiles[0], names=(NameRule("journal.example", Verdict.BLOCK),))
                for serial, profiles in ((2, (profile,)), (3, SCHOOL.profiles)):
                    settings = replace(SCHOOL, profiles=profiles, networks=())
                    after = make_pair(tmp_path / str(serial), settings, serial)
                    client.udp.handler.policy = after.policy
                    client.udp.install(after.policy)
                    rcode = dns.rcode.NXDOMAIN if serial == 2 else dns.rcode.NOERROR
                    for _ in range(3):
                        assert (await client.ask("journal.example")).rcode() == rcode
                gc.collect()
                assert gone is not None
                assert gone() is None  # nothing holds the first pair's map any more
                assert upstream.asked == [("udp", "journal.example", "A")]  # the answer outlived both

    asyncio.run(story())


async def ask_on(client: Client, done: asyncio.Event) -> int:
    """Ask for a blocked name again and again; fail when it is answered otherwise."""
    asked = 0
    while not done.is_set():
        assert (await client.ask("www.jeu.example")).rcode() == dns.rcode.NXDOMAIN
        asked += 1
    return asked


def test_no_query_is_lost_or_let_through_while_policies_are_swapped(tmp_path: Path) -> None:
    async def story() -> None:
        pairs = [make_pair(tmp_path / str(n), serial=n) for n in range(2)]
        async with served(tmp_path / "a", []) as client:
            done = asyncio.Event()
            asking = [asyncio.create_task(ask_on(client, done)) for _ in range(3)]
            for number in range(200):
                client.udp.handler.policy = pairs[number % 2].policy
                client.udp.install(pairs[number % 2].policy)
                await asyncio.sleep(0)
            while client.measure("filter_queries_total", action="blocked", rule="category_deny", category="jeux") < 50:
                await asyncio.sleep(0)
            done.set()
            assert sum(await asyncio.gather(*asking)) >= 50

    asyncio.run(story())


Script = Callable[[Message, bool], Sequence[bytes]]


def wrong_first(query: Message, _over_udp: bool) -> Sequence[bytes]:
    """Another id, another question, no response; then the answer."""
    good = pack(answer(query, "vrai.example. 60 IN A 93.184.216.34"))
    forged = pack(answer(query, "vrai.example. 60 IN A 93.184.216.66"))
    other = dns.message.make_query("autre.example", "A")
    other.id = query.id
    return [
        bytes([forged[0] ^ 1]) + forged[1:], pack(answer(other, "autre.example. 60 IN A 93.184.216.66")),
        forged[:2] + bytes([forged[2] & 0x7F]) + forged[3:], b"", forged[:11], good,
    ]  # fmt: skip


def test_what_does_not_answer_the_question_is_not_believed(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.scripts["vrai.example"] = wrong_first
            async with served(tmp_path / "a", [upstream.port]) as client:
                assert records_of(await client.ask("vrai.example")) == ["A 93.184.216.34"]
                assert upstream.asked_for("vrai.example") == [("udp", "A")]

    asyncio.run(story())


def test_what_may_not_be_kept_is_asked_for_once(tmp_path: Path) -> None:
    """Reviewed by Python, which has it from the plane."""
    chain = ("court.example. 0 IN CNAME x.permis.example.", "x.permis.example. 0 IN A 93.184.216.34")

    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.records["court.example", "A"] = list(chain)
            async with served(tmp_path / "a", [upstream.port]) as client:
                for times in (1, 2):
                    reply = await client.ask("court.example")
                    assert records_of(reply) == ["CNAME x.permis.example.", "A 93.184.216.34"]
                    assert len(upstream.asked_for("court.example")) == times

    asyncio.run(story())


def test_a_lesson_that_fails_costs_nobody_an_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_handed: Handed) -> None:
        raise LookupError("jeu.example")

    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 300 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                client.udp.teacher.learn = fail  # type: ignore[assignment, method-assign]
                for _ in range(3):
                    assert (await client.ask("www.jeu.example")).rcode() == dns.rcode.NXDOMAIN
                    assert records_of(await client.ask("journal.example")) == ["A 93.184.216.34"]

    asyncio.run(story())
    assert [each.getMessage() for each in caplog.records] == ["the plane could not be taught"]
    assert "jeu.example" not in str(vars(caplog.records[0]))


def test_a_resolver_that_is_gone_is_left_to_python_which_knows_another(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 300 IN A 93.184.216.34")
            upstream.add("presse.example. 300 IN A 93.184.216.35")
            async with served(tmp_path / "a", [free_port(), upstream.port]) as client:
                assert records_of(await client.ask("journal.example")) == ["A 93.184.216.34"]
                assert records_of(await client.ask("journal.example")) == ["A 93.184.216.34"]
                assert upstream.asked_for("journal.example") == [("udp", "A")]  # Python's answer serves the plane, too
                assert records_of(await client.ask("presse.example")) == ["A 93.184.216.35"]

    asyncio.run(story())


async def ask_until(client: Client, name: str, holds: Callable[[Message], bool]) -> Message:
    """Ask again and again until a reply is as expected."""
    async with asyncio.timeout(PATIENCE):
        while not holds(reply := await client.ask(name)):
            await asyncio.sleep(0.02)
    return reply


def test_an_old_answer_bridges_an_outage(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 1 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                await client.ask("journal.example")
                await asyncio.to_thread(upstream.close)
                stale = await ask_until(client, "journal.example", lambda reply: bool(errors_of(reply)))
                assert records_of(stale) == ["A 93.184.216.34"]
                assert [code for code, _ in errors_of(stale)] == [3]

    asyncio.run(story())


def test_a_hot_answer_is_fetched_ahead(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 10 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                for _ in range(5):
                    await client.ask("journal.example")
                aged = await ask_until(client, "journal.example", lambda reply: len(upstream.asked) > 1)
                assert aged.answer[0].ttl > 0
                assert client.measure("filter_cache_lookups_total", outcome="prefetch") == 1
                assert client.measure("filter_cache_lookups_total", outcome="miss") == 1

    asyncio.run(story())


def test_equal_questions_at_once_go_out_once(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.add("journal.example. 300 IN A 93.184.216.34")
            async with served(tmp_path / "a", [upstream.port]) as client:
                replies = await asyncio.gather(*(client.ask("journal.example") for _ in range(20)))
                assert {tuple(records_of(reply)) for reply in replies} == {("A 93.184.216.34",)}
                assert len(upstream.asked_for("journal.example")) <= 2  # once more by Python when this machine is slow

    asyncio.run(story())


def nothing(_queries: int) -> None:
    """No room is ever missing."""


def test_names_are_counted_as_in_python(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path / "a", []) as client:
            key = bytes(range(16))
            ours, theirs = Tally(key, nothing), Tally(key, nothing)
            client.udp.count_names(ours)
            client.udp.handler.observe = ours.count
            for _ in range(4):  # the first is Python's, the others the plane's
                await client.ask("www.jeu.example")
                theirs.count("www.jeu.example", 1, "ecole", "127.0.0.1")
            client.udp.drain.take()
            assert list(ours.take(key)) == list(theirs.take(key))

    asyncio.run(story())


def test_a_socket_of_every_address_answers_from_the_one_that_was_asked(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path / "a", [], "0.0.0.0") as client:
            packet = dns.message.make_query("www.jeu.example", "A").to_wire()
            for _ in range(2):  # Python's reply, then the plane's
                reply = dns.message.from_wire(
                    await client.send(packet, "127.0.0.2")
                )  # a connected socket hears no other
                assert reply.rcode() == dns.rcode.NXDOMAIN

    asyncio.run(story())


def test_it_stops_while_queries_come_and_wait(tmp_path: Path) -> None:
    async def story() -> None:
        with ScriptedUpstream() as upstream:
            upstream.scripts["muet.example"] = lambda _query, _over_udp: []
            for number in range(5):
                async with served(tmp_path / str(number), [upstream.port]) as client:
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                        for name in ("muet.example", "www.jeu.example", "localhost") * 20:
                            sock.sendto(dns.message.make_query(name, "A").to_wire(), ("127.0.0.1", client.port))

    asyncio.run(asyncio.wait_for(story(), PATIENCE * 3))


def flood(port: int, times: int) -> tuple[list[Message], int]:
    """What comes back to one who asks so often, all at once, from an address that is not this machine's own name."""
    packet = dns.message.make_query("www.jeu.example", "A").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.2", 0))
        sock.settimeout(0.5)
        sock.connect(("127.0.0.1", port))
        came = []
        for _ in range(times):
            sock.send(packet)
            with suppress(TimeoutError):
                came.append(dns.message.from_wire(sock.recv(4096)))
    return came, times


def test_who_asks_too_often_gets_nothing_or_a_cut_reply(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path / "a", []) as client:
            client.udp.plane.limit(5)  # a burst of ten, then five a second
            came, times = await asyncio.to_thread(flood, client.port, 20)
            cut = [reply for reply in came if reply.flags & dns.flags.TC]
            assert 0 < len(cut) < times - 10
            assert all(not reply.answer and not reply.authority for reply in cut)
            assert len(came) < times
            assert client.measure("filter_dropped_total", reason="rate") == times - len(came)
            assert client.measure("filter_dropped_total", reason="slip") == len(cut)

    asyncio.run(story())
