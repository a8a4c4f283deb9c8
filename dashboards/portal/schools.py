"""Schools: the list, and one school with its kit, its ENT and its tickets."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.listing import AskedPage, Blank, Search, forgiving
from dashboards.portal.person import Person
from dashboards.portal.rendering import render
from dashboards.portal.saved_filters import KeptFilters
from fleet.clock import Now
from fleet.collectivities import service as collectivities
from fleet.configuration.outcomes import outcomes_by_device
from fleet.configuration.states import state_of
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.ent import service as ent
from fleet.paging import Listing, Page
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.table_file import Extension, download
from fleet.tickets import service as tickets

router = APIRouter(prefix="/schools")
IS_OPEN = {"open": True, "closed": False, "all": None}
State = Annotated[str, Query(pattern="^(open|closed|all|)$")]
CollectivityId = Annotated[UUID | None, Blank, Query(alias="collectivity")]
SORTS = (("commune", "Commune"), ("name", "Nom"), ("uai", "UAI"), ("-pupils", "Effectif"))


@router.get("")
def list_schools(
    request: Request,
    session: DbSession,
    viewer: Person,
    page: AskedPage,
    kept: KeptFilters,
    q: Search = "",
    state: State = "open",
    collectivity: CollectivityId = None,
) -> Response:
    """The schools that the viewer sees."""
    if kept.opening:
        return RedirectResponse(kept.opening, 303)
    is_open = IS_OPEN[state or "open"]

    def read(search: str, wanted: Page) -> Listing[School]:
        return schools.list_schools(
            session, viewer, search=search, collectivity_id=collectivity, is_open=is_open, page=wanted
        )

    found = forgiving(session, viewer, q, read, page)
    listing = found.listing
    return render(
        request,
        "schools.html",
        kept=kept,
        listing=listing,
        corrected=found.corrected,
        q=q,
        state=state or "open",
        collectivity=collectivities.get_collectivity(session, viewer, collectivity) if collectivity else None,
        counts=devices.count_by_school(session, viewer, [school.id for school in listing.rows]),
        sorts=SORTS,
        sort=page.sort or "commune",
    )


@router.get(".{extension}")
def export_schools(
    extension: Extension,
    session: DbSession,
    viewer: Person,
    q: Search = "",
    state: State = "open",
    collectivity: CollectivityId = None,
) -> Response:
    """The same list whole, as a file."""
    content = schools.export_schools(
        session, viewer, search=q, collectivity_id=collectivity, is_open=IS_OPEN[state or "open"]
    )
    return download(content, "ecoles", extension)


@router.get("/{school_id}")
def show_school(request: Request, session: DbSession, viewer: Person, now: Now, school_id: UUID) -> Response:
    """One school: who runs it, its ENT, its kit, its open tickets."""
    school = schools.get_school(session, viewer, school_id)
    kit = devices.list_devices(session, viewer, school_id=school.id, page=Page(size=100, sort="name"))
    outcomes = outcomes_by_device(session, [device.id for device in kit.rows])
    return render(
        request,
        "school.html",
        school=school,
        portal=ent.find_portal(session, school.id),
        kit=kit,
        states={device.id: state_of(device, outcomes.get(device.id, ()), now) for device in kit.rows},
        tickets=tickets.list_tickets(session, viewer, school_id=school.id, open_only=True, page=Page(size=20)),
    )
