"""What happens later in imports: a file is checked or applied, as a job."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from celery import shared_task
from sqlalchemy.orm import Session, undefer

from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Invalid, NotFound
from fleet.importing import ImportReport, Options, try_turn
from fleet.imports import reports, service
from fleet.imports.kinds import KINDS
from fleet.imports.models import Import
from fleet.jobs import leasing
from fleet.jobs.models import JobKind
from fleet.jobs.running import NotNow, Work, runs
from fleet.table_reader import Table, TableRow, read_table

BUSY = "Un autre import est en cours : celui-ci suivra."
GONE = "Le fichier n’est plus là : envoyez-le de nouveau."


class Refused(Exception):
    """Rows are in error and none may be left out: nothing was changed."""

    def __init__(self, report: ImportReport) -> None:
        super().__init__()
        self.report = report


class Errand(NamedTuple):
    """What one try needs, read in one transaction."""

    import_id: UUID
    table: Table
    options: Options


@shared_task
def purge_imports() -> None:
    """Forget files that nobody went on with. Twice or late is harmless."""
    with transaction(Door.JOBS) as session:
        service.purge_imports(session, utc_now())


@runs(JobKind.IMPORT)
def take_file(work: Work) -> None:
    """Check a file or apply it: all of it in one transaction, which also ends the job."""
    work.tell(0, None, "Lecture du fichier.")
    errand = read_errand(work)
    try:
        with work.finishing() as session:
            if not try_turn(session):
                raise NotNow(BUSY)
            report = take_rows(session, errand, work)
            if not (report.applied or errand.options.dry_run):
                raise Refused(report)
            note(session, errand, report)
            work.tell(len(errand.table.rows), len(errand.table.rows), outcome(errand, report))
    except Refused as refused:
        with transaction(Door.JOBS) as session:
            leasing.hold(session, work.lease)
            note(session, errand, refused.report)
        raise Invalid("import.rows_refused", refusal(refused.report)) from refused


def read_errand(work: Work) -> Errand:
    """The file and how it is to be taken; raise NotFound, or Invalid when it cannot be read."""
    with transaction(Door.JOBS) as session:
        row = session.get(Import, UUID(work.parameters["import_id"]), options=[undefer(Import.content)])
        if row is None or row.content is None:
            raise NotFound("import.gone", GONE)
        options = Options(bool(work.parameters["dry_run"]), row.skip_errors, row.department, row.mapping)
        return Errand(row.id, read_table(row.content), options)


def take_rows(session: Session, errand: Errand, work: Work) -> ImportReport:
    """Take the rows in the savepoint of the import, telling which one it is at."""
    verb = "Vérification" if errand.options.dry_run else "Import"

    def track(rows: Sequence[TableRow]) -> Iterable[TableRow]:
        for number, row in enumerate(rows):
            work.tell(number, len(rows), f"{verb} de la ligne {row.line}.")
            yield row

    kind = session.get_one(Import, errand.import_id).kind
    return KINDS[kind].take(session, errand.table, errand.options, track)


def note(session: Session, errand: Errand, report: ImportReport) -> None:
    """Keep what the try did or would do."""
    row = session.get_one(Import, errand.import_id)
    row.report = reports.as_json(report, len(errand.table.rows))
    row.checked_at = utc_now()
    if report.applied:
        row.applied_at, row.content = utc_now(), None


def outcome(errand: Errand, report: ImportReport) -> str:
    told = reports.summary(reports.as_json(report, 0))
    return f"Vérifié, rien n’a été changé : {told}." if errand.options.dry_run else f"Fait : {told}."


def refusal(report: ImportReport) -> str:
    number = len(report.errors)
    lines = f"{number} ligne est refusée" if number == 1 else f"{number} lignes sont refusées"
    first = report.errors[0]
    return f"{lines} : rien n’a été changé. Ligne {first.line} : {first.message}."
