"""HTTP of imports."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, File, Form, UploadFile

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.imports import service
from fleet.imports.kinds import ImportKind
from fleet.imports.models import Import
from fleet.imports.schemas import ImportOut, MappingIn
from fleet.jobs.models import Job
from fleet.jobs.schemas import JobOut
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/api/v1/imports", tags=["imports"])


def importing_viewer(viewer: CurrentViewer) -> Viewer:
    """Whoever may bring files in: asked before the file is looked at."""
    viewer.must(Action.IMPORT_PLACES)
    return viewer


ImportingViewer = Annotated[Viewer, Depends(importing_viewer)]


@router.post("", response_model=ImportOut, status_code=201)
def add_import(
    session: DbSession,
    viewer: ImportingViewer,
    now: Now,
    kind: Annotated[ImportKind, Form()],
    file: Annotated[UploadFile, File(description="Fichier CSV ou XLSX, 8 Mo au plus.")],
    skip_errors: Annotated[bool, Form(description="Prend les lignes justes et écarte les autres.")] = False,
    department: Annotated[str, Form(max_length=3, description="Ne prend que ce département.")] = "",
) -> Import:
    """Keep a file. Nothing is changed before it is applied."""
    content = file.file.read()
    return service.add_import(
        session, viewer, kind, file.filename or "", content, now, skip_errors=skip_errors, department=department
    )


@router.get("/{import_id}", response_model=ImportOut)
def get_import(import_id: UUID, session: DbSession, viewer: CurrentViewer) -> Import:
    """One file, with the report of its last try."""
    return service.get_import(session, viewer, import_id)


@router.put("/{import_id}/mapping", response_model=ImportOut)
def set_mapping(import_id: UUID, body: MappingIn, session: DbSession, viewer: CurrentViewer, now: Now) -> Import:
    """Say which heading of the file holds which column; "" for none. Files of the same shape follow from now on."""
    return service.set_mapping(session, viewer, import_id, body.mapping, now, skip_errors=body.skip_errors)


@router.post("/{import_id}/check", response_model=JobOut, status_code=202)
def check_import(import_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> Job:
    """Tell what it would change, as a job that changes nothing."""
    return service.start(session, viewer, import_id, now, dry_run=True)


@router.post("/{import_id}/apply", response_model=JobOut, status_code=202)
def apply_import(import_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> Job:
    """Apply it, as a job: every row, or none when one is refused and ``skip_errors`` does not say otherwise."""
    return service.start(session, viewer, import_id, now, dry_run=False)
