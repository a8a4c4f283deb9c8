"""Settings in one form, and everything that is wrong with them told at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from filter.normalising import LONGEST_TEXT, normalise
from filter.settings import (
    CategoryRule,
    LabelSettings,
    LessonSettings,
    NameRule,
    NetworkSettings,
    OverrideSettings,
    Period,
    PolicySettings,
    ProfileSettings,
    RewriteSettings,
    ScheduleSettings,
    SettingsInvalid,
    Verdict,
    WeeklyRange,
    hash_label,
)

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
BLOCK, ALLOW = Verdict.BLOCK, Verdict.ALLOW


def settings(**fields: object) -> PolicySettings:
    """A policy of one profile; fields of the profile or of the policy."""
    common = {key: fields.pop(key) for key in list(fields) if key in PolicySettings.__dataclass_fields__}
    profile = ProfileSettings(**{"slug": "p", "name": "Profil"} | fields)  # type: ignore[arg-type]
    networks = (NetworkSettings("10.0.0.0/8", "p", "101"),)
    return PolicySettings(**{"profiles": (profile,), "default_profile": "p", "networks": networks} | common)  # type: ignore[arg-type]


def test_one_form_whatever_the_order() -> None:
    paris = NOW.astimezone(timezone(HOUR))
    given = settings(
        profiles=(
            ProfileSettings(
                "z", "Z",
                categories=(CategoryRule("jeux", BLOCK), CategoryRule("adult", BLOCK)),
                names=(NameRule(" Été.Example. ", BLOCK), NameRule("a.example", ALLOW),
                       NameRule("a.example", ALLOW, "x"), NameRule("b.example", Verdict.NEUTRAL)),
                safe_search=("google", "bing", "google"),
                overrides=(OverrideSettings("o", ALLOW, paris, paris + HOUR, ("B.example",)),),
                rewrites=(RewriteSettings("*.Hote.example", ("192.0.2.1", "aaaa")),
                          RewriteSettings("imprimante", ("10.0.0.9",))),
            ),
            ProfileSettings("p", "P"),
        ),
        networks=(NetworkSettings("10.2.3.4/8", "p", "101"), NetworkSettings("10.1.0.0/16", "z")),
        lessons=(LessonSettings("l", "101", NOW, NOW + HOUR, ("www.Carte.example",)),),
        private_names=("*.Intranet.example", "lan"),
    )  # fmt: skip
    once = normalise(given)
    profile = once.profiles[1]

    assert [p.slug for p in once.profiles] == ["p", "z"]
    assert [rule.category for rule in profile.categories] == ["adult", "jeux"]
    assert [(rule.name, rule.layer) for rule in profile.names] == [("a.example", ""), ("xn--t-9fab.example", "")]
    assert profile.safe_search == ("bing", "google")
    assert (profile.overrides[0].starts.tzinfo, profile.overrides[0].names) == (UTC, ("b.example",))
    assert profile.rewrites[0] == RewriteSettings("*.hote.example", ("192.0.2.1", "AAAA"))
    assert [network.cidr for network in once.networks] == ["10.0.0.0/8", "10.1.0.0/16"]
    assert once.private_names == ("intranet.example", "lan")
    assert once.lessons[0].names == ("www.carte.example",)
    assert normalise(once) == once
    assert (
        normalise(replace(given, networks=given.networks[::-1], profiles=given.profiles[::-1])).to_json()
        == once.to_json()
    )
    assert PolicySettings.from_json(once.to_json()) == once


MANY = tuple(f"a{number}.example" for number in range(20_001))
WEEK = WeeklyRange((0,), time(8), time(9))
WRONG: list[tuple[dict[str, object], str]] = [
    ({"default_profile": "x"}, "profil inconnu : x"),
    ({"networks": (NetworkSettings("10.0.0.0/8", "y"),)}, "profil inconnu : y"),
    ({"networks": (NetworkSettings("10.0.0/99", "p"),)}, "n’est pas un réseau"),
    ({"networks": (NetworkSettings("10.1.0.0/8", "p"), NetworkSettings("10.2.0.0/8", "p"))}, "réseau en double"),
    ({"networks": (NetworkSettings("10.1.0.0/8", "p", filter="deux\nlignes"),)}, "filtre invalide"),
    ({"networks": (NetworkSettings("10.0.0.0/8", "p", "", "a"),) * 2}, "réseau en double : 10.0.0.0/8 a"),
    ({"labels": (LabelSettings("abc", "p"),)}, "étiquette invalide : abc"),
    ({"labels": (LabelSettings(hash_label("a"), "y"),)}, "profil inconnu : y"),
    ({"profiles": (ProfileSettings("p", "P"), ProfileSettings("p", "Q"))}, "profil en double : p"),
    ({"names": (NameRule("pas un nom", BLOCK),)}, "nom invalide : pas un nom"),
    ({"names": (NameRule("192.0.2.1", BLOCK),)}, "nom invalide : 192.0.2.1"),
    ({"names": (NameRule("com", BLOCK),)}, "nom invalide : com"),
    ({"names": (NameRule("a.example", BLOCK, reason="x" * (LONGEST_TEXT + 1)),)}, "texte de plus de"),
    ({"categories": (CategoryRule("Jeux en ligne", BLOCK),)}, "catégorie invalide"),
    ({"categories": (CategoryRule("jeux", BLOCK), CategoryRule("jeux", ALLOW))}, "catégorie en double : jeux"),
    ({"categories": (CategoryRule("jeux", BLOCK, "nuit"),)}, "plage inconnue : nuit"),
    ({"closed_categories": ("Doh!",)}, "catégorie invalide : Doh!"),
    ({"safe_search": ("altavista",)}, "moteur inconnu : altavista"),
    ({"schedules": (ScheduleSettings("s", "S", "Europe/Guise", (WEEK,)),)}, "Fuseau horaire inconnu"),
    ({"schedules": (ScheduleSettings("s", "S", weekly=(replace(WEEK, weekdays=(9,)),)),)}, "plage s"),
    ({"schedules": (ScheduleSettings("s", "S", holidays=(Period(date(2027, 1, 2), date(2027, 1, 1)),)),)}, "finit"),
    ({"schedules": (ScheduleSettings("s", "S"), ScheduleSettings("s", "T"))}, "plage en double : s"),
    ({"overrides": (OverrideSettings("o", ALLOW, NOW, NOW, ("a.example",)),)}, "finit avant de commencer"),
    ({"overrides": (OverrideSettings("o", ALLOW, NOW, NOW + HOUR),)}, "ni nom ni catégorie"),
    ({"overrides": (OverrideSettings("o", ALLOW, NOW.replace(tzinfo=None), NOW, ("a.example",)),)}, "sans fuseau"),
    ({"overrides": (OverrideSettings("o", Verdict.NEUTRAL, NOW, NOW + HOUR, ("a.example",)),)}, "se permet"),
    ({"overrides": (OverrideSettings("o", ALLOW, NOW, NOW + HOUR, ("a b",)),)}, "nom invalide : a b"),
    ({"lessons": (LessonSettings("l", "999", NOW, NOW + HOUR),)}, "salle inconnue : 999"),
    ({"lessons": (LessonSettings("l", "101", NOW, NOW - HOUR),)}, "leçon l : finit avant"),
    ({"lessons": tuple(LessonSettings("l", "101", NOW, NOW + HOUR) for _ in "ab")}, "leçon en double : l"),
    ({"lessons": (LessonSettings("l", "101", NOW, NOW + HOUR, MANY),)}, "trop de noms"),
    ({"rewrites": (RewriteSettings("a.example", ("b.example", "192.0.2.1")),)}, "mène à un seul nom"),
    ({"rewrites": (RewriteSettings("a.example", ()),)}, "mène à un seul nom"),
    ({"rewrites": (RewriteSettings("a.example", ("b c",)),)}, "nom invalide : b c"),
    ({"private_names": ("a b",)}, "nom invalide : a b"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), WRONG)
def test_what_is_wrong_is_told(fields: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=words.replace("(", "\\(").replace("!", "\\!")):
        normalise(settings(**fields))


def test_everything_wrong_is_told_at_once() -> None:
    given = settings(
        default_profile="x", names=(NameRule("a b", BLOCK),), safe_search=("altavista",), private_names=("c d",)
    )

    with pytest.raises(SettingsInvalid) as refusal:
        normalise(given)

    assert all(words in str(refusal.value) for words in ("profil inconnu", "a b", "altavista", "c d"))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"profiles":[],"default_profile":1}', b"\xff", b'{"profiles":[{}]}']
)
def test_what_is_no_policy_is_refused(content: bytes) -> None:
    with pytest.raises(SettingsInvalid):
        PolicySettings.from_json(content)
