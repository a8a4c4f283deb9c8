"""Popular names are found from an entry that would block them."""

import pytest

from filter.lists.entries import Match
from filter.lists.popular import Group, find_popular, group_of, is_popular, popular_names
from filter.lists.suffixes import is_public_suffix
from filter.names import clean_name


@pytest.mark.parametrize(
    ("name", "popular"),
    [
        ("wikipedia.org", True),
        ("www.wikipedia.org", True),
        ("education.gouv.fr", True),
        ("ac-amiens.fr", True),
        ("mit.edu", True),  # scratch.mit.edu is below
        ("org", True),
        ("ads.wikipedia.org", False),
        ("notwikipedia.org", False),
        ("jeu.example", False),
    ],
)
def test_an_entry_is_popular(name: str, popular: bool) -> None:
    assert is_popular(name) == popular


def test_what_an_entry_hits_depends_on_its_kind() -> None:
    assert find_popular("mit.edu") == ("scratch.mit.edu",)
    assert find_popular("mit.edu", Match.EXACT) == ()
    assert find_popular("mit.edu", Match.BELOW) == ("scratch.mit.edu",)
    assert find_popular("vikidia.org") == ("fr.vikidia.org", "vikidia.org")
    assert find_popular("vikidia.org", Match.EXACT) == ("vikidia.org",)
    assert find_popular("www.vikidia.org", Match.EXACT) == ("vikidia.org",)
    assert find_popular("www.vikidia.org", Match.BELOW) == ()
    assert group_of("vikidia.org") is Group.EDUCATION
    assert group_of("google.fr") is Group.COMMON


def test_the_data_are_clean_names() -> None:
    assert len(popular_names()) > 3000
    for name in popular_names():
        assert clean_name(name) == name
        assert not is_public_suffix(name), name
