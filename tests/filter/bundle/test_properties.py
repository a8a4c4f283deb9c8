"""Look-ups, networks and rules of any content equal naive references."""

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filter.bundle import Member, NamesFile
from filter.compiler import compile_names
from filter.lists.entries import AddressEntry, Match, NameEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from tests.filter.bundle.reading import find
from tests.filter.conftest import NOON, make_list

LABELS = st.text("abcdef0-", min_size=1, max_size=8).map(lambda label: f"x{label}x")
DOMAINS = st.lists(LABELS, min_size=2, max_size=4).map(".".join)
ENTRIES = st.builds(NameEntry, DOMAINS, st.sampled_from(Match), st.booleans(), st.booleans())


@settings(max_examples=80, deadline=None)
@given(
    lists=st.lists(st.lists(ENTRIES | DOMAINS, max_size=30), min_size=1, max_size=5),
    asked=st.lists(DOMAINS, max_size=20),
    use_numpy=st.booleans(),
)
def test_look_up_equals_a_dictionary_of_sets(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[NameEntry | str]], asked: list[str], use_numpy: bool
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    sources = [make_list(f"liste{number}", *entries) for number, entries in enumerate(lists)]
    compile_names(sources, path, serial=1, compiled_at=NOON, use_numpy=use_numpy)
    names = NamesFile.open(path)
    expected: dict[str, set[Member]] = {}
    for position, entries in enumerate(lists):
        for entry in entries:
            one = NameEntry(entry) if isinstance(entry, str) else entry
            expected.setdefault(one.name, set()).add(Member(position, one.match, one.allows, one.important))

    for name in {*asked, *expected}:
        assert find(names, name) == expected.get(name, set())


NETWORKS = st.builds(
    lambda address, length: str(ipaddress.ip_network((address, length), strict=False)),
    st.sampled_from(["192.0.2.1", "192.0.2.200", "192.0.3.7", "10.1.2.3"]),
    st.integers(8, 32),
) | st.builds(
    lambda address, length: str(ipaddress.ip_network((address, length), strict=False)),
    st.sampled_from(["2001:db8::1", "2001:db8:ffff::1", "fe80::1"]),
    st.integers(1, 128),
)


@settings(max_examples=80, deadline=None)
@given(networks=st.sets(NETWORKS, max_size=30), asked=st.lists(st.ip_addresses(), max_size=5))
def test_addresses_equal_a_naive_search(
    tmp_path_factory: pytest.TempPathFactory, networks: set[str], asked: list[ipaddress.IPv4Address]
) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    compile_names([make_list("ip", *map(AddressEntry, networks))], path, serial=1, compiled_at=NOON)
    names = NamesFile.open(path)
    parsed = [ipaddress.ip_network(network) for network in networks]

    near = [ipaddress.ip_address(text) for text in ("192.0.2.1", "192.0.2.201", "10.1.2.4", "2001:db8::2", "fe80::1")]
    for address in [*asked, *near, *(network.broadcast_address for network in parsed)]:
        holding = sorted(
            (n for n in parsed if n.version == address.version and address in n), key=lambda n: -n.prefixlen
        )
        assert [network for network, _ in names.find_address_sets(address.packed)] == list(map(str, holding))


RULES = st.builds(
    RuleEntry,
    text=st.text(max_size=20),
    anchor=st.none() | DOMAINS,
    match=st.sampled_from(Match),
    pattern=st.none() | st.text(max_size=10),
    types=st.lists(st.integers(0, 65535), max_size=3).map(tuple),
    not_types=st.lists(st.integers(0, 65535), max_size=3).map(tuple),
    except_below=st.lists(DOMAINS, max_size=3).map(tuple),
    allows=st.booleans(),
    important=st.booleans(),
    reply=st.none()
    | st.builds(
        RuleReply,
        st.sampled_from(ReplyKind),
        st.text(max_size=5),
        st.lists(st.builds(ReplyRecord, st.integers(0, 65535), st.text(max_size=8)), max_size=3).map(tuple),
    ),
    lifts_replies=st.booleans(),
)


@settings(max_examples=50, deadline=None)
@given(rules=st.lists(RULES, max_size=5))
def test_any_rule_is_read_back(tmp_path_factory: pytest.TempPathFactory, rules: list[RuleEntry]) -> None:
    path = tmp_path_factory.mktemp("bundle") / "b"
    compile_names([make_list("regles", *rules)], path, serial=1, compiled_at=NOON)

    assert [rule for _, rule in NamesFile.open(path).rules] == rules
