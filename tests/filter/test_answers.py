"""The replies that decisions lead to: a real handler over a policy of the test, an upstream of a few lines."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from filter.lists.entries import AddressEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from filter.lists.source import ListSource
from filter.metrics import Metrics
from filter.serving import wire
from filter.serving.handler import Handler
from filter.serving.resolving.cache import Cache
from filter.serving.resolving.lookup import Lookup
from filter.serving.resolving.upstream import EDE_NETWORK_ERROR, Tell, UpstreamFailed
from filter.serving.wire import Question, UpstreamAnswer
from filter.settings import (
    BlockMode,
    LabelSettings,
    LessonSettings,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    ProfileSettings,
    RewriteSettings,
    Verdict,
    YouTube,
    hash_label,
)
from tests.filter.asking import Told
from tests.filter.conftest import make_list
from tests.filter.judging import MONDAY, one_profile, open_policy
from tests.filter.running import errors_of, records_of
from tests.filter.scripted import answer

PAGE = (ip_address("192.0.2.80"),)
HOUR = timedelta(hours=1)
SOA = "example. 300 IN SOA ns.example. root.example. 1 2 3 4 300"
ZONE = {
    ("libre.example", "A"): ["libre.example. 300 IN A 93.184.216.34"],
    ("forcesafesearch.google.com", "A"): ["forcesafesearch.google.com. 300 IN A 216.239.38.120"],
    ("cible.example", "A"): ["cible.example. 300 IN CNAME fin.example.", "fin.example. 5 IN A 93.184.216.35"],
    ("cible.example", "MX"): ["cible.example. 300 IN MX 10 courrier.cible.example."],
    ("cible.example", "HTTPS"): ['cible.example. 300 IN HTTPS 1 . alpn="h2"'],
    ("piege.example", "A"): ["piege.example. 300 IN CNAME w.jeu.example.", "w.jeu.example. 60 IN A 93.184.216.36"],
    ("jeu.example", "A"): ["jeu.example. 300 IN A 93.184.216.37"],
    ("serveur.ecole.example", "A"): ["serveur.ecole.example. 300 IN A 10.0.0.2"],
    ("interne.example", "A"): ["interne.example. 300 IN A 10.0.0.1"],
    ("liste.example", "A"): ["liste.example. 300 IN A 198.51.100.7"],
    ("long.example", "A"): ["long.example. 86400 IN A 93.184.216.38"],
}


@dataclass
class Filter:
    """A handler, what it asked of its upstream, and its clock."""

    handler: Handler
    asked: list[tuple[str, str]]
    now: list[datetime] = field(default_factory=lambda: [MONDAY])

    def send(self, name: str, qtype: str = "A", *, tcp: bool = False, label: str | None = None) -> bytes | None:
        query = dns.message.make_query(name, qtype, use_edns=0, payload=1232)
        return asyncio.run(self.handler.answer(query.to_wire(), "192.0.2.7", not tcp, label))

    def ask(self, name: str, qtype: str = "A", *, tcp: bool = False, label: str | None = None) -> dns.message.Message:
        reply = self.send(name, qtype, tcp=tcp, label=label)
        assert reply is not None
        return dns.message.from_wire(reply)


Start = Callable[..., Filter]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """``start([lists], **fields of one_profile)``"""
    asked: list[tuple[str, str]] = []

    async def forward(question: Question, _dnssec_ok: bool, _checking_disabled: bool) -> UpstreamAnswer:
        number = dns.rdatatype.RdataType.make(question.qtype)
        qtype = dns.rdatatype.to_text(number)
        asked.append((question.name, qtype))
        if question.name == "sourd.example":
            raise UpstreamFailed(EDE_NETWORK_ERROR, "nobody there")
        query = dns.message.make_query(f"{question.name}.", number)
        records = ZONE.get((question.name, qtype), [])
        reply = answer(query, *records, authority=[] if records else [SOA])
        return wire.read_answer(reply.to_wire())

    def make(lists: Iterable[ListSource] = (), **fields: object) -> Filter:
        metrics = Metrics()
        now = [MONDAY]
        lookup = Lookup(Told(forward), Cache(1 << 20), metrics.count_cache)
        handler = Handler(lookup, metrics, lambda: now[0], PAGE)
        handler.policy = open_policy(tmp_path, lists, one_profile(**fields))
        return Filter(handler, asked, now)

    return make


JEUX = [make_list("jeux", "jeu.example", AddressEntry("198.51.100.0/24"))]
REASON = "catégorie : Liste jeux"
NOERROR, NXDOMAIN, REFUSED, SERVFAIL = dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED, dns.rcode.SERVFAIL


@pytest.mark.parametrize(
    ("mode", "qtype", "rcode", "records"),
    [
        (BlockMode.PAGE, "A", NOERROR, ["A 192.0.2.80"]),
        (BlockMode.PAGE, "AAAA", NOERROR, []),
        (BlockMode.PAGE, "HTTPS", NOERROR, []),
        (BlockMode.NXDOMAIN, "A", NXDOMAIN, []),
        (BlockMode.NXDOMAIN, "HTTPS", NXDOMAIN, []),
        (BlockMode.ZERO, "A", NOERROR, ["A 0.0.0.0"]),
        (BlockMode.ZERO, "AAAA", NOERROR, ["AAAA ::"]),
        (BlockMode.ZERO, "HTTPS", NOERROR, []),
        (BlockMode.ZERO, "MX", NOERROR, []),
    ],
)
def test_block_modes(start: Start, mode: BlockMode, qtype: str, rcode: int, records: list[str]) -> None:
    reply = start(JEUX, block_mode=mode).ask("w.jeu.example", qtype)

    assert (reply.rcode(), records_of(reply), errors_of(reply)) == (rcode, records, [(17, REASON)])
    assert [group.ttl for group in (*reply.answer, *reply.authority)] == [10]  # the SOA lets no data be remembered


def test_without_a_page_there_is_no_such_name(start: Start) -> None:
    filter_ = start(JEUX)
    filter_.handler.block_addresses = ()

    assert filter_.ask("jeu.example").rcode() == NXDOMAIN


@pytest.mark.parametrize(
    ("rule", "rcode", "records"),
    [
        (RuleReply(ReplyKind.NXDOMAIN), NXDOMAIN, []),
        (RuleReply(ReplyKind.NODATA), NOERROR, []),
        (RuleReply(ReplyKind.REFUSED), REFUSED, []),
        (RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(1, "192.0.2.9"),)), NOERROR, ["A 192.0.2.9"]),
        (RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(28, "::1"),)), NOERROR, []),
        (RuleReply(ReplyKind.CNAME, "libre.example"), NOERROR, ["CNAME libre.example.", "A 93.184.216.34"]),
    ],
)
def test_replies_of_lists_whatever_the_block_mode(
    start: Start, rule: RuleReply, rcode: int, records: list[str]
) -> None:
    reply = start([make_list("jeux", RuleEntry("r", "r.example", reply=rule))]).ask("r.example")

    assert (reply.rcode(), records_of(reply)) == (rcode, records)


@pytest.mark.parametrize("name", ["w.r.example", "r.example", ".".join(["a" * 60] * 3 + ["b" * 59, "r.example"])])
def test_an_alias_that_keeps_the_name_asked_for(start: Start, name: str) -> None:
    """One that cannot be as long as that leads nowhere."""
    alias = RuleReply(ReplyKind.CNAME, "*.jardin.example")
    filter_ = start([make_list("jeux", RuleEntry("r", "r.example", reply=alias))])

    reply = filter_.ask(name)

    assert (reply.rcode(), records_of(reply)) == (
        (NXDOMAIN, []) if len(name) > 200 else (NOERROR, [f"CNAME {name}.jardin.example."])
    )


def test_a_dropped_query_gets_silence(start: Start) -> None:
    filter_ = start([make_list("jeux", RuleEntry("d", "d.example", reply=RuleReply(ReplyKind.DROP)))])

    assert filter_.send("d.example") is None
    labels = {"action": "dropped", "rule": "category_deny", "category": "jeux"}
    assert filter_.handler.metrics.registry.get_sample_value("filter_queries_total", labels) == 1


def test_a_truncated_query_comes_back_over_tcp(start: Start) -> None:
    filter_ = start([make_list("jeux", RuleEntry("t", "libre.example", reply=RuleReply(ReplyKind.TRUNCATE)))])

    cut = filter_.ask("libre.example")
    assert (bool(cut.flags & dns.flags.TC), records_of(cut), filter_.asked) == (True, [], [])
    whole = filter_.ask("libre.example", tcp=True)
    assert (bool(whole.flags & dns.flags.TC), records_of(whole)) == (False, ["A 93.184.216.34"])


REWRITES = (
    RewriteSettings("local.example", ("10.0.0.5", "2001:db8::5")),
    RewriteSettings("alias.example", ("cible.example",)),
    RewriteSettings("double.example", ("local.example",)),
    RewriteSettings("vide.example", ("rien.example",)),
    RewriteSettings("vers-sourd.example", ("sourd.example",)),
    RewriteSettings("vers-piege.example", ("piege.example",)),
    RewriteSettings("vers-interne.example", ("interne.example",)),
    RewriteSettings("vers-jeu.example", ("jeu.example",)),
    RewriteSettings("vers-ecole.example", ("serveur.ecole.example",)),
)


@pytest.mark.parametrize(
    ("name", "qtype", "rcode", "records"),
    [
        ("local.example", "A", NOERROR, ["A 10.0.0.5"]),
        ("local.example", "AAAA", NOERROR, ["AAAA 2001:db8::5"]),
        ("local.example", "HTTPS", NOERROR, []),
        ("double.example", "A", NOERROR, ["CNAME local.example.", "A 10.0.0.5"]),
        ("alias.example", "A", NOERROR, ["CNAME cible.example.", "CNAME fin.example.", "A 93.184.216.35"]),
        ("alias.example", "MX", NOERROR, ["CNAME cible.example.", "MX 10 courrier.cible.example."]),
        ("alias.example", "HTTPS", NOERROR, ["CNAME cible.example.", 'HTTPS 1 . alpn="h2"']),
        ("vide.example", "A", NOERROR, ["CNAME rien.example."]),
        ("vers-sourd.example", "A", SERVFAIL, []),
        ("vers-piege.example", "A", NOERROR, ["A 192.0.2.80"]),  # what it leads to is blocked
        ("vers-interne.example", "A", NOERROR, []),  # rebinding through a rewrite
        # the target itself is not judged: a person chose it, and said which names may be private
        ("vers-jeu.example", "A", NOERROR, ["CNAME jeu.example.", "A 93.184.216.37"]),
        ("vers-ecole.example", "A", NOERROR, ["CNAME serveur.ecole.example.", "A 10.0.0.2"]),
    ],
)
def test_own_answers(start: Start, name: str, qtype: str, rcode: int, records: list[str]) -> None:
    filter_ = start(JEUX, rewrites=REWRITES, private_names=("ecole.example",))

    for _ in range(2):  # the second time from the cache
        reply = filter_.ask(name, qtype)
        assert (reply.rcode(), records_of(reply)) == (rcode, records)
    assert not any(asked == name for asked, _ in filter_.asked)
    if reply.answer:
        assert str(reply.answer[0].name) == f"{name}."
        assert max(group.ttl for group in reply.answer) <= 60


def test_an_alias_to_nothing_says_for_how_long(start: Start) -> None:
    reply = start(rewrites=REWRITES).ask("vide.example")

    assert [group.to_text().split()[0] for group in reply.authority] == ["example."]


def test_the_target_of_a_rewrite_shares_the_cache(start: Start) -> None:
    filter_ = start(rewrites=REWRITES)
    filter_.ask("cible.example")
    filter_.ask("alias.example")

    assert filter_.asked == [("cible.example", "A")]


def test_safe_search_and_what_would_lead_around_it(start: Start) -> None:
    filter_ = start(safe_search=("google",), youtube=YouTube.MODERATE)

    assert records_of(filter_.ask("www.google.fr")) == ["CNAME forcesafesearch.google.com.", "A 216.239.38.120"]
    for qtype in ("HTTPS", "TXT"):
        assert (filter_.ask("www.google.fr", qtype).rcode(), records_of(filter_.ask("www.google.fr", qtype))) == (
            NOERROR,
            [],
        )
    assert records_of(filter_.ask("www.youtube.com"))[0] == "CNAME restrictmoderate.youtube.com."


def test_listed_addresses(start: Start) -> None:
    reply = start(JEUX).ask("liste.example")

    assert (records_of(reply), errors_of(reply)) == (["A 192.0.2.80"], [(17, f"{REASON} (par son adresse)")])


def test_answers_are_remembered_for_seconds_while_a_lesson_runs(start: Start) -> None:
    lesson = LessonSettings("l", "101", MONDAY, MONDAY + HOUR, ("libre.example",), "Géographie")
    filter_ = start(lessons=(lesson,))

    assert [group.ttl for group in filter_.ask("libre.example").answer] == [10]
    stopped = filter_.ask("cible.example")
    assert (records_of(stopped), errors_of(stopped)) == (
        ["A 192.0.2.80"],
        [(17, "hors de la leçon en cours : Géographie")],
    )
    filter_.now[0] = MONDAY + HOUR
    assert [group.ttl for group in filter_.ask("libre.example").answer] == [300]  # the same cached answer, whole
    assert filter_.asked == [("libre.example", "A")]


def ttls(reply: dns.message.Message) -> list[int]:
    return [group.ttl for group in (*reply.answer, *reply.authority)]


def test_no_answer_is_remembered_past_the_end_of_what_allows_it(start: Start) -> None:
    """Nor past the start of what blocks it; and a change that nobody planned holds within minutes everywhere."""
    allowing = OverrideSettings("o", Verdict.ALLOW, MONDAY, MONDAY + HOUR, ("long.example",))
    blocking = OverrideSettings("b", Verdict.BLOCK, MONDAY + HOUR, MONDAY + 2 * HOUR, ("local.example", "rien.example"))
    filter_ = start(rewrites=REWRITES, overrides=(allowing, blocking))
    names = ("long.example", "rien.example", "local.example", "alias.example")

    assert [ttls(filter_.ask(name)) for name in names] == [[600], [300], [60], [60, 60, 5]]
    filter_.now[0] = MONDAY + HOUR - timedelta(seconds=40.5)
    assert [ttls(filter_.ask(name)) for name in names] == [[40], [40], [40], [40, 40, 5]]
    filter_.now[0] = MONDAY + HOUR - timedelta(seconds=0.5)
    assert [ttls(filter_.ask(name)) for name in names] == [[0], [0], [0], [0, 0, 0]]
    assert len(filter_.asked) == 3  # the cache keeps them as long as the upstream said


def test_an_answer_that_comes_after_the_moment_it_was_allowed_in_is_not_remembered(start: Start) -> None:
    override = OverrideSettings("o", Verdict.ALLOW, MONDAY, MONDAY + HOUR, ("long.example",))
    filter_ = start(overrides=(override,))
    find = filter_.handler.lookup.forward

    def late(question: Question, dnssec_ok: bool, checking_disabled: bool, tell: Tell) -> None:
        filter_.now[0] = MONDAY + HOUR
        find(question, dnssec_ok, checking_disabled, tell)

    filter_.handler.lookup.forward = late
    filter_.now[0] = MONDAY + HOUR - timedelta(seconds=1)
    assert ttls(filter_.ask("long.example")) == [0]
    assert ttls(filter_.ask("long.example")) == [600]


def test_a_kept_answer_is_judged_by_the_policy_of_the_moment(start: Start, tmp_path: Path) -> None:
    """A swap of names or policy applies to what is in the cache at once."""
    filter_ = start()
    assert records_of(filter_.ask("piege.example"))[0] == "CNAME w.jeu.example."
    assert records_of(filter_.ask("liste.example")) == ["A 198.51.100.7"]

    later = tmp_path / "plus-tard"
    later.mkdir()
    filter_.handler.policy = open_policy(later, JEUX, one_profile())

    assert errors_of(filter_.ask("piege.example")) == [(17, f"{REASON} (par un autre nom)")]
    assert records_of(filter_.ask("liste.example")) == ["A 192.0.2.80"]
    assert len(filter_.asked) == 2


def test_a_label_says_who_asks(start: Start) -> None:
    profiles = (ProfileSettings("p", "P"), ProfileSettings("t", "T", names=(NameRule("libre.example", Verdict.BLOCK),)))
    filter_ = start(
        profiles=profiles,
        networks=(NetworkSettings("0.0.0.0/0", "p"),),
        labels=(LabelSettings(hash_label("k3v9"), "t"),),
    )

    assert records_of(filter_.ask("libre.example")) == ["A 93.184.216.34"]
    assert records_of(filter_.ask("libre.example", label="k3v9")) == ["A 192.0.2.80"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("jeu.example", (17, REASON)),
        ("bloque.example", (17, "nom bloqué par l’école : trop lent")),
        ("deroge.example", (17, "nom bloqué par dérogation : examen")),
        ("pub.example", (17, "catégorie : Publicité ; liste : Liste publicite ; dérogation : examen")),
        ("dns.google", (15, "service qui contourne le filtre")),
        ("x.onion", (15, "nom réservé")),
        ("interne.example", (15, "adresse privée pour un nom public")),
    ],
)
def test_reasons(start: Start, name: str, error: tuple[int, str]) -> None:
    override = OverrideSettings(
        "o", Verdict.BLOCK, MONDAY, MONDAY + HOUR, ("deroge.example",), ("publicite",), reason="examen"
    )
    lists = [*JEUX, make_list("publicite", "pub.example")]
    names = (NameRule("bloque.example", Verdict.BLOCK, reason="trop lent"),)

    assert errors_of(start(lists, names=names, overrides=(override,)).ask(name)) == [error]
