"""Layers, schedules, rooms, labels and networks over HTTP: who edits, who reads."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.errors import NotAllowed
from fleet.filtering import service
from fleet.filtering.policy import editing
from fleet.filtering.policy.layers import (
    LayerSettings,
    NameLine,
)
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.fleet.deciding import make_room, profile_named, viewer_of
from tests.sign_in import signed_in

BASE = "/api/v1/filtering"


def test_staff_edits_layers_over_http(api: TestClient, session: Session, school: School) -> None:
    signed_in(api, make_user(session))
    college = profile_named(session, "college")
    body = {
        "profile_id": str(college.id), "school_id": str(school.id),
        "categories": [{"category": "games", "verdict": "allow", "locked": True}],
        "names": [{"name": "radio.example", "verdict": "allow", "reason": "club"}],
        "engines": [{"engine": "bing", "on": False}], "youtube": {"level": "off"},
    }  # fmt: skip
    assert api.put(f"{BASE}/layers", json=body).status_code == 204
    [layer] = api.get(f"{BASE}/layers", params={"school_id": str(school.id)}).json()["rows"]
    assert layer["content"]["names"][0]["reason"] == "club"
    effective = api.get(f"{BASE}/effective", params={"profile_id": str(college.id), "school_id": str(school.id)}).json()
    lines = {(line["part"], line["key"]): line for line in effective["lines"]}
    games = lines["categories", "games"]
    assert (games["layer"], games["locked"], games["by"]) == ("École Jean Macé", True, layer["updated_by"])
    assert lines["categories", "adult"]["layer"] == "Aisne"
    assert lines["youtube", "youtube"]["says"] == {"level": "off"}
    for wrong in (
        {"names": [{"name": "a.fr", "verdict": "non"}]}, {"names": [{"name": "a.fr"}]}, {"youtube": {"level": "x"}},
        {"categories": [{"category": "games", "verdict": "block", "locked": "oui"}]}, {"extra": 1}, {"profile_id": 1},
    ):  # fmt: skip
        assert api.put(f"{BASE}/layers", json=body | wrong).status_code == 422
    assert api.get(f"{BASE}/policies").json()["total"] > 0
    exported = api.get(f"{BASE}/events/export.csv")
    assert exported.headers["content-type"].startswith("text/csv")
    assert "layer.set" in exported.content.decode("utf-8-sig")


def test_staff_edits_schedules_rooms_and_labels_over_http(api: TestClient, session: Session, school: School) -> None:
    signed_in(api, make_user(session))
    body = {
        "slug": "cantine", "name": "Cantine", "zone_b": False,
        "weekly": [{"weekdays": [3, 0, 0], "hours": ["12:00", "13:30"]}],
        "exceptions": [{"day": "2026-11-26", "hours": [["11:00", "24:00"]]}, {"day": "2026-11-27"}],
        "holidays": [{"first": "2026-12-01", "last": "2026-12-02", "name": "Foire"}],
    }  # fmt: skip
    made = api.post(f"{BASE}/schedules", json=body)
    assert (made.status_code, made.json()["is_active"]) == (201, False)
    assert made.json()["content"]["weekly"] == [{"weekdays": [0, 3], "start": "12:00:00", "end": "13:30:00"}]
    path = f"{BASE}/schedules/{made.json()['id']}"
    assert api.put(path, json=body | {"name": "Repas"}).json()["name"] == "Repas"
    for wrong in (
        {"weekly": [{"weekdays": [7], "hours": ["12:00", "13:30"]}]},
        {"weekly": [{"weekdays": [0], "hours": ["12", "13"]}]},
        {"weekly": [{"weekdays": [0], "hours": ["12:00"]}]}, {"exceptions": [{"day": "26/11/2026"}]}, {"slug": "É"},
    ):  # fmt: skip
        assert api.post(f"{BASE}/schedules", json=body | wrong).status_code == 422
    assert api.delete(path).status_code == 204
    room = api.post(f"{BASE}/rooms", json={"school_id": str(school.id), "name": "Salle 3"})
    assert room.status_code == 201
    assert api.post(f"{BASE}/rooms", json={"school_id": str(school.id), "name": " Salle  3 "}).status_code == 409
    device = make_device(session, school=school)
    ecrans = profile_named(session, "ecrans")
    label = {"profile_id": str(ecrans.id), "room_id": room.json()["id"]}
    assert api.put(f"{BASE}/labels/{device.id}", json=label).status_code == 204
    [told] = api.get(f"{BASE}/labels").json()
    assert (told["asset_tag"], told["room_id"]) == (device.asset_tag, room.json()["id"])
    network = {"cidr": "10.77.0.0/24", "profile_id": str(ecrans.id), "room_id": room.json()["id"]}
    assert api.post(f"{BASE}/networks", json=network).json()["school_id"] == str(school.id)
    [use] = [u for u in api.get(f"{BASE}/schools/{school.id}/profiles").json() if u["room_id"]]
    assert (use["profile"]["slug"], use["networks"], use["devices"]) == ("ecrans", ["10.77.0.0/24"], 1)
    assert api.delete(f"{BASE}/labels/{device.id}").status_code == 204
    assert api.delete(f"{BASE}/rooms/{room.json()['id']}").status_code == 204


def test_the_commune_and_the_school_read_their_policy_and_change_none(
    api: TestClient, session: Session, staff: Viewer, school: School
) -> None:
    college = profile_named(session, "college")
    room = make_room(session, staff, school, "college")
    place = find_place(session, staff, school_id=school.id)
    says = LayerSettings(names=(NameLine("radio.example", Verdict.ALLOW),))
    editing.set_layer(session, staff, place, college, says, NOON)
    editing.set_layer(session, staff, find_place(session, staff, school.collectivity_id), college, says, NOON)
    where = {"profile_id": str(college.id), "school_id": str(school.id)}
    people = (
        (make_user(session, Role.SCHOOL_LEAD, school=school), 1),
        (make_user(session, Role.OFFICER, collectivity=school.collectivity), 2),
    )
    for person, layers in people:
        signed_in(api, person)
        assert api.get(f"{BASE}/effective", params=where).status_code == 200
        assert api.get(f"{BASE}/layers").json()["total"] == layers
        assert [r["id"] for r in api.get(f"{BASE}/rooms").json()] == [str(room.id)]
        assert api.put(f"{BASE}/layers", json=where).status_code == 403
        assert api.put(f"{BASE}/layers", json={"profile_id": str(college.id)}).status_code == 403
        assert api.post(f"{BASE}/rooms", json={"school_id": str(school.id), "name": "x"}).status_code == 403
        assert api.get(f"{BASE}/policies").status_code == 403
        assert api.get(f"{BASE}/networks").status_code == 403
    for neighbour in (
        make_user(session, Role.SCHOOL_LEAD, school=make_school(session)),
        make_user(session, Role.OFFICER, collectivity=make_collectivity(session)),
    ):
        signed_in(api, neighbour)
        assert api.get(f"{BASE}/effective", params=where).status_code == 404
        assert api.get(f"{BASE}/effective", params=where | {"room_id": str(room.id)}).status_code == 404
        assert api.get(f"{BASE}/schools/{school.id}/profiles").status_code == 404
        assert api.put(f"{BASE}/layers", json=where).status_code == 404
        assert api.delete(f"{BASE}/rooms/{room.id}").status_code == 404
        assert api.get(f"{BASE}/layers").json()["total"] == 0


def test_a_network_is_given_by_staff_only(session: Session, school: School) -> None:
    lead = viewer_of(session, Role.SCHOOL_LEAD, school=school)
    with pytest.raises(NotAllowed):
        service.add_network(session, lead, "10.1.0.0/16", profile_named(session, "college").id, school, NOON)
