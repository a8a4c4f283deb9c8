"""What people type, with the real names of the Aisne: accents, hyphens, codes, typing errors."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from fleet.collectivities import service as collectivities
from fleet.demo.places import STEPS, packaged_table
from fleet.importing import Options
from fleet.operator import OPERATOR
from fleet.schools import service as schools
from fleet.schools import spelling
from fleet.schools.spelling import allowed, distance, nearest


@pytest.fixture(scope="module")
def aisne(engine: Engine) -> Iterator[Session]:
    """The demonstration's communes and schools, for all tests here; rolled back."""
    with engine.connect() as connection:
        transaction = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            for name, take in STEPS:
                take(session, packaged_table(name), Options())
            session.flush()
            yield session
        transaction.rollback()


@pytest.mark.parametrize(
    ("typed", "commune"),
    [
        ("saint-quentin", "Saint-Quentin"),
        ("St Quentin", "Saint-Quentin"),
        ("SAINT QUENTIN", "Saint-Quentin"),
        ("quentin st", "Saint-Quentin"),
        ("02100", "Saint-Quentin"),
        ("chateau-thierry", "Château-Thierry"),
        ("château thierry", "Château-Thierry"),
        ("fère", "La Fère"),
        ("fere en tardenois", "Fère-en-Tardenois"),
        ("villers cotterets", "Villers-Cotterêts"),
        ("nouvion thierache", "Le Nouvion-en-Thiérache"),
        ("bohain", "Bohain-en-Vermandois"),
        ("guise", "Guise"),
        ("02361", "Guise"),
    ],
)
def test_a_commune_is_found_as_people_write_it(aisne: Session, typed: str, commune: str) -> None:
    found = [row.name for row in collectivities.list_collectivities(aisne, OPERATOR, search=typed).rows]
    assert commune in found


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("giuse", "guise"),
        ("guize", "guise"),
        ("gise", "guise"),
        ("laom", "laon"),
        ("soisson", ""),  # begins a word that is there
        ("soisons", "soissons"),
        ("saint-qentin", "saint quentin"),
        ("st kentin", "saint quentin"),
        ("chateau tierry", "chateau thierry"),
        ("chatau-thiery", "chateau thierry"),
        ("vilers coterets", "villers cotterets"),
        ("hirsson", "hirson"),
        ("vervin", ""),
        ("vervinss", "vervins"),
        ("tergnié", ""),  # begins Tergnier
        ("chauni", "chauny"),
        ("l'epinne", "l epine"),
        ("bohin", "bohain"),
        ("nouvion tierache", "nouvion thierache"),
        ("ecole maternel jean mace", ""),
        ("0021089", ""),
        ("02361", ""),
        ("xqzwkj", ""),
        ("guise laom", "guise laon"),
        ("", ""),
        ("   ", ""),
        ("%_\\", ""),
    ],
)
def test_typing_errors_lead_to_what_was_meant(aisne: Session, typed: str, meant: str) -> None:
    assert spelling.correct(aisne, OPERATOR, typed) == meant


@pytest.mark.parametrize(
    ("typed", "uai"),
    [
        ("0021089Y", "0021089Y"),
        ("0021089y", "0021089Y"),
        ("0021089", "0021089Y"),
        ("002108", "0021089Y"),
        ("école du centre, Guise", "0021089Y"),
        ("schweitzer guise", "0021094D"),
        ("02120 schweitzer", "0021094D"),
        ("0212 schweitzer", "0021094D"),
    ],
)
def test_a_school_is_found_by_code_postcode_and_commune(aisne: Session, typed: str, uai: str) -> None:
    found = [school.uai for school in schools.list_schools(aisne, OPERATOR, search=typed, is_open=None).rows]
    assert uai in found


def test_digits_are_the_first_ones_of_a_code(aisne: Session) -> None:
    """021 begins a postcode or an INSEE code; it does not stand within a UAI, as in every one of the Aisne."""
    rows = schools.list_schools(aisne, OPERATOR, search="1089").rows
    assert rows == []
    for school in schools.list_schools(aisne, OPERATOR, search="021").rows:
        commune = school.commune
        codes = [school.postcode, *((commune.insee_code, *commune.postcodes) if commune else ())]
        assert any(code and code.startswith("021") for code in codes), school.uai


def test_a_school_of_the_commune_typed_comes_before_one_that_is_named_after_it(aisne: Session) -> None:
    first = schools.list_schools(aisne, OPERATOR, search="guise").rows[0]
    assert first.commune is not None
    assert first.commune.name == "Guise"


@given(a=st.text("abc", max_size=6), b=st.text("abc", max_size=6))
def test_distances_are_distances(a: str, b: str) -> None:
    assert distance(a, b) == distance(b, a)
    assert (distance(a, b) == 0) is (a == b)
    assert abs(len(a) - len(b)) <= distance(a, b) <= max(len(a), len(b))


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [("guise", "giuse", 1), ("guise", "gise", 1), ("guise", "guisse", 1), ("guise", "guize", 1), ("laon", "lyon", 1),
     ("laon", "noal", 3), ("", "abc", 3)],
)  # fmt: skip
def test_steps_between_two_words(a: str, b: str, steps: int) -> None:
    assert distance(a, b) == steps


def test_a_word_that_begins_a_known_one_is_no_error() -> None:
    assert nearest("soiss", ["soissons", "soisy"]) == "soiss"
    assert nearest("soisz", ["soissons", "soisy"]) == "soisy"
    assert nearest("abc", []) == "abc"
    assert [allowed("abc"), allowed("abcdef"), allowed("a" * 10)] == [1, 2, 3]
