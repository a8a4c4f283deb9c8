"""One fetch of one source: download, verify, inspect, then use it or hold it. No transaction is open meanwhile."""

import logging
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import md5, sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from filter.lists.lines import ListRefused
from fleet.clock import utc_now
from fleet.db import transaction
from fleet.doors import Door
from fleet.filtering.lists import contents
from fleet.filtering.lists.contents import StoredBody
from fleet.filtering.lists.downloading import LIMITS, FetchFailed, Known, Limits, Resolve, download, read_small
from fleet.filtering.lists.holds import Bounds, Doubt, ListCount, blocked_categories, find_doubts
from fleet.filtering.lists.inspecting import Description, Inspection, inspect
from fleet.filtering.lists.reaching import resolve, resolve_public
from fleet.filtering.lists.timetable import after_failure, is_quiet, next_polite
from fleet.filtering.models import ContentState, FetchOutcome, FilterSource, SourceContent
from fleet.filtering.policy import profiles
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.turns import fetch_lock, turn

log = logging.getLogger(__name__)

MOST_WAITING = 20
"""Sources handed over by one sweep."""
MOST_READINGS = 5
"""Failures in a row after which a content that came whole is not tried again: it may be what kills the workers."""
SUM = re.compile(r"\b([0-9a-f]{32})\b(?:\s+\*?(\S+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Order:
    """What one fetch needs, read in one transaction."""

    source_id: UUID
    url: str
    checksum_url: str | None
    is_internal: bool
    description: Description
    known: Known
    fetched: UUID | None
    """A content that came whole before its worker died: it only has to be judged."""

    @property
    def resolve(self) -> Resolve:
        """Where it may be fetched from."""
        return resolve if self.is_internal else resolve_public


def list_due(session: Session, now: datetime) -> list[UUID]:
    """Ids of the sources to fetch now, the longest due first."""
    query = select(FilterSource).where(
        FilterSource.is_enabled, FilterSource.url.is_not(None), FilterSource.due_at <= now
    )
    due = session.scalars(query.order_by(FilterSource.due_at).limit(MOST_WAITING))
    return [source.id for source in due if not is_quiet(source.quiet_from, source.quiet_until, now)]


def fetch_source(
    source_id: UUID, engine: Engine, limits: Limits = LIMITS, clock: Callable[[], datetime] = utc_now
) -> bool:
    """Fetch, and note how it went; True when a publication was asked for.

    Killed at any moment, it leaves a row that is due again, and the part that came; run twice, it changes nothing.
    """
    with turn(engine, fetch_lock(source_id)) as is_ours:
        if not is_ours:
            return False
        with transaction(Door.JOBS) as session:
            order = start(session, source_id, clock())
        if order is None:
            return False
        try:
            return carry_out(order, limits, clock)
        except FetchFailed as error:
            fail(order, error, clock())
            return False


def start(session: Session, source_id: UUID, now: datetime) -> Order | None:
    """Take a source that is due. It counts as failed until it is done: what kills its worker is tried ever less."""
    source = session.get(FilterSource, source_id, with_for_update=True)
    if source is None or not source.is_enabled or source.url is None:
        return None
    if source.due_at is None or source.due_at > now or is_quiet(source.quiet_from, source.quiet_until, now):
        return None
    source.failures += 1
    source.due_at = after_failure(source.failures, now)
    if source.failures > MOST_READINGS:
        contents.drop(session, source_id, ContentState.FETCHED)
    fetched = contents.find_content(session, source_id, ContentState.FETCHED)
    return Order(
        source_id=source.id,
        url=source.url,
        checksum_url=source.checksum_url,
        is_internal=source.is_internal,
        description=Description.of(source),
        known=contents.what_is_known(session, source_id),
        fetched=fetched.id if fetched else None,
    )


def carry_out(order: Order, limits: Limits, clock: Callable[[], datetime]) -> bool:
    """Download what is new and judge it; True when a publication was asked for. Raise FetchFailed."""
    content_id = order.fetched or bring(order, limits, clock())
    if content_id is None:
        return settle(order.source_id, FetchOutcome.UNCHANGED, clock())
    with tempfile.TemporaryDirectory(prefix="preau-fetch-") as workspace:
        inspection = read_content(order, content_id, Path(workspace))
    return judge(order.source_id, content_id, inspection, clock())


def read_content(order: Order, content_id: UUID, workspace: Path) -> Inspection:
    """What a content holds. One that cannot be read is forgotten: the next try asks the source. Raise FetchFailed."""
    path = workspace / "content"
    try:
        contents.copy_content(content_id, path)
        return inspect(path, order.description, workspace)
    except OperationalError:
        raise  # the database went away: that says nothing of the content
    except ListRefused as error:
        contents.forget(content_id)
        raise FetchFailed(FetchOutcome.NOT_A_LIST, str(error).replace(str(path), "fichier reçu")) from error
    except Exception as error:  # whatever a reader stumbles over, it would stumble over again at every try
        log.exception("list not read", extra={"source": order.description.slug})
        contents.forget(content_id)
        reason = f"lecture impossible ({type(error).__name__}) : voyez le journal de l’ouvrier"
        raise FetchFailed(FetchOutcome.NOT_A_LIST, reason) from error


def bring(order: Order, limits: Limits, now: datetime) -> UUID | None:
    """Download and verify; the id of a content that is new here, or None. Raise FetchFailed."""
    body = StoredBody(order.source_id, now)
    if not download(order.url, order.known, body, order.resolve, limits):
        return None
    digest, weak_sum, size = sha256(), md5(usedforsecurity=False), 0
    for piece in body.read():
        digest.update(piece)
        weak_sum.update(piece)
        size += len(piece)
    if order.checksum_url is not None:
        check_sum(order, weak_sum.hexdigest(), body, limits)
    return body.complete(digest.hexdigest(), size)


def check_sum(order: Order, received: str, body: StoredBody, limits: Limits) -> None:
    """Compare with the sum that the source publishes; raise FetchFailed, and forget what came when it differs."""
    text = read_small(order.checksum_url or "", order.resolve, limits).decode("utf-8", "replace")
    expected = find_sum(text, unquote(urlsplit(order.url).path.rpartition("/")[2]))
    if expected is None:
        raise FetchFailed(FetchOutcome.WRONG_CHECKSUM, "aucune somme de contrôle pour ce fichier")
    if expected != received:
        body.forget()
        raise FetchFailed(FetchOutcome.WRONG_CHECKSUM, f"la source annonce {expected}, le fichier reçu a {received}")


def find_sum(text: str, file_name: str) -> str | None:
    """The MD5 of a file in md5sum's format (``<sum>  <name>``), or the only sum there is."""
    found = [(match[1].lower(), (match[2] or "").rpartition("/")[2]) for match in SUM.finditer(text)]
    named = [value for value, name in found if name == file_name]
    if named:
        return named[0]
    return found[0][0] if len(found) == 1 and not found[0][1] else None


def judge(source_id: UUID, content_id: UUID, inspection: Inspection, now: datetime) -> bool:
    """Use a content or hold it; True when a publication was asked for."""
    with transaction(Door.JOBS) as session:
        source = session.get_one(FilterSource, source_id, with_for_update=True)
        content = contents.get_content(session, content_id)
        content.format, content.names = inspection.format, sum(entry.names for entry in inspection.lists)
        content.report = {"lists": [asdict(entry) for entry in inspection.lists]}
        blocked = blocked_categories(profiles.policy_settings(session, now))
        doubts = find_doubts(last_counts(session, source_id), inspection.lists, blocked, bounds_of(source))
        if doubts:
            return hold(session, source, content, doubts, now)
        contents.replace_state(session, source_id, ContentState.HELD)  # what was doubtful is no more
        contents.accept(session, content)
        asked = source.is_wanted and publications.add_request(session, f"source « {source.title} »"[:80], now)
        note_outcome(source, FetchOutcome.ACCEPTED, now)
    log.info("list accepted", extra={"source": source.slug, "names": content.names})
    return bool(asked)


def hold(session: Session, source: FilterSource, content: SourceContent, doubts: list[Doubt], now: datetime) -> bool:
    """Keep the last good content in use until a person decides."""
    contents.replace_state(session, source.id, ContentState.HELD)
    session.flush()
    content.state, content.doubts = ContentState.HELD, [doubt.to_json() for doubt in doubts]
    note_outcome(source, FetchOutcome.HELD, now)
    contents.prune(session, source.id)
    log.warning("list held", extra={"source": source.slug, "doubts": [doubt.kind for doubt in doubts]})
    return False


def last_counts(session: Session, source_id: UUID) -> list[ListCount] | None:
    """What the last good content held; None when there is none."""
    good = contents.find_content(session, source_id, ContentState.GOOD)
    return None if good is None else [ListCount.from_json(entry) for entry in good.report.get("lists", ())]


def bounds_of(source: FilterSource) -> Bounds:
    return Bounds(source.shrink_percent, source.growth_percent, source.popular_limit)


def settle(source_id: UUID, outcome: FetchOutcome, now: datetime) -> bool:
    """Nothing new came: what a person rejected, or what still waits for one, stays what it is."""
    with transaction(Door.JOBS) as session:
        source = session.get_one(FilterSource, source_id, with_for_update=True)
        newest = contents.find_newest(session, source_id)
        states = {ContentState.HELD: FetchOutcome.HELD, ContentState.REJECTED: FetchOutcome.REJECTED}
        note_outcome(source, states.get(newest.state, outcome) if newest else outcome, now)
    return False


def note_outcome(source: FilterSource, outcome: FetchOutcome, now: datetime) -> None:
    """It was reached: the next fetch is a day away, or as often as was said."""
    source.checked_at, source.outcome, source.reason, source.failures = now, outcome, "", 0
    source.is_wanted = False
    source.due_at = next_polite(source.quiet_from, source.quiet_until, now + timedelta(hours=source.every_hours))


def fail(order: Order, error: FetchFailed, now: datetime) -> None:
    """Note why nothing came, and when to try again; the last good content stays."""
    with transaction(Door.JOBS) as session:
        source = session.get_one(FilterSource, order.source_id, with_for_update=True)
        source.checked_at, source.outcome, source.reason = now, error.outcome, str(error)
        again = after_failure(source.failures, now, error.retry_after)
        source.due_at = next_polite(source.quiet_from, source.quiet_until, again)
    log.warning("list not fetched", extra={"source": order.description.slug, "outcome": error.outcome.value})
