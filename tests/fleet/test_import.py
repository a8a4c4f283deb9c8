"""Imports of schools: created, updated, closed, reopened; every bad row told; all of it or nothing."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fleet.accounts.service import get_viewer
from fleet.collectivities.imports import import_communes
from fleet.collectivities.models import CollectivityKind
from fleet.importing import Change, FieldChange, Options, Verb
from fleet.schools import service
from fleet.schools.imports import COLUMNS, import_schools
from fleet.schools.models import SchoolLevel
from fleet.table_file import write_table
from fleet.table_reader import TableRefused, read_table
from tests.factories import make_collectivity, make_user
from tests.imports import commune, schools, snapshot, take

SCHOOLS = "uai;nom;type;code_insee;secteur;eleves_total;etat;origine\n"
GOOD = "0020098W;ECOLE DES CHÊNES;primaire;99001;public;72;OUVERT;réel\n"
OTHER = "0020100Y;ECOLE DU PRÉ;maternelle;99002;public;63;OUVERT;synthétique\n"


@pytest.fixture(autouse=True)
def communes(session: Session) -> None:
    for code, name in (("99001", "Étréaupont"), ("99002", "Bézu")):
        make_collectivity(session, insee_code=code, name=name)


def test_a_school_is_created_with_all_that_the_file_says(session: Session) -> None:
    report = take(session, import_schools, SCHOOLS + GOOD + OTHER)
    assert report.applied
    assert report.changes == [
        Change(2, Verb.CREATED, "0020098W ECOLE DES CHÊNES (Étréaupont)"),
        Change(3, Verb.CREATED, "0020100Y ECOLE DU PRÉ (Bézu)"),
    ]
    first, second = schools(session)["0020098W"], schools(session)["0020100Y"]
    assert (first.name, first.nature, first.pupils) == ("ECOLE DES CHÊNES", "ECOLE PRIMAIRE", 72)
    assert (first.is_public, first.is_open, first.is_synthetic, second.is_synthetic) == (True, True, False, True)
    assert (first.level, first.collectivity_id) == (SchoolLevel.PRIMARY, first.commune_id)
    viewer = get_viewer(session, make_user(session).id)
    assert [s.uai for s in service.list_schools(session, viewer, search="chenes etreaupont").rows] == ["0020098W"]


def test_a_second_time_changes_nothing(session: Session) -> None:
    take(session, import_schools, SCHOOLS + GOOD + OTHER)
    before = snapshot(session)
    report = take(session, import_schools, SCHOOLS + GOOD + OTHER)
    assert (report.changes, report.unchanged, report.applied) == ([], 2, True)
    assert snapshot(session) == before


def test_a_dry_run_says_what_the_real_one_does_and_changes_nothing(session: Session) -> None:
    take(session, import_schools, SCHOOLS + GOOD)
    before = snapshot(session)
    text = SCHOOLS + GOOD.replace("CHÊNES", "ÉRABLES").replace("72", "80") + OTHER
    dry = take(session, import_schools, text, dry_run=True)
    assert (dry.applied, snapshot(session)) == (False, before)
    real = take(session, import_schools, text)
    assert dry.changes == real.changes
    assert real.changes[0] == Change(
        2,
        Verb.UPDATED,
        "0020098W ECOLE DES ÉRABLES (Étréaupont)",
        (
            FieldChange("nom", "« ECOLE DES CHÊNES »", "« ECOLE DES ÉRABLES »"),
            FieldChange("élèves", "72", "80"),
        ),
    )
    assert snapshot(session) != before


def test_a_school_closes_and_reopens(session: Session) -> None:
    take(session, import_schools, SCHOOLS + GOOD)
    for state, verb, is_open in (("FERMÉ", Verb.CLOSED, False), ("A OUVRIR", Verb.REOPENED, True)):
        report = take(session, import_schools, SCHOOLS + GOOD.replace("OUVERT", state))
        assert [change.verb for change in report.changes] == [verb]
        assert schools(session)["0020098W"].is_open is is_open
    unknown = take(session, import_schools, SCHOOLS + OTHER.replace("OUVERT", "FERME"))
    assert (unknown.changes, unknown.ignored) == ([], {"fermée, et inconnue ici": 1})


def test_an_empty_cell_or_an_absent_column_erases_nothing(session: Session) -> None:
    take(session, import_schools, SCHOOLS + GOOD)
    report = take(session, import_schools, SCHOOLS + "0020098w;ECOLE DES CHÊNES;primaire;99001;;;;\n")
    assert (report.changes, report.unchanged) == ([], 1)
    report = take(session, import_schools, "uai,nom,type,code_insee\n0020098W,ECOLE DES CHÊNES,primaire,99001\n")
    assert (report.changes, schools(session)["0020098W"].pupils) == ([], 72)


def test_who_runs_a_school_is_kept_said_and_follows_the_commune(session: Session) -> None:
    syndicat = make_collectivity(session, kind=CollectivityKind.SYNDICAT, insee_code=None, siren="200071785")
    take(session, import_schools, SCHOOLS + GOOD + OTHER)
    moved = (SCHOOLS + GOOD + OTHER).replace("99001", "99002")
    take(session, import_schools, moved)  # run by its commune: it follows
    assert schools(session)["0020098W"].collectivity_id == schools(session)["0020098W"].commune_id
    text = "uai;nom;type;code_insee;siren_gestionnaire\n0020098W;ECOLE DES CHÊNES;primaire;99002;200 071 785\n"
    assert take(session, import_schools, text).changes[0].fields[0].name == "collectivité gestionnaire"
    take(session, import_schools, SCHOOLS + GOOD)  # silent on it: kept, even as the commune changes
    school = schools(session)["0020098W"]
    assert (school.collectivity_id, school.commune_id) == (syndicat.id, commune(session, "99001").id)


def test_the_code_of_a_former_commune_is_understood(session: Session) -> None:
    take(session, import_communes, "code_insee,nom,type,commune_actuelle\n99003,Artonges,commune-deleguee,99001\n")
    take(session, import_schools, SCHOOLS + GOOD.replace("99001", "99003"))
    assert schools(session)["0020098W"].commune_id == commune(session, "99001").id


BAD = {
    "wrong letter": ("0020098A;E;primaire;99001;public;;;", "UAI 0020098A : la lettre de contrôle attendue est W"),
    "lost zero": (
        "20098W;E;primaire;99001;public;;;",
        "« 20098W » mal formée : sept chiffres et une lettre (zéros de tête perdus ? 0020098W)",
    ),
    "malformed": ("002009;E;primaire;99001;public;;;", "UAI « 002009 » mal formée : sept chiffres et une lettre"),
    "no UAI": (";E;primaire;99001;public;;;", "uai : case vide"),
    "no name": ("0020098W;;primaire;99001;public;;;", "nom : case vide"),
    "a long name": (f"0020098W;{'E' * 201};primaire;99001;public;;;", "nom : 201 caractères, 200 au plus"),
    "unknown commune": ("0020098W;E;primaire;99999;public;;;", "commune 99999 inconnue : importez d’abord"),
    "malformed commune": ("0020098W;E;primaire;Laon;public;;;", "code INSEE « LAON » mal formé"),
    "lost zero of a commune": ("0020098W;E;primaire;2001;public;;;", "zéro de tête perdu par un tableur ? 02001"),
    "unknown type": ("0020098W;E;crèche;99001;public;;;", "type « crèche » inconnu"),
    "unknown sector": ("0020098W;E;primaire;99001;martien;;;", "secteur « martien » inconnu : public, prive"),
    "unknown state": ("0020098W;E;primaire;99001;public;;peut-être;", "etat « peut-être » inconnu"),
    "unknown origin": ("0020098W;E;primaire;99001;public;;;rêvé", "origine « rêvé » inconnu"),
    "pupils in words": ("0020098W;E;primaire;99001;public;cent;;", "« cent » n’est pas un nombre entre 0 et 20000"),
    "too many pupils": ("0020098W;E;primaire;99001;public;99999999999;;", "n’est pas un nombre entre 0 et 20000"),
    "fewer than none": ("0020098W;E;primaire;99001;public;-3;;", "« -3 » n’est pas un nombre entre 0 et 20000"),
    "seen before": ("0020100y;E;primaire;99001;public;;;", "UAI 0020100Y : déjà vue ligne 2"),
    "UTF-8 read as CP1252": ("0020098W;LÃ©on;primaire;99001;public;;;", "texte mal encodé « LÃ©on »"),
    "a lost letter": ("0020098W;L\ufffdon;primaire;99001;public;;;", "texte mal encodé"),
    "a terminal sequence": ("0020098W;\x1b[31mrouge;primaire;99001;public;;;", "texte mal encodé « ·[31mrouge »"),
    "too few cells": ("0020098W;E;primaire", "3 cases au lieu de 8"),
}


@pytest.mark.parametrize(("row", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_row_is_told_and_keeps_everything_out(session: Session, row: str, sentence: str) -> None:
    before = snapshot(session)
    report = take(session, import_schools, f"{SCHOOLS}{OTHER}{row}\n")
    assert [error.line for error in report.errors] == [3]
    assert sentence in report.errors[0].message
    assert (report.applied, snapshot(session)) == (False, before)
    skipped = take(session, import_schools, f"{SCHOOLS}{OTHER}{row}\n", skip_errors=True)
    assert (skipped.applied, skipped.errors, list(schools(session))) == (True, report.errors, ["0020100Y"])


def test_missing_columns_are_named_with_those_found(session: Session) -> None:
    with pytest.raises(TableRefused) as refusal:
        take(session, import_schools, "uai;libellé;type\n1;2;3\n")
    assert refusal.value.detail == (
        "Colonnes absentes : nom ou Nom_etablissement ou appellation_officielle ; code_insee ou Code_commune. "
        "Colonnes trouvées : « uai », « libellé », « type »."
    )


DIRECTORY = (
    "Identifiant_de_l_etablissement;Nom_etablissement;Type_etablissement;Statut_public_prive;Adresse_1;Adresse_3;"
    "Code_postal;Code_commune;Nom_commune;latitude;longitude;etat;libelle_nature\n"
)


def test_the_directory_is_read_and_what_is_no_school_passed_over(session: Session) -> None:
    text = DIRECTORY + (
        "0020098W;Ecole maternelle;Ecole;Public;Rue du Puits;02580 ETREAUPONT;02580;99001;X;49.9;3,91;OUVERT;MAT\n"
        "0020100Y;CIO;Information et orientation;Public;;;;99001;X;;;OUVERT;CIO\n"
        "0951099D;Lycée;Lycée;Privé;;;;95127;Cergy;;;OUVERT;LYCEE\n"
    )
    report = take(session, import_schools, text, department="99")
    assert report.ignored == {
        "ni école, ni collège, ni lycée (information et orientation)": 1,
        "hors du département 99": 1,
    }
    school = schools(session)["0020098W"]
    assert (school.address, school.postcode, school.locality) == ("Rue du Puits", "02580", "ETREAUPONT")
    assert (school.latitude, school.longitude, school.nature) == (49.9, 3.91, "MAT")
    whole = take(session, import_schools, text)
    assert [error.message[:29] for error in whole.errors] == ["commune 95127 (Cergy) inconnu"]


def test_our_export_is_read_back_without_a_change(session: Session) -> None:
    syndicat = make_collectivity(session, kind=CollectivityKind.SYNDICAT, insee_code=None, siren="200071785")
    named = GOOD.replace("ECOLE DES CHÊNES", "=2+2").replace("OUVERT", "A FERMER")
    take(session, import_schools, SCHOOLS + named + OTHER)
    schools(session)["0020098W"].collectivity_id = syndicat.id
    schools(session)["0020098W"].latitude = 49.123456789
    take(session, import_schools, SCHOOLS + OTHER.replace("OUVERT", "FERME"))
    before = snapshot(session)
    exported = write_table(*service.export_schools(session, get_viewer(session, make_user(session).id), is_open=None))
    report = import_schools(session, read_table(exported), Options())
    assert (report.changes, report.unchanged, report.errors) == ([], 2, [])
    assert snapshot(session) == before


def test_no_heading_means_two_columns() -> None:
    headings = [heading.lower() for column in COLUMNS.values() for heading in column.names]
    assert len(headings) == len(set(headings))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), hits=st.integers(0, 4))
def test_a_damaged_file_is_never_half_applied(session: Session, seed: int, hits: int) -> None:
    content = bytearray((SCHOOLS + GOOD + OTHER * 2).encode())
    chance = random.Random(seed)
    for _ in range(hits):
        place = chance.randrange(len(content))
        content[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    before = snapshot(session)
    try:
        applied = import_schools(session, read_table(bytes(content)), Options()).applied
    except TableRefused:
        applied = False
    assert applied or snapshot(session) == before


def test_errors_come_in_the_order_of_the_file(session: Session) -> None:
    rows = "x;E;primaire;99001;;;;\n" + "0020098W;too;few\n" + "y;E;primaire;99001;;;;\n"
    report = take(session, import_schools, SCHOOLS + rows)
    assert [error.line for error in report.errors] == [2, 3, 4]
