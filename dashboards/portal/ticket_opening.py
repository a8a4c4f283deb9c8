"""Opening a ticket: the place first, then what is wrong."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal.forms import FormRefused, Reader
from dashboards.portal.rendering import render
from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.errors import FleetError
from fleet.paging import Page
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import Ticket, TicketKind, TicketSubject

FEW = 12
"""So many schools are listed without a search."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a ticket is about: a device, a school, or a whole collectivity."""

    device: Device | None = None
    school: School | None = None
    collectivity: Collectivity | None = None


def find_place(
    session: DbSession, viewer: Viewer, school_id: UUID | None, device_id: UUID | None, collectivity_id: UUID | None
) -> Place | None:
    """The place that an address or a form names; raise NotFound for one that the viewer does not see."""
    if device_id is not None:
        device = devices.get_device(session, viewer, device_id)
        return Place(device=device, school=device.school)
    if school_id is not None:
        return Place(school=schools.get_school(session, viewer, school_id))
    if collectivity_id is not None:
        return Place(collectivity=collectivities.get_collectivity(session, viewer, collectivity_id))
    return None


def choose_place(request: Request, session: DbSession, viewer: Viewer, q: str) -> Response:
    """The schools to choose from; someone with a single school goes straight on."""
    own = schools.list_schools(session, viewer, search=q, page=Page(size=FEW))
    if own.total == 1 and not q and not viewer.own_collectivity_ids and not viewer.sees_all:
        return RedirectResponse(f"/tickets/new?school={own.rows[0].id}", 303)
    listed = own if q or own.total <= FEW else None
    nodes = [
        collectivities.get_collectivity(session, viewer, node)
        for node in viewer.own_collectivity_ids
        if viewer.may(Action.OPEN_TICKET, node)
    ]
    return render(request, "ticket_place.html", matches=listed, q=q, collectivities=nodes)


def show_form(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    place: Place,
    *,
    typed: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The form for one place, with what was typed when it comes back."""
    kit = []
    if place.school is not None and place.device is None:
        listing = devices.list_devices(session, viewer, school_id=place.school.id, page=Page(size=200, sort="name"))
        kit = [(str(d.id), f"{d.name} ({d.asset_tag})") for d in listing.rows]
    read = typed.raw if typed else lambda name: request.query_params.get(name, "")
    default = "device" if place.device else "ent" if place.collectivity else "school"
    return render(
        request,
        "ticket_new.html",
        refused.status if refused else 200,
        place=place,
        kit=kit,
        read=read,
        subject=read("subject") if read("subject") in set(TicketSubject) else default,
        request_key=(typed.raw("request_key") if typed else "") or secrets.token_urlsafe(16),
        refused=refused.detail if refused else None,
        problems=refused.problems if isinstance(refused, FormRefused) else {},
    )


def show_again(request: Request, session: DbSession, viewer: Viewer, reader: Reader, refused: FleetError) -> Response:
    """The form as it was sent, with what is wrong."""
    place = find_place(
        session,
        viewer,
        reader.identifier("school"),
        reader.identifier("device") if reader.raw("fixed") == "device" else None,
        reader.identifier("collectivity"),
    )
    if place is None:
        raise refused
    return show_form(request, session, viewer, place, typed=reader, refused=refused)


def open_from(session: DbSession, viewer: Viewer, reader: Reader, now: datetime) -> Ticket:
    """Open the ticket that a form describes; raise FormRefused for what is missing, or the verb's own refusals."""
    subject = reader.choice("subject", TicketSubject, "Choisissez l’objet.")
    kind = reader.choice("kind", TicketKind, "Choisissez : une panne, ou une demande.")
    title = reader.text("title", maximum=tickets.MAX_TITLE, missing="Donnez un titre : une ligne suffit.")
    description = reader.text("description", maximum=tickets.MAX_TEXT, missing="Décrivez ce qui se passe.")
    device_id = reader.identifier("device") if subject is TicketSubject.DEVICE else None
    if subject is TicketSubject.DEVICE and device_id is None:
        reader.problems["device"] = "Choisissez l’appareil concerné."
    school_id, collectivity_id = reader.identifier("school"), reader.identifier("collectivity")
    reader.check()
    place = find_place(session, viewer, school_id, device_id, collectivity_id) or Place()
    return tickets.open_ticket(
        session,
        viewer,
        kind=kind,
        subject=subject,
        title=title,
        description=description,
        school=place.school,
        device=place.device,
        collectivity=place.collectivity,
        request_key=reader.raw("request_key") or None,
        now=now,
    )
