"""HTTP of layers, of what stands once all have spoken, and of the policies made of them."""

from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Header, Response

from fleet.accounts.access import CurrentViewer
from fleet.clock import Now
from fleet.db import DbSession
from fleet.filtering.access import OperatorViewer
from fleet.filtering.policy import editing, policies, profiles, standing
from fleet.filtering.policy.layers import SILENT
from fleet.filtering.policy.models import FilterPolicy
from fleet.filtering.policy.places import find_place
from fleet.filtering.policy.revisions import revision_at
from fleet.filtering.policy.schemas import (
    EffectiveOut,
    LayerIn,
    LayerOut,
    OverrideBrief,
    PolicyOut,
    ProfileUse,
    SaidOut,
    SaysOut,
)
from fleet.paging import ListingOut, WantedPage, listing_out

router = APIRouter(prefix="/api/v1/filtering", tags=["filtering"])


@router.get("/layers", response_model=ListingOut[LayerOut])
def list_layers(
    session: DbSession,
    viewer: CurrentViewer,
    page: WantedPage,
    profile_id: UUID | None = None,
    school_id: UUID | None = None,
) -> dict[str, object]:
    """What the nodes that the caller sees say, the latest change first."""
    return listing_out(editing.list_layers(session, viewer, profile_id=profile_id, school_id=school_id, page=page))


@router.get("/layer")
def get_layer(
    response: Response,
    session: DbSession,
    viewer: CurrentViewer,
    profile_id: UUID | None = None,
    collectivity_id: UUID | None = None,
    school_id: UUID | None = None,
    room_id: UUID | None = None,
) -> SaysOut:
    """What a node says of a profile (or of all), nothing as well. ``ETag`` is its revision, for whoever changes it."""
    found = find_place(session, viewer, collectivity_id, school_id, room_id)
    layer = editing.find_layer(session, found, profiles.get_profile(session, profile_id) if profile_id else None)
    response.headers["ETag"] = f'"{revision_at(layer)}"'
    return SaysOut(
        content=msgspec.to_builtins(layer.says if layer is not None else SILENT),
        updated_at=layer.updated_at if layer is not None else None,
        updated_by=layer.updated_by if layer is not None else "",
    )


@router.put("/layers", status_code=204)
def set_layer(
    body: LayerIn,
    response: Response,
    session: DbSession,
    viewer: CurrentViewer,
    now: Now,
    if_match: Annotated[str | None, Header()] = None,
) -> None:
    """Write all that a node says of a profile (or of all), and publish it. Nothing given: the node is silent.

    With ``If-Match: "<revision>"`` it is written in place of that revision only: 412 ``filtering.layer_changed`` when
    somebody changed it since. ``ETag`` is the new revision.
    """
    found = find_place(session, viewer, body.collectivity_id, body.school_id, body.room_id)
    profile = profiles.get_profile(session, body.profile_id) if body.profile_id else None
    editing.set_layer(session, viewer, found, profile, body.says(), now, seen=if_match)
    response.headers["ETag"] = f'"{revision_at(editing.find_layer(session, found, profile))}"'


@router.get("/effective")
def effective(
    session: DbSession,
    viewer: CurrentViewer,
    now: Now,
    profile_id: UUID,
    collectivity_id: UUID | None = None,
    school_id: UUID | None = None,
    room_id: UUID | None = None,
) -> EffectiveOut:
    """What stands for the clients of a profile on a node that the caller sees, each line with who set it."""
    found = find_place(session, viewer, collectivity_id, school_id, room_id)
    stands = standing.what_stands(session, found, profiles.get_profile(session, profile_id), now)
    return EffectiveOut(
        slug=stands.slug,
        lines=[
            SaidOut(
                part=line.part, key=line.key, says=line.says, layer=line.layer, locked=line.mark.locked,
                by=line.mark.by, at=line.mark.at,
            )
            for line in stands.lines
        ],
        overrides=[OverrideBrief.model_validate(msgspec.to_builtins(each)) for each in stands.overrides],
    )  # fmt: skip


@router.get("/schools/{school_id}/profiles")
def school_profiles(school_id: UUID, session: DbSession, viewer: CurrentViewer) -> list[ProfileUse]:
    """The profiles that clients of a school have, and where; the default one for whoever is in no known network."""
    found = find_place(session, viewer, school_id=school_id)
    return [ProfileUse.model_validate(use, from_attributes=True) for use in standing.uses(session, found)]


@router.get("/policies", response_model=ListingOut[PolicyOut])
def list_policies(session: DbSession, _viewer: OperatorViewer, page: WantedPage) -> dict[str, object]:
    """The policies that are kept, newest first."""
    return listing_out(policies.list_policies(session, page))


@router.post("/policies/{policy_id}/return", response_model=PolicyOut)
def return_to_policy(policy_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> FilterPolicy:
    """Decide again what was decided then, and publish it under a new serial."""
    return policies.return_to(session, viewer, policy_id, now)
