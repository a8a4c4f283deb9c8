"""HTTP of grants: who was given sight of whose rows, for the operator's staff; given and ended by administrators."""

from datetime import datetime
from uuid import UUID

from fastapi import APIRouter

from fleet.accounts.access import CurrentViewer
from fleet.accounts.models import NodeGrant
from fleet.clock import Now
from fleet.db import DbSession
from fleet.grants import service
from fleet.grants.nodes import find_node
from fleet.grants.schemas import GrantIn, GrantOut
from fleet.paging import ListingOut, WantedPage
from fleet.scope import Action

router = APIRouter(prefix="/api/v1/grants", tags=["grants"])


def told(session: DbSession, grant: NodeGrant, now: datetime) -> GrantOut:
    [given] = service.tell(session, [grant], now)
    return GrantOut.of(given)


@router.get("")
def list_grants(
    session: DbSession, viewer: CurrentViewer, now: Now, page: WantedPage, search: str = "", is_open: bool | None = None
) -> ListingOut[GrantOut]:
    """The grants, the first to end first."""
    listing = service.list_grants(session, viewer, now=now, search=search[:120], is_open=is_open, page=page)
    rows = [GrantOut.of(given) for given in service.tell(session, list(listing.rows), now)]
    return ListingOut(rows=rows, total=listing.total, page=page.number, size=page.size, pages=listing.pages)


@router.post("", status_code=201)
def give_grant(body: GrantIn, session: DbSession, viewer: CurrentViewer, now: Now) -> GrantOut:
    """Let the people of a node see another's rows until a date. They read; what they may do stays as it is."""
    viewer.must(Action.MANAGE_GRANT)
    to = find_node(session, viewer, body.to_collectivity_id, body.to_school_id)
    node = find_node(session, viewer, body.collectivity_id, body.school_id)
    grant = service.give_grant(
        session, viewer, to=to, node=node, starts=body.starts_at, ends=body.ends_at, reason=body.reason, now=now
    )
    return told(session, grant, now)


@router.get("/{grant_id}")
def get_grant(grant_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> GrantOut:
    """One grant."""
    return told(session, service.get_grant(session, viewer, grant_id), now)


@router.post("/{grant_id}/end")
def end_grant(grant_id: UUID, session: DbSession, viewer: CurrentViewer, now: Now) -> GrantOut:
    """Take it back: the next request of whoever had it is without it."""
    return told(session, service.end_grant(session, viewer, grant_id, now), now)
