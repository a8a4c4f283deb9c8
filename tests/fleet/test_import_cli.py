"""`preau import` and `preau ent` as a technician types them: real processes, a database of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from fleet.collectivities.imports import import_communes
from fleet.demo.places import STEPS, packaged_table
from fleet.embedded.postgres import Postgres
from fleet.importing import Options
from fleet.migrate import migrate
from fleet.table_file import write_table
from fleet.table_reader import read_table

SHARED = Path(__file__).parents[3] / "shared" / "data"
real_files = pytest.mark.skipif(not SHARED.is_dir(), reason="the full reference files are not beside this checkout")
HEADING = "uai;nom;type;code_insee\n"


class Preau:
    """The command line against one database."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Run to the end, expect the status, return what was written, errors first."""
        environ = os.environ | {
            "PREAU_DATABASE_URL": self.url,
            "PREAU_BROKER_URL": "memory://",
            "PREAU_PUBLIC_URL": "https://preau.example.test",
            "COLUMNS": "200",
        }
        command = [sys.executable, "-m", "fleet", *arguments]
        done = subprocess.run(command, capture_output=True, check=False, text=True, env=environ)
        assert done.returncode == status, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr + done.stdout

    def file(self, name: str, content: str | bytes) -> str:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def value(self, query: str) -> object:
        engine = create_engine(self.url)
        with engine.connect() as connection:
            found: object = connection.execute(text(query)).scalar()
        engine.dispose()
        return found


@pytest.fixture(scope="module")
def own_database(postgres: Postgres) -> Iterator[str]:
    """A database that commits: processes of their own cannot share a transaction with the test."""
    server = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("CREATE DATABASE imports"))
    migrate(postgres.url("imports"))
    yield postgres.url("imports")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE imports WITH (FORCE)"))
    server.dispose()


@pytest.fixture
def preau(own_database: str, tmp_path: Path) -> Preau:
    """The command line on a database without places."""
    engine = create_engine(own_database)
    with engine.begin() as connection:
        connection.execute(text("TRUNCATE collectivities, schools, ent_portals CASCADE"))
    engine.dispose()
    return Preau(own_database, tmp_path)


def packaged_file(preau: Preau, name: str) -> str:
    """One of the packaged files as a person would have it from a French spreadsheet, accents in CP1252."""
    table = packaged_table(name)
    rows = [list(row.cells.values()) for row in table.rows]
    content = write_table(table.columns, rows).decode("utf-8-sig").encode("cp1252")
    return preau.file(name.removesuffix(".xz"), content)


def test_the_packaged_files_go_in_and_a_second_time_change_nothing(preau: Preau) -> None:
    commands = {"import_groups": "epci", "import_communes": "communes", "import_schools": "schools"}
    steps = [(commands[take.__name__], packaged_file(preau, name)) for name, take in STEPS]
    for command, file in steps:
        assert "Fait." in preau("import", command, file)
    assert preau.value("SELECT count(*) FROM schools WHERE is_synthetic") == 133
    assert preau.value("SELECT name FROM collectivities WHERE insee_code = '02085'") == "Bézu-Saint-Germain"
    before = preau.value("SELECT max(updated_at) FROM schools")
    for command, file in (steps[1], steps[3]):
        said = preau("import", command, file)
        assert "cp1252, séparateur point-virgule" in said
        assert "créé" not in said
        assert "modifié" not in said
    assert preau.value("SELECT max(updated_at) FROM schools") == before


def with_communes(preau: Preau) -> Preau:
    table = read_table("code_insee;nom\n02071;Berny-Rivière\n02073;Berry-au-Bac\n".encode())
    engine = create_engine(preau.url)
    with Session(engine) as session, session.begin():
        import_communes(session, table, Options())
    engine.dispose()
    return preau


def test_a_dry_run_tells_and_leaves_everything_as_it_was(preau: Preau) -> None:
    with_communes(preau)
    file = preau.file("ecoles.csv", HEADING + "0020098W;ECOLE A;primaire;02071\n0020100Y;ECOLE B;primaire;02073\n")
    said = preau("import", "schools", file, "--dry-run", "--show", "1")
    assert "ecoles.csv : 2 lignes, utf-8, séparateur point-virgule" in said
    assert "       2 créés" in said
    assert "ligne 2 : créé 0020098W ECOLE A (Berny-Rivière)" in said
    assert "… et 1 autres (--show 0 les écrit tous)" in said
    assert "Essai : rien n’a été changé" in said
    assert preau.value("SELECT count(*) FROM schools") == 0


def test_one_bad_row_keeps_everything_out_unless_skipped(preau: Preau) -> None:
    with_communes(preau)
    rows = '0020098W;"ECOLE\nA";primaire;02071\n0020100A;ECOLE B;primaire;02073\n'
    file = preau.file("ecoles.csv", HEADING + rows)
    said = preau("import", "schools", file, status=1)
    assert said.startswith("ligne 4 : UAI 0020100A : la lettre de contrôle attendue est Y\n")
    assert "1 ligne en erreur : rien n’a été changé." in said
    assert preau.value("SELECT count(*) FROM schools") == 0
    said = preau("import", "schools", file, "--skip-errors")
    assert "Fait (1 ligne en erreur, hors du compte)." in said
    assert preau.value("SELECT uai || ' ' || name FROM schools") == "0020098W ECOLE A"


def test_a_thousand_errors_are_counted_not_poured_out(preau: Preau) -> None:
    file = preau.file("ecoles.csv", HEADING + "x;E;primaire;02071\n" * 1000)
    said = preau("import", "schools", file, status=1)
    assert said.count("mal formée") == 50
    assert "… et 950 autres erreurs" in said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "Le fichier est vide."),
        (bytes(range(256)) * 40, "Ce fichier n’est pas du texte"),
        ("uai;libellé\n1;2\n".encode(), "Colonnes trouvées : « uai », « libellé »."),
    ],
)
def test_a_file_that_is_none_is_one_sentence(preau: Preau, content: bytes, sentence: str) -> None:
    assert sentence in preau("import", "schools", preau.file("x.csv", content), status=1)


def test_a_file_that_is_not_there_is_one_sentence(preau: Preau, tmp_path: Path) -> None:
    assert "absent.csv ne peut pas être lu : il n’existe pas." in preau(
        "import", "schools", str(tmp_path / "absent.csv"), status=1
    )
    assert "c’est un dossier" in preau("import", "epci", str(tmp_path), status=1)


def test_help_needs_no_database() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PREAU_")}
    for arguments in (["import", "schools"], ["ent", "assign"]):
        command = [sys.executable, "-m", "fleet", *arguments, "--help"]
        done = subprocess.run(command, capture_output=True, check=False, text=True, env=environ, cwd="/")
        assert done.returncode == 0, done.stderr


def test_a_database_that_is_away_is_one_sentence(preau: Preau) -> None:
    away = Preau("postgresql+psycopg://nobody:x@127.0.0.1:1/none", preau.directory)
    file = preau.file("ecoles.csv", HEADING + "0020098W;ECOLE A;primaire;02071\n")
    assert away("import", "schools", file, status=1).startswith("La base de données ne répond pas : connection failed")


def test_two_imports_at_once_wait_for_each_other(preau: Preau) -> None:
    """Both would create the same schools; the second sees the first's and changes nothing."""
    with_communes(preau)
    file = preau.file("ecoles.csv", HEADING + "0020098W;ECOLE A;primaire;02071\n")
    environ = os.environ | {
        "PREAU_DATABASE_URL": preau.url,
        "PREAU_BROKER_URL": "memory://",
        "PREAU_PUBLIC_URL": "https://preau.example.test",
    }
    command = [sys.executable, "-m", "fleet", "import", "schools", file]
    both = [subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = "".join(process.communicate()[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert (said.count("1 créé"), said.count("1 sans changement")) == (1, 1)


def test_portals_are_listed_and_given(preau: Preau) -> None:
    with_communes(preau)
    preau("import", "schools", preau.file("ecoles.csv", HEADING + "0020098W;ECOLE A;primaire;02071\n"))
    assert "Ajoutés : one-aisne, neo, beneylu." in preau("ent", "examples")
    assert "0020098W ECOLE A : ONE, écoles de l’Aisne." in preau("ent", "assign", "0020098w", "one-aisne")
    listed = preau("ent", "list")
    assert "https://oneconnect.edifice.io/conversation/conversation" in listed
    assert preau.value("SELECT count(*) FROM school_ents") == 1
    assert "plus de portail" in preau("ent", "assign", "0020098W", "aucun")
    assert "Portails connus : beneylu, neo, one-aisne." in preau("ent", "assign", "0020098W", "x", status=1)
    assert "Aucune école d’UAI 0020099X." in preau("ent", "assign", "0020099x", "neo", status=1)


@real_files
def test_the_reference_files_go_in(preau: Preau) -> None:
    for command, name, created in (
        ("communes", "geo/aisne-communes.csv", "817 créés"),  # the 20 EPCI that they name come along
        ("epci", "geo/aisne-epci.csv", "20 modifiés"),
        ("communes", "geo/aisne-communes-deleguees.csv", "26 créés"),
        ("schools", "schools/aisne-ecoles-reelles.csv", "350 créés"),
        ("schools", "schools/aisne-second-degre-reel.csv", "108 créés"),
        ("schools", "schools/aisne-483-ecoles-completees.csv", "133 créés"),
    ):
        assert created in preau("import", command, str(SHARED / name))
    assert "483 sans changement" in preau("import", "schools", str(SHARED / "schools/aisne-483-ecoles-completees.csv"))
    assert preau.value("SELECT count(*) FROM schools") == 350 + 108 + 133


@real_files
def test_the_directory_wants_the_communes_of_its_departments(preau: Preau) -> None:
    file = str(SHARED / "schools/annuaire-education-format-sample.csv")
    said = preau("import", "schools", file, status=1)
    assert "ligne 2 : commune 94034 (Fresnes) inconnue : importez d’abord les communes" in said
    assert "30 lignes en erreur" in said
    assert "30 hors sujet : hors du département 02" in preau("import", "schools", file, "--department", "02")
    codes = {line.split(";")[8] for line in Path(file).read_text("utf-8-sig").splitlines()[1:]}
    rows = "".join(f"{code};Commune {code}\n" for code in sorted(codes))
    preau("import", "communes", preau.file("94.csv", f"code_insee;nom\n{rows}"))
    assert "30 créés" in preau("import", "schools", file)
    assert "30 sans changement" in preau("import", "schools", file)
    assert preau.value("SELECT count(*) FROM schools WHERE latitude IS NULL OR address IS NULL") == 0
