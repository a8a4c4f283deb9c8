"""What filters ask: the names, whole, from where they were or as a delta; the policy, at once or when it changes; and
what they report.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from fleet.clock import Now
from fleet.db import DbSession, transaction
from fleet.doors import Door, enter
from fleet.errors import NotFound
from fleet.filtering.exceptions import requests
from fleet.filtering.gateways import nodes, reports, serials
from fleet.filtering.gateways.packing import Shelf, accepts_gzip, shelf_of
from fleet.filtering.gateways.ranges import Span, Unsatisfiable, is_known, wanted_span
from fleet.filtering.gateways.reports import Count
from fleet.filtering.gateways.schemas import ReportIn, RequestIn
from fleet.filtering.gateways.serials import Held
from fleet.filtering.models import FilterNode, Publication
from fleet.filtering.policy import policies
from fleet.filtering.previews import asking
from fleet.filtering.publishing import deltas, publications
from fleet.filtering.publishing.publications import CHUNK
from fleet.filtering.waiting import bell_of, listening
from fleet.metrics import note_held

router = APIRouter(prefix="/filter/v1", tags=["filters"], lifespan=listening)
BYTES = "application/octet-stream"
PREVIEW_HEADER = "X-Preau-Preview"
MAX_REPORT = 6 * 1024 * 1024
"""Bytes of a report: 20,000 counts of each kind, the most that one may hold, fit."""
LONGEST_WAIT = 30
"""Seconds that a filter's question may stay open: proxies on the way cut what is silent for a minute."""


class NamesPruned(RuntimeError):
    """Newer files pushed this one out while it was on its way; the broken stream is the only way left to say so."""


def calling_filter(session: DbSession, authorization: Annotated[str | None, Header()] = None) -> FilterNode:
    """The filter whose credential came with the request."""
    enter(session, Door.FILTERS)
    return nodes.authenticate(session, authorization)


CallingFilter = Annotated[FilterNode, Depends(calling_filter)]


@router.api_route("/names", methods=["GET", "HEAD"], response_class=Response)
def get_names(
    request: Request,
    node: CallingFilter,
    session: DbSession,
    now: Now,
    if_none_match: Annotated[str | None, Header()] = None,
    range_: Annotated[str | None, Header(alias="Range")] = None,
    if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """The current names file; ``ETag`` is ``"<digest>.<serial>"``. 304, 206 and 416 as HTTP has them."""
    node.last_seen_at = now
    latest = get_latest(session)
    size = latest.size or 0
    etag = f'"{latest.etag}"'
    headers = describe(latest) | {"Accept-Ranges": "bytes"}
    if is_known(if_none_match, etag):
        return Response(status_code=304, headers=headers)
    if request.method == "HEAD":  # a range means nothing here (RFC 9110, 14.2)
        return Response(headers=headers | {"Content-Length": str(size)}, media_type=BYTES)
    try:
        span = wanted_span(range_, if_range, etag, size)
    except Unsatisfiable:
        return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{size}"})
    status = 200 if span is None else 206
    if span is None:
        span = Span(0, size - 1)
    else:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{size}"
    headers["Content-Length"] = str(span.length)
    return StreamingResponse(read_span(latest.id, span), status_code=status, headers=headers, media_type=BYTES)


@router.get("/names/delta", response_class=Response)
def get_delta(
    node: CallingFilter,
    session: DbSession,
    now: Now,
    from_: Annotated[str, Query(alias="from", max_length=100)],
) -> Response:
    """What turns the names file that a filter has (``from``: its tag, without quotes) into the current one.

    ``ETag`` is that of the current file. 404 ``filtering.no_delta``: take the whole.
    """
    node.last_seen_at = now
    latest = get_latest(session)
    delta = deltas.find_delta(session, latest, from_.strip('"'))
    if delta is None:
        raise NotFound("filtering.no_delta", "Aucune différence n’est gardée depuis ce fichier : prenez-le entier.")
    headers = describe(latest) | {"Content-Length": str(delta.size)}
    return StreamingResponse(deltas.read_delta(delta.id), headers=headers, media_type=BYTES)


def get_latest(session: DbSession) -> Publication:
    """The current publication; raise NotFound."""
    latest = publications.find_latest(session)
    if latest is None or not latest.size:
        raise NotFound("filtering.none_published", "Aucune liste n’est encore publiée.")
    return latest


def describe(publication: Publication) -> dict[str, str]:
    """Headers of every answer about a names file."""
    return {
        "ETag": f'"{publication.etag}"',
        "X-Preau-Serial": str(publication.serial),
        "Cache-Control": "private, no-cache",
    }


def read_span(publication_id: UUID, span: Span) -> Iterator[bytes]:
    """Those bytes, a piece at a time, each read in a transaction of its own: a slow line holds no connection.

    When the file is pruned meanwhile the stream breaks off, and the filter asks again for the current one.
    """
    for position in range(span.first // CHUNK, span.last // CHUNK + 1):
        with transaction(Door.FILTERS) as session:
            content = publications.read_chunk(session, publication_id, position)
        if content is None:
            raise NamesPruned(publication_id)
        start = position * CHUNK
        yield content[max(0, span.first - start) : span.last + 1 - start]


@dataclass(frozen=True, slots=True)
class Tags:
    """What is current: tags with their quotes, "" while there is nothing."""

    policy: str
    names: str
    preview: str = field(default="", compare=False)
    """Id of the newest question that this filter has not answered; one that is over is no news."""

    def has_heard(self, names: str | None, preview: str | None) -> bool:
        """Whether there is nothing to tell who last heard of these; None: it does not say."""
        knows_names = not self.names or names is None or is_known(names, self.names)
        return knows_names and (not self.preview or preview in {None, self.preview})


@router.api_route("/policy", methods=["GET", "HEAD"], response_class=Response)
async def get_policy(
    request: Request,
    now: Now,
    authorization: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
    accept_encoding: Annotated[str | None, Header()] = None,
    x_preau_names: Annotated[str | None, Header()] = None,
    x_preau_preview: Annotated[str | None, Header()] = None,
    wait: Annotated[int, Query(ge=0, le=LONGEST_WAIT)] = 0,
) -> Response:
    """The current policy; ``X-Preau-Names`` is the tag of the current names file, on 200 and 304. It travels as gzip to
    who accepts that, under the same tag made weak (RFC 9110, 8.8.1): the same file in other bytes.

    With ``wait``, a filter that has this policy already, and has heard of these names if it says of which
    (``X-Preau-Names``), is answered when the policy or the names change, or after so many seconds. It holds no database
    connection meanwhile.

    ``X-Preau-Preview``: the newest question that the filter has not answered. A filter that names the last one it heard
    of, or none, in that header is told of another at once.
    """
    end = time.monotonic() + wait
    bell = bell_of(request.app) if wait else None
    ring = bell.next_ring() if bell else None
    node_id, tags = await run_in_threadpool(greet, authorization, now)
    first = tags
    while bell and ring and tags == first and is_known(if_none_match, tags.policy):
        if not tags.has_heard(x_preau_names, x_preau_preview):
            break
        left = end - time.monotonic()
        if left <= 0:
            break
        began = time.monotonic()
        await bell.wait(ring, left)
        note_held(request.scope, time.monotonic() - began)
        ring = bell.next_ring()
        tags = await run_in_threadpool(look, node_id, now)
    return await run_in_threadpool(
        answer, shelf_of(request.app), request.method, if_none_match, accepts_gzip(accept_encoding), tags
    )


def greet(authorization: str | None, now: datetime) -> tuple[UUID, Tags]:
    """Recognise the filter, note that it spoke, and look; raise Unauthenticated."""
    with transaction(Door.FILTERS) as session:
        node = nodes.authenticate(session, authorization)
        node.last_seen_at = now
    return node.id, look(node.id, now)


def look(node_id: UUID, now: datetime) -> Tags:
    """What is current now for this filter; raise NotFound while there is no policy."""
    with transaction(Door.FILTERS) as session:
        policy, names = policies.current_etag(session), publications.latest_etag(session)
        preview = asking.newest_for(session, node_id, now)
    if policy is None:
        raise NotFound("filtering.none_published", "Aucune politique n’est encore publiée.")
    return Tags(f'"{policy}"', f'"{names}"' if names else "", str(preview or ""))


def answer(shelf: Shelf, method: str, if_none_match: str | None, packs: bool, tags: Tags) -> Response:
    """The policy, or that it is the one the filter has, and what else there is, as it was just looked up."""
    current = shelf.find(tags.policy.strip('"'))
    content = current.compressed if packs else current.content
    headers = {"ETag": f'{"W/" if packs else ""}"{current.tag}"', "Vary": "Accept-Encoding"}
    headers["Cache-Control"] = "private, no-cache"
    if tags.names:
        headers["X-Preau-Names"] = tags.names
    if tags.preview:
        headers[PREVIEW_HEADER] = tags.preview
    if is_known(if_none_match, f'"{current.tag}"'):
        return Response(status_code=304, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    if method == "HEAD":
        return Response(headers=headers | {"Content-Length": str(len(content))}, media_type=BYTES)
    return Response(content, headers=headers, media_type=BYTES)


@router.post("/reports", status_code=204, max_body_size=MAX_REPORT)
def report(body: ReportIn, node: CallingFilter, session: DbSession, now: Now) -> None:
    """Keep a filter's health and raise its counts. A report that comes twice changes nothing.

    A filter that holds newer files than ours met this controller before its database was restored: see serials.
    """
    facts = {
        "bundle_digest": body.bundle_digest,
        "policy_digest": body.policy_digest,
        "started_at": body.started_at.isoformat(),
    }
    reports.record_report(
        session,
        node,
        version=body.version,
        run=body.run,
        bundle_serial=body.bundle_serial,
        policy_serial=body.policy_serial,
        health={**body.health, **facts},
        counts=[
            *(Count(count.hour, count.action, count.category, count.queries) for count in body.counts),
            *(Count(c.hour, c.action, c.category, c.queries, c.school) for c in body.school_counts),
        ],
        now=now,
    )
    serials.go_above_policy(session, node, Held(body.policy_serial, body.policy_digest), now)
    serials.go_above_names(session, node, Held(body.bundle_serial, body.bundle_digest), now)


@router.post("/requests", status_code=204)
def receive_request(body: RequestIn, node: CallingFilter, session: DbSession, now: Now) -> None:
    """Keep what somebody asked on a block page. One that comes twice is one."""
    requests.receive_request(
        session,
        node,
        id=body.id,
        name=body.name,
        reason=body.reason,
        contact=body.contact,
        asker=requests.Asker(body.client_school, body.client_room, body.client_profile),
        asked_at=body.asked_at,
        now=now,
    )
