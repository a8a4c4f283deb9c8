"""Pages of imports: any column names, what would change before it does, then all of it; choices are remembered."""

import io
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.collectivities.models import Collectivity
from fleet.config import FleetConfig
from fleet.imports.models import Import, ImportMapping
from fleet.imports.tasks import take_file
from fleet.jobs import running
from fleet.jobs.models import Job, JobKind
from fleet.scope import Role, Viewer
from fleet.table_file import Sheet, write_workbook
from tests.conftest import Clock
from tests.factories import make_collectivity, make_user
from tests.sign_in import signed_in

HEADINGS = ("Code INSEE de la commune", "Dénomination", "Nb habitants", "Observations")
ROWS = (("02001", "Abbécourt", 500, "x"), ("02002", "Achery", 600, ""))
PLAIN = "code_insee;nom\n02001;Abbécourt\n02002;Achery\n"


def workbook(headings: tuple[str, ...] = HEADINGS, rows: tuple[tuple[Any, ...], ...] = ROWS) -> bytes:
    file = io.BytesIO()
    write_workbook(file, Sheet(headings, rows))
    return file.getvalue()


def send(api: TestClient, content: bytes | str, name: str = "lieux.xlsx", **more: str) -> str:
    """Send the form; the address that it leads to, or the page that refuses it."""
    form = {"csrf": api.headers["X-CSRF-Token"], "kind": "communes"} | more
    answer = api.post("/imports", data=form, files={"file": (name, content)}, follow_redirects=False)
    return answer.headers.get("location", answer.text)


def run_jobs(session: Session, config: FleetConfig, clock: Clock) -> None:
    """As the worker does."""
    session.expire_all()
    for job_id in session.scalars(select(Job.id).where(Job.state == "queued")):
        running.run_job(job_id, config, {JobKind.IMPORT: take_file}, clock)


def communes(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Collectivity)) or 0


def chosen(page: str) -> dict[str, str]:
    """What each select of the mapping shows."""
    selects = re.findall(r'<select id="column-(\w+)".*?</select>', page, re.DOTALL)
    parts = re.findall(r'<select id="column-\w+".*?</select>', page, re.DOTALL)
    found = [re.search(r'<option value="([^"]*)" selected', part) for part in parts]
    return {name: each[1] if each else "" for name, each in zip(selects, found, strict=True)}


def test_a_file_with_its_own_column_names_is_shown_then_imported(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, staff: Viewer
) -> None:
    path = send(api, workbook()).partition("?")[0]
    page = api.get(path).text
    assert 'hx-trigger="every 1s"' in page
    assert chosen(page) == {}  # nothing is chosen while it is read
    run_jobs(session, config, clock)
    assert api.get(f"{path}?poll=yes").headers["hx-refresh"] == "true"
    page = api.get(path).text
    assert chosen(page) | {"insee": "Code INSEE de la commune", "population": "Nb habitants"} == chosen(page)
    assert "2 créés" in page
    assert "02001 Abbécourt" in page
    assert communes(session) == 0
    api.post(f"{path}/apply", data={"csrf": api.headers["X-CSRF-Token"]})
    run_jobs(session, config, clock)
    page = api.get(path).text
    assert "Importé le" in page
    assert "importer ce fichier" not in page
    assert communes(session) == 2
    assert session.scalar(select(Collectivity.population).where(Collectivity.insee_code == "02002")) == 600


def test_columns_that_nobody_guesses_are_chosen_and_remembered(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, staff: Viewer
) -> None:
    strange = workbook(("Alpha", "Bravo", "Charlie"), (("02001", "Abbécourt", 500),))
    path = send(api, strange).partition("?")[0]
    page = api.get(path).text
    assert "À choisir avant de vérifier" in page.replace("\u00a0", " ")
    form = {"csrf": api.headers["X-CSRF-Token"], "column-insee": "Alpha", "column-name": "Bravo"}
    twice = api.post(f"{path}/mapping", data=form | {"column-population": "Bravo"})
    assert twice.status_code == 422
    assert "ne peut servir deux fois" in twice.text
    assert api.post(f"{path}/mapping", data=form | {"column-population": "Zoulou"}).status_code == 422
    assert api.post(f"{path}/mapping", data={"csrf": form["csrf"]}).status_code == 422
    assert api.post(f"{path}/mapping", data=form).status_code == 200
    run_jobs(session, config, clock)
    assert "1 créé" in api.get(path).text
    assert session.scalar(select(func.count()).select_from(ImportMapping)) == 1
    again = send(api, workbook(("BRAVO", "charlie", "alpha"), (("Achery", 600, "02002"),)))
    assert again.endswith("?done=import-checking")  # it was recognised
    run_jobs(session, config, clock)
    assert "02002 Achery" in api.get(again.partition("?")[0]).text


def test_a_refused_line_keeps_everything_out_unless_said_otherwise(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, staff: Viewer
) -> None:
    path = send(api, PLAIN + "2003;Zéro perdu\n", "l.csv").partition("?")[0]
    run_jobs(session, config, clock)
    page = api.get(path).text
    assert "1 refusé" in page
    assert "importer ce fichier" not in page
    only = api.get(f"{path}?show=refused").text
    assert "Ligne 4" in only.replace("\u00a0", " ")
    assert "Abbécourt" not in only
    assert "refusé" in api.get(f"{path}/report.csv").content.decode("utf-8-sig")
    form = {"csrf": api.headers["X-CSRF-Token"]} | {f"column-{k}": v for k, v in chosen(page).items()}
    api.post(f"{path}/mapping", data=form | {"skip_errors": "yes"})
    run_jobs(session, config, clock)
    assert "importer ce fichier" in api.get(path).text.replace("\u00a0", " ")
    api.post(f"{path}/apply", data=form)
    run_jobs(session, config, clock)
    assert communes(session) == 2


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        (b"", "", "Choisissez un fichier"),
        (b"", "vide.csv", "Le fichier est vide"),
        (b"PK\x03\x04" + bytes(50), "x.xlsx", "ne peut pas être lu"),
        (b"%PDF-1.4", "x.pdf", "un PDF"),
        (workbook(("a", "a")), "x.xlsx", "est là deux fois"),
        (workbook(("a", "b"), ()), "x.xlsx", "aucune ligne"),
    ],
)
def test_what_is_no_table_is_told_on_the_form(
    api: TestClient, session: Session, staff: Viewer, content: bytes, name: str, told: str
) -> None:
    assert told in send(api, content, name).replace("\u00a0", " ")
    assert session.scalar(select(func.count()).select_from(Import)) == 0


def test_a_body_without_end_is_refused(api: TestClient, staff: Viewer) -> None:
    answer = api.post("/imports", data={"csrf": "x"}, files={"file": ("x.csv", b"a;b\n" * 3_000_000)})
    assert answer.status_code == 413


def test_files_are_the_operators(api: TestClient, session: Session, staff: Viewer) -> None:
    path = send(api, PLAIN, "l.csv").partition("?")[0]
    signed_in(api, make_user(session, Role.AUDITOR))
    assert "Envoyer et vérifier" not in api.get("/imports").text
    assert api.get(path).status_code == 200
    assert api.post(f"{path}/apply", data={"csrf": api.headers["X-CSRF-Token"]}).status_code == 403
    assert "Vous n’avez pas le droit" in send(api, PLAIN, "l.csv")
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    assert api.get("/imports").status_code == 403
    assert api.get(path).status_code == 403
