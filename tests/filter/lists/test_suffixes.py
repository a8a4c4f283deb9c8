"""Public suffixes are told as publicsuffixlist tells them, only faster."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from publicsuffixlist import PublicSuffixList

from filter.lists.suffixes import icann_rules, is_known_suffix, is_public_suffix

REFERENCE = PublicSuffixList(only_icann=True)
RULES = icann_rules()
EVERY = sorted(RULES.exact | RULES.wildcards | RULES.exceptions)


@pytest.mark.parametrize(
    ("name", "public", "known"),
    [
        ("com", True, True),
        ("gouv.fr", True, True),
        ("co.uk", True, True),
        ("ck", True, True),
        ("anything.ck", True, True),
        ("www.ck", False, False),
        ("a.anything.ck", False, False),
        ("kobe.jp", True, True),
        ("city.kobe.jp", False, False),
        ("xn--55qx5d.cn", True, True),
        ("公司.cn", True, True),
        ("blogspot.com", False, False),  # the list's other part
        ("example.com", False, False),
        ("intranet", True, False),
        ("example.intranet", False, False),
    ],
)
def test_a_name_is_a_public_suffix(name: str, public: bool, known: bool) -> None:
    assert (is_public_suffix(name), is_known_suffix(name)) == (public, known)


def test_every_rule_is_told_as_the_library_tells_it() -> None:
    """Each rule, its parents, and one and two labels more."""
    assert len(EVERY) > 6000
    for rule in EVERY:
        for name in (rule, f"www.{rule}", f"a.www.{rule}", rule.partition(".")[2] or "fr"):
            assert is_public_suffix(name) == REFERENCE.is_public(name), name


LABEL = st.one_of(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_é", min_size=1, max_size=12), st.just("www"))


@settings(max_examples=500)
@given(st.lists(LABEL, max_size=3), st.one_of(st.sampled_from(EVERY), LABEL))
def test_any_name_is_told_as_the_library_tells_it(labels: list[str], end: str) -> None:
    name = ".".join([*labels, end])

    assert is_public_suffix(name) == REFERENCE.is_public(name)
    if "." in name:
        assert is_known_suffix(name) == is_public_suffix(name)
