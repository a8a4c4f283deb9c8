"""Rooms of a school: which networks and devices are in each, and their profile. Staff edits, the school reads."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.portal import refusals
from dashboards.portal.forms import Reader
from dashboards.portal.listing import Blank, Search
from dashboards.portal.person import Person, SentForm
from dashboards.portal.rendering import render, with_query
from dashboards.portal.school_choice import choose_school, school_of
from fleet.clock import Now
from fleet.db import DbSession
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.errors import FleetError
from fleet.filtering.exceptions import lessons, rooms
from fleet.filtering.policy import profiles
from fleet.filtering.policy.models import FilterLabel, FilterNetwork, FilterRoom
from fleet.filtering.policy.networks import doubt_about
from fleet.filtering.policy.places import find_place
from fleet.paging import MAX_SIZE, Page
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Viewer

router = APIRouter(prefix="/filtering/rooms")
SchoolId = Annotated[UUID | None, Blank, Query()]
FIELDS = {
    "filtering.bad_text": "name",
    "filtering.room_taken": "name",
    "filtering.bad_network": "cidr",
    "filtering.network_taken": "cidr",
    "filtering.two_nodes": "device_room",
}
"""Which field a refusal is about."""


@router.get("")
def show_rooms(
    request: Request, session: DbSession, viewer: Person, now: Now, q: Search = "", school: SchoolId = None
) -> Response:
    """The rooms of a school, once it is chosen."""
    place = school_of(session, viewer, school)
    if place is None:
        text = "Choisissez l’école dont vous voulez voir les salles, les réseaux et les appareils."
        return choose_school(request, session, viewer, q, title="Salles", text=text, path="/filtering/rooms")
    return rooms_page(request, session, viewer, now, place, q=q)


def rooms_page(
    request: Request,
    session: DbSession,
    viewer: Viewer,
    now: datetime,
    school: School,
    *,
    q: str = "",
    reader: Reader | None = None,
    refused: FleetError | None = None,
) -> Response:
    """The page, with what was typed when a form comes back refused."""
    every = rooms.list_rooms(session, viewer, school.id)
    networks = [n for n in rooms.list_networks(session, viewer) if n.school_id == school.id]
    labels = rooms.list_labels(session, viewer, school.id)
    running = lessons.list_lessons(session, viewer, now=now, is_running=True, school_id=school.id, page=Page(size=100))
    may_edit, known = viewer.may(Action.EDIT_FILTER), profiles.list_profiles(session)
    return render(
        request,
        "rooms.html",
        refused.status if refused else 200,
        school=school,
        rooms=every,
        shown=[room for room in every if is_asked(q, room, networks, labels)],
        networks=by_room(networks),
        labels=by_device_room(labels),
        running={lesson.room_id: lesson for lesson in running.rows},
        profiles=known,
        profile_names={profile.id: profile.name for profile in known},
        devices=devices_of(session, viewer, school) if may_edit else [],
        may_edit=may_edit,
        may_run=viewer.may(Action.RUN_LESSON, school.collectivity_id, school.id),
        q=q,
        read=reader.raw if reader else lambda _name: "",
        **refusals.explained(refused, FIELDS),
    )


def is_asked(
    q: str, room: FilterRoom, networks: Sequence[FilterNetwork], labels: Sequence[tuple[FilterLabel, Device]]
) -> bool:
    """Whether what is typed stands in a room's name or in what is in it."""
    inside = [n.cidr for n in networks if n.room_id == room.id]
    inside += [f"{d.name} {d.asset_tag}" for label, d in labels if label.room_id == room.id]
    text = " ".join([room.name, *inside]).casefold()
    return all(word in text for word in q.casefold().split())


def by_room(networks: Sequence[FilterNetwork]) -> dict[UUID | None, list[FilterNetwork]]:
    """Room (None: outside of any) -> its networks."""
    grouped: dict[UUID | None, list[FilterNetwork]] = {}
    for network in networks:
        grouped.setdefault(network.room_id, []).append(network)
    return grouped


def by_device_room(
    labels: Sequence[tuple[FilterLabel, Device]],
) -> Mapping[UUID | None, list[tuple[FilterLabel, Device]]]:
    """Room (None: outside of any) -> its devices, each with its profile."""
    grouped: dict[UUID | None, list[tuple[FilterLabel, Device]]] = {}
    for label, device in labels:
        grouped.setdefault(label.room_id, []).append((label, device))
    return grouped


def devices_of(session: DbSession, viewer: Viewer, school: School) -> list[tuple[str, str]]:
    """The devices of a school to choose from."""
    listing = devices.list_devices(session, viewer, school_id=school.id, page=Page(size=MAX_SIZE, sort="name"))
    return [(str(device.id), f"{device.name} ({device.asset_tag})") for device in listing.rows]


Change = Callable[[DbSession, Viewer, School, Reader, datetime], str]
"""Does what one form asks; returns the word of what was done."""
Removal = Callable[[DbSession, Viewer, UUID, datetime], object]


def change(request: Request, session: DbSession, viewer: Viewer, now: datetime, reader: Reader, do: Change) -> Response:
    """Do what a form of the page asks, or show the page again with what was typed."""
    school = schools.get_school(session, viewer, reader.row("school", "Choisissez l’école."))
    try:
        what = do(session, viewer, school, reader, now)
    except FleetError as refused:
        session.rollback()
        school = schools.get_school(session, viewer, reader.row("school", "Choisissez l’école."))
        return rooms_page(request, session, viewer, now, school, reader=reader, refused=refused)
    return RedirectResponse(with_query("/filtering/rooms", {}, school=school.id, done=what), 303)


def removal(remove: Removal, row_id: UUID, done: str) -> Change:
    """A form that only takes a row away."""

    def do(session: DbSession, viewer: Viewer, _school: School, _reader: Reader, now: datetime) -> str:
        remove(session, viewer, row_id, now)
        return done

    return do


@router.post("")
def add_room(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """A room, empty until networks or devices are put in it."""

    def do(session: DbSession, viewer: Viewer, school: School, reader: Reader, now: datetime) -> str:
        name = reader.text("name", maximum=80, missing="Donnez un nom à la salle.")
        reader.check()
        rooms.add_room(session, viewer, school, name, now)
        return "room-added"

    return change(request, session, viewer, now, Reader(form), do)


@router.post("/networks")
def add_network(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Give a network a profile, in a room or in none."""

    def do(session: DbSession, viewer: Viewer, school: School, reader: Reader, now: datetime) -> str:
        cidr = reader.text("cidr", maximum=60, missing="Donnez le réseau : 10.2.3.0/24, par exemple.")
        profile_id = reader.row("network_profile", "Choisissez le profil.")
        room_id = reader.identifier("network_room")
        reader.check()
        found = find_place(session, viewer, school_id=school.id, room_id=room_id)
        added = rooms.add_network(session, viewer, cidr, profiles.get_profile(session, profile_id), found, now)
        return "network-shared" if doubt_about(session, added.cidr, school.id) else "network-added"

    return change(request, session, viewer, now, Reader(form), do)


@router.post("/devices")
def set_label(request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm) -> Response:
    """Give a device a profile of its own, in a room or in none."""

    def do(session: DbSession, viewer: Viewer, _school: School, reader: Reader, now: datetime) -> str:
        device_id = reader.row("device", "Choisissez l’appareil.")
        profile_id = reader.row("device_profile", "Choisissez le profil.")
        room_id = reader.identifier("device_room")
        reader.check()
        rooms.set_label(session, viewer, device_id, profiles.get_profile(session, profile_id), room_id, now)
        return "label-set"

    return change(request, session, viewer, now, Reader(form), do)


@router.post("/{room_id}/rename")
def rename_room(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, room_id: UUID
) -> Response:
    """Call it otherwise; everything else stays."""

    def do(session: DbSession, viewer: Viewer, _school: School, reader: Reader, now: datetime) -> str:
        rooms.rename_room(session, viewer, room_id, reader.text("new_name", maximum=80), now)
        return "room-renamed"

    return change(request, session, viewer, now, Reader(form), do)


@router.post("/{room_id}/remove")
def remove_room(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, room_id: UUID
) -> Response:
    """Its networks and devices stay, in no room."""
    return change(request, session, viewer, now, Reader(form), removal(rooms.remove_room, room_id, "room-removed"))


@router.post("/networks/{network_id}/remove")
def remove_network(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, network_id: UUID
) -> Response:
    """Its clients get the next larger network's profile, or the default one."""
    return change(
        request, session, viewer, now, Reader(form), removal(rooms.remove_network, network_id, "network-removed")
    )


@router.post("/devices/{device_id}/remove")
def remove_label(
    request: Request, session: DbSession, viewer: Person, now: Now, form: SentForm, device_id: UUID
) -> Response:
    """The device goes by its network again."""
    return change(request, session, viewer, now, Reader(form), removal(rooms.remove_label, device_id, "label-removed"))
