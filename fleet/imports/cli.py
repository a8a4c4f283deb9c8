"""`preau import`: communes, EPCI and schools from files, after a dry run if one likes."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Invalid
from fleet.importing import ImportReport, Options, Verb
from fleet.imports import service
from fleet.imports.kinds import KINDS, ImportKind
from fleet.operator import OPERATOR, open_fleet
from fleet.table_reader import DELIMITERS, MAX_BYTES, Encoding, Table, TableRefused, TableRow, read_table
from fleet.text import fold
from fleet.worker import make_celery

app = typer.Typer(
    no_args_is_help=True,
    help="Importe des lieux depuis un fichier CSV ou un classeur XLSX : d’abord epci, puis communes, puis schools.",
)
MOST_ERRORS = 50
"""Errors written out; the rest is counted."""

FileArgument = Annotated[Path, typer.Argument(help="Fichier CSV ou classeur XLSX.", show_default=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Dit ce qui changerait, et ne change rien.")]
SkipErrors = Annotated[
    bool, typer.Option("--skip-errors", help="Prend les lignes justes et écarte les autres ; sans cela, tout ou rien.")
]
EncodingOption = Annotated[Encoding, typer.Option(help="Encodage du fichier, s’il est mal reconnu.")]
Department = Annotated[
    str, typer.Option(help="Ne prend que ce département (début du code INSEE : 02, 2A, 971).", metavar="CODE")
]
Later = Annotated[
    bool, typer.Option("--later", help="Confie le fichier à l’ouvrier, comme un travail à suivre (preau job).")
]
LARGEST_JOB = 64 * 1024 * 1024
"""Bytes of a file that the database keeps for the worker."""
Show = Annotated[int, typer.Option(help="Combien de changements écrire (0 : tous).", min=0)]


@app.command()
def communes(
    file: FileArgument,
    dry_run: DryRun = False,
    skip_errors: SkipErrors = False,
    encoding: EncodingOption = Encoding.AUTO,
    department: Department = "",
    show: Show = 20,
    later: Later = False,
) -> None:
    """Communes (code_insee, nom…) et leur EPCI, ou communes déléguées (commune_actuelle)."""
    _import(ImportKind.COMMUNES, file, Options(dry_run, skip_errors, department.upper()), encoding, show, later=later)


@app.command()
def epci(
    file: FileArgument,
    dry_run: DryRun = False,
    skip_errors: SkipErrors = False,
    encoding: EncodingOption = Encoding.AUTO,
    show: Show = 20,
    later: Later = False,
) -> None:
    """EPCI à fiscalité propre et syndicats (epci_siren, nom, type…)."""
    _import(ImportKind.GROUPS, file, Options(dry_run, skip_errors), encoding, show, later=later)


@app.command()
def schools(
    file: FileArgument,
    dry_run: DryRun = False,
    skip_errors: SkipErrors = False,
    encoding: EncodingOption = Encoding.AUTO,
    department: Department = "",
    show: Show = 20,
    later: Later = False,
) -> None:
    """Écoles, collèges, lycées : annuaire de l’éducation nationale, ou liste (uai, nom, type, code_insee…)."""
    _import(ImportKind.SCHOOLS, file, Options(dry_run, skip_errors, department.upper()), encoding, show, later=later)


def _import(
    kind: ImportKind, file: Path, options: Options, encoding: Encoding, show: int, *, later: bool = False
) -> None:
    config = open_fleet()
    table = read_table(_content(file), encoding)
    if kind is ImportKind.COMMUNES and fold("commune_actuelle") in map(fold, table.columns):
        kind = ImportKind.FORMER_COMMUNES
    if later:
        make_celery(config)
        _hand_over(kind, file, options)
        return
    with transaction(Door.OPERATOR) as session:
        report = KINDS[kind].take(session, table, options, _with_progress)
    _tell(file, table, report, options, show)
    if report.errors and not options.skip_errors:
        raise typer.Exit(1)


def _hand_over(kind: ImportKind, file: Path, options: Options) -> None:
    content = _content(file)
    if len(content) > LARGEST_JOB:
        raise TableRefused(f"{file} dépasse {LARGEST_JOB // 1024**2} Mo : importez-le sans --later.")
    with transaction(Door.OPERATOR) as session:
        row = service.add_import(
            session, OPERATOR, kind, file.name, content, utc_now(),
            skip_errors=options.skip_errors, department=options.department,
        )  # fmt: skip
        job = service.start(session, OPERATOR, row.id, utc_now(), dry_run=options.dry_run)
    typer.echo(f"Travail {job.id} demandé. Suivez-le avec : preau job show {job.id}")


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise TableRefused(f"{file} dépasse {MAX_BYTES // 1024**2} Mo : découpez-le.")
        return file.read_bytes()
    except OSError as error:
        raise Invalid("import.unreadable", f"{file} ne peut pas être lu : {_reason(error)}.") from error


def _reason(error: OSError) -> str:
    known = {FileNotFoundError: "il n’existe pas", IsADirectoryError: "c’est un dossier", PermissionError: "interdit"}
    return known.get(type(error), error.strerror or str(error))


def _with_progress(rows: Sequence[TableRow]) -> Iterable[TableRow]:
    """A bar on a terminal, nothing in a pipe."""
    console = Console(stderr=True)
    return track(rows, "Lecture", console=console, transient=True, disable=not console.is_terminal)


def _tell(file: Path, table: Table, report: ImportReport, options: Options, show: int) -> None:
    rows = len(table.rows) + len(table.errors)
    form = f"{table.encoding.value}, séparateur {DELIMITERS[table.delimiter]}" if table.delimiter else "classeur XLSX"
    typer.echo(f"{file.name} : {rows} lignes, {form}")
    for verb in Verb:
        if count := report.count(verb):
            typer.echo(f"  {count:6} {verb.value}{'s' if count > 1 else ''}")
    typer.echo(f"  {report.unchanged:6} sans changement")
    for reason, count in sorted(report.ignored.items()):
        typer.echo(f"  {count:6} hors sujet : {reason}")
    _tell_changes(report, show)
    _tell_errors(report)
    typer.echo(_outcome(report, options))


def _tell_changes(report: ImportReport, show: int) -> None:
    shown = report.changes[: show or None]
    for change in shown:
        fields = f" — {' ; '.join(map(str, change.fields))}" if change.fields else ""
        typer.echo(f"ligne {change.line} : {change.verb.value} {change.label}{fields}")
    if len(report.changes) > len(shown):
        typer.echo(f"… et {len(report.changes) - len(shown)} autres (--show 0 les écrit tous)")


def _tell_errors(report: ImportReport) -> None:
    for error in report.errors[:MOST_ERRORS]:
        sys.stderr.write(f"ligne {error.line} : {error.message}\n")
    if len(report.errors) > MOST_ERRORS:
        sys.stderr.write(f"… et {len(report.errors) - MOST_ERRORS} autres erreurs\n")


def _outcome(report: ImportReport, options: Options) -> str:
    errors = f"{len(report.errors)} ligne{'s' if len(report.errors) > 1 else ''} en erreur"
    if report.errors and not options.skip_errors:
        return f"{errors} : rien n’a été changé. Corrigez le fichier, ou prenez le reste avec --skip-errors."
    left_out = f" ({errors}, hors du compte)" if report.errors else ""
    if options.dry_run:
        return f"Essai : rien n’a été changé{left_out}. Sans --dry-run, les changements ci-dessus seront faits."
    return f"Fait{left_out}."
