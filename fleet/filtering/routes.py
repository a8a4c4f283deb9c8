"""HTTP of filtering: for people here, for filters in filter_routes.py; `router` holds both."""

from dataclasses import asdict
from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.errors import NotAllowed
from fleet.filtering import filter_routes, service
from fleet.filtering.models import FilterNetwork, FilterNode, FilterProfile, Publication
from fleet.filtering.reports import Total
from fleet.filtering.schemas import (
    ExplainedOut,
    FilterOut,
    NetworkIn,
    NetworkOut,
    ProfileIn,
    ProfileOut,
    PublicationOut,
    TotalOut,
)
from fleet.paging import ListingOut, WantedPage, listing_out
from fleet.schools import service as schools
from fleet.scope import Action, Viewer


def operator_viewer(viewer: CurrentViewer) -> Viewer:
    """Filtering is the operator's: others see what concerns them elsewhere."""
    if not viewer.sees_all:
        raise NotAllowed("filtering.operator_only", "Le filtrage est réglé par l’ADICA.")
    return viewer


def publishing_viewer(viewer: CurrentViewer) -> Viewer:
    """Whoever may change what filters do."""
    viewer.must(Action.PUBLISH_FILTER)
    return viewer


OperatorViewer = Annotated[Viewer, Depends(operator_viewer)]
PublishingViewer = Annotated[Viewer, Depends(publishing_viewer)]
people = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])


@people.get("/profiles", response_model=list[ProfileOut])
def list_profiles(session: DbSession, _viewer: OperatorViewer) -> list[FilterProfile]:
    """Every profile, the default one first."""
    return service.list_profiles(session)


@people.get("/profiles/{profile_id}", response_model=ProfileOut)
def get_profile(profile_id: UUID, session: DbSession, _viewer: OperatorViewer) -> FilterProfile:
    """One profile."""
    return service.get_profile(session, profile_id)


@people.patch("/profiles/{profile_id}", response_model=ProfileOut)
def update_profile(
    profile_id: UUID, body: ProfileIn, session: DbSession, viewer: PublishingViewer, now: Now
) -> FilterProfile:
    """Change a profile; a bundle that says so is asked for at once."""
    return service.update_profile(session, viewer, profile_id, **body.model_dump(), now=now)


@people.get("/networks", response_model=list[NetworkOut])
def list_networks(session: DbSession, _viewer: OperatorViewer) -> list[FilterNetwork]:
    """Which networks get which profile."""
    return service.list_networks(session)


@people.post("/networks", response_model=NetworkOut, status_code=201)
def add_network(body: NetworkIn, session: DbSession, viewer: PublishingViewer, now: Now) -> FilterNetwork:
    """Give a network's clients a profile; a bundle that says so is asked for at once."""
    school = schools.get_school(session, viewer, body.school_id) if body.school_id else None
    return service.add_network(session, viewer, body.cidr, body.profile_id, school, now)


@people.delete("/networks/{network_id}", status_code=204)
def remove_network(network_id: UUID, session: DbSession, viewer: PublishingViewer, now: Now) -> None:
    """Take it back; a bundle that says so is asked for at once."""
    service.remove_network(session, viewer, network_id, now)


@people.get("/publications", response_model=ListingOut[PublicationOut])
def list_publications(session: DbSession, _viewer: OperatorViewer, page: WantedPage) -> dict[str, object]:
    """The history, newest first."""
    return listing_out(service.list_publications(session, page))


@people.post("/publications", response_model=PublicationOut, status_code=202)
def request_publication(session: DbSession, viewer: PublishingViewer, now: Now) -> Publication:
    """Ask for a bundle of what is decided now."""
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
) -> ExplainedOut:
    """What the filters answer to this query by the current bundle, and why."""
    explained = service.explain(session, name, qtype, client, now)
    found = explained.explanation
    return ExplainedOut.model_validate(
        {
            "serial": explained.serial,
            "name": found.query.name,
            "qtype": found.query.qtype,
            "client": found.client,
            "profile": found.profile.slug,
            "decision": asdict(found.decision),
            "opinions": [asdict(opinion) for opinion in found.opinions],
            "matches": [asdict(match) for match in found.matches],
        }
    )


@people.get("/totals", response_model=list[TotalOut])
def totals(
    session: DbSession, _viewer: OperatorViewer, now: Now, days: Annotated[int, Query(ge=1, le=366)] = 7
) -> list[Total]:
    """Queries by verdict and category over the last days, over all filters."""
    return service.totals(session, now - timedelta(days=days))


router = APIRouter()
router.include_router(people)
router.include_router(filter_routes.router)
