"""HTTP of filtering: profiles, publications, filters, explain; `router` holds this and all that is beside it."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering import service
from fleet.filtering.access import OperatorViewer, PublishingViewer
from fleet.filtering.exceptions import lesson_routes, room_routes
from fleet.filtering.exceptions import routes as exception_routes
from fleet.filtering.gateways import routes as filter_routes
from fleet.filtering.gateways.reports import Total
from fleet.filtering.lists import routes as source_routes
from fleet.filtering.models import FilterNode, Publication
from fleet.filtering.policy import routes as layer_routes
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.previews import filter_routes as preview_filter_routes
from fleet.filtering.previews import routes as preview_routes
from fleet.filtering.schemas import (
    ExplainedOut,
    FilterOut,
    NewProfileIn,
    ProfileIn,
    ProfileOut,
    PublicationOut,
    TotalOut,
)
from fleet.paging import ListingOut, WantedPage, listing_out

people = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])


@people.get("/profiles", response_model=list[ProfileOut])
def list_profiles(session: DbSession, _viewer: OperatorViewer) -> list[FilterProfile]:
    """Every profile, the default one first."""
    return service.list_profiles(session)


@people.post("/profiles", response_model=ProfileOut, status_code=201)
def add_profile(body: NewProfileIn, session: DbSession, viewer: PublishingViewer, now: Now) -> FilterProfile:
    """A profile of which nothing is said yet."""
    return service.add_profile(session, viewer, body.slug, body.name, now)


@people.get("/profiles/{profile_id}", response_model=ProfileOut)
def get_profile(profile_id: UUID, session: DbSession, _viewer: OperatorViewer) -> FilterProfile:
    """One profile."""
    return service.get_profile(session, profile_id)


@people.patch("/profiles/{profile_id}", response_model=ProfileOut)
def update_profile(
    profile_id: UUID, body: ProfileIn, session: DbSession, viewer: PublishingViewer, now: Now
) -> FilterProfile:
    """Change what the operator says of a profile, and publish it."""
    return service.update_profile(session, viewer, profile_id, **body.model_dump(), now=now)


@people.delete("/profiles/{profile_id}", status_code=204)
def remove_profile(profile_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> None:
    """Remove one that nobody has any more, and publish that."""
    service.remove_profile(session, viewer, profile_id, now)


@people.get("/publications", response_model=ListingOut[PublicationOut])
def list_publications(session: DbSession, _viewer: OperatorViewer, page: WantedPage) -> dict[str, object]:
    """The history, newest first."""
    return listing_out(service.list_publications(session, page))


@people.post("/publications", response_model=PublicationOut, status_code=202)
def request_publication(session: DbSession, viewer: PublishingViewer, now: Now) -> Publication:
    """Ask for a names file of what the lists hold now."""
    return service.request_publication(session, viewer.name, now)


@people.get("/publications/{publication_id}", response_model=PublicationOut)
def get_publication(publication_id: UUID, session: DbSession, _viewer: OperatorViewer) -> Publication:
    """One publication: how far it is, or why it failed."""
    return service.get_publication(session, publication_id)


@people.get("/filters", response_model=list[FilterOut])
def list_filters(session: DbSession, _viewer: OperatorViewer) -> list[FilterNode]:
    """Every filter as it last reported itself."""
    return service.list_filters(session)


@people.get("/explain")
def explain(
    session: DbSession,
    _viewer: OperatorViewer,
    now: Now,
    name: Annotated[str, Query(min_length=1, max_length=400)],
    qtype: Annotated[str, Query(max_length=20)] = "A",
    client: Annotated[str | None, Query(max_length=64)] = None,
    label: Annotated[str | None, Query(max_length=64)] = None,
    school_id: UUID | None = None,
) -> ExplainedOut:
    """What the filters answer to this query by the current names and policy, why, and who decided that.

    ``school_id`` says whose filter is asked, when several schools have the client's address.
    """
    explained = service.explain(session, name, qtype, client, now, label, school_id)
    return ExplainedOut.model_validate(
        {
            "serial": explained.serial,
            "policy_serial": explained.policy_serial,
            "author": explained.author,
            "name": explained.explanation.query.name,
            "qtype": explained.explanation.query.qtype,
            "client": explained.explanation.client,
            "profile": explained.explanation.profile.slug,
            "lesson": explained.explanation.lesson,
            "decision": explained.explanation.decision,
            "opinions": explained.explanation.opinions,
            "matches": explained.explanation.matches,
        },
        from_attributes=True,
    )


@people.get("/totals", response_model=list[TotalOut])
def totals(
    session: DbSession, _viewer: OperatorViewer, now: Now, days: Annotated[int, Query(ge=1, le=366)] = 7
) -> list[Total]:
    """Queries by verdict and category over the last days, over all filters."""
    return service.totals(session, now - timedelta(days=days))


router = APIRouter()
for part in (people, layer_routes.router, room_routes.router, exception_routes.router, lesson_routes.router):
    router.include_router(part)
router.include_router(source_routes.router)
router.include_router(preview_routes.router)
router.include_router(filter_routes.router)
router.include_router(preview_filter_routes.router)
