"""HTTP of overrides, of requests to unblock, and of the history."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.exceptions import overrides, requests
from fleet.filtering.exceptions.schemas import AllowingIn, AskingIn, DecliningIn, OverrideIn, OverrideOut, RequestOut
from fleet.filtering.policy import events, profiles
from fleet.filtering.policy.models import FilterOverride, FilterProfile, RequestStatus, UnblockRequest
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.schemas import EventOut
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.table_file import as_download

router = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])
Verb = Annotated[str, Query(max_length=40, description="Début de l’action : « lesson. », « override.add ».")]


def profile_of(session: DbSession, profile_id: UUID | None) -> FilterProfile | None:
    return profiles.get_profile(session, profile_id) if profile_id else None


@router.get("/overrides", response_model=ListingOut[OverrideOut])
def list_overrides(
    session: DbSession,
    viewer: CurrentViewer,
    now: Now,
    page: WantedPage,
    ended: bool | None = None,
    school_id: UUID | None = None,
) -> dict[str, object]:
    """The overrides on nodes that the caller sees."""
    return listing_out(
        overrides.list_overrides(session, viewer, now=now, is_ended=ended, school_id=school_id, page=page)
    )


@router.post("/overrides", response_model=OverrideOut, status_code=201)
def add_override(body: OverrideIn, session: DbSession, viewer: CurrentViewer, now: Now) -> FilterOverride:
    """Allow or block names or categories on a node until a date, and publish it."""
    found = find_place(session, viewer, body.collectivity_id, body.school_id, body.room_id)
    wish = overrides.Wish(body.verdict, body.reason, body.starts or now, body.ends, body.names, body.categories)
    return overrides.add_override(session, viewer, found, profile_of(session, body.profile_id), wish, now)


@router.post("/overrides/{override_id}/revoke", response_model=OverrideOut)
def revoke_override(override_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> FilterOverride:
    """Take it back before its end, and publish that."""
    return overrides.revoke_override(session, viewer, overrides.get_override(session, viewer, override_id), now)


@router.get("/requests", response_model=ListingOut[RequestOut])
def list_requests(
    session: DbSession,
    viewer: CurrentViewer,
    page: WantedPage,
    status: RequestStatus | None = None,
    school_id: UUID | None = None,
) -> dict[str, object]:
    """Who asks for what in the schools that the caller sees, the latest first."""
    return listing_out(requests.list_requests(session, viewer, status=status, school_id=school_id, page=page))


@router.post("/requests", response_model=RequestOut, status_code=201)
def ask(body: AskingIn, session: DbSession, viewer: CurrentViewer, now: Now) -> UnblockRequest:
    """Ask for a name in a school that the caller leads."""
    return requests.ask(
        session,
        viewer,
        name=body.name,
        reason=body.reason,
        school_id=body.school_id,
        profile=profile_of(session, body.profile_id),
        now=now,
    )


@router.get("/requests/{request_id}", response_model=RequestOut)
def get_request(request_id: UUID, session: DbSession, viewer: CurrentViewer) -> UnblockRequest:
    """One request, and its answer."""
    return requests.get_request(session, viewer, request_id)


@router.post("/requests/{request_id}/allow", response_model=RequestOut)
def allow_request(
    request_id: UUID, body: AllowingIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> UnblockRequest:
    """Open the name until a date, in the school of the request or everywhere, and publish it."""
    request = requests.get_request(session, viewer, request_id)
    found = requests.place_of_answer(session, viewer, request, is_everywhere=body.everywhere)
    profile = profile_of(session, body.profile_id)
    requests.allow_request(session, viewer, request, found, profile, ends=body.ends, answer=body.answer, now=now)
    return request


@router.post("/requests/{request_id}/decline", response_model=RequestOut)
def decline_request(
    request_id: UUID, body: DecliningIn, session: DbSession, viewer: CurrentViewer, now: Now
) -> UnblockRequest:
    """Say why the name stays blocked."""
    request = requests.get_request(session, viewer, request_id)
    return requests.decline_request(session, viewer, request, body.answer, now)


@router.get("/events", response_model=ListingOut[EventOut])
def list_events(
    session: DbSession,
    viewer: CurrentViewer,
    page: WantedPage,
    verb: Verb = "",
    subject_id: UUID | None = None,
    school_id: UUID | None = None,
) -> dict[str, object]:
    """Who changed what where the caller may look, the latest first."""
    return listing_out(
        events.list_events(session, viewer, verb=verb, subject_id=subject_id, school_id=school_id, page=page)
    )


@router.get("/events/export.csv", response_class=Response)
def export_events(
    session: DbSession,
    viewer: CurrentViewer,
    verb: Verb = "",
    subject_id: UUID | None = None,
    school_id: UUID | None = None,
) -> Response:
    """The same as a spreadsheet opens it."""
    content = events.export_events(session, viewer, verb=verb, subject_id=subject_id, school_id=school_id)
    return as_download(content, "filtrage-historique.csv")
