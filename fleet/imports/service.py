"""Imports: a file is brought in, set, checked, applied. Nothing is changed before the last step, and then all of it."""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from fleet.errors import Conflict, NotFound
from fleet.importing import bind
from fleet.imports.kinds import KINDS, ImportKind
from fleet.imports.models import Import
from fleet.jobs import service as jobs
from fleet.jobs.models import OPEN, Job, JobKind, JobState
from fleet.scope import Action, Viewer
from fleet.table_reader import read_table

LONGEST_NAME = 120


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
    """Keep a file to import; raise NotAllowed, or Invalid when it is no table or lacks a column."""
    viewer.must(Action.IMPORT_PLACES)
    table = read_table(content)
    bind(table, KINDS[kind].columns)
    row = Import(
        kind=kind, name=" ".join(name.split())[-LONGEST_NAME:] or "sans nom", size=len(content), content=content,
        digest=hashlib.sha256(content).hexdigest(), columns=table.columns, mapping={}, skip_errors=skip_errors,
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


def start(session: Session, viewer: Viewer, import_id: UUID, now: datetime, *, dry_run: bool) -> Job:
    """Check a file (``dry_run``) or apply it, as a job; raise NotFound, NotAllowed, or Conflict when it was applied or
    is being taken.
    """
    row = get_import(session, viewer, import_id, to_change=True)
    viewer.must(Action.IMPORT_PLACES)
    if row.applied_at is not None:
        raise Conflict("import.applied", "Ce fichier est déjà importé.")
    if is_underway(session, row):
        raise Conflict("import.underway", "Ce fichier est déjà en cours d’import : suivez-le à la page Travaux.")
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
