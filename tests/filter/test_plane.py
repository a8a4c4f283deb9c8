"""The compiled plane says what the handler says, or leaves it to the handler."""

import asyncio
from datetime import time, timedelta
from pathlib import Path

import pytest

from filter.deciding.safesearch import ENGINES
from filter.lists.entries import AddressEntry, Match, NameEntry, ReplyKind, ReplyRecord, RuleEntry, RuleReply
from filter.lists.source import ListSource
from filter.plane.handing import Reason
from filter.settings import (
    BlockMode,
    CategoryRule,
    LessonSettings,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    PolicySettings,
    ProfileSettings,
    RewriteSettings,
    ScheduleSettings,
    Verdict,
    WeeklyRange,
    YouTube,
    category_rules,
)
from tests.filter.conftest import make_list
from tests.filter.differential import Packets, World, run
from tests.filter.judging import MONDAY, open_policy
from tests.filter.zone import TARGETS

LISTS: tuple[ListSource, ...] = (
    make_list(
        "jeux",
        "jeu.example",
        "en.deux.example",
        "deux.jeu.example",
        "com.example",
        NameEntry("exact.example", Match.EXACT),
        NameEntry("dessous.example", Match.BELOW),
        NameEntry("excepte.jeu.example", allows=True),
        NameEntry("important.jeu.example", important=True),
        AddressEntry("198.51.100.0/24"),
    ),
    make_list("adultes", "nu.example", "en.deux.example", "tres.nu.example", AddressEntry("2a00::/32")),
    make_list("education", "lecon.jeu.example", "education.example"),
    make_list("presse", "journal.example", "une.journal.example"),
)
RULES = make_list(
    "regles",
    RuleEntry("/jeu[0-9]/", pattern="jeu[0-9]"),
    RuleEntry(
        "||regle.example^$dnsrewrite=203.0.113.5",
        anchor="regle.example",
        reply=RuleReply(ReplyKind.RECORDS, records=(ReplyRecord(1, "203.0.113.5"),)),
    ),
    RuleEntry("||muet.example^", anchor="muet.example", reply=RuleReply(ReplyKind.DROP)),
    RuleEntry("||coupe.example^", anchor="coupe.example", reply=RuleReply(ReplyKind.TRUNCATE)),
)
ANCHORED = make_list(
    "regles",
    RuleEntry("||muet.example^", anchor="muet.example", reply=RuleReply(ReplyKind.DROP)),
    RuleEntry("||regle.example^$dnstype=A", anchor="regle.example", types=(1,)),
)
NAMES = (
    *TARGETS, "jeu.example", "en.deux.example", "exact.example", "sous.exact.example", "dessous.example",
    "sous.dessous.example", "important.jeu.example", "lecon.jeu.example", "education.example", "journal.example",
    "une.journal.example", "tres.nu.example", "libre.example", "autre.example.org", "long.libre.example", "youtube.com",
    "www.youtube.com", "duckduckgo.com", "www.bing.com", "use-application-dns.net", "mask.icloud.com", "onion",
    "x.onion", "test", "home.arpa", "1.168.192.in-addr.arpa", "alias.example", "adresse.example", "joker.example",
    "com", "", "muet.example", "coupe.example", "regle.example", "jeu7.example", "lecon.example", "h\u00e9.example",
    f"a.{'f' * 32}.preau-loop", "x.preau-loop", "plage.example", "temporaire.example", "com.example",
)  # fmt: skip
HOUR = timedelta(hours=1)
EVENING = ScheduleSettings("soir", "Soirée", weekly=(WeeklyRange(tuple(range(7)), time(10, 30), time(12)),))


def settings(**changes: object) -> PolicySettings:
    """Four profiles that differ in all that a plane could get wrong."""
    common = {
        "categories": (
            *category_rules(("jeux", "adultes", "regles"), ("education",)),
            CategoryRule("presse", Verdict.BLOCK, "soir", Verdict.ALLOW, "Aisne"),
        ),
        "names": (NameRule("bloque.example", Verdict.BLOCK), NameRule("permis.example", Verdict.ALLOW)),
        "rewrites": (
            RewriteSettings("alias.example", ("cible.example",)),
            RewriteSettings("adresse.example", ("10.0.0.5", "2001:db8::5")),
            RewriteSettings("*.joker.example", ("192.0.2.7",)),
        ),
        "overrides": (
            OverrideSettings("1", Verdict.ALLOW, MONDAY, MONDAY + HOUR, ("temporaire.example",), ("presse",), "sortie"),
            OverrideSettings(
                "2", Verdict.BLOCK, MONDAY + HOUR / 2, MONDAY + 2 * HOUR, ("libre.example",), reason="test"
            ),
        ),
        "safe_search": tuple(ENGINES),
        "youtube": YouTube.STRICT,
    }
    profiles = (
        ProfileSettings("page", "Page", **common),  # type: ignore[arg-type]
        ProfileSettings("zero", "Zéro", block_mode=BlockMode.ZERO, school="0021234A", **common),  # type: ignore[arg-type]
        ProfileSettings(
            "nx", "NX", block_mode=BlockMode.NXDOMAIN, closes_bypass=False, categories=category_rules(("jeux",))
        ),
        ProfileSettings("vide", "Vide", youtube=YouTube.MODERATE, school="0021234B"),
    )
    networks = (
        NetworkSettings("10.0.0.0/8", "page"),
        NetworkSettings("10.2.0.0/16", "zero"),
        NetworkSettings("10.3.0.0/16", "nx", "101"),
        NetworkSettings("2001:db8::/32", "zero"),
        NetworkSettings("198.51.100.9/32", "vide"),
    )
    lessons = (LessonSettings("l", "101", MONDAY + HOUR / 3, MONDAY + HOUR, ("lecon.example", "jeu.example"), "Maths"),)
    fields = {
        "profiles": profiles, "default_profile": "vide", "networks": networks, "schedules": (EVENING,),
        "lessons": lessons, "private_names": ("intranet.example", "lan"),
    }  # fmt: skip
    return PolicySettings(**fields | changes)  # type: ignore[arg-type]


VARIANTS = {"lists": LISTS, "anchored": (*LISTS, ANCHORED), "patterns": (*LISTS, RULES)}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", range(3))
def test_the_same_bytes_as_the_handler(tmp_path: Path, variant: str, seed: int) -> None:
    world = World(open_policy(tmp_path, VARIANTS[variant], settings()), MONDAY)
    asyncio.run(run(world, Packets(seed, NAMES), 12_000))

    assert world.seen.became[Reason.ANSWERED] > 1_000
    assert world.seen.became[Reason.REVIEW] > 10


@pytest.mark.long
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("variant", VARIANTS)
def test_millions_of_packets(tmp_path: Path, variant: str) -> None:
    policy = open_policy(tmp_path, VARIANTS[variant], settings())
    for seed in range(100, 120):
        asyncio.run(run(World(policy, MONDAY), Packets(seed, NAMES), 50_000))
