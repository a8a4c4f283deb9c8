"""Imports of communes, former communes, EPCI and syndicats: memberships move, every bad row is told."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.imports import import_communes, import_groups
from fleet.collectivities.models import Collectivity, CollectivityKind, Membership
from fleet.collectivities.service import find_by_insee
from fleet.importing import FieldChange, Verb
from fleet.table_reader import RowError
from tests.factories import make_collectivity
from tests.imports import commune, snapshot, take


@pytest.fixture(autouse=True)
def communes(session: Session) -> None:
    for code, name in (("99001", "Étréaupont"), ("99002", "Bézu")):
        make_collectivity(session, insee_code=code, name=name)


COMMUNES = "code_insee;nom;population;codes_postaux;siren;epci_siren;epci_nom\n"
BAD_COMMUNES = {
    "malformed": ("9900;A;;;;;", "code INSEE « 9900 » mal formé : cinq chiffres"),
    "Corsica has no 2C": ("2C004;A;;;;;", "ou 2A ou 2B et trois chiffres"),
    "seen before": ("99001;A;;;;;", "commune 99001 : déjà vu ligne 2"),
    "malformed SIREN": ("99004;A;;;21020001;;", "SIREN « 21020001 » mal formé : neuf chiffres"),
    "SIREN with a wrong key": ("99004;A;;;210200011;;", "SIREN 210200011 : sa clé est fausse"),
    "another's SIREN": ("99004;A;;;210200028;;", "SIREN 210200028 : c’est celui de Étréaupont"),
    "its own SIREN as EPCI": ("99004;A;;;210200010;210200010;X", "c’est celui de la commune, pas d’un EPCI"),
    "a commune as EPCI": ("99004;A;;;;210200028;X", "Étréaupont n’est pas un EPCI"),
    "an EPCI without a name": ("99004;A;;;;200071785;", "EPCI 200071785 inconnu : importez d’abord les EPCI"),
    "malformed postcode": ("99004;A;;2300;;;", "code postal « 2300 » mal formé"),
    "population in words": ("99004;A;mille;;;;", "population : « mille » n’est pas un nombre"),
}


@pytest.mark.parametrize(("row", "sentence"), BAD_COMMUNES.values(), ids=BAD_COMMUNES)
def test_a_bad_commune_is_told_and_keeps_everything_out(session: Session, row: str, sentence: str) -> None:
    first = "99001;Étréaupont;1 004;02580;210200028;;\n"
    before = snapshot(session)
    report = take(session, import_communes, f"{COMMUNES}{first}{row}\n")
    assert [error.line for error in report.errors] == [3]
    assert sentence in report.errors[0].message
    assert (report.applied, snapshot(session)) == (False, before)


def test_corsican_codes_are_codes(session: Session) -> None:
    assert take(session, import_communes, COMMUNES + "2a004;Ajaccio;;;;;\n").applied
    assert find_by_insee(session, "2A004") is not None


def test_a_commune_joins_its_epci_and_moves_to_another(session: Session) -> None:
    report = take(session, import_communes, COMMUNES + "99001;Étréaupont;;;;200071785;CA Chauny Tergnier\n")
    assert [change.label for change in report.changes] == ["200071785 CA Chauny Tergnier", "99001 Étréaupont"]
    assert report.changes[1].fields == (FieldChange("EPCI", "(vide)", "CA Chauny Tergnier"),)
    text = (
        "epci_siren,nom,type,population_totale\n200071785,CA Chauny Tergnier La Fère,CA,55567\n240200469,CC Serre,CC,\n"
    )
    report = take(session, import_groups, text)
    assert [change.verb for change in report.changes] == [Verb.UPDATED, Verb.CREATED]
    report = take(session, import_communes, COMMUNES + "99001;Étréaupont;;;;240200469;\n")
    assert report.changes[0].fields == (FieldChange("EPCI", "CA Chauny Tergnier La Fère", "CC Serre"),)
    groups = session.scalars(select(Collectivity.name).join(Membership, Membership.group_id == Collectivity.id))
    assert list(groups) == ["CC Serre"]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("200071785,CA Chauny,CACA,1", "forme « CACA » inconnue : CC, CA, CU, METRO"),
        (",CA Chauny,CA,1", "SIREN : case vide"),
        ("210200028,CA Chauny,CA,1", "SIREN 210200028 : c’est celui de Bézu"),
        ("240200469,CC Serre bis,CC,1", "SIREN 240200469 : déjà vu ligne 2"),
    ],
)
def test_a_bad_epci_is_told(session: Session, row: str, sentence: str) -> None:
    commune(session, "99002").siren = "210200028"
    report = take(session, import_groups, f"siren,nom,type,population\n240200469,CC Serre,CC,2\n{row}\n")
    assert (report.applied, [error.line for error in report.errors]) == (False, [3])
    assert sentence in report.errors[0].message


def test_syndicats_are_no_epci(session: Session) -> None:
    take(session, import_groups, "siren,nom,type\n240200469,SIVOS des deux vallées,SIVOS\n")
    kind = session.scalar(select(Collectivity.kind).where(Collectivity.siren == "240200469"))
    assert kind is CollectivityKind.SYNDICAT


def test_former_communes_move_rename_and_are_searched(session: Session) -> None:
    heading = "code_insee,nom,type,commune_actuelle\n"
    take(session, import_communes, f"{heading}99003,Artonges,commune-deleguee,99001\n")
    assert "artonges" in commune(session, "99003").search_text
    report = take(session, import_communes, f"{heading}99003,Artonge,commune-deleguee,99002\n")
    assert [str(field) for field in report.changes[0].fields] == [
        "nom : « Artonges » → « Artonge »",
        "commune actuelle : Étréaupont → Bézu",
    ]
    assert "artonge" in commune(session, "99002").search_text
    assert "artonge" not in commune(session, "99001").search_text
    report = take(session, import_communes, f"{heading}99004,X,commune-deleguee,99009\n")
    assert report.errors == [RowError(2, "commune actuelle 99009 inconnue : importez d’abord les communes")]
