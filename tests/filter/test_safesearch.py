"""Safe variants of search engines, YouTube's restricted mode, and ways around the filter."""

import pytest

from filter.deciding.bypass import BYPASS_NAMES, is_bypass
from filter.deciding.safesearch import (
    ENGINES,
    SAFE_SEARCH,
    WITHOUT_SAFE_SEARCH,
    YOUTUBE_NAMES,
    YOUTUBE_TARGETS,
    SafeTarget,
    rewrite_for,
)
from filter.names import clean_name
from filter.settings import YouTube

ALL = frozenset(ENGINES)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("www.google.com", "forcesafesearch.google.com"),
        ("www.google.fr", "forcesafesearch.google.com"),
        ("www.google.co.uk", "forcesafesearch.google.com"),
        ("www.google.com.br", "forcesafesearch.google.com"),
        ("www.google.cat", "forcesafesearch.google.com"),
        ("www.bing.com", "strict.bing.com"),
        ("duckduckgo.com", "safe.duckduckgo.com"),
        ("www.ecosia.org", "strict-safe-search.ecosia.org"),
        ("pixabay.com", "safesearch.pixabay.com"),
    ],
)
def test_an_engine_leads_to_its_safe_variant(name: str, target: str) -> None:
    found = rewrite_for(name, ALL, YouTube.OFF)
    assert found is not None
    assert (found.target, found.addresses) == (target, ())


def test_yandex_has_an_address_and_no_name() -> None:
    assert rewrite_for("yandex.com.tr", ALL, YouTube.OFF) == SafeTarget("yandex", addresses=("213.180.193.56",))
    assert rewrite_for("www.ya.ru", ALL, YouTube.OFF) is not None


def test_only_the_engines_asked_for_are_rewritten() -> None:
    assert rewrite_for("www.google.fr", frozenset({"bing"}), YouTube.STRICT) is None
    assert rewrite_for("www.bing.com", frozenset({"bing"}), YouTube.STRICT) is not None


@pytest.mark.parametrize(
    "name",
    [
        "google.com",
        "mail.google.com",
        "www.google.example",
        "a.www.google.fr",
        "translate.yandex.ru",
        "example.org",
        "",
    ],
)
def test_other_names_lead_where_they_always_do(name: str) -> None:
    assert rewrite_for(name, ALL, YouTube.STRICT) is None


@pytest.mark.parametrize(
    ("level", "target"),
    [(YouTube.STRICT, "restrict.youtube.com"), (YouTube.MODERATE, "restrictmoderate.youtube.com")],
)
def test_youtube_is_restricted_whatever_the_engines(level: YouTube, target: str) -> None:
    for name in YOUTUBE_NAMES:
        found = rewrite_for(name, frozenset(), level)
        assert found is not None
        assert found.target == target
        assert rewrite_for(name, ALL, YouTube.OFF) is None


def test_a_target_is_never_rewritten_itself() -> None:
    targets = {engine.target for engine in ENGINES.values()} | {target.target for target in YOUTUBE_TARGETS.values()}
    assert not targets & (SAFE_SEARCH.keys() | YOUTUBE_NAMES)
    assert all(target.target or target.addresses for target in SAFE_SEARCH.values())


def test_every_name_is_written_as_names_are_compared() -> None:
    unsafe = {name for names in WITHOUT_SAFE_SEARCH.values() for name in names}
    for name in {*SAFE_SEARCH, *YOUTUBE_NAMES, *unsafe, *BYPASS_NAMES}:
        assert clean_name(name) == name
    assert not unsafe & SAFE_SEARCH.keys()
    assert sum(len(engine.names) for engine in ENGINES.values()) == len(SAFE_SEARCH)


def test_encrypted_resolvers_and_relays_are_ways_around_the_filter() -> None:
    for name in ("dns.google", "mozilla.cloudflare-dns.com", "abc123.dns.nextdns.io", "mask.icloud.com", "ns0.fdn.fr"):
        assert is_bypass(name)
    for name in ("google", "dns.example.org", "nextdns.io", "www.icloud.com", "adguard.com", "cloudflare.com"):
        assert not is_bypass(name)
