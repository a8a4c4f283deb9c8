"""Resolvers as people write them."""

from pathlib import Path

import pytest

from filter.cli import run
from filter.endpoints import ConfigInvalid
from filter.resolvers import Resolver, Transport, parse_forwards, parse_resolver


@pytest.mark.parametrize(
    ("text", "resolver", "told"),
    [
        ("9.9.9.9", Resolver("9.9.9.9", 53), "9.9.9.9:53"),
        ("[2620:fe::fe]:5353", Resolver("2620:fe::fe", 5353), "[2620:fe::fe]:5353"),
        (
            "tls://dns.quad9.net#9.9.9.9",
            Resolver("9.9.9.9", 853, Transport.TLS, "dns.quad9.net"),
            "tls://dns.quad9.net#9.9.9.9",
        ),
        ("tls://9.9.9.9:8853", Resolver("9.9.9.9", 8853, Transport.TLS, "9.9.9.9"), "tls://9.9.9.9:8853"),
        (
            "https://DNS.quad9.net:4443/dns-query#2620:fe::fe",
            Resolver("2620:fe::fe", 4443, Transport.HTTPS, "dns.quad9.net", "/dns-query"),
            "https://dns.quad9.net:4443/dns-query#2620:fe::fe",
        ),
    ],
)
def test_what_is_understood(text: str, resolver: Resolver, told: str) -> None:
    assert (parse_resolver(text), str(resolver)) == (resolver, told)
    assert parse_resolver(told) == resolver


@pytest.mark.parametrize(
    "text",
    [
        "quic://dns.example#9.9.9.9",
        "https://dns.example#9.9.9.9",
        "tls://dns.example/dns-query#9.9.9.9",
        "tls://dns.example#pas-une-adresse",
        "tls://#9.9.9.9",
        "9.9.9.9:dns",
        "nulle-part.invalid",
    ],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(ConfigInvalid, match=r"«"):
        parse_resolver(text)


def test_zones_may_have_several_resolvers_and_mistakes_are_all_told() -> None:
    problems: list[str] = []
    found = parse_forwards(
        ["Intranet.Example.=10.0.0.2", "intranet.example=10.0.0.3", "lan", "a..b=10.0.0.2", "x.example=tls://y/",
         "x.onion=10.0.0.2"],
        problems,
    )  # fmt: skip
    assert found == {"intranet.example": (Resolver("10.0.0.2", 53), Resolver("10.0.0.3", 53))}
    assert len(problems) == 4


def test_everything_wrong_about_resolvers_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--bundle", str(tmp_path / "b"), "--listen", "127.0.0.1:5300", "--upstream", "https://dns.example",
        "--forward", "intranet.example=127.0.0.1:5300", "--forward", "lan", "--upstream-ca", str(tmp_path / "absent"),
        "--random-case", "parfois",
    ]  # fmt: skip
    assert run(["serve", *options], {}) == 1
    told = capsys.readouterr().err
    for text in (
        "--upstream « https://dns.example » : attendu",
        "127.0.0.1:5300 est à la fois --listen et résolveur : une boucle",
        "--forward lan : attendu ZONE=RÉSOLVEUR",
        "absent n’existe pas",
        "--random-case vaut oui ou non",
    ):
        assert text in told
