"""What filters ask of a preview: the question, the candidate files; and their answer."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse

from fleet.clock import Now
from fleet.db import DbSession
from fleet.doors import Door, enter
from fleet.errors import NotFound
from fleet.filtering.gateways import nodes
from fleet.filtering.gateways.routes import PREVIEW_HEADER
from fleet.filtering.models import FilterNode
from fleet.filtering.previews import asking
from fleet.filtering.previews.schemas import AnswerIn, NamesToJudge, QuestionOut

router = APIRouter(prefix="/filter/v1/previews", tags=["filters"])
BYTES = "application/octet-stream"
MAX_ANSWER = 2 * 1024 * 1024
"""Bytes of an answer: 500 names with long lists fit."""


def calling_filter(session: DbSession, now: Now, authorization: Annotated[str | None, Header()] = None) -> FilterNode:
    """The filter whose credential came with the request."""
    enter(session, Door.FILTERS)
    node = nodes.authenticate(session, authorization)
    node.last_seen_at = now
    return node


CallingFilter = Annotated[FilterNode, Depends(calling_filter)]


@router.get("/{preview_id}")
def get_question(preview_id: UUID, _node: CallingFilter, session: DbSession, now: Now) -> QuestionOut:
    """What is to be judged; 404 when it is over."""
    preview = asking.get_open(session, preview_id, now)
    names = None
    if preview.names_tag is not None and preview.base_names is not None:
        names = NamesToJudge(from_=preview.base_names, to=preview.names_tag)
    return QuestionOut(
        id=preview.id,
        judged_at=preview.judged_at,
        ends_at=preview.ends_at,
        threshold=preview.threshold,
        days=preview.days,
        policy=preview.policy_tag,
        names=names,
    )


@router.get("/{preview_id}/policy", response_class=Response)
def get_policy(preview_id: UUID, _node: CallingFilter, session: DbSession, now: Now) -> Response:
    """The candidate policy, always as gzip: signed, and with serial 0, so that it is never installed."""
    content, tag = asking.read_policy(session, preview_id, now)
    headers = {"ETag": f'W/"{tag}"', "Content-Encoding": "gzip", "Cache-Control": "no-store"}
    return Response(content, headers=headers, media_type=BYTES)


@router.get("/{preview_id}/names", response_class=Response)
def get_names(preview_id: UUID, _node: CallingFilter, session: DbSession, now: Now) -> Response:
    """What turns the names in force into the candidate names, which are signed and have serial 0."""
    preview = asking.get_open(session, preview_id, now)
    if preview.names_tag is None or preview.delta_size is None:
        raise NotFound("filtering.no_candidate", "Cet essai n’a pas de listes.")
    headers = {
        "ETag": f'"{preview.names_tag}"', "Content-Length": str(preview.delta_size), "Cache-Control": "no-store",
    }  # fmt: skip
    return StreamingResponse(asking.read_delta(preview.id), headers=headers, media_type=BYTES)


@router.post("/{preview_id}/answer", status_code=204, max_body_size=MAX_ANSWER)
def answer(
    preview_id: UUID, body: AnswerIn, node: CallingFilter, session: DbSession, now: Now, response: Response
) -> None:
    """Keep what the calling filter found; 404 when it is over. ``X-Preau-Preview`` is the next question, if any."""
    asking.record_answer(
        session,
        node,
        preview_id,
        outcome=body.outcome,
        judged=body.judged,
        withheld=body.withheld,
        truncated=body.truncated,
        changes=[change.model_dump() for change in body.changes],
        now=now,
    )
    if (following := asking.newest_for(session, node.id, now)) is not None:
        response.headers[PREVIEW_HEADER] = str(following)
