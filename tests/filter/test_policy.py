"""Decisions, as tables of cases."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from filter.addresses import is_private
from filter.bundle import NamesFile, PolicyFile
from filter.explaining import Effect, explain
from filter.policy import RULES, Action, AnswerRecord, Policy, Query, decide, review_answer
from tests.filter.conftest import NOON, policy_of

A, ANY = 1, 255


@pytest.fixture
def policy(bundle_file: Path) -> Policy:
    return Policy(NamesFile.open(bundle_file), PolicyFile.open(policy_of(bundle_file)))


@pytest.mark.parametrize(
    ("name", "action", "rule", "category", "suffix"),
    [
        ("journal.example", "allowed", "default", None, None),
        ("jeu.example", "blocked", "category_deny", "jeux", "jeu.example"),
        ("tres.profond.www.jeu.example", "blocked", "category_deny", "jeux", "jeu.example"),
        ("pasjeu.example", "allowed", "default", None, None),
        ("example", "allowed", "default", None, None),
        ("", "allowed", "default", None, None),
        ("en.deux.example", "blocked", "category_deny", "adultes", "en.deux.example"),
        # the most precise entry wins, whichever way it goes
        ("lecon.jeu.example", "allowed", "category_allow", "education", "lecon.jeu.example"),
        ("www.lecon.jeu.example", "allowed", "category_allow", "education", "lecon.jeu.example"),
        ("casse-tete.education.example", "blocked", "category_deny", "jeux", "casse-tete.education.example"),
        ("education.example", "allowed", "category_allow", "education", "education.example"),
        # a person's word beats every list; the longer name beats the shorter
        ("utile.jeu.example", "allowed", "own_allow", None, "utile.jeu.example"),
        ("www.bloque.example", "blocked", "own_deny", None, "bloque.example"),
        ("www.permis.example", "allowed", "own_allow", None, "permis.example"),
        ("jeux.permis.example", "blocked", "own_deny", None, "jeux.permis.example"),
        # what would switch the filter off
        ("use-application-dns.net", "nxdomain", "canary", None, "use-application-dns.net"),
        ("mask.icloud.com", "nxdomain", "canary", None, "mask.icloud.com"),
        ("mask-h2.icloud.com", "nxdomain", "canary", None, "mask-h2.icloud.com"),
        ("www.icloud.com", "allowed", "default", None, None),
        ("_dns.resolver.arpa", "nodata", "special_name", None, "resolver.arpa"),
        ("quelque.chose.onion", "nxdomain", "special_name", None, "onion"),
        ("localhost", "loopback", "special_name", None, "localhost"),
        # no dot can hide in a label
        ("x\\046jeu\\046example", "allowed", "default", None, None),
    ],
)
def test_decide(policy: Policy, name: str, action: str, rule: str, category: str | None, suffix: str | None) -> None:
    decision = decide(Query(name), policy.profile_for(None), NOON)

    assert (decision.action, decision.rule, decision.category, decision.suffix) == (action, rule, category, suffix)


@pytest.mark.parametrize("qtype", [1, 28, 64, 65, 15, 16, 5, 2, 43, 257])
def test_every_type_of_a_blocked_name_is_blocked(policy: Policy, qtype: int) -> None:
    assert decide(Query("www.jeu.example", qtype), policy.profile_for(None), NOON).action is Action.BLOCKED


@pytest.mark.parametrize("name", ["www.jeu.example", "journal.example", "utile.jeu.example"])
def test_any_is_answered_minimally_for_every_name(policy: Policy, name: str) -> None:
    assert decide(Query(name, ANY), policy.profile_for(None), NOON).action is Action.MINIMAL


@pytest.mark.parametrize(
    ("client", "profile"),
    [
        (None, "ecole"),
        ("192.0.2.1", "ecole"),
        ("10.9.1.1", "maitres"),
        ("10.9.7.200", "ecole"),  # the longest prefix wins
        ("10.10.0.1", "ecole"),
        ("::ffff:10.9.1.1", "maitres"),  # IPv4 on a socket that serves both
        ("2001:db8::1", "ecole"),
        ("fe80::1%eth0", "ecole"),
        ("", "ecole"),
        ("pas une adresse", "ecole"),
    ],
)
def test_profile_of_a_client(policy: Policy, client: str | None, profile: str) -> None:
    assert policy.profile_for(client).slug == profile


def test_two_profiles_judge_one_table(policy: Policy) -> None:
    query = Query("www.jeu.example")

    assert decide(query, policy.profile_for("10.9.1.1"), NOON).action is Action.ALLOWED
    assert decide(query, policy.profile_for("10.9.7.1"), NOON).action is Action.BLOCKED


PUBLIC, PRIVATE = bytes([93, 184, 216, 34]), bytes([192, 168, 1, 1])


def at(owner: str, *addresses: bytes) -> AnswerRecord:
    return AnswerRecord(owner, (), addresses)


def to(owner: str, target: str) -> AnswerRecord:
    return AnswerRecord(owner, (target,))


JOURNAL, UTILE, BOTH = "journal.example", "utile.jeu.example", (PUBLIC, PRIVATE)
ESCAPED = "x\\046intranet.example"
REVIEWS = [
    (JOURNAL, [at(JOURNAL, PUBLIC)], "allowed", "default", None),
    (JOURNAL, [to(JOURNAL, "a.tracker.example"), at("a.tracker.example", PUBLIC)], "blocked", "category_deny",
     "a.tracker.example"),
    # the owner of a record is judged although nothing named it
    (JOURNAL, [at("nu.example", PUBLIC)], "blocked", "category_deny", "nu.example"),
    # a special name on the way is stopped like a blocked one
    (JOURNAL, [to(JOURNAL, "mask.icloud.com")], "blocked", "canary", "mask.icloud.com"),
    # a person allowed it: where it leads is allowed too
    (UTILE, [to(UTILE, "tracker.example")], "allowed", "own_allow", None),
    # allowed on the way shields nothing behind it
    (JOURNAL, [to(JOURNAL, "permis.example"), to("permis.example", "nu.example")], "blocked", "category_deny",
     "nu.example"),
    (JOURNAL, [at(JOURNAL, PRIVATE)], "nodata", "rebinding", JOURNAL),
    (JOURNAL, [at(JOURNAL, *BOTH)], "nodata", "rebinding", JOURNAL),
    ("permis.example", [at("permis.example", PRIVATE)], "nodata", "rebinding", "permis.example"),
    ("a.intranet.example", [at("a.intranet.example", PRIVATE)], "allowed", "default", None),
    ("pasintranet.example", [at("pasintranet.example", PRIVATE)], "nodata", "rebinding", "pasintranet.example"),
    # a private name at the end of a public one's chain opens nothing
    (JOURNAL, [to(JOURNAL, "intranet.example"), at("intranet.example", PRIVATE)], "nodata", "rebinding",
     "intranet.example"),
    (ESCAPED, [at(ESCAPED, PRIVATE)], "nodata", "rebinding", ESCAPED),
    ("imprimante", [at("imprimante", PRIVATE)], "allowed", "default", None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "records", "action", "rule", "via"), REVIEWS)
def test_review(
    policy: Policy, name: str, records: list[AnswerRecord], action: str, rule: str, via: str | None
) -> None:
    profile = policy.profile_for(None)
    query = Query(name, A)

    decision = review_answer(query, decide(query, profile, NOON), profile, records, NOON)

    assert (decision.action, decision.rule, decision.via) == (action, rule, via)


@pytest.mark.parametrize(
    "text",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.9.9.9", "169.254.169.254", "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1", "255.255.255.255", "::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1",
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::10.0.0.1", "64:ff9b::192.168.1.1", "2002:c0a8:0101::1",
        "64:ff9b:1::1", "64:ff9b:1:ffff::101:101",
    ],
)  # fmt: skip
def test_private_addresses(text: str) -> None:
    assert is_private(ip_address(text).packed)


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.1",
        "172.15.255.255", "172.32.0.1", "192.167.255.255", "192.169.0.1", "93.184.216.34", "2606:4700::1111",
        "::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:0101:0101::1", "2001:db8::1",
        "64:ff9b:2::1",
    ],
)  # fmt: skip
def test_public_addresses(text: str) -> None:
    assert not is_private(ip_address(text).packed)


def test_explain_tells_all_that_knows_the_name(policy: Policy) -> None:
    told = explain(policy, Query("www.lecon.jeu.example"), "10.9.7.3", NOON)

    assert told.profile.slug == "ecole"
    assert told.decision.rule == "category_allow"
    assert [(m.suffix, m.list.slug, m.effect) for m in told.matches] == [
        ("lecon.jeu.example", "education", Effect.ALLOWS),
        ("jeu.example", "jeux", Effect.BLOCKS),
    ]


def test_explain_runs_the_live_decision_and_every_rule(policy: Policy) -> None:
    told = explain(policy, Query("utile.jeu.example"), None, NOON)

    assert told.decision == decide(Query("utile.jeu.example"), policy.profile_for(None), NOON)
    assert [opinion.rule for opinion in told.opinions] == ["own_allow", "category_deny"]
    assert len(RULES) >= len(told.opinions)
