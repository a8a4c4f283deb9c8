"""French, as pages write it: names, dates, sizes, signs."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from dashboards.portal import categories, words
from dashboards.portal.typography import unbreakable
from filter.lists.titles import TITLES
from filter.settings import SCHOOL_CATEGORIES
from fleet.configuration.states import RULES
from fleet.devices.models import DeviceKind, DeviceStatus, Platform
from fleet.ent.models import EntProduct
from fleet.filtering.models import PublicationState
from fleet.filtering.policy.models import RequestStatus
from fleet.filtering.policy.profiles import WHITE_CATEGORIES
from fleet.schools.names import in_text, is_generic, of, written
from fleet.tickets.models import TicketKind, TicketStatus, TicketSubject

NOON = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("shouted", "expected"),
    [
        ("ECOLE PRIMAIRE", "École primaire"),
        ("ECOLE ELEMENTAIRE DU CENTRE", "École élémentaire du Centre"),
        ("ECOLE PRIMAIRE PRIVEE JEANNE D ARC", "École primaire privée Jeanne d’Arc"),
        ("ECOLE PRIMAIRE L ARC EN CIEL", "École primaire l’Arc en Ciel"),
        ("ECOLE MATERNELLE JACQUES PRÉVERT", "École maternelle Jacques Prévert"),
        ("COLLEGE SAINT-JOSEPH", "Collège Saint-Joseph"),
        ("École de la Source", "École de la Source"),
    ],
)
def test_school_names(shouted: str, expected: str) -> None:
    assert written(shouted) == expected


def test_names_of_the_directory_inside_a_sentence() -> None:
    told = "ECOLE PRIMAIRE L ARC EN CIEL → ECOLE MATERNELLE DU CENTRE"
    assert in_text(told) == "École primaire l’Arc en Ciel → École maternelle du Centre"
    assert in_text("code ABCD…, donné par H. L. ; PC DE LA BCD") == "code ABCD…, donné par H. L. ; PC DE LA BCD"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Achery", "d’Achery"),
        ("Étréaupont", "d’Étréaupont"),
        ("Hirson", "d’Hirson"),
        ("Ham", "de Ham"),
        ("Guise", "de Guise"),
        ("Y", "d’Y"),
        ("Le Nouvion", "du Nouvion"),
        ("Les Autels", "des Autels"),
        ("La Fère", "de La Fère"),
    ],
)
def test_whose_page(name: str, expected: str) -> None:
    assert of(name) == expected


def test_a_name_that_tells_nothing() -> None:
    assert is_generic("ECOLE PRIMAIRE")
    assert not is_generic("ECOLE PRIMAIRE GODIN")


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        (timedelta(seconds=5), "à l’instant"),
        (timedelta(minutes=5), "il y a 5 min"),
        (timedelta(hours=3), "il y a 3 h"),
        (timedelta(days=1), "il y a 1 jour"),
        (timedelta(days=9), "il y a 9 jours"),
        (timedelta(days=100), "le 16 août 2026"),
    ],
)
def test_ago(before: timedelta, expected: str) -> None:
    assert words.ago(NOON - before, NOON).replace("\u00a0", " ") == expected


def test_moments_are_those_of_paris_in_winter_and_summer() -> None:
    assert words.moment(NOON).replace("\u00a0", " ") == "24 nov. 2026 à 12 h 00"
    assert words.moment(datetime(2026, 7, 31, 22, 5, tzinfo=UTC)).replace("\u00a0", " ") == "1er août 2026 à 0 h 05"


def test_how_long_and_until_which_evening() -> None:
    told = [words.lasting(timedelta(minutes=m)).replace("\u00a0", " ") for m in (-5, 25, 65, 240)]
    assert told == ["0 min", "25 min", "1 h 05", "4 h 00"]
    assert words.typed(words.evening(NOON)) == "2026-11-24T18:00"


def test_numbers_and_sizes() -> None:
    assert words.number(49164) == "49\u202f164"
    assert [words.size(n).replace("\u00a0", " ") for n in (None, 12, 1_500_000, 8_000_000_000)] == [
        "inconnu",
        "12 octets",
        "1,5 Mo",
        "8 Go",
    ]
    assert [words.plural(n, "ticket") for n in (0, 1, 2)] == ["0 ticket", "1 ticket", "2 tickets"]


def test_signs_hold_to_their_word() -> None:
    assert unbreakable("« Oui » ? Non ! a : b") == "«\u00a0Oui\u00a0»\u00a0? Non\u00a0! a\u00a0: b"
    assert unbreakable("{% if a != b %}") == "{% if a != b %}"


def test_every_value_has_a_french_word() -> None:
    families: dict[str, Iterable[str]] = {
        "device_kind": DeviceKind,
        "device_status": DeviceStatus,
        "platform": Platform,
        "ticket_status": TicketStatus,
        "ticket_kind": TicketKind,
        "ticket_subject": TicketSubject,
        "publication": PublicationState,
        "unblock": RequestStatus,
        "ent_product": EntProduct,
        "state": {code for code, _ in RULES} | {"conform"},
    }
    for family, values in families.items():
        assert {str(v) for v in values} == set(words.WORDS[family]), family
    assert {*SCHOOL_CATEGORIES, *WHITE_CATEGORIES} <= set(TITLES)


def test_a_category_nobody_translated_is_not_hidden() -> None:
    assert [group.title for group in categories.groups({"adult"})][-1] == "Listes d’autorisation"
    assert {slug for group in categories.groups(()) for slug, _ in group.entries} == set(TITLES)
    groups = categories.groups({"adult", "brand_new"})
    assert groups[-1].entries == (("brand_new", "brand_new"),)
