"""Imports into the database: created, updated, closed, reopened; every bad row told; all of it or nothing."""

import random
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts.service import get_viewer
from fleet.collectivities.imports import import_communes, import_groups
from fleet.collectivities.models import Collectivity, CollectivityKind, FormerCommune, Membership
from fleet.collectivities.service import find_by_insee
from fleet.demo.places import load_aisne, packaged_table
from fleet.ent import service as ent
from fleet.ent.models import SchoolEnt
from fleet.importing import Change, FieldChange, ImportReport, Options, Verb
from fleet.schools import service
from fleet.schools.imports import COLUMNS, import_schools
from fleet.schools.models import School, SchoolLevel
from fleet.table_reader import RowError, TableRefused, TableRow, read_table
from tests.factories import make_collectivity, make_user

SCHOOLS = "uai;nom;type;code_insee;secteur;eleves_total;etat;origine\n"
GOOD = "0020098W;ECOLE DES CHÊNES;primaire;99001;public;72;OUVERT;réel\n"
OTHER = "0020100Y;ECOLE DU PRÉ;maternelle;99002;public;63;OUVERT;synthétique\n"
Import = Callable[..., ImportReport]


@pytest.fixture(autouse=True)
def communes(session: Session) -> None:
    for code, name in (("99001", "Étréaupont"), ("99002", "Bézu")):
        make_collectivity(session, insee_code=code, name=name)


def take(session: Session, what: Import, text: str, **options: object) -> ImportReport:
    return what(session, read_table(text.encode()), Options(**options))  # type: ignore[arg-type] # as the test says


def commune(session: Session, code: str) -> Collectivity:
    found = find_by_insee(session, code)
    assert found is not None
    return found


def schools(session: Session) -> dict[str, School]:
    return {school.uai: school for school in session.scalars(select(School))}


def snapshot(session: Session) -> list[tuple[object, ...]]:
    """Every row that an import may touch, as the database holds it."""
    session.expire_all()
    tables = (School.__table__, Collectivity.__table__, Membership.__table__, FormerCommune.__table__)
    return sorted((tuple(row) for table in tables for row in session.execute(select(table))), key=repr)


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
    exported = service.export_schools(session, get_viewer(session, make_user(session).id), is_open=None)
    report = import_schools(session, read_table(exported), Options())
    assert (report.changes, report.unchanged, report.errors) == ([], 2, [])
    assert snapshot(session) == before


def test_the_packaged_aisne_is_whole_labelled_and_loads_once(session: Session) -> None:
    reports = load_aisne(session)
    assert [len(report.changes) for report in reports] == [20, 797, 26, 483]
    aisne = [s for s in schools(session).values() if s.uai.startswith("002")]
    assert (len(aisne), sum(s.is_synthetic for s in aisne), sum(s.pupils or 0 for s in aisne)) == (483, 133, 49_164)
    assert len(session.scalars(select(Membership)).all()) == 797
    assert commune(session, "02300").name == "Tergnier"  # Fargniers, associated
    before = snapshot(session)
    again = load_aisne(session)
    assert [report.changes for report in again] == [[], [], [], []]
    assert snapshot(session) == before


def test_the_demonstration_has_the_public_coverage_of_the_ent(session: Session) -> None:
    load_aisne(session)
    covered = session.scalars(select(School).join(SchoolEnt, SchoolEnt.school_id == School.id)).all()
    assert (len(covered), sum(school.pupils or 0 for school in covered)) == (393, 42_633)


def test_a_portal_changed_by_a_person_stays(session: Session) -> None:
    load_aisne(session)
    school = schools(session)["0020098W"]
    ent.assign_portal(session, school, None)
    load_aisne(session)
    assert ent.find_portal(session, school.id) is None


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


def test_progress_sees_every_row(session: Session) -> None:
    seen: list[int] = []

    def watch(rows: Sequence[TableRow]) -> Iterator[TableRow]:
        for row in rows:
            seen.append(row.line)
            yield row

    import_communes(session, packaged_table("aisne-communes.csv.xz"), Options(dry_run=True), watch)
    assert seen == list(range(2, 799))
