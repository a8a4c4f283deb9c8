"""Jobs and imports as a day leaves them: one that runs, one that failed, a file that was checked, one that waits."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from fleet.importing import Options
from fleet.imports import reports
from fleet.imports import service as imports
from fleet.imports.kinds import KINDS, ImportKind
from fleet.imports.models import Import
from fleet.jobs import leasing
from fleet.jobs import service as jobs
from fleet.jobs.models import Job, JobKind
from fleet.saved_filters import service as saved_filters
from fleet.saved_filters.models import ListName
from fleet.scope import Viewer
from fleet.table_reader import read_table

CHECKED = "Code commune;Commune;Habitants\n02001;Abbécourt;512\n2002;Achery;600\n02999;Neuville-sur-Essai;80\n"
STRANGE = "Alpha;Bravo\n02001;Abbécourt\n"


def add_jobs(session: Session, viewer: Viewer, now: datetime) -> dict[str, UUID]:
    """Ids of what was added: "job", "failed_job", "import", "new_import"."""
    checked = imports.add_import(session, viewer, ImportKind.COMMUNES, "communes 2026.csv", CHECKED.encode(), now)
    finished = imports.start(session, viewer, checked.id, now - timedelta(minutes=4), dry_run=True)
    lease = claim(session, finished, now - timedelta(minutes=4))
    leasing.finish(session, lease, leasing.Progress(3, 3, "Vérifié, rien n’a été changé."), now - timedelta(minutes=3))
    note_report(session, checked, now)
    strange = imports.add_import(session, viewer, ImportKind.COMMUNES, "liste.csv", STRANGE.encode(), now)
    failed = jobs.add_job(session, viewer, JobKind.IMPORT, "Écoles : rentrée.xlsx", {}, now - timedelta(hours=2))
    leasing.fail(session, claim(session, failed, now), "2 lignes sont refusées : rien n’a été changé.", now)
    running = jobs.add_job(session, viewer, JobKind.IMPORT, "Écoles : annuaire.csv", {}, now - timedelta(minutes=1))
    far = leasing.claim(session, running.id, now, timedelta(days=1))
    assert far is not None
    session.flush()
    leasing.renew(session, far, leasing.Progress(1200, 4800, "Import de la ligne 1201."), now)
    saved_filters.save_filter(session, viewer, ListName.DEVICES, "Tablettes muettes", "silent=true&kind=tablet", now)
    return {"job": running.id, "failed_job": failed.id, "import": checked.id, "new_import": strange.id}


def claim(session: Session, job: Job, now: datetime) -> leasing.Lease:
    lease = leasing.claim(session, job.id, now, timedelta(minutes=1))
    assert lease is not None
    session.flush()
    return lease


def note_report(session: Session, row: Import, now: datetime) -> None:
    """As the worker does after a check."""
    options = Options(dry_run=True, mapping=row.mapping)
    report = KINDS[row.kind].take(session, read_table(CHECKED.encode()), options, iter)
    row.report, row.checked_at = reports.as_json(report, 3), now
    session.flush()
