"""Collectivities over HTTP: who sees them, search, pages, export."""

import csv
import io
import uuid

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.collectivities import service
from fleet.collectivities.models import CollectivityKind, FormerCommune, Membership
from fleet.collectivities.register import search_text
from fleet.scope import Role
from tests.factories import make_collectivity, make_school, make_user
from tests.sign_in import signed_in

URL = "/api/v1/collectivities"


def names(api: TestClient, query: str = "") -> list[str]:
    answer = api.get(f"{URL}?{query}")
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["rows"]]


def test_an_officer_sees_its_own_commune_only(api: TestClient, session: Session) -> None:
    mine, neighbour = make_collectivity(session), make_collectivity(session)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=mine))
    assert names(api) == [mine.name]
    assert api.get(f"{URL}/{mine.id}").json()["insee_code"] == mine.insee_code
    for hidden in (neighbour.id, uuid.uuid4()):
        answer = api.get(f"{URL}/{hidden}")
        assert (answer.status_code, answer.json()["code"]) == (404, "collectivity.not_found")
    assert neighbour.name not in api.get(f"{URL}/export.csv").text


def test_belonging_together_gives_sight_of_nothing(api: TestClient, session: Session) -> None:
    epci = make_collectivity(session, kind=CollectivityKind.EPCI, name="CC du Chemin des Dames", insee_code=None)
    commune = make_collectivity(session)
    session.add(Membership(member_id=commune.id, group_id=epci.id))
    session.flush()
    signed_in(api, make_user(session, Role.OFFICER, collectivity=commune))
    assert [group["name"] for group in api.get(f"{URL}/{commune.id}").json()["groups"]] == [epci.name]
    assert api.get(f"{URL}/{epci.id}").status_code == 404
    signed_in(api, make_user(session, Role.OFFICER, collectivity=epci))
    assert names(api) == [epci.name]


def test_a_school_lead_sees_no_collectivity_and_a_stranger_nothing(api: TestClient, session: Session) -> None:
    assert api.get(URL).status_code == 401
    assert api.get(f"{URL}/export.csv").status_code == 401
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=make_school(session)))
    assert names(api) == []


@pytest.mark.parametrize("typed", ["étréaupont", "ETREAUPONT", "T9001", "etre t90"])
def test_search_ignores_case_and_accents_and_wants_every_word(api: TestClient, session: Session, typed: str) -> None:
    make_collectivity(session, name="Étréaupont", insee_code="T9001")
    make_collectivity(session, name="Estrées", insee_code="T9002")
    signed_in(api, make_user(session))
    assert names(api, f"search={typed}") == ["Étréaupont"]
    assert names(api, "search=Étréaupont Estrées") == []


def test_those_that_begin_with_what_is_typed_come_first(api: TestClient, session: Session) -> None:
    for name in ("Athies-sous-Laon", "Laonnois", "Laon", "Vaux sous Laon"):
        make_collectivity(session, name=name)
    signed_in(api, make_user(session))
    assert names(api, "search=LAON") == ["Laon", "Laonnois", "Athies-sous-Laon", "Vaux sous Laon"]
    assert names(api, "search=laon&sort=-name") == ["Vaux sous Laon", "Laonnois", "Laon", "Athies-sous-Laon"]


def test_accents_sort_with_their_letter_and_pages_follow(api: TestClient, session: Session) -> None:
    for name in ("Zzz Fin", "Zzz Été", "Zzz Début"):
        make_collectivity(session, name=name)
    signed_in(api, make_user(session))
    assert names(api, "search=zzz") == ["Zzz Début", "Zzz Été", "Zzz Fin"]
    assert names(api, "search=zzz&sort=-name&size=2") == ["Zzz Fin", "Zzz Été"]
    last = api.get(f"{URL}?search=zzz&size=2&page=2").json()
    assert ([row["name"] for row in last["rows"]], last["total"], last["pages"]) == (["Zzz Fin"], 3, 2)
    assert api.get(f"{URL}?sort=password").json()["code"] == "list.unknown_sort"
    assert api.get(f"{URL}?size=100000").status_code == 422


def test_filter_by_kind(api: TestClient, session: Session) -> None:
    make_collectivity(session, name="Zzz EPCI", kind=CollectivityKind.EPCI)
    make_collectivity(session, name="Zzz commune")
    signed_in(api, make_user(session))
    assert names(api, "search=zzz&kind=epci") == ["Zzz EPCI"]


def test_the_export_opens_in_a_french_spreadsheet_and_runs_no_formula(api: TestClient, session: Session) -> None:
    make_collectivity(session, name="=HYPERLINK(1)", insee_code="T9003", postcodes=["02300", "02310"])
    signed_in(api, make_user(session))
    answer = api.get(f"{URL}/export.csv?search=hyperlink")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbftype;nom;")
    row = next(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert (row["nom"], row["code_insee"], row["codes_postaux"]) == ("'=HYPERLINK(1)", "T9003", "02300;02310")


def test_the_code_of_a_former_commune_leads_to_the_present_one(session: Session) -> None:
    present = make_collectivity(session, name="Dhuys et Morin-en-Brie", insee_code="T9004")
    session.add(FormerCommune(insee_code="T9005", name="Artonges", commune_id=present.id))
    present.search_text = search_text(present, "Artonges")
    session.flush()
    assert service.find_by_insee(session, "t9004 ") is present
    assert service.find_by_insee(session, "T9005") is present
    assert service.find_by_insee(session, "T9006") is None
    assert "artonges" in present.search_text
