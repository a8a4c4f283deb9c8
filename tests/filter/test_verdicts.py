"""What lists say together: adblock's order inside a category, precision between categories, replies of their own."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from filter.bundle import NamesFile, PolicyFile
from filter.lists.entries import (
    AddressEntry,
    Entry,
    Match,
    NameEntry,
    ReplyKind,
    ReplyRecord,
    RuleEntry,
    RuleReply,
)
from filter.names import suffixes
from filter.policy import ALLOWED_BY_DEFAULT, Action, AnswerRecord, Policy, Rewrite, decide, review_answer
from filter.policy import Query as Asked
from tests.filter.conftest import compile_pair, make_list, policy_of
from tests.filter.judging import AAAA, CNAME, HTTPS, MONDAY, TXT, A, judge, one_profile, open_policy, said

BELOW, EXACT = Match.BELOW, Match.EXACT
BLOCKED, ALLOWED, DEFAULT = "blocked/category_deny", "allowed/category_allow", "allowed/default"


def allow(name: str, match: Match = Match.WITH_BELOW, *, important: bool = False) -> NameEntry:
    return NameEntry(name, match, allows=True, important=important)


def block(name: str, match: Match = Match.WITH_BELOW, *, important: bool = False) -> NameEntry:
    return NameEntry(name, match, important=important)


INSIDE = [
    # which names an entry speaks of
    ([block("a.example", EXACT)], "a.example", BLOCKED),
    ([block("a.example", EXACT)], "w.a.example", DEFAULT),
    ([block("a.example", BELOW)], "a.example", DEFAULT),
    ([block("a.example", BELOW)], "w.a.example", BLOCKED),
    ([block("a.example")], "v.w.a.example", BLOCKED),
    ([block("a.example")], "ba.example", DEFAULT),
    ([block("a.example", EXACT), block("a.example", BELOW)], "w.a.example", BLOCKED),
    # exceptions lift blocks of their category, above them and below them
    ([block("a.example"), allow("w.a.example")], "w.a.example", DEFAULT),
    ([block("a.example"), allow("w.a.example")], "a.example", BLOCKED),
    ([block("w.a.example"), allow("a.example")], "w.a.example", DEFAULT),
    ([block("a.example"), allow("a.example", EXACT)], "a.example", DEFAULT),
    ([block("a.example"), allow("a.example", EXACT)], "w.a.example", BLOCKED),
    ([block("a.example"), allow("a.example", BELOW)], "a.example", BLOCKED),
    # important blocks beat exceptions, important exceptions beat everything
    ([block("a.example", important=True), allow("w.a.example")], "w.a.example", BLOCKED),
    ([block("w.a.example", important=True), allow("a.example")], "w.a.example", BLOCKED),
    ([block("a.example", important=True), allow("a.example", important=True)], "a.example", DEFAULT),
    ([block("a.example"), block("w.a.example", important=True), allow("a.example")], "a.example", DEFAULT),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "name", "expected"), INSIDE)
def test_inside_a_category(tmp_path: Path, entries: list[Entry], name: str, expected: str) -> None:
    policy = open_policy(tmp_path, [make_list("jeux", *entries)], one_profile())

    assert said(judge(policy, name)) == expected


BETWEEN: list[tuple[dict[str, list[Entry]], str, str]] = [
    ({"jeux": ["a.example"], "ecole": ["a.example"]}, "w.a.example", ALLOWED),
    ({"jeux": ["a.example"], "ecole": ["w.a.example"]}, "w.a.example", ALLOWED),
    ({"jeux": ["a.example"], "ecole": ["w.a.example"]}, "a.example", BLOCKED),
    ({"jeux": ["w.a.example"], "ecole": ["a.example"]}, "w.a.example", BLOCKED),
    ({"jeux": ["w.a.example"], "ecole": ["a.example"]}, "a.example", ALLOWED),
    # an exception speaks for its own category only
    ({"jeux": ["a.example"], "pub": [allow("a.example")]}, "a.example", BLOCKED),
    ({"jeux": ["a.example", allow("a.example")], "pub": ["a.example"]}, "a.example", BLOCKED),
    ({"jeux": ["a.example"], "presse": [allow("a.example")]}, "a.example", BLOCKED),
    # a list of allowed names may be written as exceptions
    ({"jeux": ["a.example"], "ecole": [allow("a.example")]}, "a.example", ALLOWED),
    # nothing is said of these
    ({"presse": ["a.example"]}, "a.example", DEFAULT),
]


@pytest.mark.parametrize(("lists", "name", "expected"), BETWEEN)
def test_between_categories(tmp_path: Path, lists: dict[str, list[Entry]], name: str, expected: str) -> None:
    policy = open_policy(tmp_path, [make_list(slug, *entries) for slug, entries in lists.items()], one_profile())

    assert said(judge(policy, name)) == expected


def test_several_lists_of_one_category_speak_as_one(tmp_path: Path) -> None:
    lists = [make_list("un", "a.example", category="jeux"), make_list("deux", allow("a.example"), category="jeux")]

    assert said(judge(open_policy(tmp_path, lists, one_profile()), "a.example")) == DEFAULT


def test_the_decision_names_lists_entry_and_layer(tmp_path: Path) -> None:
    lists = [
        make_list("un", "a.example", category="jeux"),
        make_list("deux", block("a.example", important=True), category="jeux"),
        make_list("trois", block("example.org", BELOW), category="jeux"),
    ]
    policy = open_policy(tmp_path, lists, one_profile())

    decision = judge(policy, "w.a.example")
    below = judge(policy, "w.example.org")

    assert (decision.category, decision.suffix, decision.layer) == ("jeux", "a.example", "Aisne")
    assert decision.lists == ("Liste deux", "Liste un")
    assert decision.entry == "a.example$important"
    assert (below.suffix, below.entry) == ("example.org", "*.example.org")


def reply(kind: ReplyKind, target: str = "", *records: tuple[int, str]) -> RuleReply:
    return RuleReply(kind, target, tuple(ReplyRecord(*record) for record in records))


def rule(text: str, anchor: str | None = "a.example", **fields: object) -> RuleEntry:
    return RuleEntry(text, anchor, **fields)  # type: ignore[arg-type]


LOCAL = reply(ReplyKind.RECORDS, "", (A, "192.0.2.1"))
ALIAS = reply(ReplyKind.CNAME, "b.example")
REPLIES = [
    ([rule("p", None, pattern="^ad[0-9]")], "ad1.example", A, BLOCKED),
    ([rule("p", None, pattern="^ad"), rule("e", None, pattern="e$", allows=True)], "ad1.example", A, DEFAULT),
    ([rule("p", None, pattern="^ad"), allow("ad1.example")], "ad1.example", A, DEFAULT),
    ([rule("t", types=(HTTPS,))], "a.example", A, DEFAULT),
    ([rule("t", types=(HTTPS,))], "a.example", HTTPS, BLOCKED),
    ([rule("t", not_types=(HTTPS,))], "a.example", HTTPS, DEFAULT),
    ([rule("d", except_below=("w.a.example",))], "v.w.a.example", A, DEFAULT),
    ([rule("n", reply=reply(ReplyKind.NXDOMAIN))], "a.example", A, "nxdomain/category_deny"),
    ([rule("n", reply=reply(ReplyKind.NODATA))], "a.example", A, "nodata/category_deny"),
    ([rule("r", reply=reply(ReplyKind.REFUSED))], "a.example", A, "refused/category_deny"),
    ([rule("d", reply=reply(ReplyKind.DROP))], "a.example", A, "dropped/category_deny"),
    ([rule("t", reply=reply(ReplyKind.TRUNCATE))], "a.example", A, "truncated/category_deny"),
    ([rule("l", reply=LOCAL)], "a.example", A, "rewritten/category_deny"),
    ([rule("l", reply=LOCAL)], "a.example", AAAA, "nodata/category_deny"),
    ([rule("l", reply=LOCAL)], "a.example", TXT, "nodata/category_deny"),
    # a reply of its own comes before plain entries, and only the exception that is about replies takes it back
    ([rule("l", reply=LOCAL), "a.example", allow("a.example")], "a.example", A, "rewritten/category_deny"),
    ([rule("l", reply=LOCAL), rule("e", allows=True, lifts_replies=True)], "a.example", A, DEFAULT),
    ([rule("l", reply=LOCAL), rule("e", allows=True, lifts_replies=True, reply=LOCAL)], "a.example", A, DEFAULT),
    ([rule("l", reply=LOCAL), rule("e", allows=True, lifts_replies=True, reply=ALIAS)], "a.example", A,
     "rewritten/category_deny"),
    ([rule("l", reply=LOCAL, important=True), rule("e", allows=True, lifts_replies=True)], "a.example", A,
     "rewritten/category_deny"),
    ([rule("l", reply=LOCAL, important=True), rule("e", allows=True, lifts_replies=True, important=True)], "a.example",
     A, DEFAULT),
    ([rule("e", allows=True, lifts_replies=True), "a.example"], "a.example", A, BLOCKED),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "name", "qtype", "expected"), REPLIES)
def test_rules_and_replies(tmp_path: Path, entries: list[Entry], name: str, qtype: int, expected: str) -> None:
    policy = open_policy(tmp_path, [make_list("jeux", *entries)], one_profile())

    assert said(judge(policy, name, qtype)) == expected


NODATA, DROP = (RuleEntry("r", reply=RuleReply(kind), network="192.0.2.0/24")
                for kind in (ReplyKind.NODATA, ReplyKind.DROP))  # fmt: skip
INSTEAD = RuleEntry("l", reply=LOCAL, network="192.0.2.0/24")
NEAR, FAR = AddressEntry("192.0.2.7/32"), AddressEntry("192.0.0.0/16")
KEPT = AddressEntry("192.0.2.7/32", allows=True)
PASSED = "allowed/default"
ANSWERS: list[tuple[dict[str, list[Entry]], str]] = [
    ({"jeux": [NODATA]}, "nodata/address_deny"),
    ({"jeux": [DROP]}, "dropped/address_deny"),
    ({"jeux": [INSTEAD]}, "rewritten/address_deny"),
    ({"jeux": [RuleEntry("c", reply=ALIAS, network="192.0.2.0/24")]}, "blocked/address_deny"),
    ({"jeux": [RuleEntry("o", reply=LOCAL, network="198.51.100.0/24")]}, PASSED),
    ({"jeux": [RuleEntry("o", reply=LOCAL, network="192.0.2.0/24", types=(AAAA,))]}, PASSED),
    # in one list the longest prefix decides
    ({"jeux": [NODATA, NEAR]}, "blocked/address_deny"),
    ({"jeux": [NODATA, KEPT]}, PASSED),
    ({"jeux": [NODATA, FAR]}, "nodata/address_deny"),
    # an exception for the name lifts the addresses of its category, and no others
    ({"jeux": [NODATA, allow("a.example")]}, PASSED),
    ({"jeux": [NEAR, allow("a.example", EXACT)]}, "blocked/address_deny"),
    ({"jeux": [NEAR, allow("b.example")]}, "blocked/address_deny"),
    ({"jeux": [NEAR], "pub": [allow("a.example")]}, "blocked/address_deny"),
    ({"jeux": [NEAR], "presse": ["a.example"]}, "blocked/address_deny"),
    # an allowed category that holds the name lifts all, with a reply of its own as well
    ({"jeux": [NEAR], "ecole": ["a.example"]}, PASSED),
    ({"jeux": [NEAR], "ecole": [rule("l", reply=LOCAL)]}, PASSED),
]  # fmt: skip


@pytest.mark.parametrize(("lists", "expected"), ANSWERS)
def test_where_answers_lead(tmp_path: Path, lists: dict[str, list[Entry]], expected: str) -> None:
    sources = [make_list(slug, *entries) for slug, entries in lists.items()]
    profile = open_policy(tmp_path, sources, one_profile()).profile_for("192.0.2.7")
    answer = [AnswerRecord("w.a.example", addresses=(bytes([192, 0, 2, 7]),))]

    reviewed = review_answer(Asked("w.a.example", A), ALLOWED_BY_DEFAULT, profile, answer, MONDAY)

    assert said(reviewed) == expected


def test_records_of_a_list_stand_behind_the_alias_that_led_there(tmp_path: Path) -> None:
    policy = open_policy(tmp_path, [make_list("jeux", rule("l", reply=LOCAL))], one_profile())
    answer = [AnswerRecord("b.example", targets=("a.example",))]

    reviewed = review_answer(Asked("b.example", A), ALLOWED_BY_DEFAULT, policy.profile_for(None), answer, MONDAY)

    assert reviewed.rewrite == Rewrite("a.example", (ReplyRecord(A, "192.0.2.1"),), is_final=True)


ORDER: list[tuple[dict[str, list[Entry]], str]] = [
    ({"un": ["a.example"], "deux": [rule("l", reply=LOCAL)]}, "rewritten/category_deny"),
    ({"un": [rule("l", reply=LOCAL)], "deux": ["a.example"]}, BLOCKED),
    ({"un": [rule("l", reply=LOCAL)], "deux": [allow("a.example")]}, DEFAULT),
    ({"un": [rule("l", reply=LOCAL)], "deux": [rule("n", reply=RuleReply(ReplyKind.NODATA))]},
     "nodata/category_deny"),
]  # fmt: skip


@pytest.mark.parametrize(("lists", "expected"), ORDER)
def test_a_reply_is_not_heard_after_an_earlier_list(
    tmp_path: Path, lists: dict[str, list[Entry]], expected: str
) -> None:
    """Lists stand in the order of their slugs: « deux » is before « un »."""
    sources = [make_list(slug, *entries, category="jeux") for slug, entries in lists.items()]

    assert said(judge(open_policy(tmp_path, sources, one_profile()), "a.example")) == expected


def test_an_allowed_category_allows_by_an_entry_that_has_a_reply(tmp_path: Path) -> None:
    lists = [make_list("ecole", rule("l", reply=LOCAL)), make_list("jeux", rule("m", reply=ALIAS))]

    assert said(judge(open_policy(tmp_path, lists, one_profile()), "a.example")) == ALLOWED


def test_replies_together(tmp_path: Path) -> None:
    """Records add up, an alias beats them, and the deeper anchor beats the shallower."""
    entries = [
        rule("1", reply=LOCAL),
        rule("2", reply=reply(ReplyKind.RECORDS, "", (A, "192.0.2.2"), (AAAA, "2001:db8::2"))),
        rule("3", "w.a.example", reply=ALIAS),
        rule("4", "w.a.example", reply=LOCAL),
        rule("5", "e.example", reply=reply(ReplyKind.CNAME, "*.jardin.example")),
    ]
    policy = open_policy(tmp_path, [make_list("jeux", *entries)], one_profile())

    def rewrite_of(name: str, qtype: int = A) -> Rewrite:
        rewrite = judge(policy, name, qtype).rewrite
        assert rewrite is not None
        return rewrite

    records = (ReplyRecord(A, "192.0.2.1"), ReplyRecord(A, "192.0.2.2"))
    assert rewrite_of("v.a.example") == Rewrite(None, records, is_final=True)
    assert rewrite_of("w.a.example") == Rewrite("b.example")
    assert rewrite_of("w.a.example", CNAME) == Rewrite("b.example", is_final=True)
    assert rewrite_of("x.e.example").target == "x.e.example.jardin.example"


def test_a_plain_block_of_another_category_beats_a_reply(tmp_path: Path) -> None:
    lists = [make_list("jeux", "a.example"), make_list("pub", rule("l", reply=LOCAL))]

    assert said(judge(open_policy(tmp_path, lists, one_profile()), "a.example")) == BLOCKED


def test_a_pattern_blocks_less_than_anybody_allows_and_allows_as_much_as_a_name(tmp_path: Path) -> None:
    lists = [
        make_list("jeux", rule("p", None, pattern="pub"), "bon.example"),
        make_list("ecole", "education.example", rule("q", None, pattern="^bon")),
    ]
    policy = open_policy(tmp_path, lists, one_profile())

    assert said(judge(policy, "pub.education.example")) == ALLOWED
    assert said(judge(policy, "bon.example")) == ALLOWED
    assert said(judge(policy, "pub.example")) == BLOCKED


class Line(NamedTuple):
    """An entry of a random list."""

    entry: NameEntry
    category: str


LABELS = st.sampled_from(["a", "b", "c", "aa"])
NAMES = st.lists(LABELS, min_size=1, max_size=4).map(lambda labels: ".".join([*labels, "example"]))
LINES = st.builds(
    Line,
    st.builds(NameEntry, NAMES, st.sampled_from(Match), st.booleans(), st.booleans()),
    st.sampled_from(["jeux", "pub", "ecole", "presse"]),
)


def speaks_of(entry: NameEntry, name: str) -> bool:
    if name == entry.name:
        return entry.match is not Match.BELOW
    return name.endswith(f".{entry.name}") and entry.match is not Match.EXACT


def naive(lines: Sequence[Line], name: str) -> tuple[Action, str | None]:
    """What lists say, written for reading: no table, no hash, no memory."""
    speaking = [line for line in lines if speaks_of(line.entry, name)]
    blocks: list[NameEntry] = []
    for category in ("jeux", "pub"):
        entries = [line.entry for line in speaking if line.category == category]
        if any(e.allows and e.important for e in entries):
            continue
        excepted = any(e.allows for e in entries)
        blocks += [e for e in entries if not e.allows and (e.important or not excepted)]
    allows = [line.entry for line in speaking if line.category == "ecole"]
    longest_block = max((e.name for e in blocks), key=len, default="")
    longest_allow = max((e.name for e in allows), key=len, default="")
    if longest_allow and len(longest_allow) >= len(longest_block):
        return Action.ALLOWED, longest_allow
    return (Action.BLOCKED, longest_block) if longest_block else (Action.ALLOWED, None)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINES, max_size=12), asked=st.lists(NAMES, min_size=1, max_size=6))
def test_lists_compiled_and_looked_up_say_what_a_naive_matcher_says(
    tmp_path: Path, lines: list[Line], asked: list[str]
) -> None:
    by_category: dict[str, list[Entry]] = {}
    for line in lines:
        by_category.setdefault(line.category, []).append(line.entry)
    policy = open_policy(tmp_path, [make_list(slug, *entries) for slug, entries in by_category.items()], one_profile())

    for name in {*asked, *(above for line in lines for above in (line.entry.name, f"z.{line.entry.name}"))}:
        decision = judge(policy, name)
        assert (decision.action, decision.suffix) == naive(lines, name), name
        if decision.suffix is not None:
            assert decision.suffix in suffixes(name)


ADVERSARIAL = st.one_of(
    st.text(st.characters(codec="ascii"), max_size=300),
    st.lists(st.sampled_from(["", "a", "*", "\\046", "xn--", "_", "-", "A", "0", "...", "arpa"])).map(".".join),
    st.integers(1, 127).map(lambda count: ".".join(["a"] * count)),
    st.sampled_from(["", ".", "..", "a" * 63, ".".join(["b" * 63] * 3 + ["c" * 61]), "%s.jeu.example", "%(x)s"]),
)  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """A policy that uses everything."""
    entries: list[Entry] = [
        "jeu.example", allow("w.jeu.example"), rule("p", None, pattern="^ad[0-9]+"), rule("l", reply=LOCAL),
        AddressEntry("192.0.2.0/24"),
    ]  # fmt: skip
    directory = tmp_path_factory.mktemp("full")
    names = compile_pair([make_list("jeux", *entries)], one_profile(safe_search=("google",)), directory / "n", serial=1)
    return Policy(NamesFile.open(names), PolicyFile.open(policy_of(names)))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=ADVERSARIAL, qtype=st.integers(0, 65_535))
def test_no_name_and_no_type_makes_a_decision_fail(full: Policy, name: str, qtype: int) -> None:
    decision = decide(Asked(name, qtype), full.profile_for("192.0.2.7"), MONDAY)

    assert decision.rule
    assert decision == decide(Asked(name, qtype), full.profile_for("192.0.2.7"), MONDAY)


def test_a_format_in_a_name_stays_as_it_is(tmp_path: Path) -> None:
    """The entry's text is made from a template; a name is no template."""
    policy = open_policy(tmp_path, [make_list("jeux", "jeu.example")], one_profile())

    assert judge(policy, "%s.jeu.example").entry == "jeu.example"


def test_two_profiles_that_say_the_same_share_their_tables(tmp_path: Path) -> None:
    policy = open_policy(tmp_path, [make_list("jeux", "jeu.example")], one_profile())
    here, elsewhere = policy.profile_for("192.0.2.7"), policy.profile_for("2001:db8::1")

    assert here is not elsewhere
    assert here.moment(MONDAY).verdicts is elsewhere.moment(MONDAY).verdicts
