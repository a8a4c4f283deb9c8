"""Schools over HTTP: who sees them, search, pages, export; and the UAI."""

import csv
import io
import uuid

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fleet.accounts.service import get_viewer
from fleet.errors import NotFound
from fleet.schools import service
from fleet.schools.uai import LETTERS, check_letter, is_valid_uai
from fleet.scope import Role
from tests.factories import make_collectivity, make_school, make_user
from tests.sign_in import signed_in

URL = "/api/v1/schools"
REAL = ("0951099D", "0400740M", "0020098W", "0940176F")
SEVEN_DIGITS = st.text("0123456789", min_size=7, max_size=7)


@pytest.mark.parametrize("uai", [*REAL, "0020098w", " 0020098W "])
def test_real_uai_are_valid(uai: str) -> None:
    assert is_valid_uai(uai)


@pytest.mark.parametrize("text", ["", "0020098", "0020098A", "20098W", "00200988W", "002009W8", "٠٠٢٠٠٩٨W", "0020098I"])
def test_what_is_no_uai(text: str) -> None:
    assert not is_valid_uai(text)


@given(SEVEN_DIGITS)
def test_exactly_one_letter_fits_seven_digits(digits: str) -> None:
    fitting = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if is_valid_uai(digits + letter)]
    assert fitting == [check_letter(digits)]


@given(SEVEN_DIGITS, st.integers(0, 6), st.sampled_from("0123456789"))
def test_one_wrong_digit_is_always_noticed(digits: str, place: int, other: str) -> None:
    """23 is prime and no difference of digits times a power of ten is a multiple of it."""
    wrong = digits[:place] + other + digits[place + 1 :]
    assert is_valid_uai(wrong + check_letter(digits)) is (wrong == digits)


def test_the_letters_leave_out_i_o_q() -> None:
    assert set("ABCDEFGHIJKLMNOPQRSTUVWXYZ") - set(LETTERS) == set("IOQ")
    assert len(LETTERS) == 23


def uais(api: TestClient, query: str = "") -> list[str]:
    answer = api.get(f"{URL}?{query}")
    assert answer.status_code == 200, answer.text
    return [row["uai"] for row in answer.json()["rows"]]


def test_an_officer_sees_the_schools_that_its_commune_runs(api: TestClient, session: Session) -> None:
    mine, foreign = make_school(session), make_school(session)
    # stands in the commune, run by another: a syndicat's school is not the commune's
    elsewhere = make_school(session, commune=mine.collectivity)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=mine.collectivity))
    assert uais(api) == [mine.uai]
    shown = api.get(f"{URL}/{mine.id}").json()
    assert (shown["uai"], shown["collectivity"]["name"]) == (mine.uai, mine.collectivity.name)
    for hidden in (foreign.id, elsewhere.id, uuid.uuid4()):
        answer = api.get(f"{URL}/{hidden}")
        assert (answer.status_code, answer.json()["code"]) == (404, "school.not_found")
    assert uais(api, f"collectivity_id={foreign.collectivity_id}") == []
    exported = api.get(f"{URL}/export.csv").text
    assert mine.uai in exported
    assert foreign.uai not in exported


def test_a_school_lead_sees_its_school_and_a_stranger_none(api: TestClient, session: Session) -> None:
    assert api.get(URL).status_code == 401
    assert api.get(f"{URL}/export.csv").status_code == 401
    mine = make_school(session)
    make_school(session, collectivity=mine.collectivity)
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=mine))
    assert uais(api) == [mine.uai]


def test_by_uai_in_either_case_and_behind_the_same_door(session: Session) -> None:
    mine, foreign = make_school(session), make_school(session)
    officer = get_viewer(session, make_user(session, Role.OFFICER, collectivity=mine.collectivity).id)
    assert service.get_school_by_uai(session, officer, mine.uai.lower()) is mine
    with pytest.raises(NotFound):
        service.get_school_by_uai(session, officer, foreign.uai)


def test_search_looks_through_name_uai_and_commune_together(api: TestClient, session: Session) -> None:
    commune = make_collectivity(session, name="Bézu-Saint-Germain")
    school = make_school(session, name="ÉCOLE HÉROU PASTEUR", collectivity=commune, commune=commune)
    make_school(session, name="ÉCOLE HÉROU PASTEUR")
    signed_in(api, make_user(session))
    for typed in ("bezu pasteur", "Pasteur Bézu", f"{school.uai.lower()} bezu"):
        assert uais(api, f"search={typed}") == [school.uai]


@pytest.mark.parametrize("typed", ["st quentin", "St-Quentin", "saint quentin", "SAINT-Q", "st"])
def test_saint_is_found_however_it_is_written(api: TestClient, session: Session, typed: str) -> None:
    long, short = (make_collectivity(session, name=name) for name in ("Saint-Quentin", "St Quentin"))
    both = [make_school(session, commune=commune, collectivity=commune) for commune in (long, short)]
    make_school(session, name="Stade de Quentin")
    signed_in(api, make_user(session))
    assert sorted(uais(api, f"search={typed}")) == sorted(school.uai for school in both)


def test_schools_that_begin_with_what_is_typed_come_first(api: TestClient, session: Session) -> None:
    under, laon = make_collectivity(session, name="Athies-sous-Laon"), make_collectivity(session, name="Laon")
    of_under = make_school(session, commune=under)
    of_laon = make_school(session, commune=laon)
    named = make_school(session, name="Laonnois", commune=under)
    signed_in(api, make_user(session))
    assert uais(api, "search=laon") == [of_laon.uai, named.uai, of_under.uai]
    assert [uais(api, f"search=laon&size=1&page={n}") for n in (1, 2, 3)] == [
        [s.uai] for s in (of_laon, named, of_under)
    ]
    assert uais(api, "search=laon&sort=uai") == sorted(s.uai for s in (of_laon, named, of_under))


def test_closed_schools_show_when_asked_for(api: TestClient, session: Session) -> None:
    opened = make_school(session, name="Zzz A")
    closed = make_school(session, name="Zzz B", is_open=False)
    signed_in(api, make_user(session))
    assert uais(api, "search=zzz") == [opened.uai]
    assert uais(api, "search=zzz&state=closed") == [closed.uai]
    assert uais(api, "search=zzz&state=all&sort=uai") == sorted([opened.uai, closed.uai])


def test_pages_and_sorts(api: TestClient, session: Session) -> None:
    small, large = make_school(session, name="Zzz A", pupils=12), make_school(session, name="Zzz B", pupils=300)
    signed_in(api, make_user(session))
    assert uais(api, "search=zzz&sort=-pupils") == [large.uai, small.uai]
    assert uais(api, "search=zzz&sort=pupils&size=1&page=2") == [large.uai]
    for column in service.SORTABLE:
        assert sorted(uais(api, f"search=zzz&sort={column}")) == sorted([small.uai, large.uai])


def test_the_export_holds_every_page(api: TestClient, session: Session) -> None:
    for number in range(60):
        make_school(session, name=f"Zzz {number}", pupils=number)
    signed_in(api, make_user(session))
    answer = api.get(f"{URL}/export.csv?search=zzz")
    assert 'filename="ecoles.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert sorted(int(row["eleves_total"]) for row in rows) == list(range(60))
    assert {row["etat"] for row in rows} == {"ouvert"}
