"""Rooms, and which networks and devices get which profile in which room."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, joinedload

from filter.clients import NetworkInvalid, parse_network
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.errors import Conflict, Invalid, NotFound
from fleet.filtering.policy import cleaning, events, networks, policies
from fleet.filtering.policy.models import FilterLabel, FilterNetwork, FilterProfile, FilterRoom
from fleet.filtering.policy.places import Found, find_place, get_room
from fleet.schools.models import School
from fleet.scope import Action, Viewer, visible_to


def list_rooms(session: Session, viewer: Viewer, school_id: UUID | None = None) -> Sequence[FilterRoom]:
    """The rooms of the schools that the viewer sees, or of one of them, by name."""
    query = select(FilterRoom).join(School, School.id == FilterRoom.school_id)
    query = visible_to(viewer, query, collectivity=School.collectivity_id, school=School.id)
    if school_id is not None:
        query = query.where(FilterRoom.school_id == school_id)
    return session.scalars(query.order_by(FilterRoom.name, FilterRoom.id)).all()


def add_room(session: Session, viewer: Viewer, school: School, name: str, now: datetime) -> FilterRoom:
    """A room of a school; raise Conflict when it has one of that name."""
    viewer.must(Action.EDIT_FILTER, school.collectivity_id, school.id)
    cleaned = _free_name(session, school.id, name)
    room = FilterRoom(school_id=school.id, name=cleaned)
    session.add(room)
    session.flush()
    events.note(
        session, viewer.name, "room.add", f"{school.name}, {cleaned}", now, subject_id=room.id,
        after={"name": cleaned}, school_id=school.id,
    )  # fmt: skip
    return room


def _free_name(session: Session, school_id: UUID, name: str) -> str:
    """A room's name in one line; raise Invalid, or Conflict when the school has a room of that name."""
    cleaned = cleaning.clean_text(name, "à la salle un nom", 80)
    taken = select(FilterRoom.id).where(FilterRoom.school_id == school_id, FilterRoom.name == cleaned)
    if session.scalar(taken) is not None:
        raise Conflict("filtering.room_taken", f"Cette école a déjà une salle « {cleaned} ».")
    return cleaned


def rename_room(session: Session, viewer: Viewer, room_id: UUID, name: str, now: datetime) -> FilterRoom:
    """Call it otherwise; what is in it and said of it stays. Raise NotFound, Invalid, Conflict."""
    found = find_place(session, viewer, room_id=room_id)
    found.must(viewer, Action.EDIT_FILTER)
    policies.lock(session)
    room = get_room(session, viewer, room_id)
    session.refresh(room)
    before = room.name
    if " ".join(name.split()) == before:
        return room
    room.name = _free_name(session, room.school_id, name)
    session.flush()
    events.note(
        session, viewer.name, "room.rename", found.label, now, subject_id=room.id,
        before={"name": before}, after={"name": room.name}, school_id=room.school_id,
    )  # fmt: skip
    policies.publish(session, viewer.name, f"Salle renommée : {found.label}", now)
    return room


def remove_room(session: Session, viewer: Viewer, room_id: UUID, now: datetime) -> None:
    """Its networks and devices stay, in no room; what was said of it goes. Raise NotFound."""
    found = find_place(session, viewer, room_id=room_id)
    found.must(viewer, Action.EDIT_FILTER)
    policies.lock(session)
    room = get_room(session, viewer, room_id)
    events.note(
        session, viewer.name, "room.remove", found.label, now, subject_id=room.id,
        before={"name": room.name}, school_id=room.school_id,
    )  # fmt: skip
    session.delete(room)
    session.flush()
    policies.publish(session, viewer.name, f"Salle enlevée : {found.label}", now)


def list_networks(session: Session, viewer: Viewer | None = None) -> list[FilterNetwork]:
    """The networks that the viewer sees (None: all), their profile loaded."""
    query = select(FilterNetwork).options(joinedload(FilterNetwork.profile)).order_by(FilterNetwork.cidr)
    if viewer is not None and not viewer.sees_all:
        query = query.join(School, School.id == FilterNetwork.school_id)
        query = visible_to(viewer, query, collectivity=School.collectivity_id, school=FilterNetwork.school_id)
    return list(session.scalars(query))


def add_network(
    session: Session, viewer: Viewer, cidr: str, profile: FilterProfile, found: Found, now: datetime
) -> FilterNetwork:
    """Give the clients of a network a profile, as that school or room has it (or the operator).

    Raise Invalid for what is no network or no such node, Conflict for a known network.
    """
    found.must(viewer, Action.EDIT_FILTER)
    if found.place.collectivity_id is not None:
        raise Invalid("filtering.network_place", "Un réseau est celui d’une école, ou d’aucune.")
    try:
        cidr = str(parse_network(cidr.strip()))
    except NetworkInvalid as error:
        raise Invalid("filtering.bad_network", f"{error}.") from error
    place = found.place
    policies.lock_for(
        session, viewer, place
    )  # of two schools that add the same network at once, the second hears of the first
    networks.must_be_free(session, cidr, place.school_id)
    network = FilterNetwork(cidr=cidr, profile=profile, school_id=place.school_id, room_id=place.room_id)
    session.add(network)
    session.flush()
    events.note(
        session, viewer.name, "network.add", cidr, now, subject_id=network.id,
        after={"profile": profile.slug, "place": found.label}, school_id=place.school_id,
    )  # fmt: skip
    policies.publish(session, viewer.name, f"Réseau {cidr}", now)
    return network


def remove_network(session: Session, viewer: Viewer, network_id: UUID, now: datetime) -> None:
    """Its clients get the next larger network's profile, or the default one. Raise NotFound."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    wanted = [joinedload(FilterNetwork.profile)]
    network = session.get(FilterNetwork, network_id, options=wanted, populate_existing=True)
    if network is None:
        raise NotFound("filtering.network_not_found", "Ce réseau n’existe pas.")
    events.note(
        session, viewer.name, "network.remove", network.cidr, now, subject_id=network.id,
        before={"profile": network.profile.slug}, school_id=network.school_id,
    )  # fmt: skip
    session.delete(network)
    session.flush()
    policies.publish(session, viewer.name, f"Réseau {network.cidr} enlevé", now)


def list_labels(
    session: Session, viewer: Viewer, school_id: UUID | None = None
) -> Sequence[tuple[FilterLabel, Device]]:
    """Devices that have a profile of their own, of the schools that the viewer sees."""
    query = select(FilterLabel, Device).join(Device, Device.id == FilterLabel.device_id)
    query = query.outerjoin(School, School.id == Device.school_id)
    query = visible_to(viewer, query, collectivity=School.collectivity_id, school=Device.school_id)
    if school_id is not None:
        query = query.where(Device.school_id == school_id)
    return [(label, device) for label, device in session.execute(query.order_by(Device.name, Device.id))]


def set_label(
    session: Session,
    viewer: Viewer,
    device_id: UUID,
    profile: FilterProfile,
    room_id: UUID | None,
    now: datetime,
) -> tuple[FilterLabel, Device]:
    """Give a device a profile wherever it is, and a room of its own school."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    device = devices.get_device(session, viewer, device_id)
    if room_id is not None and get_room(session, viewer, room_id).school_id != device.school_id:
        raise Invalid("filtering.two_nodes", "Cette salle n’est pas dans l’école de l’appareil.")
    before = session.get(FilterLabel, device.id, populate_existing=True)
    told = None if before is None else {"profile_id": str(before.profile_id), "room_id": str(before.room_id or "")}
    row = insert(FilterLabel).values(device_id=device.id, profile_id=profile.id, room_id=room_id)
    changed = {"profile_id": profile.id, "room_id": room_id}
    written = row.on_conflict_do_update(index_elements=["device_id"], set_=changed).returning(FilterLabel)
    label = session.scalars(written, execution_options={"populate_existing": True}).one()
    after = {"profile_id": str(profile.id), "room_id": str(room_id or "")}
    events.note(
        session, viewer.name, "label.set", device.asset_tag, now, subject_id=device.id,
        before=told, after=after, school_id=device.school_id,
    )  # fmt: skip
    policies.publish(session, viewer.name, f"Appareil {device.asset_tag}", now)
    return label, device


def remove_label(session: Session, viewer: Viewer, device_id: UUID, now: datetime) -> Device:
    """The device goes by its network again. Raise NotFound when it had no profile of its own."""
    viewer.must(Action.EDIT_FILTER)
    policies.lock(session)
    device = devices.get_device(session, viewer, device_id)
    label = session.get(FilterLabel, device.id, populate_existing=True)
    if label is None:
        raise NotFound("filtering.label_not_found", "Cet appareil n’a pas de profil à lui.")
    events.note(
        session, viewer.name, "label.remove", device.asset_tag, now, subject_id=device.id,
        before={"profile_id": str(label.profile_id)}, school_id=device.school_id,
    )  # fmt: skip
    session.delete(label)
    session.flush()
    policies.publish(session, viewer.name, f"Appareil {device.asset_tag} sans profil à lui", now)
    return device
