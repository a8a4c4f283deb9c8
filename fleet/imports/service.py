"""Imports: a file is brought in, set, checked, applied. Nothing is changed before the last step, and then all of it."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, false, select
from sqlalchemy.orm import Session, undefer

from fleet.errors import Conflict, NotFound
from fleet.importing import bind
from fleet.imports import mapping
from fleet.imports.kinds import KINDS, ImportKind
from fleet.imports.models import Import
from fleet.jobs import service as jobs
from fleet.jobs.models import OPEN, Job, JobKind, JobState
from fleet.paging import Listing, Page, paginate
from fleet.scope import Action, Viewer
from fleet.table_reader import read_table

LONGEST_NAME = 120
UNUSED = timedelta(days=7)
"""How long a file stays that nobody went on with."""
SORTABLE = {"id": Import.id, "uploaded_at": Import.uploaded_at}


def add_import(
    session: Session,
    viewer: Viewer,
    kind: ImportKind,
    name: str,
    content: bytes,
    now: datetime,
    *,
    skip_errors: bool = False,
    department: str = "",
) -> Import:
    """Keep a file to import, its columns as a person chose them for such a file, or as they look; raise NotAllowed, or
    Invalid when it is no table.
    """
    viewer.must(Action.IMPORT_PLACES)
    table = read_table(content)
    row = Import(
        kind=kind, name=" ".join(name.split())[-LONGEST_NAME:] or "sans nom", size=len(content), content=content,
        digest=hashlib.sha256(content).hexdigest(), columns=table.columns,
        mapping=mapping.propose(session, kind, table.columns), skip_errors=skip_errors,
        department=department.upper(), uploaded_by=viewer.name, uploaded_at=now,
        uploaded_by_id=viewer.user_id if viewer.user_id.int else None,  # the command line is no account
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def get_import(session: Session, viewer: Viewer, import_id: UUID, *, to_change: bool = False) -> Import:
    """The import, its report loaded; raise NotFound when it does not exist or may not be seen."""
    query = select(Import).where(Import.id == import_id).options(undefer(Import.report))
    query = query.execution_options(populate_existing=True)
    row = session.scalar(query.with_for_update() if to_change else query) if viewer.sees_all else None
    if row is None:
        raise NotFound("import.not_found", "Cet import n’existe pas, ou n’est plus gardé.")
    return row


def list_imports(session: Session, viewer: Viewer, page: Page = Page()) -> Listing[Import]:  # noqa: B008 - frozen
    """One page of the files that were brought in, newest first; the operator's own."""
    query = select(Import) if viewer.sees_all else select(Import).where(false())
    return paginate(session, query, page, SORTABLE, "-uploaded_at")


def set_mapping(
    session: Session,
    viewer: Viewer,
    import_id: UUID,
    chosen: Mapping[str, str],
    now: datetime,
    *,
    skip_errors: bool,
) -> Import:
    """Say which heading holds which column; files of the same shape follow from now on. What was checked before counts
    no more. Raise NotFound, NotAllowed, Invalid, or Conflict when it was applied or is being taken.
    """
    row = get_import(session, viewer, import_id, to_change=True)
    viewer.must(Action.IMPORT_PLACES)
    _must_be_free(session, row)
    row.mapping = mapping.check(chosen, row.columns, KINDS[row.kind].columns)
    row.skip_errors, row.report, row.checked_at = skip_errors, None, None
    mapping.remember(session, row.kind, row.columns, row.mapping, now)
    session.flush()
    return row


def find_missing(row: Import) -> list[str]:
    """The columns that this kind of file must have and for which none is chosen, by our own headings."""
    columns = KINDS[row.kind].columns
    return [column.names[0] for known, column in columns.items() if column.required and not row.mapping.get(known)]


def _must_be_free(session: Session, row: Import) -> None:
    if row.applied_at is not None:
        raise Conflict("import.applied", "Ce fichier est déjà importé.")
    if is_underway(session, row):
        raise Conflict("import.underway", "Ce fichier est déjà en cours d’import : suivez-le à la page Travaux.")


def purge_imports(session: Session, now: datetime) -> None:
    """Forget files that nobody went on with, and those whose job is forgotten."""
    query = delete(Import).where(Import.job_id.is_(None), Import.uploaded_at < now - UNUSED)
    session.execute(query)


def start(session: Session, viewer: Viewer, import_id: UUID, now: datetime, *, dry_run: bool) -> Job:
    """Check a file (``dry_run``) or apply it, as a job; raise NotFound, NotAllowed, Invalid when a column is missing,
    or Conflict when it was applied or is being taken.
    """
    row = get_import(session, viewer, import_id, to_change=True)
    viewer.must(Action.IMPORT_PLACES)
    _must_be_free(session, row)
    bind(row.columns, KINDS[row.kind].columns, row.mapping)
    subject = f"{'Vérification, ' if dry_run else ''}{row.kind.label.lower()} : {row.name}"
    parameters = {"import_id": str(row.id), "dry_run": dry_run}
    job = jobs.add_job(session, viewer, JobKind.IMPORT, subject[0].upper() + subject[1:], parameters, now)
    row.job_id = job.id
    session.flush()
    return job


def is_underway(session: Session, row: Import) -> bool:
    """Whether a job has this file in hand."""
    return find_state(session, row) in OPEN


def find_state(session: Session, row: Import) -> JobState | None:
    """How far the last try is; None before the first."""
    return session.scalar(select(Job.state).where(Job.id == row.job_id)) if row.job_id else None


def find_of_job(session: Session, viewer: Viewer, job_id: UUID) -> Import | None:
    """The file that a job took, as far as the viewer sees it."""
    return session.scalar(select(Import).where(Import.job_id == job_id)) if viewer.sees_all else None
