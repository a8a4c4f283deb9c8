"""HTTP of ENT portals."""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter

from fleet.accounts.access import CurrentViewer
from fleet.db import DbSession
from fleet.ent import service
from fleet.ent.models import EntPortal
from fleet.ent.schemas import AssignmentIn, EntPortalOut
from fleet.schools import service as schools
from fleet.scope import Action

router = APIRouter(prefix="/api/v1/ent", tags=["ent"])


@router.get("", response_model=list[EntPortalOut])
def list_portals(session: DbSession, _viewer: CurrentViewer) -> Sequence[EntPortal]:
    """The catalogue: public addresses, for everyone who is signed in."""
    return service.list_portals(session)


@router.get("/schools/{school_id}", response_model=EntPortalOut | None)
def get_school_portal(school_id: UUID, session: DbSession, viewer: CurrentViewer) -> EntPortal | None:
    """The portal of a school that the caller sees; null while it has none."""
    return service.find_portal(session, schools.get_school(session, viewer, school_id).id)


@router.put("/schools/{school_id}", response_model=EntPortalOut | None)
def assign_portal(school_id: UUID, body: AssignmentIn, session: DbSession, viewer: CurrentViewer) -> EntPortal | None:
    """Give a school its portal, or take it away."""
    school = schools.get_school(session, viewer, school_id)
    viewer.must(Action.CONFIGURE, school.collectivity_id, school.id)
    portal = None if body.portal is None else service.get_portal(session, body.portal)
    service.assign_portal(session, school, portal)
    return portal
