"""RuleTable finds every rule that speaks of a query, and no other; hostile patterns cost memory to nobody."""

import json
import re
from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter import rules
from filter.layout.rules import read_rules, write_rules
from filter.lists.entries import Match, RuleEntry
from filter.rules import Found, PatternRefused, RuleTable, check_pattern, compile_sets

A, AAAA, HTTPS = 1, 28, 65


def rule(**fields: object) -> RuleEntry:
    return RuleEntry("rule", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("entry", "spoken_of", "left_alone"),
    [
        (rule(anchor="example.org"), ["example.org", "a.example.org", "b.a.example.org"], ["org", "badexample.org"]),
        (rule(anchor="example.org", match=Match.EXACT), ["example.org"], ["a.example.org", "org"]),
        (rule(anchor="example.org", match=Match.BELOW), ["a.example.org", "b.a.example.org"], ["example.org"]),
        (rule(pattern=r"^ads[0-9]+\."), ["ads1.example.org", "ads22.fr"], ["ads.example.org", "my.ads1.fr"]),
        (rule(pattern="track"), ["track.fr", "a.b.tracker.org"], ["example.org"]),
        (rule(anchor="example.org", pattern=r"^x"), ["x.example.org"], ["y.example.org", "x.example.net", "x.fr"]),
        (
            rule(anchor="fr", except_below=("ac-amiens.fr",)),
            ["a.fr", "bac-amiens.fr"],
            ["ac-amiens.fr", "x.ac-amiens.fr"],
        ),
        (rule(), ["example.org", "fr", ""], []),
        (rule(except_below=("com", "net")), ["a.org", "com.org"], ["com", "a.com", "b.a.net"]),
        (rule(pattern=r"^\.?$"), [""], ["fr"]),
    ],
)
def test_a_rule_speaks_of_names(entry: RuleEntry, spoken_of: list[str], left_alone: list[str]) -> None:
    table = RuleTable([(3, entry)])

    assert [name for name in spoken_of if table.matching(name, A) != [(3, entry)]] == []
    assert [name for name in left_alone if table.matching(name, A)] == []


@pytest.mark.parametrize(
    ("types", "not_types", "spoken_of"),
    [
        ((), (), [A, AAAA, HTTPS]),
        ((AAAA,), (), [AAAA]),
        ((), (AAAA,), [A, HTTPS]),
        ((A, HTTPS), (A,), [HTTPS]),
    ],
)
def test_a_rule_speaks_of_types(types: tuple[int, ...], not_types: tuple[int, ...], spoken_of: list[int]) -> None:
    table = RuleTable([(0, rule(anchor="example.org", types=types, not_types=not_types))])

    assert [qtype for qtype in (A, AAAA, HTTPS) if table.matching("example.org", qtype)] == spoken_of


def test_all_rules_come_in_the_order_given() -> None:
    found: list[Found] = [
        (2, rule(pattern="example")),
        (0, rule(anchor="example.org")),
        (1, rule()),
        (0, rule(anchor="www.example.org", match=Match.EXACT)),
        (5, rule(pattern="example")),
    ]

    assert RuleTable(found).matching("www.example.org", A) == found


def test_an_empty_table_says_nothing() -> None:
    assert RuleTable([]).matching("example.org", A) == []


@pytest.mark.parametrize("pattern", ["(?=a)b", "(?!a)b", "(?<=a)b", r"(a)\1", "(", "[", "*", "a**(", "é"])
def test_a_pattern_that_is_no_linear_expression_is_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused) as refusal:
        check_pattern(pattern)

    assert refusal.value.reason == "bad_pattern"


@pytest.mark.parametrize(
    "pattern",
    [
        "foo(bar){~1}zap", "(a){+1 -1}", "g{x}", "g{,5}", "{5}x{", "x\\\\", r"(a)\\2", "g;invert", "^a$;querytype=A",
        "[[.foo.]]", "x[a[=b=]]",
    ],
)  # fmt: skip
def test_a_pattern_of_another_engine_that_could_never_be_found_is_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused) as refusal:
        check_pattern(pattern)

    assert refusal.value.reason == "bad_pattern"


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("^a{2}b{1,}c{0,3}$", "aabc"), ("[;{]|x", "x.example"), (r"\{|\;|x", "x.example"), (r"\x{61}\pL$", "ab"),
        ("[[:alpha:]]+[0-9]", "ads7"), ("[^]{]a", "xa"), (r"[\]{a]x", "ax"), ("a[.]b", "a.b"), ("[.=]c", "a.c"),
    ],
)  # fmt: skip
def test_braces_and_classes_that_mean_something_are_kept(pattern: str, name: str) -> None:
    check_pattern(pattern)
    assert RuleTable([(0, rule(pattern=pattern))]).matching(name, A)


@pytest.mark.parametrize(
    "pattern",
    ["(x{100}){100}", "((a{1,100}){1,100}){1,100}", "x{1001}", r"\pL{1000}", "[^a]{900}\\pN{900}", "a" * 1001],
)
def test_a_pattern_that_would_be_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused) as refusal:
        check_pattern(pattern)

    assert refusal.value.reason == "pattern_too_large"


@pytest.mark.parametrize("pattern", ["(x+x+)+y", "(a|aa)+$", "(.*)*b", ".*a.{20}", "^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_patterns_that_make_other_engines_backtrack_are_run(pattern: str) -> None:
    """By RE2, which reads the name once; Python's own engine would not come back from these."""
    check_pattern(pattern)
    table = RuleTable([(0, rule(pattern=pattern)), (1, rule(pattern="x$"))])

    assert [position for position, _ in table.matching("a" * 63 + "." + "x" * 63, A)] in ([1], [0, 1])


def test_patterns_that_do_not_fit_in_one_set_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns = [f"name{number}[a-z]{{50}}x" for number in range(64)]
    assert len(list(compile_sets(patterns))) == 1
    monkeypatch.setattr(rules, "SET_MEMORY", 1 << 17)

    sets = list(compile_sets(patterns))
    table = RuleTable([(number, rule(pattern=pattern)) for number, pattern in enumerate(patterns)])

    assert len(sets) > 1
    assert [pattern for some, _ in sets for pattern in some] == patterns
    assert [position for position, _ in table.matching(f"name63{'a' * 50}x.name7{'b' * 50}x", A)] == [7, 63]


def test_more_patterns_than_a_set_holds_are_all_found() -> None:
    count = rules.SET_PATTERNS * 2 + 1
    table = RuleTable([(number, rule(pattern=f"^n{number}$")) for number in range(count)])

    assert all(
        [position for position, _ in table.matching(f"n{number}", A)] == [number]
        for number in (0, count // 2, count - 1)
    )


NAMES = st.lists(st.sampled_from(["a", "b", "ab", "example", "org", "fr"]), max_size=4).map(".".join)
PATTERNS = st.one_of(
    st.none(),
    st.lists(st.sampled_from(["a", "b", ".", r"\.", "[ab]", "a*", "(?:a|b)", "b+", "^", "$", ".*"]), max_size=5).map(
        "".join
    ),
)
RULES = st.builds(
    RuleEntry,
    st.just("rule"),
    anchor=st.one_of(st.none(), NAMES.filter(bool)),
    match=st.sampled_from(Match),
    pattern=PATTERNS,
    types=st.lists(st.sampled_from([A, AAAA]), max_size=2).map(tuple),
    not_types=st.lists(st.sampled_from([A, AAAA]), max_size=1).map(tuple),
    except_below=st.lists(NAMES.filter(bool), max_size=2).map(tuple),
)


def is_below(name: str, parent: str) -> bool:
    return name.endswith(f".{parent}")


def speaks(entry: RuleEntry, name: str, qtype: int) -> bool:
    """What RuleEntry says of itself, one rule at a time."""
    at_anchor = entry.anchor is None or (
        (name == entry.anchor and entry.match is not Match.BELOW)
        or (is_below(name, entry.anchor) and entry.match is not Match.EXACT)
    )
    return (
        at_anchor
        and (entry.pattern is None or re.search(entry.pattern, name) is not None)
        and (not entry.types or qtype in entry.types)
        and qtype not in entry.not_types
        and not any(name == spared or is_below(name, spared) for spared in entry.except_below)
    )


@settings(max_examples=500)
@given(st.lists(RULES, max_size=8), st.lists(NAMES, max_size=6), st.sampled_from([A, AAAA, HTTPS]))
def test_random_tables_agree_with_one_rule_at_a_time(entries: list[RuleEntry], names: list[str], qtype: int) -> None:
    found = list(enumerate(entries))
    table = RuleTable(found)

    for name in names:
        assert table.matching(name, qtype) == [pair for pair in found if speaks(pair[1], name, qtype)]


NETWORKS = [
    (0, RuleEntry("large", network="192.0.0.0/16")),
    (1, RuleEntry("small", network="192.0.2.0/24")),
    (2, RuleEntry("one", network="192.0.2.7/32", types=(A,))),
    (3, RuleEntry("six", network="2001:db8::/32")),
    (4, RuleEntry("embedded", network="::c000:207/128")),
]


@pytest.mark.parametrize(
    ("address", "qtype", "found"),
    [
        ("192.0.2.7", A, ["one", "small", "large"]),
        ("192.0.2.7", HTTPS, ["small", "large"]),
        ("192.0.3.7", A, ["large"]),
        ("192.1.0.0", A, []),
        ("2001:db8:ffff::", AAAA, ["six"]),
        ("2001:db9::", AAAA, []),
        ("::c000:207", AAAA, ["embedded"]),
    ],
)
def test_rules_about_answers_are_found_by_address(address: str, qtype: int, found: list[str]) -> None:
    table = RuleTable(NETWORKS)

    assert [rule.text for _, rule in table.networks.leading_to(ip_address(address).packed, qtype)] == found
    assert table.matching("example.org", qtype) == [], "they speak of no name"


@pytest.mark.parametrize("rule", [rule for _, rule in NETWORKS])
def test_rules_about_answers_come_back_from_a_bundle(rule: RuleEntry) -> None:
    assert read_rules(memoryview(write_rules([(0, rule)])), 1) == ((0, rule),)


@pytest.mark.parametrize("fields", [{"anchor": "a.example"}, {"pattern": "a"}, {"network": "192.0.2.1/24"}])
def test_a_bundle_with_a_rule_about_both_is_refused(fields: dict[str, str]) -> None:
    section = json.dumps([[0, {"text": "r", "network": "192.0.2.0/24", **fields}]]).encode()

    with pytest.raises(ValueError):  # noqa: PT011  # which words, nobody relies on
        read_rules(memoryview(section), 1)
