"""Candidate names: compiled by a worker as a publication would be, kept as a delta from the names in force.

Killed at any moment, it leaves a row that the sweep finds; run twice, it prepares once.
"""

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, insert, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from filter.bundle import BundleRefused, NamesFile
from filter.layout.delta import DeltaRefused, make_delta
from filter.layout.writer import write_again
from filter.lists.lines import ListRefused
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import NotFound
from fleet.filtering import waiting
from fleet.filtering.lists.listing import find_folder
from fleet.filtering.models import ContentState, SourceContent
from fleet.filtering.previews import asking
from fleet.filtering.previews.models import FilterPreview, PreviewChunk, PreviewKind, PreviewState
from fleet.filtering.publishing import compiling, publications
from fleet.filtering.publishing.compiling import NothingToPublish
from fleet.filtering.publishing.publications import CHUNK, Order
from fleet.filtering.publishing.turns import COMPILE_LOCK, turn

log = logging.getLogger(__name__)

CANDIDATE = 0
"""The serial of candidates: filters install only what is above it."""
MOST_ATTEMPTS = 3
DECIDED = "Ce contenu n’attend plus de décision : voyez la page de sa source."
SAME = "Les filtres recevraient les mêmes listes qu’aujourd’hui : rien ne changerait."
REFUSALS = (ListRefused, BundleRefused, DeltaRefused, NotFound, NothingToPublish)


@dataclass(frozen=True, slots=True)
class Errand:
    """What one preparation needs, read in one transaction; ``attempt`` proves that it is still ours when it is done."""

    preview_id: UUID
    attempt: int
    kind: PreviewKind
    content_id: UUID | None
    publication_id: UUID | None
    base_id: UUID
    base_etag: str
    base_digest: str


def prepare_preview(preview_id: UUID, config: FleetConfig, engine: Engine) -> bool:
    """Make the candidate and begin to ask, or note why not; False when it is another process's turn or nothing is left.

    Compiles share one turn, of publications and previews: a machine has memory for one.
    """
    with turn(engine, COMPILE_LOCK) as is_ours:
        if not is_ours:
            return False
        with transaction(Door.JOBS) as session:
            errand = start(session, preview_id)
        if errand is None:
            return False
        with tempfile.TemporaryDirectory(prefix="preau-preview-") as workspace:
            carry_out(errand, config, Path(workspace))
        return True


def list_waiting(session: Session) -> list[UUID]:
    """Ids of what is to be prepared, oldest first."""
    query = select(FilterPreview.id).where(FilterPreview.state == PreviewState.PREPARING)
    return list(session.scalars(query.order_by(FilterPreview.asked_at, FilterPreview.id)))


def start(session: Session, preview_id: UUID) -> Errand | None:
    """Take a preparation; None when there is nothing to do: it is done, abandoned, or was interrupted too often."""
    preview = session.get(FilterPreview, preview_id, with_for_update=True, populate_existing=True)
    if preview is None or preview.state is not PreviewState.PREPARING:
        return None
    latest = publications.find_latest(session)
    if is_decided(session, preview):
        asking.close(session, preview, PreviewState.FAILED, DECIDED)
        return None
    if preview.attempts >= MOST_ATTEMPTS:
        reason = f"La préparation a été interrompue {MOST_ATTEMPTS} fois. Voyez le journal de l’ouvrier."
        asking.close(session, preview, PreviewState.FAILED, reason)
        return None
    if latest is None or latest.digest is None:
        asking.close(session, preview, PreviewState.FAILED, "Aucune liste n’est encore publiée.")
        return None
    preview.attempts += 1
    preview.base_names = latest.etag
    return Errand(
        preview.id, preview.attempts, preview.kind, preview.content_id, preview.publication_id,
        latest.id, latest.etag, latest.digest,
    )  # fmt: skip


def is_decided(session: Session, preview: FilterPreview) -> bool:
    """Whether the content that is asked about is no longer held. Without one it is the controller's folder."""
    if preview.kind is not PreviewKind.CONTENT:
        return False
    if preview.content_id is None:
        folder = find_folder(session)
        return folder is None or folder.id != preview.source_id
    return session.get_one(SourceContent, preview.content_id, populate_existing=True).state is not ContentState.HELD


def carry_out(errand: Errand, config: FleetConfig, workspace: Path) -> None:
    """Make the files in the workspace, then ask or fail in one transaction."""
    try:
        out = make_candidate(errand, config, workspace)
        candidate = NamesFile.open(out)
        if candidate.digest == errand.base_digest:
            settle(errand, lambda session, preview: asking.close(session, preview, PreviewState.DONE, SAME))
            return
        publications.copy_names(errand.base_id, workspace / "base")
        delta = make_delta(workspace / "base", out)
        settle(errand, lambda session, preview: ask(session, preview, candidate.etag, delta))
        log.info("preview prepared", extra={"preview": str(errand.preview_id), "delta": len(delta)})
    except REFUSALS as error:
        give_up(errand, str(error))
    except OSError as error:
        give_up(errand, f"Fichier illisible ou disque plein : {error}")
    except OperationalError:
        raise  # the database went away: there is nowhere to note it, and the sweep tries again
    except Exception as error:  # whatever one preview stumbles over, who asked is told now, not after some attempts
        log.exception("preview broke", extra={"preview": str(errand.preview_id)})
        give_up(errand, f"Erreur imprévue ({type(error).__name__}) : {error}. Voyez le journal de l’ouvrier.")


def make_candidate(errand: Errand, config: FleetConfig, workspace: Path) -> Path:
    """The names file that the change would lead to, signed, with a serial that no filter installs."""
    out = workspace / "candidate"
    if errand.kind is PreviewKind.RETURN:
        if errand.publication_id is None:
            raise NotFound("filtering.content_gone", "Le contenu de cette publication n’est plus là.")
        publications.copy_names(errand.publication_id, workspace / "earlier")
        key = compiling.signing_key()
        write_again(workspace / "earlier", out, serial=CANDIDATE, compiled_at=utc_now(), sign=key.sign)
        return out
    order = Order(errand.preview_id, CANDIDATE, errand.attempt, None)
    compiling.compile_order(order, config, workspace, out, accepting=errand.content_id)
    return out


def settle(errand: Errand, end: Callable[[Session, FilterPreview], None]) -> None:
    """Note how it ended, unless somebody abandoned it or took it over meanwhile."""
    with transaction(Door.JOBS) as session:
        preview = session.get(FilterPreview, errand.preview_id, with_for_update=True, populate_existing=True)
        if preview and preview.state is PreviewState.PREPARING and preview.attempts == errand.attempt:
            end(session, preview)


def ask(session: Session, preview: FilterPreview, tag: str, delta: bytes) -> None:
    """Keep the delta, and tell the filters that wait."""
    for position, start_at in enumerate(range(0, len(delta), CHUNK)):
        piece = delta[start_at : start_at + CHUNK]
        session.execute(insert(PreviewChunk).values(preview_id=preview.id, position=position, content=piece))
    preview.names_tag, preview.delta_size = tag, len(delta)
    begin_asking(session, preview, utc_now())


def begin_asking(session: Session, preview: FilterPreview, now: datetime) -> None:
    """From now on filters are asked; those that wait are told once this is committed."""
    preview.state, preview.ends_at = PreviewState.ASKING, now + asking.LASTS
    session.flush()
    waiting.announce(session)


def give_up(errand: Errand, reason: str) -> None:
    """Note, in French, why nobody will be asked."""
    settle(errand, lambda session, preview: asking.close(session, preview, PreviewState.FAILED, reason))
    log.warning("preview failed", extra={"preview": str(errand.preview_id), "reason": reason})
