"""Every query counts once: in the metrics, by school, by name, whoever answers it and however it comes."""

import random
import socket
import sqlite3
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.flags
import dns.rcode
import pytest
from dns.message import Message

from filter.namecounts import FILE
from filter.plane.choosing import Choice, is_compiled
from tests.filter.bundles import KEY
from tests.filter.conftest import LISTS, compile_pair
from tests.filter.controller import SmallController
from tests.filter.counted import (
    ALLOWED,
    CASES,
    CROWD,
    PUPIL,
    TEACHER,
    UAI,
    WITHOUT_REPLY,
    Case,
    Expected,
    asks,
    read_metrics,
    settings,
)  # fmt: skip
from tests.filter.publishing import filter_options, installed
from tests.filter.running import PATIENCE, RunningFilter, receive
from tests.filter.scripted import ScriptedUpstream, answer, pack

FLOOD = 300


def large(query: Message, over_udp: bool) -> Sequence[bytes]:
    """Cut over UDP, whole over TCP."""
    records = [f"gros.example. 300 IN A 198.51.100.{n}" for n in range(1, 121)]
    whole = answer(query, *records)
    if not over_udp:
        return [pack(whole)]
    whole.answer.clear()
    whole.flags |= dns.flags.TC
    return [pack(whole)]


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.add("journal.example. 300 IN A 198.51.100.1")
        running.add("tcp.example. 300 IN A 198.51.100.2")
        running.add("cible.example. 300 IN A 198.51.100.3")
        running.add("suivi.example. 300 IN CNAME www.tracker.example.", "www.tracker.example. 300 IN A 198.51.100.4")
        running.records["suivi.example", "A"] = running.records.pop(("suivi.example", "CNAME"))
        running.add(*(f"moyen.example. 300 IN A 198.51.100.{n}" for n in range(1, 50)))
        running.scripts["gros.example"] = large
        running.scripts["panne.example"] = lambda query, _udp: [pack(answer(query, rcode=dns.rcode.SERVFAIL))]
        yield running


def numbered(packet: bytes, number: int) -> bytes:
    return struct.pack("!H", number) + packet[2:]


@contextmanager
def udp_client(running: RunningFilter, address: str) -> Iterator[socket.socket]:
    """At the end there is nothing that was not waited for: one reply for each query."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((address, 0))
        client.connect(("127.0.0.1", running.port))
        client.settimeout(PATIENCE)
        yield client
        client.setblocking(False)
        with suppress(BlockingIOError):
            raise AssertionError(f"a second reply: {client.recv(4096)!r}")


def ask_over_udp(running: RunningFilter, address: str, cases: Sequence[Case]) -> None:
    with udp_client(running, address) as client:
        for number, case in enumerate(cases):
            client.send(numbered(case.packet, number))
            if not case.is_silent:
                assert client.recv(4096)[:2] == struct.pack("!H", number), case


def ask_at_once(running: RunningFilter, address: str, case: Case, times: int) -> None:
    with udp_client(running, address) as client:
        for number in range(times):
            client.send(numbered(case.packet, number))
        assert {client.recv(4096)[:2] for _ in range(times)} == {struct.pack("!H", n) for n in range(times)}


def ask_over_tcp(running: RunningFilter, address: str, cases: Sequence[Case]) -> None:
    """All on one connection, without waiting."""
    packets = [numbered(case.packet, number) for number, case in enumerate(cases)]
    with socket.create_connection(("127.0.0.1", running.port), PATIENCE, (address, 0)) as client:
        client.sendall(b"".join(struct.pack("!H", len(each)) + each for each in packets))
        owed = {struct.pack("!H", number) for number, case in enumerate(cases) if not case.is_silent}
        assert {receive(client)[:2] for _ in owed} == owed


def flood(running: RunningFilter, case: Case) -> int:
    """Ask far too often; how many of the queries were answered."""
    with udp_client(running, CROWD) as client:
        for number in range(FLOOD):
            client.send(numbered(case.packet, number))
        wait_until(lambda: sum(read_metrics(running).dropped[each] for each in ("rate", "slip")) > 0)
        replies = dict[bytes, bool]()
        client.settimeout(1.0)
        with suppress(TimeoutError):
            while True:
                reply = client.recv(4096)
                assert reply[:2] not in replies
                replies[reply[:2]] = bool(reply[2] & 2)
    return sum(not is_cut for is_cut in replies.values())


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def work(running: RunningFilter) -> Expected:
    """A little of everything, several times over."""
    expected = Expected(Counter(), Counter(), Counter())
    draw = random.Random(53)
    for turn in range(6):
        for client in (PUPIL, TEACHER):
            cases = draw.sample(CASES, len(CASES))
            (ask_over_tcp if turn % 2 else ask_over_udp)(running, client, cases)
            for case in cases:
                expected.add(case, client, over_tcp=bool(turn % 2))
    together = Case(asks("ensemble.example"), ALLOWED, "ensemble.example", is_looked_up=True)
    ask_at_once(running, PUPIL, together, 30)
    for _ in range(30):
        expected.add(together, PUPIL)
    return expected


def read_reports(controller: SmallController) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """(action, category) -> queries: over all, and of the school; of each hour what was told last."""
    last: dict[tuple[str, ...], int] = {}
    for report in controller.reports:
        for kind in ("counts", "school_counts"):
            lines = report[kind]
            assert isinstance(lines, list)
            for each in lines:
                assert each.get("school", UAI) == UAI
                last[kind, each["hour"], each["action"], each["category"]] = each["queries"]
    totals = {"counts": Counter[tuple[str, str]](), "school_counts": Counter[tuple[str, str]]()}
    for (kind, _, action, category), queries in last.items():
        totals[kind][action, category] += queries
    return totals["counts"], totals["school_counts"]


def read_names(folder: Path) -> Counter[tuple[str, str, str]]:
    with sqlite3.connect(folder / FILE) as store:
        rows = store.execute("SELECT name, qtypes, profile, sum(queries) FROM counts GROUP BY 1, 2, 3")
        return Counter({(name, qtypes, profile): queries for name, qtypes, profile, queries in rows})


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("plane", ["compiled", "python"])
def test_what_was_asked_is_what_is_counted(
    tmp_path: Path, upstream: ScriptedUpstream, plane: str, workers: str
) -> None:
    if plane == Choice.COMPILED and not is_compiled():
        pytest.skip("the plane is not compiled: a C compiler is needed")
    pair = compile_pair((*LISTS, *WITHOUT_REPLY), settings(), tmp_path / "8.preau", serial=8, sign=KEY.sign)
    with SmallController(tmp_path) as controller:
        controller.publish(pair)
        options = filter_options(tmp_path, controller, upstream.address)
        options[options.index("--interval") + 1] = "20000"  # one report at first, and one when it is stopped
        with RunningFilter(*options, "--plane", plane, "--workers", workers, "--rate-limit", "20") as running:
            installed(running, 8)
            expected = work(running)
            wait_until(lambda: read_metrics(running).queries.total() >= expected.queries.total())
            told = read_metrics(running)
            assert told.queries == expected.queries
            assert told.dropped == Counter(no_query=expected.no_queries)
            silent = sum(queries for (action, *_), queries in expected.queries.items() if action == "dropped")
            assert told.replies == expected.queries.total() - silent
            assert sum(told.lookups[each] for each in ("hit", "miss", "stale")) == expected.lookups
            blocked = CASES[0]
            for _ in range(answered := flood(running, blocked)):
                expected.add(blocked, CROWD)
            told = read_metrics(running)
            assert told.dropped["rate"] + told.dropped["slip"] == FLOOD - answered
            assert told.queries == expected.queries
            for ask, address in ((ask_over_udp, TEACHER), (ask_over_tcp, PUPIL)):
                ask(running, address, [blocked] * 30)  # what is answered last before it is stopped counts, too
                for _ in range(30):
                    expected.add(blocked, address)
        totals, by_school = read_reports(controller)
    assert by_school == expected.by_school
    assert read_names(tmp_path / "data") == expected.names
    for (action, _, category), queries in expected.queries.items():
        totals[action, category] -= queries
    assert not +totals
    assert not -totals
