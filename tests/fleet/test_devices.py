"""Devices through HTTP: lists, search, life cycle, moves, rights; and what identifies a machine."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.protocol import Identity
from fleet.accounts.sessions import as_viewer
from fleet.devices import service
from fleet.devices.identity import Known, Likeness, clean, clean_mac, clean_serial, clean_uuid, compare
from fleet.devices.labels import EVENTS, KINDS, PLATFORMS, STATUSES
from fleet.devices.models import MOVES, Device, DeviceEvent, DeviceKind, DeviceStatus, Platform
from fleet.errors import Conflict, Invalid, NotAllowed
from fleet.operator import OPERATOR
from fleet.scope import Role
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.fleet.talking import TECHNICIAN
from tests.sign_in import signed_in

# ---- identity


@pytest.mark.parametrize(
    "serial",
    [None, "", "  ", "0", "00000000", "To be filled by O.E.M.", "To Be Filled By O.E.M", "Default string", "N/A",
     "System Serial Number", "Not Specified", "none", "NONE", "XXXXXXXXXX", "123456789", "0123456789", "...........",
     "ffffffff", "OEM", "SN", "Not Applicable", "INVALID", "Unknown", "Chassis Serial Number", "\t\n", "éé",
     "ABC\x1b[2J"],
)  # fmt: skip
def test_a_makers_placeholder_is_no_serial(serial: str | None) -> None:
    assert clean_serial(serial) is None


@pytest.mark.parametrize(
    ("serial", "kept"), [(" sg75-004217 ", "SG75-004217"), ("5CD1234XYZ", "5CD1234XYZ"), ("PF 3A  99", "PF 3A 99")]
)
def test_a_real_serial_is_kept_in_one_writing(serial: str, kept: str) -> None:
    assert clean_serial(serial) == kept


@pytest.mark.parametrize(
    "smbios_uuid",
    [None, "", "Not Settable", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
     "03000200-0400-0500-0006-000700080009", "00020003-0004-0005-0006-000700080009",
     "11111111-1111-1111-1111-111111111111", "fefefefe-fefe-fefe-fefe-fefefefefefe", "8f14e45f",
     "8f14e45fceea467fa8f10c3b6d4e2a91"],
)  # fmt: skip
def test_a_makers_default_is_no_uuid(smbios_uuid: str | None) -> None:
    assert clean_uuid(smbios_uuid) is None


def test_a_uuid_is_read_in_any_writing() -> None:
    assert clean_uuid(" {8F14E45F-CEEA-467F-A8F1-0C3B6D4E2A91} ") == "8f14e45f-ceea-467f-a8f1-0c3b6d4e2a91"


@pytest.mark.parametrize(
    "mac",
    ["", "x", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "02:42:ac:11:00:02", "52:54:00:12:34:56",
     "0a:00:27:00:00:00", "00:50:56:c0:00:08", "00:15:5d:01:02:03", "da:a1:19:00:00:01", "00:1b:21:3c:4d", "00-1b"],
)  # fmt: skip
def test_an_address_that_others_share_or_that_changes_is_dropped(mac: str) -> None:
    assert clean_mac(mac) is None


def test_an_address_is_read_in_any_writing() -> None:
    assert clean_mac(" 00-1B-21-3C-4D-5E ") == "00:1b:21:3c:4d:5e"


A, B = "8f14e45f-ceea-467f-a8f1-0c3b6d4e2a91", "9f14e45f-ceea-467f-a8f1-0c3b6d4e2a92"
SAME, OTHER, DOUBT = Likeness.SAME, Likeness.OTHER, Likeness.CONTRADICTION
LIKENESS = {
    "all the same": (Known("S1", A, frozenset("m")), Known("S1", A, frozenset("m")), SAME),
    "a new network card": (Known("S1", A, frozenset("m")), Known("S1", A, frozenset("n")), SAME),
    "the serial alone": (Known("S1"), Known("S1"), SAME),
    "the UUID was blank before": (Known("S1", None), Known("S1", A), SAME),
    "a new board, the serial written again": (Known("S1", A), Known("S1", B), DOUBT),
    "a copied UUID": (Known("S1", A), Known("S2", A), DOUBT),
    "two machines": (Known("S1", A), Known("S2", B), OTHER),
    "a dock that travels": (Known("S1", A, frozenset("d")), Known("S2", B, frozenset("d")), OTHER),
    "a dock, the serials differ": (Known("S1", None, frozenset("d")), Known("S2", None, frozenset("d")), OTHER),
    "addresses alone, the same": (Known(None, None, frozenset("mn")), Known(None, None, frozenset("mn")), SAME),
    "addresses alone, Wi-Fi off": (Known(None, None, frozenset("mn")), Known(None, None, frozenset("m")), SAME),
    "addresses alone, one shared": (Known(None, None, frozenset("md")), Known(None, None, frozenset("nd")), OTHER),
    "nothing to compare": (Known("S1"), Known(None, A), OTHER),
    "nothing at all": (Known(), Known(), OTHER),
}


@pytest.mark.parametrize("case", LIKENESS)
def test_likeness(case: str) -> None:
    known, seen, likeness = LIKENESS[case]
    assert compare(known, seen) is likeness
    assert compare(seen, known) is likeness


texts = st.none() | st.text(max_size=40)


@given(texts, texts, st.lists(st.text(max_size=20), max_size=4).map(tuple))
def test_any_identity_is_cleaned_into_itself(
    serial: str | None, smbios_uuid: str | None, macs: tuple[str, ...]
) -> None:
    once = clean(Identity(serial, smbios_uuid, macs))
    assert clean(Identity(once.serial, once.smbios_uuid, tuple(once.macs))) == once


# ---- the list


@pytest.mark.parametrize("typed", ["wifi saint exupery", "WI-FI st", "St-Exupéry"])
def test_two_spellings_find_one_device(api: TestClient, session: Session, typed: str) -> None:
    make_device(session, name="Borne Wi-Fi", school=make_school(session, name="École Saint-Exupéry"))
    signed_in(api, make_user(session))
    assert api.get("/api/v1/devices", params={"search": typed}).json()["total"] == 1


def test_a_technician_lists_searches_and_sorts(api: TestClient, session: Session) -> None:
    zay = make_school(session, name="École Jean Zay")
    mace = make_school(session, name="École Macé")
    make_device(session, school=zay, name="Écran salle 2", last_seen_at=NOON)
    make_device(session, school=zay, name="Tablette étagère", kind=DeviceKind.TABLET, platform=Platform.IPADOS)
    make_device(session, school=mace, name="écran cdi", status=DeviceStatus.FAILED, silent_since=NOON)
    make_device(session, school=None, name="Portable en réserve", kind=DeviceKind.LAPTOP)
    signed_in(api, make_user(session))

    def names(**asked: Any) -> list[str]:
        answer = api.get("/api/v1/devices", params=asked)
        assert answer.status_code == 200, answer.text
        assert answer.json()["total"] == len(answer.json()["rows"])
        return [row["name"] for row in answer.json()["rows"]]

    assert len(names()) == 4
    assert names(search="ecran", sort="name") == ["écran cdi", "Écran salle 2"]
    assert names(search="ECRAN zay") == ["Écran salle 2"]
    assert names(search="zay etag") == ["Tablette étagère"]
    assert names(search="%") == names()
    assert names(kind="laptop") == ["Portable en réserve"]
    assert names(status="failed") == names(silent="true") == ["écran cdi"]
    assert len(names(silent="false")) == 3
    assert names(school_id=str(mace.id)) == names(collectivity_id=str(mace.collectivity_id)) == ["écran cdi"]
    assert names(sort="-last_seen")[0] == "Écran salle 2"
    assert names(sort="school")[0] == "Portable en réserve"
    for sort in service.SORTABLE:
        assert len(names(sort=sort)) == len(names(sort=f"-{sort}")) == 4


@pytest.mark.parametrize(
    "asked", [{"sort": "facts"}, {"kind": "toaster"}, {"page": 0}, {"size": 501}, {"school_id": "x"}]
)
def test_a_list_that_makes_no_sense_is_refused(api: TestClient, session: Session, asked: dict[str, Any]) -> None:
    signed_in(api, make_user(session))
    assert api.get("/api/v1/devices", params=asked).status_code == 422


def test_a_long_list_costs_no_more_statements_than_a_short_one(
    api: TestClient, session: Session, statements: list[str]
) -> None:
    signed_in(api, make_user(session))

    def cost() -> int:
        session.expire_all()
        statements.clear()
        assert api.get("/api/v1/devices", params={"size": 500}).status_code == 200
        return len(statements)

    make_device(session)
    few = cost()
    for _ in range(30):
        make_device(session)
    assert cost() == few <= 7  # two of them enter doors


def test_the_list_is_exported_for_a_spreadsheet(api: TestClient, session: Session) -> None:
    school = make_school(session, name="École Jean Zay")
    make_device(session, school=school, name="=cmd|calc", last_seen_at=NOON)
    make_device(session, school=None, kind=DeviceKind.ROBOT_KIT, platform=Platform.NONE)
    signed_in(api, make_user(session))
    answer = api.get("/api/v1/devices/export.csv")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert [row["type"] for row in rows] == ["Écran interactif", "Kit robotique"]
    assert (rows[0]["uai"], rows[0]["ecole"], rows[0]["vu_le"]) == (school.uai, "École Jean Zay", "24/11/2026 12:00")
    assert rows[0]["nom"] == "'=cmd|calc"
    filtered = api.get("/api/v1/devices/export.csv", params={"kind": "display"})
    assert len(filtered.text.splitlines()) == 2


# ---- by hand


def test_a_kit_is_registered_edited_and_moved(api: TestClient, session: Session) -> None:
    school, other = make_school(session, name="Zay"), make_school(session, name="Macé")
    signed_in(api, make_user(session, name="Camille"))
    body = {
        "kind": "robot_kit",
        "name": "  Kit   robots A ",
        "school_id": str(school.id),
        "serial": "To be filled by O.E.M.",
    }
    made = api.post("/api/v1/devices", json=body)
    assert made.status_code == 201, made.text
    kit = made.json()
    assert (kit["name"], kit["platform"], kit["status"], kit["serial"]) == ("Kit robots A", "none", "in_stock", None)
    assert kit["asset_tag"].startswith("PRE-")
    assert len(kit["asset_tag"]) == 10
    url = f"/api/v1/devices/{kit['id']}"
    assert api.patch(url, json={"room": "Salle 4", "model": "Thymio"}).json()["room"] == "Salle 4"
    assert api.get("/api/v1/devices", params={"search": "thymio salle 4"}).json()["total"] == 1
    assert api.patch(url, json={"model": ""}).json()["model"] is None
    assert api.get("/api/v1/devices", params={"search": "thymio"}).json()["total"] == 0
    moved = api.post(f"{url}/move", json={"school_id": str(other.id)}).json()
    assert (moved["school"]["name"], moved["room"]) == ("Macé", None)
    assert api.post(f"{url}/move", json={"school_id": str(other.id)}).json()["code"] == "device.same_school"
    events = api.get(f"{url}/events").json()
    assert {(e["kind"], e["by"]) for e in events} == {
        (k, "Camille") for k in ("registered", "edited", "moved", "arrived")
    }
    assert "Zay → Macé" in [e["detail"] for e in events]
    assert "2026-11-24T11:00:00Z" in {e["at"] for e in events}


def test_asset_tags_and_labels_are_never_given_twice(session: Session) -> None:
    school = make_school(session)
    made = [
        service.register_device(session, TECHNICIAN, kind=DeviceKind.TABLET, school=school, name="T", now=NOON)
        for _ in range(30)
    ]
    assert len({d.asset_tag for d in made}) == len({d.label for d in made}) == 30
    assert all(len(d.label) == 16 and d.label.isalnum() and d.label.islower() and d.label.isascii() for d in made)


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "a\x00b", "\ud800", "\x1b[2J"])
def test_a_device_has_a_name(session: Session, name: str) -> None:
    device = service.get_device(session, TECHNICIAN, make_device(session).id)
    with pytest.raises(Invalid):
        service.edit_device(session, TECHNICIAN, device, name=name, now=NOON)


def test_an_edit_that_changes_nothing_leaves_no_event(session: Session) -> None:
    device = service.get_device(session, TECHNICIAN, make_device(session, room="2").id)
    service.edit_device(session, TECHNICIAN, device, name=device.name, room="2", now=NOON)
    session.flush()
    assert session.scalars(select(DeviceEvent)).all() == []


@pytest.mark.parametrize("field", ["name", "room", "manufacturer", "model"])
@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "x" * 121])
def test_text_that_the_database_cannot_hold_is_refused(
    api: TestClient, session: Session, field: str, text: str
) -> None:
    signed_in(api, make_user(session))
    body = json.dumps({"kind": "tablet", "name": "T"} | {field: text}).encode()
    answer = api.post("/api/v1/devices", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, session.scalars(select(Device)).all()) == (422, [])


def test_a_malformed_request_is_told_by_field_and_not_echoed(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    for extra, fields in (("secret", {"body.kind", "body.name", "body.secret"}), ("half \udfff", {"body"})):
        body = json.dumps({"kind": "toaster", extra: "hunter2"}).encode()
        answer = api.post("/api/v1/devices", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
        assert {problem["field"] for problem in answer.json()["problems"]} == fields
        assert "hunter2" not in answer.text


# ---- life


@pytest.mark.parametrize("start", DeviceStatus)
@pytest.mark.parametrize("goal", DeviceStatus)
def test_only_legal_moves_are_made_and_each_leaves_an_event(
    session: Session, start: DeviceStatus, goal: DeviceStatus
) -> None:
    device = service.get_device(session, TECHNICIAN, make_device(session, status=start, silent_since=NOON).id)
    if goal in MOVES[start]:
        service.change_status(session, TECHNICIAN, device, goal, NOON)
        session.flush()
        event = session.scalars(select(DeviceEvent)).one()
        assert (event.kind, event.detail) == ("status", f"{STATUSES[start]} → {STATUSES[goal]}")
        assert (device.silent_since is None) == (goal is not DeviceStatus.ACTIVE)
    else:
        with pytest.raises(Conflict, match=STATUSES[start]):
            service.change_status(session, TECHNICIAN, device, goal, NOON)
    assert device.status is (goal if goal in MOVES[start] else start)


def test_a_life_over_http(api: TestClient, session: Session) -> None:
    device = make_device(session)
    signed_in(api, make_user(session))
    url = f"/api/v1/devices/{device.id}/status"
    assert api.post(url, json={"status": "retired"}).json()["status"] == "retired"
    refused = api.post(url, json={"status": "active"})
    assert (refused.status_code, refused.json()["code"]) == (409, "device.move_refused")
    assert "En stock" in refused.json()["detail"]
    assert api.post(url, json={"status": "gone"}).status_code == 422


def test_words_exist_for_all_that_a_device_may_be() -> None:
    assert (set(KINDS), set(PLATFORMS), set(STATUSES)) == (set(DeviceKind), set(Platform), set(DeviceStatus))
    assert {"enrolled", "adopted", "silent", "back", "profile_issued"} <= set(EVENTS)
    assert set(service.PLATFORMS) == set(DeviceKind)


# ---- who sees and does what


def test_an_officer_sees_the_kit_of_his_commune_and_changes_nothing(api: TestClient, session: Session) -> None:
    mine, theirs = make_collectivity(session), make_collectivity(session)
    ours = make_device(session, school=make_school(session, collectivity=mine))
    other_school = make_school(session, collectivity=theirs)
    other = make_device(session, school=other_school)
    store = make_device(session, school=None)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=mine))
    assert [row["id"] for row in api.get("/api/v1/devices").json()["rows"]] == [str(ours.id)]
    assert str(other.asset_tag) not in api.get("/api/v1/devices/export.csv").text
    assert api.get("/api/v1/devices", params={"school_id": str(other_school.id)}).json()["total"] == 0
    for hidden in (other, store):
        for method, path, body in (
            ("GET", "", None),
            ("GET", "/events", None),
            ("PATCH", "", {"name": "à moi"}),
            ("POST", "/move", {"school_id": str(ours.school_id)}),
            ("POST", "/status", {"status": "lost"}),
        ):
            answer = api.request(method, f"/api/v1/devices/{hidden.id}{path}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "device.not_found"), path
    url = f"/api/v1/devices/{ours.id}"
    assert api.get(url).status_code == 200
    assert api.patch(url, json={"name": "x"}).status_code == 403
    assert api.post(f"{url}/status", json={"status": "lost"}).status_code == 403
    assert api.post("/api/v1/devices", json={"kind": "tablet", "name": "x"}).status_code == 403


def test_a_technician_of_one_commune_cannot_give_a_device_away(session: Session) -> None:
    mine, theirs = make_collectivity(session), make_collectivity(session)
    device = make_device(session, school=make_school(session, collectivity=mine))
    viewer = as_viewer(session, make_user(session, Role.TECHNICIAN, collectivity=mine), NOON)
    seen = service.get_device(session, viewer, device.id)
    with pytest.raises(NotAllowed):
        service.move_device(session, viewer, seen, make_school(session, collectivity=theirs), NOON)


def test_a_school_lead_sees_his_school(api: TestClient, session: Session) -> None:
    commune = make_collectivity(session)
    school = make_school(session, collectivity=commune)
    ours = make_device(session, school=school)
    make_device(session, school=make_school(session, collectivity=commune))
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    assert [row["id"] for row in api.get("/api/v1/devices").json()["rows"]] == [str(ours.id)]


def test_devices_are_counted_as_far_as_one_sees(session: Session) -> None:
    mine = make_collectivity(session)
    school = make_school(session, collectivity=mine)
    make_device(session, school=school)
    make_device(session, school=school, status=DeviceStatus.LOST)
    make_device(session)
    counts = service.count_devices(session, TECHNICIAN)
    assert counts == {(DeviceKind.DISPLAY, DeviceStatus.ACTIVE): 2, (DeviceKind.DISPLAY, DeviceStatus.LOST): 1}
    assert service.count_devices(session, TECHNICIAN, collectivity_id=mine.id) == {
        (DeviceKind.DISPLAY, DeviceStatus.ACTIVE): 1,
        (DeviceKind.DISPLAY, DeviceStatus.LOST): 1,
    }


def test_strangers_see_nothing(api: TestClient, session: Session) -> None:
    device = make_device(session)
    for path in ("", "/export.csv", f"/{device.id}", f"/{device.id}/events"):
        assert api.get(f"/api/v1/devices{path}").status_code == 401


def test_events_are_newest_first(session: Session) -> None:
    device: Device = make_device(session)
    session.add_all(
        DeviceEvent(device_id=device.id, at=NOON + timedelta(minutes=n), kind=str(n), detail="") for n in (1, 3, 2)
    )
    session.flush()
    assert [event.kind for event in service.list_events(session, OPERATOR, device)] == ["3", "2", "1"]


def test_a_device_that_moves_leaves_its_past_to_the_operator(session: Session) -> None:
    here, there = make_school(session), make_school(session)
    device = make_device(session, school=here)
    technician = as_viewer(session, make_user(session), NOON)
    service.edit_device(session, technician, device, room="Bureau de Mme X", now=NOON)
    service.move_device(session, technician, device, there, NOON)
    newcomer = as_viewer(session, make_user(session, Role.OFFICER, collectivity=there.collectivity), NOON)
    assert [event.kind for event in service.list_events(session, newcomer, device)] == ["arrived"]
    assert {event.kind for event in service.list_events(session, technician, device)} == {"edited", "moved", "arrived"}
