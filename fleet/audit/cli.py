"""`preau audit`: verify the log, anchor it elsewhere, read it, hand it out."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from fleet import doors
from fleet.actors import ActorKind
from fleet.audit import chain, checkpoints, service
from fleet.audit.chain import Report
from fleet.audit.models import AuditEntry
from fleet.audit.schemas import EntryOut
from fleet.audit.service import Wanted
from fleet.audit.wording import COLUMNS, cells_of
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.errors import Invalid
from fleet.operator import OPERATOR, open_fleet
from fleet.paging import Page
from fleet.table_file import write_table

app = typer.Typer(no_args_is_help=True, help="Journal : vérifier qu’il est intact, l’ancrer ailleurs, le lire.")


class Format(StrEnum):
    JSON = "json"
    CSV = "csv"


Json = Annotated[bool, typer.Option("--json", help="Une réponse pour les programmes.")]
Since = Annotated[datetime | None, typer.Option(help="Depuis cette date (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Avant cette date (UTC).")]
Kind = Annotated[ActorKind | None, typer.Option(help="Genre d’auteur.")]
ActorId = Annotated[str, typer.Option(help="Identifiant de l’auteur.")]
Operation = Annotated[str, typer.Option(help="Début du nom de l’opération, par exemple « tickets. ».")]
TableName = Annotated[str, typer.Option("--table", help="Table, par exemple « devices ».")]
RowId = Annotated[str, typer.Option("--row", help="Identifiant de la ligne.")]
Search = Annotated[str, typer.Option(help="Mots de l’auteur, de l’objet ou de l’opération.")]


@contextmanager
def snapshot() -> Iterator[Connection]:
    """A read-only transaction that sees nothing of what is written meanwhile."""
    with SessionFactory() as session:
        engine = session.get_bind().engine
    with engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True) as connection:
        doors.apply(connection, {"role": Door.OPERATOR.value})
        yield connection


def show_progress(done: int, total: int) -> None:
    """One line that counts, for a person who waits."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{done} / {total} entrées vérifiées" + ("\n" if done >= total else ""))
        sys.stderr.flush()


@app.command()
def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="Fichier d’un ou plusieurs points de contrôle ; peut être répété.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Clé publique qui doit les avoir signés (64 chiffres hexa).")] = None,
    as_json: Json = False,
) -> None:
    """Relit toute la chaîne : dit ce qui a été modifié, retiré, ajouté, déplacé ou coupé, et finit alors par 1."""
    config = open_fleet()
    known = [point for path in checkpoint or () for point in read_checkpoints(path)]
    with snapshot() as connection:
        report = chain.verify(connection, show_progress)
        for point in known:
            checkpoints.check(connection, report, point, key or own_public_key(config))
    tell(report, len(known), as_json=as_json)
    if report.problems:
        raise typer.Exit(1)


def read_checkpoints(path: Path) -> list[checkpoints.Checkpoint]:
    """One a line; raise Invalid."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid("audit.bad_checkpoint", f"{path} ne peut pas être lu.") from error
    return [checkpoints.Checkpoint.from_json(line) for line in lines if line.strip()]


def own_public_key(config: FleetConfig) -> str | None:
    """The public half of PREAU_AUDIT_KEY_FILE."""
    own = checkpoints.read_key(config.audit_key_file)
    return own.public_hex if own else None


def tell(report: Report, checkpoints_read: int, *, as_json: bool) -> None:
    """Say what was found."""
    if as_json:
        problems = [{"kind": p.kind, "number": p.number, "detail": p.detail} for p in report.problems]
        found = {"entries": report.entries, "start": report.start, "number": report.number, "hash": report.hash.hex()}
        typer.echo(json.dumps(found | {"problems": problems}, ensure_ascii=False))
        return
    for problem in report.problems:
        typer.echo(f"{problem.detail[:1].upper()}{problem.detail[1:]}.")
    if report.problems:
        typer.echo(f"Le journal n’est pas intact : {len(report.problems)} constat(s).", err=True)
        return
    cut = f", les {report.start} premières effacées par la durée de conservation" if report.start else ""
    points = f", {checkpoints_read} point(s) de contrôle retrouvé(s)" if checkpoints_read else ""
    typer.echo(f"Journal intact : {report.entries} entrées, jusqu’au n° {report.number}{cut}{points}.")


@app.command("checkpoint")
def write_checkpoint() -> None:
    """Écrit un point de contrôle signé ; gardez-le hors de cette machine : `preau audit checkpoint >> FICHIER`."""
    config = open_fleet()
    key = checkpoints.read_key(config.audit_key_file)
    with snapshot() as connection:
        typer.echo(checkpoints.take(connection, utc_now(), key).to_json())
    if key is None:
        typer.echo("Non signé : faites une clé (preau audit key) et donnez PREAU_AUDIT_KEY_FILE.", err=True)


@app.command("key")
def make_key(path: Annotated[Path, typer.Argument(help="Fichier à écrire (mode 600).")]) -> None:
    """Fait la clé qui signe les points de contrôle et montre sa moitié publique, à garder ailleurs."""
    try:
        made = checkpoints.make_key(path)
    except OSError as error:
        raise Invalid("audit.cannot_write", f"Impossible d’écrire {path} : {error.strerror}.") from error
    typer.echo(made.public_hex)


def wanted_of(
    since: datetime | None, until: datetime | None, kind: ActorKind | None, actor: str, operation: str,
    table: str, row: str, search: str,
) -> Wanted:  # fmt: skip
    first, end = (None if at is None else at.replace(tzinfo=UTC) for at in (since, until))
    return Wanted(first, end, kind, actor=actor, operation=operation, table=table, row=row, search=search)


@app.command("list")
def list_entries(
    since: Since = None, until: Until = None, kind: Kind = None, actor: ActorId = "", operation: Operation = "",
    table: TableName = "", row: RowId = "", search: Search = "",
    limit: Annotated[int, typer.Option(help="Entrées montrées, les dernières.", min=1, max=500)] = 50,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Montre les dernières entrées."""
    open_fleet()
    wanted = wanted_of(since, until, kind, actor, operation, table, row, search)
    with transaction(Door.OPERATOR) as session:
        listing = service.list_entries(session, OPERATOR, wanted, Page(size=limit))
        if as_json:
            rows = [EntryOut.of(entry, OPERATOR).model_dump(mode="json") for entry in listing.rows]
            typer.echo(json.dumps({"rows": rows, "total": listing.total}, ensure_ascii=False))
            return
        shown = Table("N°", "Date", "Auteur", "Opération", "Action", "Objet")
        for entry in listing.rows:
            shown.add_row(*row_of(entry))
        Console().print(shown)


def row_of(entry: AuditEntry) -> tuple[str, ...]:
    subject = f"{entry.table_name} {entry.subject or entry.row_id or ''}"
    at = entry.at.strftime("%Y-%m-%d %H:%M:%S")
    return (
        str(entry.number or ""),
        at,
        entry.actor_name or entry.actor_kind,
        entry.operation or "",
        entry.action,
        subject,
    )


@app.command()
def export(
    since: Since = None, until: Until = None, kind: Kind = None, actor: ActorId = "", operation: Operation = "",
    table: TableName = "", row: RowId = "", search: Search = "",
    file_format: Annotated[Format, typer.Option("--format", help="json : une entrée par ligne.")] = Format.JSON,
) -> None:  # fmt: skip
    """Écrit les entrées voulues sur la sortie standard, de la plus ancienne à la plus récente."""
    open_fleet()
    wanted = wanted_of(since, until, kind, actor, operation, table, row, search)
    with transaction(Door.OPERATOR) as session:
        entries = service.iterate_entries(session, OPERATOR, wanted)
        if file_format is Format.CSV:
            sys.stdout.buffer.write(write_table(COLUMNS, (cells_of(entry) for entry in entries)))
            return
        for entry in entries:
            sys.stdout.write(EntryOut.of(entry, OPERATOR).model_dump_json() + "\n")
