"""A collectivity's own page (its schools, kit, tickets and ENT), and the list of them all for the operator."""

from collections import Counter
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.listing import AskedPage, Blank, Search, forgiving
from dashboards.portal.person import Person
from dashboards.portal.rendering import render
from dashboards.portal.saved_filters import KeptFilters
from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity, CollectivityKind
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import DeviceKind, DeviceStatus
from fleet.ent import service as ent
from fleet.paging import Listing, Page
from fleet.schools import service as schools
from fleet.table_file import Extension, download
from fleet.tickets import service as tickets

router = APIRouter(prefix="/collectivities")
KindChoice = Annotated[CollectivityKind | None, Blank, Query()]
SHOWN = 60
"""Schools of a collectivity's page: more than any EPCI of the Aisne runs."""
SORTS = (("name", "Nom"), ("kind", "Type"), ("-population", "Population"))


@router.get("")
def list_collectivities(
    request: Request,
    session: DbSession,
    viewer: Person,
    page: AskedPage,
    kept: KeptFilters,
    q: Search = "",
    kind: KindChoice = None,
) -> Response:
    """The collectivities that the viewer sees: all of them for the operator, one's own for an officer."""
    if kept.opening:
        return RedirectResponse(kept.opening, 303)

    def read(search: str, wanted: Page) -> Listing[Collectivity]:
        return collectivities.list_collectivities(session, viewer, search=search, kind=kind, page=wanted)

    found = forgiving(session, viewer, q, read, page)
    return render(
        request,
        "collectivities.html",
        kept=kept,
        listing=found.listing,
        corrected=found.corrected,
        q=q,
        kind=kind,
        sorts=SORTS,
        sort=page.sort or "name",
    )


@router.get(".{extension}")
def export_collectivities(
    extension: Extension, session: DbSession, viewer: Person, q: Search = "", kind: KindChoice = None
) -> Response:
    """The same list whole, as a file."""
    content = collectivities.export_collectivities(session, viewer, search=q, kind=kind)
    return download(content, "collectivites", extension)


@router.get("/{collectivity_id}")
def show_collectivity(request: Request, session: DbSession, viewer: Person, collectivity_id: UUID) -> Response:
    """What a mayor asks: our schools, our kit and how it is, our tickets, our ENT."""
    collectivity = collectivities.get_collectivity(session, viewer, collectivity_id)
    own = schools.list_schools(session, viewer, collectivity_id=collectivity.id, page=Page(size=SHOWN, sort="name"))
    ids = [school.id for school in own.rows]
    portals = ent.portals_of(session, collectivity.id)
    counted = devices.count_devices(session, viewer, collectivity_id=collectivity.id)
    return render(
        request,
        "collectivity.html",
        collectivity=collectivity,
        groups=collectivity.groups,
        schools=own,
        portals=portals,
        equipped=len(portals),
        counts=devices.count_by_school(session, viewer, ids),
        kit=kit_by_kind(counted),
        statuses=statuses_of(counted),
        silent=devices.list_devices(
            session, viewer, collectivity_id=collectivity.id, silent=True, page=Page(size=5, sort="name")
        ),
        tickets=tickets.list_tickets(
            session, viewer, collectivity_id=collectivity.id, open_only=True, page=Page(size=10)
        ),
    )


def kit_by_kind(
    counted: dict[tuple[DeviceKind, DeviceStatus], int],
) -> list[tuple[DeviceKind, dict[DeviceStatus, int], int]]:
    """Each kind that occurs, its count by status, and its total; retired ones aside."""
    kinds: dict[DeviceKind, dict[DeviceStatus, int]] = {}
    for (kind, status), number in counted.items():
        if status is not DeviceStatus.RETIRED:
            kinds.setdefault(kind, {})[status] = number
    return [(kind, kinds[kind], sum(kinds[kind].values())) for kind in DeviceKind if kind in kinds]


def statuses_of(counted: dict[tuple[DeviceKind, DeviceStatus], int]) -> Counter[DeviceStatus]:
    """The same by status alone, whatever the kind."""
    total: Counter[DeviceStatus] = Counter()
    for (_, status), number in counted.items():
        total[status] += number
    return total
