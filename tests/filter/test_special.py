"""What no profile decides: reserved names, ways around the filter, private addresses behind public names."""

from ipaddress import IPv6Address
from pathlib import Path

import pytest

from filter.deciding.bypass import BYPASS_NAMES
from filter.lists.entries import AddressEntry
from filter.policy import AnswerRecord, Policy, Query, decide, review_answer
from filter.settings import CategoryRule, NameRule, RewriteSettings, Verdict, YouTube
from tests.filter.conftest import make_list
from tests.filter.judging import AAAA, HTTPS, MONDAY, TXT, A, judge, one_profile, open_policy, said

DS, NS, PTR, SVCB = 43, 2, 12, 64
PUBLIC = bytes([93, 184, 216, 34])
EVERYTHING_ALLOWED = tuple(
    NameRule(name, Verdict.ALLOW)
    for name in ("icloud.com", "use-application-dns.net", "dns.google", "resolver.arpa", "home.arpa", "truc.onion")
)


def open_with(tmp_path: Path, **fields: object) -> Policy:
    lists = [make_list("jeux", "jeu.example", AddressEntry("192.0.2.0/24"), AddressEntry("2001:db8:bad::/48"))]
    return open_policy(tmp_path, lists, one_profile(**fields))


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return open_with(
        tmp_path, names=EVERYTHING_ALLOWED, private_names=("intranet.example", "lan", "42.10.in-addr.arpa")
    )


@pytest.mark.parametrize(
    ("name", "qtype", "expected"),
    [
        ("use-application-dns.net", A, "nxdomain/canary"),
        ("mask.icloud.com", A, "nxdomain/canary"),
        ("mask-h2.icloud.com", HTTPS, "nxdomain/canary"),
        ("www.icloud.com", A, "allowed/own_allow"),
        ("dns.google", A, "nxdomain/bypass"),
        ("x.dns.nextdns.io", A, "nxdomain/bypass"),
        ("resolver.arpa", SVCB, "nodata/special_name"),
        ("_dns.resolver.arpa", SVCB, "nodata/special_name"),
        ("resolver.arpa", DS, "nodata/special_name"),
        ("localhost", A, "loopback/special_name"),
        ("a.b.localhost", AAAA, "loopback/special_name"),
        ("x.invalid", A, "nxdomain/special_name"),
        ("truc.onion", A, "nxdomain/special_name"),
        ("x.alt", A, "nxdomain/special_name"),
        ("x.test", A, "nxdomain/special_name"),
        ("imprimante.local", A, "nxdomain/special_name"),
        *((f"x.{name}", A, "nxdomain/special_name") for name in ("corp", "home", "internal", "intranet", "private")),
        ("imprimante.home.arpa", A, "nxdomain/special_name"),
        ("imprimante.home.arpa", DS, "allowed/own_allow"),  # validators ask the parent (RFC 8375)
        ("10.in-addr.arpa", DS, "allowed/default"),
        ("1.10.in-addr.arpa", DS, "nxdomain/special_name"),
        ("x.lan", A, "allowed/default"),  # the policy says that an upstream knows them
        ("1.0.42.10.in-addr.arpa", PTR, "allowed/default"),
        ("1.0.43.10.in-addr.arpa", PTR, "nxdomain/special_name"),
        ("1.1.168.192.in-addr.arpa", PTR, "nxdomain/special_name"),
        ("1.1.31.172.in-addr.arpa", PTR, "nxdomain/special_name"),
        ("1.1.32.172.in-addr.arpa", PTR, "allowed/default"),
        ("1.1.100.100.in-addr.arpa", PTR, "nxdomain/special_name"),
        ("1.1.254.169.in-addr.arpa", PTR, "nxdomain/special_name"),
        ("8.8.8.8.in-addr.arpa", PTR, "allowed/default"),
        (f"1.{'0.' * 31}ip6.arpa", PTR, "nxdomain/special_name"),
        (f"{'0.' * 31}0.ip6.arpa", PTR, "nxdomain/special_name"),
        ("1.2.3.d.f.ip6.arpa", PTR, "nxdomain/special_name"),
        ("1.2.8.e.f.ip6.arpa", PTR, "nxdomain/special_name"),
        ("1.2.c.e.f.ip6.arpa", PTR, "allowed/default"),
        ("1.0.0.2.ip6.arpa", PTR, "allowed/default"),
        ("example", NS, "allowed/default"),
        ("monlocalhost", A, "allowed/default"),
        ("resolver.arpa.example", A, "allowed/default"),
        ("x\\046localhost", A, "allowed/default"),
    ],
)
def test_reserved_names(policy: Policy, name: str, qtype: int, expected: str) -> None:
    assert said(judge(policy, name, qtype)) == expected


@pytest.mark.parametrize("name", ["mask.icloud.com", "use-application-dns.net", "dns.google"])
def test_a_profile_may_leave_the_ways_around_open(tmp_path: Path, name: str) -> None:
    policy = open_with(tmp_path, names=EVERYTHING_ALLOWED, closes_bypass=False)

    assert judge(policy, name).action == "allowed"
    assert said(judge(policy, "_dns.resolver.arpa")) == "nodata/special_name"


def test_every_known_way_around_is_closed(policy: Policy) -> None:
    assert {judge(policy, name).action.value for name in BYPASS_NAMES} == {"nxdomain"}


def test_lists_of_ways_around_are_closed_whatever_is_said_of_their_category(tmp_path: Path) -> None:
    lists = [make_list("doh", "dns.example", AddressEntry("1.1.1.1/32"))]
    fields = {"categories": (CategoryRule("doh", Verdict.ALLOW),)}
    closed = open_policy(tmp_path, lists, one_profile(**fields))
    opened = open_policy(tmp_path, lists, one_profile(closes_bypass=False, **fields))

    assert said(judge(closed, "dns.example")) == "blocked/category_deny"
    assert said(judge(opened, "dns.example")) == "allowed/category_allow"
    assert reviewed(closed, "autre.example", at("autre.example", bytes([1, 1, 1, 1])))[0] == "blocked/address_deny"


def at(owner: str, *addresses: bytes) -> AnswerRecord:
    return AnswerRecord(owner, (), addresses)


def to(owner: str, *targets: str) -> AnswerRecord:
    return AnswerRecord(owner, targets)


def reviewed(policy: Policy, name: str, *records: AnswerRecord, qtype: int = A) -> tuple[str, str | None]:
    """What becomes of an answer, and by which name."""
    profile, query = policy.profile_for("192.0.2.7"), Query(name, qtype)
    decision = review_answer(query, decide(query, profile, MONDAY), profile, records, MONDAY)
    return said(decision), decision.via


def v6(text: str) -> bytes:
    return IPv6Address(text).packed


SITE, OK = "site.example", ("allowed/default", None)
STOPPED = ("nodata/rebinding", SITE)
REVIEWS = [
    (SITE, [at(SITE, PUBLIC)], OK),
    (SITE, [at(SITE, bytes([192, 168, 1, 1]))], STOPPED),
    (SITE, [at(SITE, PUBLIC), at(SITE, bytes([10, 0, 0, 1]))], STOPPED),
    *((SITE, [at(SITE, v6(text))], STOPPED) for text in (
        "::1", "fd00::1", "fe80::1", "::ffff:10.0.0.1", "64:ff9b::192.168.1.1", "64:ff9b:1::1", "2002:c0a8:101::1")),
    (SITE, [to(SITE, "intranet.example"), at("intranet.example", bytes([10, 0, 0, 1]))],
     ("nodata/rebinding", "intranet.example")),
    ("x.lan", [at("x.lan", bytes([10, 0, 0, 1]))], OK),
    ("a.intranet.example", [at("a.intranet.example", bytes([10, 0, 0, 1]))], OK),
    ("pasintranet.example", [at("pasintranet.example", bytes([10, 0, 0, 1]))],
     ("nodata/rebinding", "pasintranet.example")),
    ("x\\046intranet.example", [at("x\\046intranet.example", bytes([10, 0, 0, 1]))],
     ("nodata/rebinding", "x\\046intranet.example")),
    ("imprimante", [at("imprimante", bytes([10, 0, 0, 1]))], OK),
    # where names lead
    (SITE, [to(SITE, "cdn.example"), to("cdn.example", "w.jeu.example")], ("blocked/category_deny", "w.jeu.example")),
    (SITE, [at("jeu.example", PUBLIC)], ("blocked/category_deny", "jeu.example")),
    (SITE, [to(SITE, "mask.icloud.com")], ("blocked/canary", "mask.icloud.com")),
    (SITE, [to(SITE, "dns.google")], ("blocked/bypass", "dns.google")),
    (SITE, [to(SITE, "localhost")], ("blocked/special_name", "localhost")),
    ("www.icloud.com", [to("www.icloud.com", "jeu.example")], ("allowed/own_allow", None)),
    ("www.icloud.com", [at("www.icloud.com", bytes([10, 0, 0, 1]))], ("nodata/rebinding", "www.icloud.com")),
    # addresses that lists hold, however they are written
    (SITE, [at(SITE, bytes([192, 0, 2, 7]))], ("blocked/address_deny", SITE)),
    (SITE, [at(SITE, v6("2001:db8:bad::1"))], ("blocked/address_deny", SITE)),
    (SITE, [at(SITE, v6("64:ff9b::192.0.2.7"))], ("blocked/address_deny", SITE)),
    (SITE, [at(SITE, v6("2001:db8:cafe::1"))], OK),
    ("www.icloud.com", [at("www.icloud.com", bytes([192, 0, 2, 7]))], ("allowed/own_allow", None)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "records", "expected"), REVIEWS)
def test_where_answers_lead(
    policy: Policy, name: str, records: list[AnswerRecord], expected: tuple[str, str | None]
) -> None:
    assert reviewed(policy, name, *records) == expected
    assert reviewed(policy, name, *records, qtype=HTTPS) == expected


def test_networks_that_a_list_keeps(tmp_path: Path) -> None:
    """An exception of an IP list holds inside its category; an allowed category by the longer prefix."""
    lists = [
        make_list("jeux", AddressEntry("198.51.100.0/24"), AddressEntry("198.51.100.128/25", allows=True)),
        make_list("pub", AddressEntry("203.0.113.0/24")),
        make_list("ecole", AddressEntry("203.0.113.64/26")),
    ]
    policy = open_policy(tmp_path, lists, one_profile())
    expected = {(198, 51, 100, 1): "blocked/address_deny", (198, 51, 100, 200): "allowed/default",
                (203, 0, 113, 1): "blocked/address_deny", (203, 0, 113, 70): "allowed/default"}  # fmt: skip

    assert {octets: reviewed(policy, SITE, at(SITE, bytes(octets)))[0] for octets in expected} == expected


SAFE = {"safe_search": ("google", "yandex"), "youtube": YouTube.STRICT}


@pytest.mark.parametrize(
    ("name", "qtype", "expected", "leads_to"),
    [
        ("www.google.fr", A, "rewritten/safe_search", "forcesafesearch.google.com"),
        ("www.google.fr", AAAA, "rewritten/safe_search", "forcesafesearch.google.com"),
        ("www.google.fr", HTTPS, "nodata/safe_search", None),
        ("www.google.fr", TXT, "nodata/safe_search", None),
        ("maps.google.fr", A, "allowed/default", None),
        ("www.bing.com", A, "allowed/default", None),  # not asked for
        ("yandex.com", A, "rewritten/safe_search", None),
        ("yandex.com", AAAA, "nodata/safe_search", None),
        ("yandex.com", HTTPS, "nodata/safe_search", None),
        ("m.youtube.com", A, "rewritten/safe_search", "restrict.youtube.com"),
        ("www.google.com", A, "rewritten/safe_search", "forcesafesearch.google.com"),  # although a person allows it
        ("www.google.de", A, "blocked/own_deny", None),
    ],
)
def test_safe_search(tmp_path: Path, name: str, qtype: int, expected: str, leads_to: str | None) -> None:
    names = (NameRule("google.com", Verdict.ALLOW), NameRule("google.de", Verdict.BLOCK))
    decision = judge(open_with(tmp_path, names=names, **SAFE), name, qtype)

    assert said(decision) == expected
    assert (decision.rewrite and decision.rewrite.target) == leads_to


@pytest.mark.parametrize(
    ("name", "qtype", "expected", "leads_to"),
    [
        ("www.google.fr", A, "rewritten/safe_search", "forcesafesearch.google.com"),
        ("www.google.fr", HTTPS, "nodata/safe_search", None),
        ("www.google.de", A, "rewritten/safe_search", "forcesafesearch.google.com"),
        ("cherche.example", A, "rewritten/safe_search", "forcesafesearch.google.com"),
        ("cherche.example", HTTPS, "nodata/safe_search", None),
        ("detour.example", A, "rewritten/safe_search", "forcesafesearch.google.com"),
        ("maps.google.de", A, "rewritten/rewrite", None),
        ("www.bing.com", A, "rewritten/rewrite", None),  # not asked to be safe
        ("jeu.example", A, "blocked/category_deny", None),
    ],
)
def test_an_own_answer_leads_around_no_safe_search_and_no_denial(
    tmp_path: Path, name: str, qtype: int, expected: str, leads_to: str | None
) -> None:
    own = ("www.google.fr", "*.google.de", "www.bing.com", "jeu.example")
    aliases = {"cherche.example": "www.google.com", "detour.example": "cherche.example"}
    rewrites = [RewriteSettings(each, ("192.0.2.1",)) for each in own]
    rewrites += [RewriteSettings(alias, (target,)) for alias, target in aliases.items()]
    decision = judge(open_with(tmp_path, rewrites=tuple(rewrites), **SAFE), name, qtype)

    assert said(decision) == expected
    assert (decision.rewrite and decision.rewrite.target) == leads_to
