"""`preau job`: follow jobs, stop them, start them again."""

import json
from datetime import datetime
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.jobs import service
from fleet.jobs.models import Job, JobState
from fleet.jobs.schemas import JobOut
from fleet.operator import OPERATOR, open_fleet
from fleet.paging import Page
from fleet.worker import make_celery

app = typer.Typer(no_args_is_help=True, help="Travaux : suivre, annuler, relancer.")
PARIS = ZoneInfo("Europe/Paris")
JobArgument = Annotated[UUID, typer.Argument(help="Identifiant du travail (preau job list).", metavar="TRAVAIL")]
AsJson = Annotated[bool, typer.Option("--json", help="Écrit du JSON, pour un programme.")]


@app.command(name="list")
def list_jobs(
    state: Annotated[JobState | None, typer.Option(help="Seulement dans cet état.")] = None,
    search: Annotated[str, typer.Option(help="Mots du sujet ou du nom de qui a demandé.")] = "",
    number: Annotated[int, typer.Option(help="Combien, les plus récents d’abord.", min=1, max=500)] = 50,
    as_json: AsJson = False,
) -> None:
    """Montre les travaux, les plus récents d’abord."""
    open_fleet()
    with transaction(Door.OPERATOR) as session:
        jobs = service.list_jobs(session, OPERATOR, search=search, state=state, page=Page(size=number)).rows
    if as_json:
        typer.echo(json.dumps([as_plain(job) for job in jobs], ensure_ascii=False, indent=1))
        return
    if not jobs:
        typer.echo("Aucun travail. Les imports lancés du portail ou avec « preau import … --later » sont suivis ici.")
        return
    table = Table("Travail", "Sujet", "État", "Avancement", "Demandé par", "Demandé le")
    for job in jobs:
        how_far = f"{job.percent} %" if job.percent is not None else job.sentence
        table.add_row(str(job.id), job.subject, job.state.label, how_far, job.asked_by, moment(job.created_at))
    Console().print(table)


@app.command()
def show(job_id: JobArgument, as_json: AsJson = False) -> None:
    """Montre un travail : où il en est, et pourquoi il a échoué."""
    open_fleet()
    with transaction(Door.OPERATOR) as session:
        tell(service.get_job(session, OPERATOR, job_id), as_json=as_json)


@app.command()
def cancel(job_id: JobArgument, as_json: AsJson = False) -> None:
    """Annule un travail qui attend ou qui tourne : rien n’en reste."""
    open_fleet()
    with transaction(Door.OPERATOR) as session:
        tell(service.cancel_job(session, OPERATOR, job_id, utc_now()), as_json=as_json)


@app.command()
def retry(job_id: JobArgument, as_json: AsJson = False) -> None:
    """Relance du début un travail échoué ou annulé."""
    make_celery(open_fleet())
    with transaction(Door.OPERATOR) as session:
        tell(service.retry_job(session, OPERATOR, job_id, utc_now()), as_json=as_json)


def as_plain(job: Job) -> object:
    """The job as the API shows it."""
    return JobOut.model_validate(job).model_dump(mode="json")


def tell(job: Job, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(as_plain(job), ensure_ascii=False, indent=1))
        return
    stopping = ", arrêt demandé" if job.cancel_asked_at else ""
    typer.echo(f"{job.kind.label} : {job.subject}")
    typer.echo(f"  État : {job.state.label}{stopping}" + (f" ({job.percent} %)" if job.percent is not None else ""))
    typer.echo(f"  Demandé par {job.asked_by}, le {moment(job.created_at)}")
    for sentence in (job.sentence, job.reason):
        if sentence:
            typer.echo(f"  {sentence}")


def moment(at: datetime) -> str:
    return at.astimezone(PARIS).strftime("%d/%m/%Y %H:%M")
