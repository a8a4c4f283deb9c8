"""A serving process whose first resolver is dead, slow, lying or comes and goes, and whose second is well: every answer
is right, none is lost, and blocked names stay blocked. By the compiled plane and by Python, over UDP, TCP, DoT and DoH.
"""

import json
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from dns.message import Message

from filter.resolvers import Resolver, Transport
from tests.certificates import Authority
from tests.filter import load
from tests.filter.load import Figures
from tests.filter.lying import (
    PLANES,
    Everywhere,
    always_truncated,
    counts_without_records,
    cut_short,
    dawdling,
    failing,
    flapping,
    garbage,
    header_only,
    huge,
    lie,
    other_id,
    other_question,
    other_type,
    query_back,
    referral,
    silence,
    tiny,
    told,
    truncated_then,
    truth,
)
from tests.filter.running import RunningFilter
from tests.filter.scripted import Script, ScriptedUpstream, free_port
from tests.filter.secure import SecureUpstream, WebUpstream

LIES = (
    silence, other_id, other_question, other_type, cut_short, always_truncated, garbage, tiny, query_back, header_only,
    counts_without_records, huge, failing, referral,
)  # fmt: skip
NAME = "resolveur.example"
COUNT = 300
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("ca"))


def check(served: RunningFilter, what: str, record: Record) -> Figures:
    """Ask; fail unless everything was answered, and rightly. The figures are told in the report, and with ``-s``."""
    figures = load.run(served.port, what.replace("_", "-"), COUNT)
    figures.memory = load.memory_of(served.process.pid)
    record(what, str(figures))
    sys.stderr.write(f"{what}: {figures}\n")
    assert (figures.unfiltered, figures.wrong, figures.lost) == (0, 0, 0), str(figures)
    assert figures.right == figures.sent, str(figures)
    return figures


@pytest.fixture
def ask(bundle_file: Path, good: ScriptedUpstream, record_property: Record) -> Callable[..., Figures]:
    """Serve with this resolver first and the good one second, and ask."""

    def serve(first: str, what: str, *options: str) -> Figures:
        options = ("--bundle", str(bundle_file), "--upstream", first, "--upstream", good.address, *options)
        with RunningFilter(*options) as served:
            return check(served, what, record_property)

    return serve


Ask = Callable[..., Figures]


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("script", LIES, ids=told)
def test_over_udp(ask: Ask, bad: ScriptedUpstream, script: Script, plane: str) -> None:
    bad.scripts = Everywhere(script)
    ask(bad.address, f"udp-{plane}-{told(script)}", "--plane", plane)
    assert bad.asked


@pytest.mark.parametrize("plane", PLANES)
def test_an_answer_from_another_port_is_never_heard(ask: Ask, bad: ScriptedUpstream, plane: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:

        def script(query: Message, _over_udp: bool) -> Sequence[bytes]:
            stranger.sendto(lie(query), bad.client)
            return []

        bad.scripts = Everywhere(script)
        ask(bad.address, f"udp-{plane}-other_port", "--plane", plane)


@pytest.mark.parametrize("plane", PLANES)
def test_a_guesser_comes_first_and_the_answer_after_it(
    bundle_file: Path, bad: ScriptedUpstream, record_property: Record, plane: str
) -> None:
    """Wrong ids and questions, from the right port, before the truth: they are waited out, and count for nothing."""

    def script(query: Message, over_udp: bool) -> Sequence[bytes]:
        return [*other_id(query, over_udp), *other_question(query, over_udp), *query_back(query, over_udp),
                *tiny(query, over_udp), *truth(query, over_udp)]  # fmt: skip

    bad.scripts = Everywhere(script)
    with RunningFilter("--bundle", str(bundle_file), "--upstream", bad.address, "--plane", plane) as served:
        check(served, f"udp-{plane}-guesser", record_property)


@pytest.mark.parametrize("plane", PLANES)
def test_nobody_listens_there(ask: Ask, plane: str) -> None:
    ask(f"127.0.0.1:{free_port()}", f"udp-{plane}-dead", "--plane", plane)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize(("how", "script"), [("flapping", flapping()), ("slow", dawdling(0.15))])
def test_one_that_comes_and_goes_or_is_slow(
    ask: Ask, bad: ScriptedUpstream, how: str, script: Script, plane: str
) -> None:
    bad.scripts = Everywhere(script)
    ask(bad.address, f"udp-{plane}-{how}", "--plane", plane)


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("script", [silence, other_id, other_question, cut_short, garbage, query_back, huge], ids=told)
def test_over_tcp_after_a_cut_answer(ask: Ask, bad: ScriptedUpstream, script: Script, plane: str) -> None:
    bad.scripts = Everywhere(truncated_then(script))
    ask(bad.address, f"tcp-{plane}-{told(script)}", "--plane", plane)
    assert "tcp" in {transport for transport, _, _ in bad.asked}


@pytest.fixture
def zone() -> ScriptedUpstream:
    """What an encrypted resolver says; nobody listens there."""
    known = ScriptedUpstream()
    known.udp.close()
    known.tcp.close()
    return known


@pytest.mark.parametrize("plane", PLANES)
def test_each_resolver_is_measured_and_told_by_itself(
    bundle_file: Path, good: ScriptedUpstream, bad: ScriptedUpstream, plane: str
) -> None:
    bad.scripts = Everywhere(silence)
    options = ("--upstream", bad.address, "--upstream", good.address, "--plane", plane)
    with RunningFilter("--bundle", str(bundle_file), *options) as served:
        load.run(served.port, "mesure", 60)
        for address, outcome in ((bad.address, "failed"), (good.address, "answered")):
            wait_until(served, f'filter_upstream_seconds_count{{outcome="{outcome}",upstream="{address}"}}')
        told = json.loads(read(served, "health/ready"))["upstreams"]
    assert [each["address"] for each in told] == [bad.address, good.address]
    assert told[0]["failures"] > told[1]["failures"] == 0
    assert told[0]["milliseconds"] is None
    assert told[1]["milliseconds"] > 0


def read(served: RunningFilter, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.metrics}/{path}") as response:
        text: str = response.read().decode()
        return text


def wait_until(served: RunningFilter, series: str) -> None:
    """Until there is such a measure: a try is over after two seconds."""
    deadline = time.monotonic() + 20
    while series not in read(served, "metrics"):
        assert time.monotonic() < deadline, series
        time.sleep(0.1)


KINDS = [(SecureUpstream, Transport.TLS), (WebUpstream, Transport.HTTPS)]
ENCRYPTED_LIES = [silence, other_question, other_type, cut_short, always_truncated, garbage, tiny, query_back,
                  header_only, counts_without_records, huge, failing, flapping()]  # fmt: skip


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize(("make", "transport"), KINDS, ids=["dot", "doh"])
def test_over_tls(
    ask: Ask, zone: ScriptedUpstream, authority: Authority, make: type[SecureUpstream], transport: Transport, plane: str
) -> None:
    """One lie after the other on one encrypted resolver: what it says changes as it goes."""
    turn = [0]

    def script(query: Message, over_udp: bool) -> Sequence[bytes]:
        turn[0] += 1
        return ENCRYPTED_LIES[turn[0] % len(ENCRYPTED_LIES)](query, over_udp)

    zone.scripts = Everywhere(script)
    with make(authority.issue(NAME, "127.0.0.1"), zone) as running:
        path = "/dns-query" if transport is Transport.HTTPS else ""
        resolver = Resolver("127.0.0.1", running.port, transport, NAME, path)
        ask(str(resolver), f"{transport}-{plane}", "--plane", plane, "--upstream-ca", str(authority.certificate))
        assert running.received


@pytest.mark.parametrize("transport", [Transport.TLS, Transport.HTTPS])
def test_an_encrypted_one_that_is_gone(ask: Ask, authority: Authority, transport: Transport) -> None:
    path = "/dns-query" if transport is Transport.HTTPS else ""
    resolver = Resolver("127.0.0.1", free_port(), transport, NAME, path)
    ask(str(resolver), f"{transport}-dead", "--upstream-ca", str(authority.certificate))
