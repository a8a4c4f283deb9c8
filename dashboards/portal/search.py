"""One box for everything: schools, collectivities, devices and tickets, each kind with its first few."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dashboards.portal.person import Person
from dashboards.portal.rendering import render
from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.paging import Listing, Page
from fleet.schools import service as schools
from fleet.schools import spelling
from fleet.schools.models import School
from fleet.scope import Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import Ticket

router = APIRouter(prefix="/search")
Typed = Annotated[str, Query(alias="q", max_length=120)]
FIRST = Page(size=6, is_counted=False)


@dataclass(frozen=True, slots=True)
class Results:
    """What answers to one search, of each kind."""

    schools: Listing[School]
    collectivities: Listing[Collectivity]
    devices: Listing[Device]
    tickets: Listing[Ticket]

    @property
    def total(self) -> int:
        return sum(each.total for each in (self.schools, self.collectivities, self.devices, self.tickets))


def look(session: DbSession, viewer: Viewer, typed: str) -> Results:
    """What the viewer sees of it; closed tickets and schools too: one looks for them by their number or code."""
    return Results(
        schools=schools.list_schools(session, viewer, search=typed, is_open=None, page=FIRST),
        collectivities=collectivities.list_collectivities(session, viewer, search=typed, page=FIRST),
        devices=devices.list_devices(session, viewer, search=typed, page=FIRST),
        tickets=tickets.list_tickets(session, viewer, search=typed, page=FIRST),
    )


@router.get("")
def show_search(request: Request, session: DbSession, viewer: Person, q: Typed = "") -> Response:
    """What answers to what was typed, or to what was probably meant."""
    typed, corrected = q.strip(), ""
    results = look(session, viewer, typed) if typed else None
    if results is not None and not results.total and (meant := spelling.correct(session, viewer, typed)):
        results, corrected = look(session, viewer, meant), meant
    if results is not None and corrected and not results.total:
        corrected = ""
    return render(request, "search.html", q=typed, results=results, corrected=corrected)
