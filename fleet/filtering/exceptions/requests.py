"""Requests to unblock: from the block page or typed by whoever leads a school; a technician allows or declines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, Text, cast, delete, func, select
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.clock import utc_now
from fleet.errors import Conflict, Invalid, NotFound, TooMany
from fleet.filtering.exceptions import overrides
from fleet.filtering.models import FilterNode
from fleet.filtering.policy import cleaning, events, policies
from fleet.filtering.policy.models import (
    FilterEvent,
    FilterOverride,
    FilterProfile,
    FilterRoom,
    RequestStatus,
    UnblockRequest,
)
from fleet.filtering.policy.places import Found, find_place
from fleet.filtering.policy.resolving import base_slug
from fleet.filtering.searching import matching
from fleet.paging import Listing, Page, paginate
from fleet.schools.models import School
from fleet.scope import Action, Viewer, visible_to

MOST_A_DAY = 100
"""Of one filter: a pupil who clicks all day stops there. And of one person who signed in."""
DAY = timedelta(days=1)
KEPT = timedelta(days=366)
MOVES: dict[RequestStatus, frozenset[RequestStatus]] = {
    RequestStatus.ASKED: frozenset({RequestStatus.ALLOWED, RequestStatus.DECLINED}),
    RequestStatus.ALLOWED: frozenset(),
    RequestStatus.DECLINED: frozenset({RequestStatus.ALLOWED}),  # somebody thought again
}
SORTABLE = {"id": UnblockRequest.id, "received_at": UnblockRequest.received_at, "name": UnblockRequest.name}


@dataclass(frozen=True, slots=True)
class Asker:
    """Who met the block page, as the filter knows it: no address, no device. Each may be ""."""

    school: str = ""
    """UAI."""
    room: str = ""
    """Id of the room."""
    profile: str = ""
    """Slug of the flat profile."""


def receive_request(
    session: Session,
    node: FilterNode,
    *,
    id: UUID,
    name: str,
    reason: str,
    contact: str,
    asker: Asker = Asker(),
    asked_at: datetime,
    now: datetime | None = None,
) -> UnblockRequest:
    """Keep what a block page asked, once: the same ``id`` again changes nothing. A filter that stands in a school
    speaks of that school only.

    Raise Invalid for what is no name, TooMany beyond MOST_A_DAY, Conflict for an id that is not this filter's.
    """
    now = now or utc_now()
    known = session.get(UnblockRequest, id)
    if known is not None:
        if known.filter_id != node.id:
            raise Conflict("unblock.id_taken", "Cet identifiant est déjà pris.")
        return known
    _check_flood(session, UnblockRequest.filter_id == node.id, now)
    room = _room_of(session, node, asker)
    request = UnblockRequest(
        id=id,
        filter_id=node.id,
        school_id=node.school_id or (room.school_id if room else _school_of(session, asker)),
        room_id=room.id if room else None,
        profile_id=session.scalar(select(FilterProfile.id).where(FilterProfile.slug == base_slug(asker.profile))),
        name=cleaning.clean_host(name),
        reason=_short(reason),
        contact=_short(contact),
        asked_at=min(asked_at, now),
        received_at=now,
    )
    return _keep(session, request, f"filtre {node.name}", now)


def _room_of(session: Session, node: FilterNode, asker: Asker) -> FilterRoom | None:
    """The room, unless it is gone or in another school than the filter."""
    try:
        room = session.get(FilterRoom, UUID(asker.room))
    except ValueError:
        return None
    return room if room is not None and node.school_id in {None, room.school_id} else None


def _school_of(session: Session, asker: Asker) -> UUID | None:
    return session.scalar(select(School.id).where(School.uai == asker.school)) if asker.school else None


def _check_flood(session: Session, is_theirs: ColumnElement[bool], now: datetime) -> None:
    recent = select(func.count()).where(is_theirs, UnblockRequest.received_at > now - DAY)
    if (session.scalar(recent) or 0) >= MOST_A_DAY:
        raise TooMany("unblock.too_many", f"Plus de {MOST_A_DAY} demandes en un jour : la suite attendra demain.")


def ask(
    session: Session,
    viewer: Viewer,
    *,
    name: str,
    reason: str,
    school_id: UUID,
    profile: FilterProfile | None,
    now: datetime,
) -> UnblockRequest:
    """Ask for a name in a school that the viewer leads. Raise NotFound, NotAllowed, Invalid, or TooMany beyond
    MOST_A_DAY.
    """
    found = find_place(session, viewer, school_id=school_id)
    found.must(viewer, Action.ASK_UNBLOCK)
    by_viewer = UnblockRequest.filter_id.is_(None) & (UnblockRequest.contact == viewer.name)
    _check_flood(session, by_viewer, now)
    request = UnblockRequest(
        id=uuid4(),
        school_id=found.place.school_id,
        profile_id=profile.id if profile else None,
        name=cleaning.clean_host(name),
        reason=cleaning.clean_text(reason, "une raison", 400),
        contact=viewer.name,
        asked_at=now,
        received_at=now,
    )
    return _keep(session, request, viewer.name, now)


def _short(text: str) -> str:
    """What a stranger typed, on one line and bounded; it may be nothing."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:400]


def _keep(session: Session, request: UnblockRequest, by: str, now: datetime) -> UnblockRequest:
    request.status = RequestStatus.ASKED
    session.add(request)
    session.flush()
    _note(session, request, by, "unblock.ask", now, after={"status": RequestStatus.ASKED.value})
    return request


def _note(
    session: Session, request: UnblockRequest, by: str, verb: str, now: datetime, after: Mapping[str, object]
) -> None:
    """The history is kept for good: neither the reason nor the contact goes there."""
    events.note(
        session, by, verb, request.name, now, subject_id=request.id,
        before={"status": request.status.value} if verb != "unblock.ask" else None,
        after=after, school_id=request.school_id,
    )  # fmt: skip


def list_requests(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    status: RequestStatus | None = None,
    school_id: UUID | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[UnblockRequest]:
    """One page of the requests of the schools that the viewer sees, the latest first.

    ``search``: words of their name, reason, school, of who asks, or their number.
    """
    query = _visible(viewer)
    if status is not None:
        query = query.where(UnblockRequest.status == status)
    if school_id is not None:
        query = query.where(UnblockRequest.school_id == school_id)
    asked = UnblockRequest
    query = matching(query, search, asked.school_id, asked.name, asked.reason, asked.contact, cast(asked.id, Text))
    return paginate(session, query, page, SORTABLE, "-received_at")


def _visible(viewer: Viewer) -> Select[UnblockRequest]:
    query = select(UnblockRequest).outerjoin(School, School.id == UnblockRequest.school_id)
    return visible_to(viewer, query, collectivity=School.collectivity_id, school=School.id)


def get_request(session: Session, viewer: Viewer, request_id: UUID) -> UnblockRequest:
    """The request, if the viewer sees its school; raise NotFound."""
    request = session.scalar(_visible(viewer).where(UnblockRequest.id == request_id))
    if request is None:
        raise NotFound("unblock.not_found", "Cette demande n’existe pas ou ne vous est pas ouverte.")
    return request


def place_of_answer(session: Session, viewer: Viewer, request: UnblockRequest, *, is_everywhere: bool) -> Found:
    """The node that an answer opens the name on: the school of the request, or the operator's for every school.

    Raise Invalid for the school of a request that has none: the operator's node would open the name everywhere.
    """
    if request.school_id is None and not is_everywhere:
        raise Invalid("unblock.no_school", "Cette demande ne dit pas son école : ouvrez le nom à toutes, ou refusez.")
    return find_place(session, viewer, school_id=None if is_everywhere else request.school_id)


def allow_request(
    session: Session,
    viewer: Viewer,
    request: UnblockRequest,
    found: Found,
    profile: FilterProfile | None,
    *,
    ends: datetime,
    answer: str,
    now: datetime,
) -> FilterOverride:
    """Open the name on a node, for a profile (None: all), until then. Raise Conflict when answered.

    Every filter reads the reason of an override: it is the number of the request, not who asked or why.
    """
    policies.lock(session)
    _must_move(session, viewer, request, RequestStatus.ALLOWED)
    told = _short(answer)
    wish = overrides.Wish(Verdict.ALLOW, f"Demande n° {number_of(request)}", now, ends, [request.name])
    override = overrides.add_override(session, viewer, found, profile, wish, now)
    after = {"status": RequestStatus.ALLOWED.value, "answer": told, "ends": ends, "place": found.label}
    _note(session, request, viewer.name, "unblock.allow", now, after)
    _answer(request, RequestStatus.ALLOWED, told, viewer, now)
    request.override_id = override.id
    session.flush()
    return override


def number_of(request: UnblockRequest) -> str:
    """What people call a request, and find it by: the first eight digits of its id."""
    return request.id.hex[:8]


def decline_request(
    session: Session, viewer: Viewer, request: UnblockRequest, answer: str, now: datetime
) -> UnblockRequest:
    """Say why the name stays blocked. Raise Conflict when answered, Invalid without a reason."""
    _must_move(session, viewer, request, RequestStatus.DECLINED)
    told = cleaning.clean_text(answer, "la raison du refus", 400)
    _note(session, request, viewer.name, "unblock.decline", now, {"status": "declined", "answer": told})
    _answer(request, RequestStatus.DECLINED, told, viewer, now)
    session.flush()
    return request


def _must_move(session: Session, viewer: Viewer, request: UnblockRequest, status: RequestStatus) -> None:
    """Only the operator's staff answers; the row is held until the commit, so that it is answered once."""
    viewer.must(Action.ANSWER_UNBLOCK)
    session.refresh(request, with_for_update=True)
    if status not in MOVES[request.status]:
        raise Conflict("unblock.answered", f"Cette demande a déjà sa réponse : {request.status.label.lower()}.")


def _answer(request: UnblockRequest, status: RequestStatus, answer: str, viewer: Viewer, now: datetime) -> None:
    request.status, request.answer = status, answer
    request.answered_at, request.answered_by = now, viewer.name


def purge_requests(session: Session, now: datetime) -> None:
    """Forget who asked what, KEPT after it was asked. What was answered stays in the history."""
    before = now - KEPT
    session.execute(delete(UnblockRequest).where(UnblockRequest.received_at < before))
    session.execute(delete(FilterEvent).where(FilterEvent.verb == "unblock.ask", FilterEvent.at < before))
