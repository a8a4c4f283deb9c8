"""The question as filters meet it: which one is open for whom, what they may fetch of it, and what they answer."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, undefer

from fleet.db import transaction
from fleet.doors import Door
from fleet.errors import Invalid, NotFound
from fleet.filtering.models import FilterNode
from fleet.filtering.previews.models import (
    OPEN_STATES,
    FilterPreview,
    PreviewAnswer,
    PreviewChunk,
    PreviewOutcome,
    PreviewState,
)

LASTS = timedelta(minutes=10)
"""How long filters are asked."""
HEARD_WITHIN = timedelta(hours=1)
"""A filter that was silent for longer before the question is not waited for."""
KEPT = timedelta(days=7)
"""How long answers are kept: they name sites that schools ask for."""


def is_asking(now: datetime) -> ColumnElement[bool]:
    """The condition of a question that filters may answer."""
    return (FilterPreview.state == PreviewState.ASKING) & (FilterPreview.ends_at > now)


def newest_for(session: Session, filter_id: UUID, now: datetime) -> UUID | None:
    """The newest question that is open and that this filter has not answered."""
    answered = exists().where(PreviewAnswer.preview_id == FilterPreview.id, PreviewAnswer.filter_id == filter_id)
    query = select(FilterPreview.id).where(is_asking(now), ~answered)
    return session.scalar(query.order_by(FilterPreview.asked_at.desc(), FilterPreview.id).limit(1))


def get_open(session: Session, preview_id: UUID, now: datetime, *, to_answer: bool = False) -> FilterPreview:
    """A question that is open; raise NotFound for one that is over, abandoned or was never asked.

    ``to_answer``: it stays open until the commit, and others who answer it wait for that.
    """
    query = select(FilterPreview).where(FilterPreview.id == preview_id, is_asking(now))
    if to_answer:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    preview = session.scalar(query)
    if preview is None:
        raise NotFound("filtering.preview_over", "Cet essai n’existe pas, ou il est terminé.")
    return preview


def must_exist(preview: FilterPreview | None) -> FilterPreview:
    """The preview that was looked for; raise NotFound."""
    if preview is None:
        raise NotFound("filtering.preview_not_found", "Cet essai n’existe pas, ou n’est plus gardé.")
    return preview


def read_policy(session: Session, preview_id: UUID, now: datetime) -> tuple[bytes, str]:
    """The candidate policy, compressed (gzip), and its tag; raise NotFound when there is none."""
    query = select(FilterPreview).where(FilterPreview.id == preview_id, is_asking(now))
    preview = session.scalar(query.options(undefer(FilterPreview.policy)))
    if preview is None or preview.policy is None or preview.policy_tag is None:
        raise NotFound("filtering.no_candidate", "Cet essai n’a pas de politique.")
    return preview.policy, preview.policy_tag


def read_delta(preview_id: UUID) -> Iterator[bytes]:
    """What leads to the candidate names, a piece at a time, each read in a transaction of its own."""
    query = select(PreviewChunk.content).where(PreviewChunk.preview_id == preview_id)
    position = 0
    while True:
        with transaction(Door.FILTERS) as session:
            content = session.scalar(query.where(PreviewChunk.position == position))
        if content is None:
            return
        yield content
        position += 1


def record_answer(
    session: Session,
    node: FilterNode,
    preview_id: UUID,
    *,
    outcome: PreviewOutcome,
    judged: int,
    withheld: int,
    truncated: bool,
    changes: Sequence[Mapping[str, object]],
    now: datetime,
) -> None:
    """Keep a filter's answer; one that comes twice is one. Raise NotFound when the question is over, Invalid for a name
    that fewer devices asked for than the threshold: nobody is to read it here.
    """
    preview = get_open(session, preview_id, now, to_answer=True)
    if any(change["clients"] < preview.threshold for change in changes):  # type: ignore[operator]
        raise Invalid("filtering.below_threshold", "Des noms sont demandés par trop peu d’appareils pour être dits.")
    row = insert(PreviewAnswer).values(
        preview_id=preview.id, filter_id=node.id, outcome=outcome, judged=judged, withheld=withheld,
        truncated=truncated, changes=list(changes), answered_at=now,
    )  # fmt: skip
    session.execute(row.on_conflict_do_nothing())
    settle(session, preview, now)


def list_awaited(session: Session, preview: FilterPreview) -> list[FilterNode]:
    """The filters that are asked, by name: not revoked, there before its end, and heard of in the hour before the
    question or since. Nobody, when it never came to asking.
    """
    if preview.ends_at is None:
        return []
    heard = FilterNode.last_seen_at > preview.asked_at - HEARD_WITHIN
    query = select(FilterNode).where(FilterNode.revoked_at.is_(None), heard, FilterNode.registered_at < preview.ends_at)
    return list(session.scalars(query.order_by(FilterNode.name)))


def settle(session: Session, preview: FilterPreview, now: datetime) -> PreviewState:
    """Note that a question is done: its time is over, or whoever is asked has answered. The state, by then."""
    if _is_done(session, preview, now):
        session.refresh(preview, with_for_update={"key_share": True})  # somebody may have ended it otherwise meanwhile
        if preview.state is PreviewState.ASKING:
            close(session, preview, PreviewState.DONE)
    return preview.state


def _is_done(session: Session, preview: FilterPreview, now: datetime) -> bool:
    if preview.state is not PreviewState.ASKING:
        return False
    return preview.state_at(now) is PreviewState.DONE or _is_answered(session, preview)


def _is_answered(session: Session, preview: FilterPreview) -> bool:
    answered = set(session.scalars(select(PreviewAnswer.filter_id).where(PreviewAnswer.preview_id == preview.id)))
    return answered.issuperset(node.id for node in list_awaited(session, preview))


def close(session: Session, preview: FilterPreview, state: PreviewState, reason: str = "") -> None:
    """End a question: nobody fetches its candidate files any more."""
    preview.state, preview.reason, preview.policy = state, reason, None
    session.execute(delete(PreviewChunk).where(PreviewChunk.preview_id == preview.id))
    session.flush()


def close_ended(session: Session, now: datetime) -> None:
    """Close the questions whose time is over, though nobody looked."""
    ended = FilterPreview.state == PreviewState.ASKING, FilterPreview.ends_at <= now
    for preview in session.scalars(select(FilterPreview).where(*ended).with_for_update(skip_locked=True)):
        close(session, preview, PreviewState.DONE)


def count_open(session: Session, now: datetime) -> int:
    """Questions that are being prepared or asked."""
    rows = session.scalars(select(FilterPreview).where(FilterPreview.state.in_(OPEN_STATES)))
    return sum(row.state_at(now) in OPEN_STATES for row in rows)


def purge(session: Session, now: datetime) -> None:
    """Forget questions of more than a week ago, with what was answered."""
    session.execute(delete(FilterPreview).where(FilterPreview.asked_at < now - KEPT))
