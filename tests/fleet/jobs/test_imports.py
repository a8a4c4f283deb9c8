"""Files imported as jobs: checked without a change, applied whole or not at all; over HTTP and by the command line."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, func, select, text
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from fleet.cli import app as cli
from fleet.clock import utc_now
from fleet.collectivities.models import Collectivity
from fleet.config import FleetConfig
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.errors import FleetError
from fleet.importing import IMPORT_LOCK
from fleet.imports import reports, service
from fleet.imports.kinds import ImportKind
from fleet.imports.models import Import
from fleet.imports.tasks import take_file
from fleet.jobs import running
from fleet.jobs import service as jobs
from fleet.jobs.models import Job, JobKind, JobState
from fleet.operator import OPERATOR
from fleet.scope import Role
from tests.factories import make_collectivity, make_user
from tests.sign_in import signed_in

GOOD = "code_insee;nom\n02001;Abbécourt\n02002;Achery\n"
RUNNERS = {JobKind.IMPORT: take_file}
BAD = "code_insee;nom\n02001;Abbécourt\n2002;Achery\n"


@pytest.fixture
def own_engine(own_database_url: str) -> Iterator[Engine]:
    """A database where transactions really end: a run has several connections."""
    bound = SessionFactory.kw.get("bind")
    engine = create_engine(own_database_url)
    SessionFactory.configure(bind=engine, join_transaction_mode="conditional_savepoint")
    yield engine
    engine.dispose()
    SessionFactory.configure(bind=bound)


def take(content: str, config: FleetConfig, *, dry_run: bool = False, skip_errors: bool = False) -> tuple[Job, Import]:
    """Bring a file in and run its job to the end."""
    with transaction(Door.OPERATOR) as session:
        row = service.add_import(
            session, OPERATOR, ImportKind.COMMUNES, "communes.csv", content.encode(), utc_now(),
            skip_errors=skip_errors,
        )  # fmt: skip
        job = service.start(session, OPERATOR, row.id, utc_now(), dry_run=dry_run)
    running.run_job(job.id, config, RUNNERS)
    return state_of(job.id, row.id)


def state_of(job_id: UUID, import_id: UUID) -> tuple[Job, Import]:
    with transaction(Door.OPERATOR) as session:
        row = service.get_import(session, OPERATOR, import_id)
        return session.get_one(Job, job_id), row


def count() -> int:
    with transaction(Door.OPERATOR) as session:
        return session.scalar(select(func.count()).select_from(Collectivity)) or 0


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("content", "options", "state", "told", "communes"),
    [
        (GOOD, {}, JobState.DONE, "Fait : 2 créés.", 2),
        (GOOD, {"dry_run": True}, JobState.DONE, "Vérifié, rien n’a été changé : 2 créés.", 0),
        (BAD, {}, JobState.FAILED, "1 ligne est refusée : rien n’a été changé. Ligne 3 : code INSEE", 0),
        (BAD, {"dry_run": True}, JobState.DONE, "Vérifié, rien n’a été changé : 1 créé, 1 refusé.", 0),
        (BAD, {"skip_errors": True}, JobState.DONE, "Fait : 1 créé, 1 refusé.", 1),
    ],
)
def test_a_file_is_taken_whole_or_not_at_all(
    own_engine: Engine,
    config: FleetConfig,
    content: str,
    options: dict[str, bool],
    state: JobState,
    told: str,
    communes: int,
) -> None:
    job, row = take(content, config, **options)
    assert job.state is state
    assert (job.reason or job.sentence).startswith(told)
    assert count() == communes
    assert (row.applied_at is not None) is (communes > 0)
    assert row.report is not None
    assert row.report["refused"] == (content == BAD)
    lines = reports.as_csv(row.report).decode("utf-8-sig").splitlines()
    assert lines[:2] == ["ligne;resultat;quoi;detail", "2;créé;02001 Abbécourt;"]
    assert ("3;refusé;;code INSEE" in lines[2]) is (content == BAD)


@pytest.mark.usefixtures("app")
def test_one_import_waits_for_another_and_then_follows(own_engine: Engine, config: FleetConfig) -> None:
    with own_engine.begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": IMPORT_LOCK})
        job, row = take(GOOD, config)
        assert (job.state, job.reason) == (JobState.QUEUED, "Un autre import est en cours : celui-ci suivra.")
    running.run_job(job.id, config, RUNNERS, clock=lambda: utc_now() + timedelta(seconds=6))
    assert state_of(job.id, row.id)[0].state is JobState.DONE


@pytest.mark.usefixtures("app")
def test_an_applied_file_is_applied_once(own_engine: Engine, config: FleetConfig) -> None:
    _, row = take(GOOD, config)
    with transaction(Door.OPERATOR) as session, pytest.raises(Exception, match="déjà importé"):
        service.start(session, OPERATOR, row.id, utc_now(), dry_run=False)


def send(api: TestClient, content: str | bytes = GOOD, kind: str = "communes") -> tuple[int, dict[str, object]]:
    answer = api.post("/api/v1/imports", data={"kind": kind}, files={"file": ("lieux.csv", content, "text/csv")})
    return answer.status_code, answer.json()


def test_a_file_is_brought_in_over_http(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    status, row = send(api)
    assert (status, row["columns"], row["applied_at"]) == (201, ["code_insee", "nom"], None)
    job = api.post(f"/api/v1/imports/{row['id']}/apply")
    assert (job.status_code, job.json()["state"], job.json()["subject"]) == (202, "queued", "Communes : lieux.csv")
    assert api.post(f"/api/v1/imports/{row['id']}/check").json()["code"] == "import.underway"
    jobs.cancel_job(session, OPERATOR, UUID(job.json()["id"]), utc_now())
    assert api.post(f"/api/v1/imports/{row['id']}/check").json()["subject"] == "Vérification, communes : lieux.csv"


def test_columns_are_chosen_over_http(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    _, row = send(api, "Alpha;Bravo\n02001;Abbécourt\n")
    path = f"/api/v1/imports/{row['id']}"
    assert "Colonnes absentes" in str(api.post(f"{path}/check").json()["detail"])
    wrong = api.put(f"{path}/mapping", json={"mapping": {"insee": "Zoulou"}, "skip_errors": True})
    assert wrong.status_code == 422
    chosen = api.put(f"{path}/mapping", json={"mapping": {"insee": "Alpha", "name": "Bravo"}, "skip_errors": True})
    assert (chosen.status_code, chosen.json()["mapping"]["insee"]) == (200, "Alpha")
    assert api.post(f"{path}/check").status_code == 202


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04x", "une colonne\n", b"\x00\x01"])
def test_what_cannot_be_imported_is_refused_at_once(api: TestClient, session: Session, content: str | bytes) -> None:
    signed_in(api, make_user(session))
    status, told = send(api, content)
    assert (status, told["code"]) == (422, "import.unreadable")


def test_only_the_operators_staff_imports(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    row = send(api)[1]
    signed_in(api, make_user(session, Role.AUDITOR))
    assert send(api)[0] == 403
    assert api.get(f"/api/v1/imports/{row['id']}").status_code == 200
    assert api.post(f"/api/v1/imports/{row['id']}/apply").status_code == 403
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    assert send(api)[0] == 403
    assert api.get(f"/api/v1/imports/{row['id']}").status_code == 404


@pytest.fixture
def preau(own_engine: Engine, own_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The command line on a database of its own; a refusal is its code."""
    monkeypatch.setenv("PREAU_DATABASE_URL", own_database_url)
    monkeypatch.setenv("PREAU_BROKER_URL", "memory://")
    monkeypatch.setenv("PREAU_PUBLIC_URL", "https://preau.example.test")
    monkeypatch.setenv("PREAU_ENV_FILE", "/nonexistent")

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(cli, [*arguments], terminal_width=200)
        if isinstance(done.exception, FleetError):
            return done.exception.code
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_the_command_line_hands_over_follows_and_stops(preau: Callable[..., str], tmp_path: Path) -> None:
    file = tmp_path / "communes.csv"
    file.write_text(GOOD)
    job_id = preau("import", "communes", str(file), "--later").split()[1]
    [listed] = json.loads(preau("job", "list", "--json"))
    assert (listed["id"], listed["state"], listed["asked_by"]) == (job_id, "queued", "la ligne de commande")
    assert job_id[:8] in preau("job", "list")
    assert json.loads(preau("job", "cancel", job_id, "--json"))["state"] == "cancelled"
    assert preau("job", "cancel", job_id) == "job.move_refused"
    assert "État : En attente" in preau("job", "retry", job_id)
    assert "Demandé par la ligne de commande" in preau("job", "show", job_id)
