"""Imports: a file is sent, its columns are recognised or chosen, what it would do is shown, then it is imported."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import UploadFile

from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.listing import AskedPage, within
from dashboards.portal.person import SentForm, Staff
from dashboards.portal.rendering import render
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import FleetError
from fleet.imports import reports
from fleet.imports import service as imports
from fleet.imports.kinds import KINDS, ImportKind
from fleet.imports.models import Import
from fleet.jobs import service as jobs
from fleet.jobs.models import OPEN
from fleet.paging import Listing, Page
from fleet.scope import Action, Viewer
from fleet.table_file import as_download

router = APIRouter(prefix="/imports")
Live = Annotated[str, Query(pattern="^(off|)$")]
Poll = Annotated[str, Query(pattern="^(yes|)$")]
Show = Annotated[str, Query(pattern="^(refused|changes|)$")]


@router.get("")
def list_imports(request: Request, session: DbSession, viewer: Staff, page: AskedPage) -> Response:
    """The files that were brought in, and the form for another."""
    return imports_page(request, session, viewer, page)


def imports_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    page: Page,
    typed: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    problems = refused.problems if isinstance(refused, FormRefused) else {}
    return render(
        request,
        "imports.html",
        refused.status if refused else 200,
        listing=within(lambda wanted: imports.list_imports(session, viewer, wanted), page),
        kinds=[(kind.value, kind.label) for kind in ImportKind],
        may_import=viewer.may(Action.IMPORT_PLACES),
        read=typed.raw if typed else lambda _name: "",
        refused=refused.detail if refused else None,
        problems=problems,
    )


@router.post("")
def add_import(
    request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage, form: SentForm
) -> Response:
    """Keep a file; it is checked at once when its columns are all recognised."""
    reader = Reader(form)
    try:
        row = read_file(session, viewer, reader, now)
    except FleetError as refused:
        session.rollback()
        return imports_page(request, session, viewer, page, reader, refused)
    if imports.find_missing(row):
        return RedirectResponse(f"/imports/{row.id}?done=import-added", 303)
    imports.start(session, viewer, row.id, now, dry_run=True)
    return RedirectResponse(f"/imports/{row.id}?done=import-checking", 303)


def read_file(session: DbSession, viewer: Viewer, reader: Reader, now: Now) -> Import:
    """The file of a form; raise FormRefused, or what the service refuses."""
    kind = reader.choice("kind", ImportKind, "Dites ce que sont les lignes du fichier.")
    department = reader.text("department", maximum=3)
    file = reader.form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        reader.problems["file"] = "Choisissez un fichier."
        raise FormRefused(reader.problems)
    reader.check()
    return imports.add_import(
        session, viewer, kind, file.filename, file.file.read(), now,
        skip_errors=reader.raw("skip_errors") == "yes", department=department,
    )  # fmt: skip


@router.get("/{import_id}")
def show_import(
    request: Request, session: DbSession, viewer: Staff, page: AskedPage, import_id: UUID,
    show: Show = "", live: Live = "", poll: Poll = "",
) -> Response:  # fmt: skip
    """One file: its columns, what it would do line by line, and how far its job is."""
    return import_page(
        request, session, viewer, page, import_id, show=show, is_live=live != "off", is_polled=bool(poll)
    )


def import_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    page: Page,
    import_id: UUID,
    *,
    show: str = "",
    is_live: bool = True,
    is_polled: bool = False,
    refused: FleetError | None = None,
) -> Response:
    row = imports.get_import(session, viewer, import_id)
    job = jobs.get_job(session, viewer, row.job_id) if row.job_id else None
    is_open = job is not None and job.state in OPEN
    shown = render(
        request,
        "import.html",
        refused.status if refused else 200,
        row=row,
        job=job,
        is_open=is_open,
        is_live=is_open and is_live,
        may_import=viewer.may(Action.IMPORT_PLACES),
        columns=KINDS[row.kind].columns,
        headings=[(heading, heading) for heading in row.columns if heading],
        missing=imports.find_missing(row),
        report=row.report,
        summary=reports.summary(row.report) if row.report else "",
        lines=lines_of(row, show, page),
        asked={"show": show},
        refused=refused.detail if refused else None,
    )
    if is_polled and not is_open:
        shown.headers["HX-Refresh"] = "true"
    return shown


def lines_of(row: Import, show: str, page: Page) -> Listing[reports.Line]:
    """One page of what the report tells, in the order of the file."""
    told = reports.lines(row.report) if row.report else []
    wanted = [line for line in told if not show or (line[1] == reports.REFUSED) is (show == "refused")]
    start = (page.number - 1) * page.size
    return Listing(wanted[start : start + page.size], len(wanted), page)


@router.post("/{import_id}/mapping")
def set_mapping(
    request: Request, session: DbSession, viewer: Staff, now: Now, page: AskedPage, form: SentForm, import_id: UUID
) -> Response:
    """Take the columns that a person chose, and check the file with them."""
    reader = Reader(form)
    row = imports.get_import(session, viewer, import_id)
    chosen = {known: reader.raw(f"column-{known}") for known in KINDS[row.kind].columns}
    try:
        imports.set_mapping(session, viewer, import_id, chosen, now, skip_errors=reader.raw("skip_errors") == "yes")
        imports.start(session, viewer, import_id, now, dry_run=True)
    except FleetError as refused:
        session.rollback()
        return import_page(request, session, viewer, page, import_id, refused=refused)
    return RedirectResponse(f"/imports/{import_id}?done=import-checking", 303)


@router.post("/{import_id}/apply")
def apply_import(session: DbSession, viewer: Staff, now: Now, import_id: UUID) -> Response:
    """Do what was shown."""
    imports.start(session, viewer, import_id, now, dry_run=False)
    return RedirectResponse(f"/imports/{import_id}?done=import-started", 303)


@router.get("/{import_id}/report.csv")
def export_report(session: DbSession, viewer: Staff, import_id: UUID) -> Response:
    """What the last try did or would do, line by line, as a file."""
    row = imports.get_import(session, viewer, import_id)
    return as_download(reports.as_csv(row.report) if row.report else b"", "rapport-import.csv")
