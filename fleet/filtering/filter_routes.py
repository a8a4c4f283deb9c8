"""What filters ask: the current bundle, whole or from where they were; and what they report."""

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.responses import StreamingResponse

from fleet.clock import Now
from fleet.db import DbSession, SessionFactory
from fleet.errors import NotFound
from fleet.filtering import nodes, publications, reports
from fleet.filtering.models import FilterNode
from fleet.filtering.publications import CHUNK
from fleet.filtering.ranges import Span, Unsatisfiable, is_known, wanted_span
from fleet.filtering.reports import Count
from fleet.filtering.schemas import ReportIn

router = APIRouter(prefix="/filter/v1", tags=["filters"])
BYTES = "application/octet-stream"
MAX_REPORT = 3 * 1024 * 1024
"""Bytes of a report: 20,000 counts, the most that one may hold, fit."""


class BundlePruned(RuntimeError):
    """Newer bundles pushed this one out while it was on its way; the broken stream is the only way left to say so."""


def calling_filter(session: DbSession, authorization: Annotated[str | None, Header()] = None) -> FilterNode:
    """The filter whose credential came with the request."""
    return nodes.authenticate(session, authorization)


CallingFilter = Annotated[FilterNode, Depends(calling_filter)]


@router.api_route("/bundle", methods=["GET", "HEAD"], response_class=Response)
def get_bundle(
    request: Request,
    node: CallingFilter,
    session: DbSession,
    now: Now,
    if_none_match: Annotated[str | None, Header()] = None,
    range_: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """The current bundle; ``ETag`` is its SHA-256, ``X-Preau-Serial`` its serial. 304, 206 and 416 as HTTP has them."""
    node.last_seen_at = now
    latest = publications.find_latest(session)
    if latest is None or latest.digest is None or latest.size is None:
        raise NotFound("filtering.none_published", "Aucune liste n’est encore publiée.")
    etag = f'"{latest.digest}"'
    headers = {
        "ETag": etag,
        "X-Preau-Serial": str(latest.serial),
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
    }
    if is_known(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":  # a range means nothing here (RFC 9110, 14.2)
        return Response(headers=headers | {"Content-Length": str(latest.size)}, media_type=BYTES)
    try:
        span = wanted_span(range_, if_range, etag, latest.size)
    except Unsatisfiable:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{latest.size}"})
    status = 200 if span is None else 206
    if span is None:
        span = Span(0, latest.size - 1)
    else:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{latest.size}"
    headers["Content-Length"] = str(span.length)
    return StreamingResponse(read_span(latest.id, span), status_code=status, headers=headers, media_type=BYTES)


def read_span(publication_id: UUID, span: Span) -> Iterator[bytes]:
    """Those bytes, a piece at a time, each read in a transaction of its own: a slow line holds no connection.

    When the bundle is pruned meanwhile the stream breaks off, and the filter asks again for the current one.
    """
    for position in range(span.first // CHUNK, span.last // CHUNK + 1):
        with SessionFactory.begin() as session:
            content = publications.read_chunk(session, publication_id, position)
        if content is None:
            raise BundlePruned(publication_id)
        start = position * CHUNK
        yield content[max(0, span.first - start) : span.last + 1 - start]


@router.post("/reports", status_code=204, max_body_size=MAX_REPORT)
def report(body: ReportIn, node: CallingFilter, session: DbSession, now: Now) -> None:
    """Keep a filter's health and raise its counts. A report that comes twice changes nothing."""
    reports.record_report(
        session,
        node,
        version=body.version,
        run=body.run,
        bundle_serial=body.bundle_serial,
        health=body.health | {"bundle_digest": body.bundle_digest, "started_at": body.started_at.isoformat()},
        counts=[Count(count.hour, count.action, count.category, count.queries) for count in body.counts],
        now=now,
    )
