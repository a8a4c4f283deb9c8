"""A profile is removed once nobody has it; a room changes its name."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.devices.models import DeviceStatus
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound
from fleet.filtering import service
from fleet.filtering.exceptions import overrides, rooms
from fleet.filtering.exceptions.overrides import Wish
from fleet.filtering.policy import editing, events
from fleet.filtering.policy.layers import LayerSettings, NameLine
from fleet.filtering.policy.models import FilterLabel, FilterLayer, FilterProfile
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.factories import NOON, make_device, make_school, make_user
from tests.fleet.deciding import current_settings, make_room, profile_named, viewer_of
from tests.sign_in import signed_in


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


@pytest.fixture
def staff(session: Session) -> Viewer:
    return viewer_of(session)


@pytest.fixture
def profile(session: Session, staff: Viewer) -> FilterProfile:
    """One more profile, of which the operator and nobody else says something."""
    service.ensure_default_profile(session)
    added = service.add_profile(session, staff, "mediatheque", "Médiathèque", NOON)
    says = LayerSettings(names=(NameLine("exemple.fr", Verdict.ALLOW),))
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, added, says, NOON)
    return added


def slugs(session: Session) -> set[str]:
    return {each.slug for each in current_settings(session).profiles}


def test_an_unused_profile_goes_with_its_layers_and_the_policy_says_so(
    session: Session, staff: Viewer, profile: FilterProfile
) -> None:
    assert "mediatheque" in slugs(session)
    profile_id = profile.id
    service.remove_profile(session, staff, profile_id, NOON)
    assert "mediatheque" not in slugs(session)
    assert session.scalars(select(FilterLayer).where(FilterLayer.profile_id == profile_id)).first() is None
    [event] = events.list_events(session, staff, verb="profile.remove").rows
    assert (event.subject, event.by, event.subject_id) == ("Médiathèque", staff.name, profile_id)
    with pytest.raises(NotFound):
        service.remove_profile(session, staff, profile_id, NOON)


def test_a_profile_in_use_stays_and_who_uses_it_is_said(
    session: Session, staff: Viewer, school: School, profile: FilterProfile
) -> None:
    device = make_device(session, school=school)
    found = find_place(session, staff, school_id=school.id)
    network = rooms.add_network(session, staff, "10.77.0.0/24", profile, found, NOON)
    rooms.set_label(session, staff, device.id, profile, None, NOON)
    wish = Wish(Verdict.ALLOW, "Semaine du livre", NOON, NOON + timedelta(days=2), ["livre.example"])
    overrides.add_override(session, staff, found, profile, wish, NOON)
    with pytest.raises(Conflict) as refused:
        service.remove_profile(session, staff, profile.id, NOON)
    for told in (
        "1 réseau : 10.77.0.0/24 (École Jean Macé)",
        f"1 appareil : {device.asset_tag}",
        "« Semaine du livre »",
    ):
        assert told in refused.value.detail
    rooms.remove_network(session, staff, network.id, NOON)
    rooms.remove_label(session, staff, device.id, NOON)
    service.remove_profile(session, staff, profile.id, NOON + timedelta(days=3))  # the override is over
    assert "mediatheque" not in slugs(session)


def test_a_retired_device_keeps_no_profile_alive(
    session: Session, staff: Viewer, school: School, profile: FilterProfile
) -> None:
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, profile, None, NOON)
    device.status = DeviceStatus.RETIRED
    session.flush()
    service.remove_profile(session, staff, profile.id, NOON)
    assert session.scalars(select(FilterLabel)).all() == []


def test_of_many_users_the_first_are_named(session: Session, staff: Viewer, profile: FilterProfile) -> None:
    for number in range(7):
        rooms.add_network(session, staff, f"10.77.{number}.0/24", profile, editing.OPERATOR_FOUND, NOON)
    with pytest.raises(Conflict) as refused:
        service.remove_profile(session, staff, profile.id, NOON)
    assert "7 réseaux : 10.77.0.0/24" in refused.value.detail
    assert "et 2 de plus" in refused.value.detail


def test_the_default_profile_stays(session: Session, staff: Viewer) -> None:
    with pytest.raises(Conflict):
        service.remove_profile(session, staff, service.ensure_default_profile(session).id, NOON)


def test_only_who_edits_may_remove(session: Session, profile: FilterProfile) -> None:
    with pytest.raises(NotAllowed):
        service.remove_profile(session, viewer_of(session, Role.AUDITOR), profile.id, NOON)


def test_over_http(api: TestClient, session: Session, school: School, profile: FilterProfile) -> None:
    signed_in(api, make_user(session))
    address = f"/api/v1/filtering/profiles/{profile.id}"
    assert api.delete(address).status_code == 204
    assert api.delete(address).status_code == 404
    assert api.delete(f"/api/v1/filtering/profiles/{profile_named(session, 'elementaire').id}").status_code == 409
    room = api.post("/api/v1/filtering/rooms", json={"school_id": str(school.id), "name": "Salle 1"}).json()
    renamed = api.patch(f"/api/v1/filtering/rooms/{room['id']}", json={"name": "Atelier"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "Atelier")


def test_a_room_is_renamed_and_its_profile_is_called_so(session: Session, staff: Viewer, school: School) -> None:
    room = make_room(session, staff, school)
    says = LayerSettings(names=(NameLine("exemple.fr", Verdict.ALLOW),))
    profile = profile_named(session, "elementaire")
    editing.set_layer(session, staff, find_place(session, staff, room_id=room.id), profile, says, NOON)
    before = room.name
    rooms.rename_room(session, staff, room.id, " Salle  informatique ", NOON)
    assert room.name == "Salle informatique"
    [event] = events.list_events(session, staff, verb="room.rename").rows
    assert (event.before, event.after) == ({"name": before}, {"name": "Salle informatique"})
    assert any("Salle informatique" in each.name for each in current_settings(session).profiles)
    rooms.rename_room(session, staff, room.id, "Salle informatique", NOON)  # the same again is no change
    assert events.list_events(session, staff, verb="room.rename").total == 1


def test_two_rooms_of_a_school_do_not_share_a_name(session: Session, staff: Viewer, school: School) -> None:
    room, other = make_room(session, staff, school), make_room(session, staff, school)
    with pytest.raises(Conflict):
        rooms.rename_room(session, staff, room.id, other.name, NOON)
    with pytest.raises(Invalid):
        rooms.rename_room(session, staff, room.id, "  ", NOON)
    with pytest.raises(NotAllowed):
        rooms.rename_room(session, viewer_of(session, Role.SCHOOL_LEAD, school=school), room.id, "À moi", NOON)
