"""A real filter process and a real resolver behind it, asked by kdig and by dnspython."""

import random
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from dns.message import Message

from filter.settings import NetworkSettings, PolicySettings, ProfileSettings, category_rules
from tests.filter.conftest import LISTS, SCHOOL, compile_pair
from tests.filter.running import PATIENCE, RunningFilter, errors_of, receive, records_of
from tests.filter.scripted import ScriptedUpstream, answer, pack, rrset, soa_for
from tests.requirements import needs


@pytest.fixture(scope="module", params=["auto", "python"])
def way(request: pytest.FixtureRequest) -> str:
    """Over UDP: the compiled plane where there is one, or Python."""
    return str(request.param)


@pytest.fixture(scope="module")
def upstream(way: str) -> Iterator[ScriptedUpstream]:
    """A new one for each way."""
    with ScriptedUpstream() as scripted:
        scripted.add("journal.example. 300 IN A 93.184.216.34")
        scripted.add("WWW.Journal.example. 300 IN A 93.184.216.34", "www.journal.example. 200 IN A 93.184.216.35")
        yield scripted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pair(LISTS, SCHOOL, tmp_path_factory.mktemp("serving") / "ecole.preau", serial=7)


@pytest.fixture(scope="module")
def served(upstream: ScriptedUpstream, bundle: Path, way: str) -> Iterator[RunningFilter]:
    with RunningFilter("--bundle", str(bundle), "--upstream", upstream.address, "--plane", way) as running:
        yield running


def kdig(served: RunningFilter, *arguments: str) -> str:
    done = subprocess.run(
        ["kdig", "@127.0.0.1", "-p", str(served.port), "+timeout=5", "+retry=0", *arguments],
        capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs("kdig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_kdig_sees_a_blocked_name_and_why(served: RunningFilter, transport: str) -> None:
    told = kdig(served, transport, "+edns", "www.jeu.example", "A")

    assert "status: NXDOMAIN" in told
    assert "EDE: 17 (Filtered): 'catégorie : Liste jeux'" in told
    assert re.search(r"www\.jeu\.example\.\s+10\s+IN\s+SOA", told)
    assert " aa " not in told


@needs("kdig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_kdig_sees_an_allowed_name(served: RunningFilter, transport: str) -> None:
    told = kdig(served, transport, "journal.example", "A")

    assert "status: NOERROR" in told
    assert "93.184.216.34" in told


@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS", "SVCB", "MX", "TXT", "CNAME"])
def test_every_type_of_a_blocked_name_is_blocked(served: RunningFilter, upstream: ScriptedUpstream, qtype: str) -> None:
    reply = served.ask("www.jeu.example", qtype)

    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert errors_of(reply) == [(17, "catégorie : Liste jeux")]
    assert reply.authority[0].ttl == 10
    assert not reply.flags & dns.flags.AA
    assert upstream.asked_for("www.jeu.example") == []


def test_without_edns_no_option_is_sent(served: RunningFilter) -> None:
    reply = served.ask("www.jeu.example", edns=False)

    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert reply.edns == -1


def test_an_allowed_answer_is_cached_and_its_ttl_ages(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    upstream.add("vieux.example. 300 IN A 93.184.216.34")

    first = served.ask("vieux.example")
    deadline = time.monotonic() + 10
    while served.ask("vieux.example").answer[0].ttl >= first.answer[0].ttl:
        assert time.monotonic() < deadline

    assert first.answer[0].ttl == 300
    assert upstream.asked_for("vieux.example") == [("udp", "A")]


def test_case_and_id_are_echoed(served: RunningFilter) -> None:
    query = dns.message.make_query("jOurNaL.ExaMple", "A")
    (reply,) = served.send([query.to_wire()])

    assert reply[:2] == query.to_wire()[:2]
    assert b"\x07jOurNaL\x07ExaMple\x00" in reply
    (blocked,) = served.send([dns.message.make_query("wWw.JEU.example", "A").to_wire()])
    assert b"\x03wWw\x03JEU\x07example\x00" in blocked


def test_a_name_that_does_not_exist(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    assert served.ask("rien.example").rcode() == dns.rcode.NXDOMAIN
    assert served.ask("rien.example").rcode() == dns.rcode.NXDOMAIN
    assert upstream.asked_for("rien.example") == [("udp", "A")]  # the SOA lets it be kept


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "answers"),
    [
        ("use-application-dns.net", "A", dns.rcode.NXDOMAIN, []),
        ("mask.icloud.com", "A", dns.rcode.NXDOMAIN, []),
        ("_dns.resolver.arpa", "SVCB", dns.rcode.NOERROR, []),
        ("localhost", "A", dns.rcode.NOERROR, ["A 127.0.0.1"]),
        ("localhost", "AAAA", dns.rcode.NOERROR, ["AAAA ::1"]),
        ("localhost", "MX", dns.rcode.NOERROR, []),
        ("journal.example", "ANY", dns.rcode.NOERROR, ['HINFO "RFC8482" ""']),
    ],
)
def test_special_names_never_reach_the_upstream(
    served: RunningFilter, upstream: ScriptedUpstream, name: str, qtype: str, rcode: int, answers: list[str]
) -> None:
    before = len(upstream.asked_for(name))
    reply = served.ask(name, qtype)

    assert (reply.rcode(), records_of(reply)) == (rcode, answers)
    assert len(upstream.asked_for(name)) == before


@pytest.mark.parametrize(
    ("name", "qtype", "records"),
    [
        (
            "autre.example", "A",
            ["example. 60 IN DNAME jeu.example.", "autre.example. 60 IN CNAME autre.jeu.example.",
             "autre.jeu.example. 60 IN A 93.184.216.34"],
        ),
        (
            "masque.example", "A",
            ["masque.example. 60 IN CNAME x.tracker.example.", "x.tracker.example. 60 IN A 93.184.216.34"],
        ),
        (
            "long.example", "A",
            ["long.example. 60 IN CNAME l2.example.", "l2.example. 60 IN CNAME l3.example.",
             "l3.example. 60 IN CNAME jeu.example.", "jeu.example. 60 IN A 93.184.216.34"],
        ),
        ("service.example", "HTTPS", ["service.example. 60 IN HTTPS 1 cdn.jeu.example. alpn=\"h2\""]),
        ("alias.example", "HTTPS", ["alias.example. 60 IN HTTPS 0 jeu.example."]),
        ("_dns.example", "SVCB", ["_dns.example. 60 IN SVCB 1 jeu.example. alpn=\"dot\""]),
    ],
)  # fmt: skip
def test_a_blocked_name_behind_an_allowed_one_is_found(
    served: RunningFilter, upstream: ScriptedUpstream, name: str, qtype: str, records: list[str]
) -> None:
    upstream.add(*records)
    upstream.records[name, qtype] = records

    for _ in range(2):  # the second time from the cache
        reply = served.ask(name, qtype)
        assert reply.rcode() == dns.rcode.NXDOMAIN
        assert errors_of(reply) == [(17, "catégorie : Liste jeux (par un autre nom)")]
    assert len(upstream.asked_for(name)) == 1


@pytest.mark.parametrize(
    ("name", "qtype", "records"),
    [
        ("lie1.example", "A", ["lie1.example. 60 IN A 192.168.1.1"]),
        ("lie2.example", "A", ["lie2.example. 60 IN A 93.184.216.34", "lie2.example. 60 IN A 127.0.0.1"]),
        ("lie3.example", "AAAA", ["lie3.example. 60 IN AAAA ::ffff:10.0.0.1"]),
        ("lie4.example", "HTTPS", ["lie4.example. 60 IN HTTPS 1 . ipv4hint=10.0.0.1"]),
        ("lie5.example", "HTTPS", ["lie5.example. 60 IN HTTPS 1 . ipv6hint=fd00::1"]),
        ("lie6.example", "A", ["lie6.example. 60 IN CNAME intranet.example.", "intranet.example. 60 IN A 10.0.0.1"]),
    ],
)
def test_private_addresses_of_public_names_are_dropped(
    served: RunningFilter, upstream: ScriptedUpstream, name: str, qtype: str, records: list[str]
) -> None:
    upstream.records[name, qtype] = records

    reply = served.ask(name, qtype)

    assert (reply.rcode(), records_of(reply)) == (dns.rcode.NOERROR, [])
    assert errors_of(reply) == [(15, "adresse privée pour un nom public")]


def test_the_schools_own_server_may_have_a_private_address(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    upstream.add("cahier.intranet.example. 60 IN A 10.0.0.8")

    assert records_of(served.ask("cahier.intranet.example")) == ["A 10.0.0.8"]


@pytest.mark.parametrize(
    ("name", "glue", "answers"),
    [("genereux.example", "93.184.216.9", ["A 93.184.216.34"]), ("menteur.example", "10.0.0.1", [])],
)
def test_the_additional_section_is_not_passed_on(
    served: RunningFilter, upstream: ScriptedUpstream, name: str, glue: str, answers: list[str]
) -> None:
    """And an answer that hides a private address there is not believed in the rest."""

    def generous(query: Message, _over_udp: bool) -> Sequence[bytes]:
        reply = answer(query, f"{name}. 60 IN A 93.184.216.34", authority=["example. 60 IN NS ns.example."])
        reply.additional.append(rrset(f"ns.example. 60 IN A {glue}"))
        return [pack(reply)]

    upstream.scripts[name] = generous

    reply = served.ask(name)

    assert records_of(reply) == answers
    assert not any(group.rdtype == 1 for group in (*reply.authority, *reply.additional))


def large(query: Message, over_udp: bool) -> Sequence[bytes]:
    """Cut over UDP, whole over TCP."""
    if over_udp:
        cut = answer(query)
        cut.flags |= dns.flags.TC
        return [pack(cut)]
    return [pack(answer(query, *(f"gros.example. 60 IN A 93.184.216.{n}" for n in range(1, 121))))]


def test_a_cut_answer_is_asked_for_again_over_tcp(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    upstream.scripts["gros.example"] = large

    whole = served.ask("gros.example", over_tcp=True)
    cut = served.ask("gros.example")

    asked = upstream.asked_for("gros.example")
    assert asked[0] == ("udp", "A")
    assert set(asked) == {("udp", "A"), ("tcp", "A")}  # once more each where this machine is slower than a resolver is
    assert len(records_of(whole)) == 120
    assert not whole.flags & dns.flags.TC
    assert cut.flags & dns.flags.TC
    assert records_of(cut) == []


def test_a_udp_reply_is_never_larger_than_the_client_takes(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    upstream.records["moyen.example", "A"] = [f"moyen.example. 60 IN A 93.184.216.{n}" for n in range(1, 40)]

    sizes = {}
    for payload in (0, 512, 700, 1232, 4096):
        query = dns.message.make_query("moyen.example", "A", use_edns=0 if payload else -1, payload=payload)
        (reply,) = served.send([query.to_wire()])
        sizes[payload] = (len(reply), bool(dns.message.from_wire(reply).flags & dns.flags.TC))

    assert all(size <= max(512, min(payload, 1232)) for payload, (size, _) in sizes.items())
    assert [is_cut for _, is_cut in sizes.values()] == [True, True, False, False, False]


def test_pipelined_queries_are_answered_as_their_answers_come(
    served: RunningFilter, upstream: ScriptedUpstream
) -> None:
    """RFC 7766: the slow one does not hold up the quick one behind it."""
    others_are_answered = threading.Event()

    def slow(query: Message, _over_udp: bool) -> Sequence[bytes]:
        others_are_answered.wait(PATIENCE)
        return [pack(answer(query, "lent.example. 60 IN A 93.184.216.34"))]

    upstream.scripts["lent.example"] = slow
    names = ["lent.example", "www.jeu.example", "localhost", "www.jeu.example"]
    queries = [dns.message.make_query(name, "A", id=number) for number, name in enumerate(names)]

    coming = map(dns.message.from_wire, served.replies_over_tcp([query.to_wire() for query in queries]))
    quick = [next(coming) for _ in range(3)]
    others_are_answered.set()
    (late,) = coming

    assert sorted(reply.id for reply in quick) == [1, 2, 3]
    assert late.id == 0
    assert records_of(late) == ["A 93.184.216.34"]


def test_what_was_asked_before_the_client_closed_its_side_is_answered(served: RunningFilter) -> None:
    query = dns.message.make_query("journal.example", "A").to_wire()
    with socket.create_connection(("127.0.0.1", served.port), timeout=8) as client:
        client.sendall(struct.pack("!H", len(query)) + query)
        client.shutdown(socket.SHUT_WR)
        assert dns.message.from_wire(receive(client)).answer
        assert client.recv(1) == b""


def test_a_message_that_never_ends_is_cut_off(served: RunningFilter) -> None:
    """One byte now and then does not keep a connection: the deadline is for the whole message."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=0.5) as client:
        client.sendall(b"\x00\x30")
        started, byte = time.monotonic(), b"?"
        while byte:
            assert time.monotonic() < started + 60
            try:
                byte = client.recv(1)
            except TimeoutError:
                client.sendall(b"x")
            except ConnectionError:
                break
    assert served.ask("journal.example").answer


def test_dnssec_bits_pass_through_and_are_kept_apart(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    seen = []

    def signed(query: Message, _over_udp: bool) -> Sequence[bytes]:
        wants = bool(query.ednsflags & dns.flags.DO)
        seen.append(wants)
        reply = answer(query, "signe.example. 60 IN A 93.184.216.34")
        reply.flags |= dns.flags.AD
        if wants:
            signature = "A 8 2 60 20270101000000 20260101000000 1 example. AAAA"
            reply.answer.append(rrset(f"signe.example. 60 IN RRSIG {signature}"))
        return [pack(reply)]

    upstream.scripts["signe.example"] = signed
    plain = dns.message.from_wire(
        served.send([dns.message.make_query("signe.example", "A", flags=dns.flags.RD).to_wire()])[0]
    )
    wanting = dns.message.make_query("signe.example", "A", want_dnssec=True)
    secure = served.send([wanting.to_wire()])[0]

    assert seen == [False, True]
    assert not plain.flags & dns.flags.AD
    assert len(plain.answer) == 1
    assert dns.flags.AD & int.from_bytes(secure[2:4], "big")
    assert secure[6:8] == b"\0\2"


def test_random_packets_leave_the_process_standing(served: RunningFilter) -> None:
    chance = random.Random(1035)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", served.port))
        for _ in range(3_000):
            client.send(chance.randbytes(chance.randrange(1, 120)))
    with socket.create_connection(("127.0.0.1", served.port), timeout=8) as client:
        client.sendall(chance.randbytes(2_000))

    assert served.ask("journal.example").answer
    assert served.logged("query could not be answered") == []


def test_equal_queries_at_once_go_out_once(served: RunningFilter, upstream: ScriptedUpstream) -> None:
    """The last query of the connection needs no upstream: its answer shows that all before it were read."""
    all_are_read = threading.Event()

    def slow(query: Message, _over_udp: bool) -> Sequence[bytes]:
        all_are_read.wait(PATIENCE)
        return [pack(answer(query, "ensemble.example. 60 IN A 93.184.216.34"))]

    upstream.scripts["ensemble.example"] = slow
    names = [*["ensemble.example"] * 30, "localhost"]
    packets = [dns.message.make_query(name, "A", id=number).to_wire() for number, name in enumerate(names)]

    coming = map(dns.message.from_wire, served.replies_over_tcp(packets))
    assert next(coming).id == 30
    all_are_read.set()

    assert {reply.id for reply in coming} == set(range(30))
    assert upstream.asked_for("ensemble.example") == [("udp", "A")]


def test_profiles_follow_the_client(upstream: ScriptedUpstream, bundle: Path, tmp_path: Path) -> None:
    policy = PolicySettings(
        (
            ProfileSettings("ecole", "École", category_rules(("jeux",))),
            ProfileSettings("maitres", "Enseignants"),
        ),
        "ecole",
        (NetworkSettings("127.0.0.0/8", "maitres"),),
    )
    compile_pair(LISTS, policy, tmp_path / "b", serial=1)
    upstream.add("profil.jeu.example. 60 IN A 93.184.216.34")
    with RunningFilter("--bundle", str(tmp_path / "b"), "--upstream", upstream.address) as running:
        assert records_of(running.ask("profil.jeu.example")) == ["A 93.184.216.34"]


def test_the_soa_of_the_upstream_is_passed_on(served: RunningFilter) -> None:
    reply = served.ask("absent.example")

    assert [rrset.to_text() for rrset in reply.authority] == [soa_for("absent.example")]
