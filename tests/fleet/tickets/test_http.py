"""Tickets over HTTP."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.schools.models import School
from fleet.scope import Role
from tests.factories import make_collectivity, make_device, make_school, make_ticket, make_user
from tests.fleet.tickets.town import ASSIGNED
from tests.sign_in import signed_in


def test_a_ticket_over_http_from_opening_to_closing(api: TestClient, session: Session) -> None:
    school: School = make_school(session)
    device = make_device(session, school=school)
    officer = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    technician = make_user(session)
    signed_in(api, officer)
    body = {
        "kind": "incident", "subject": "device", "title": "Écran noir", "description": "Depuis lundi.",
        "device_id": str(device.id), "request_key": "0123456789",
    }  # fmt: skip
    opened = api.post("/api/v1/tickets", json=body)
    assert opened.status_code == 201, opened.text
    path = f"/api/v1/tickets/{opened.json()['id']}"
    assert api.post("/api/v1/tickets", json=body).json()["id"] == opened.json()["id"]
    assert opened.json()["moves"] == ["close", "follow_up"]
    assert api.post(f"{path}/assign", json={"to_id": str(technician.id)}).status_code == 403
    assert api.get(f"{path}/mails").json() == []

    signed_in(api, technician)
    for verb, sent in (
        ("assign", {"to_id": str(technician.id)}),
        ("plan", {"planned_for": "2026-11-26T09:00:00+01:00"}),
        ("follow-ups", {"body": "Câble à changer", "is_public": False}),
        ("hold", {"note": "Câble commandé"}),
        ("resume", {}),
        ("solve", {"resolution": "Câble changé"}),
    ):
        answer = api.post(f"{path}/{verb}", json=sent)
        assert answer.status_code in {200, 201}, answer.text
    assert {m["occasion"] for m in api.get(f"{path}/mails").json()} == {"opened", "received"}
    assert api.get("/api/v1/tickets", params={"search": school.uai}).json()["total"] == 1
    export = api.get("/api/v1/tickets/export.csv", params={"search": school.uai})
    assert "Écran noir" in export.content.decode("utf-8-sig")
    assert "Câble à changer" not in export.text

    signed_in(api, officer)
    seen = api.get(path).json()
    assert (seen["status"], seen["follow_ups"], seen["moves"]) == ("solved", [], ["close", "follow_up", "reopen"])
    api.post(f"{path}/reopen", json={"note": "Encore noir"})
    assert api.get(path).json()["status"] == "assigned"
    refusal = api.post(f"{path}/close", json={})
    assert (refusal.status_code, refusal.json()["code"]) == (409, "ticket.move_refused")


TOO_FAR = {"code": "ticket.planned_too_far", "detail": "Choisissez une date dans les deux ans."}
PAST = {"code": "ticket.planned_in_the_past", "detail": "Choisissez une date à venir."}
NO_MOMENT = {"code": "request.invalid", "detail": "Demande mal formée : body.planned_for."}


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2028-11-24T12:00:00+01:00", TOO_FAR),  # 731 days: 2028 is a leap year
        ("9999-12-31T23:59:59Z", TOO_FAR),
        ("9999-12-31T23:59:59-14:00", NO_MOMENT),  # in UTC it would be the year 10000
        ("0001-01-01T00:00:00+14:00", NO_MOMENT),  # and this one the year 0
        ("0001-01-01T00:00:00Z", PAST),
        ("10000-01-01T00:00:00Z", NO_MOMENT),
        ("2026-11-26T09:00:00", NO_MOMENT),  # whose nine o'clock?
    ],
)
def test_a_moment_that_nobody_can_mean_is_refused_and_changes_nothing(
    api: TestClient, session: Session, moment: str, told: dict[str, str]
) -> None:
    technician = make_user(session)
    ticket = make_ticket(session, status=ASSIGNED, assigned_to_id=technician.id)
    path = f"/api/v1/tickets/{ticket.id}"
    before = signed_in(api, technician).get(path).json()
    refusal = api.post(f"{path}/plan", json={"planned_for": moment})
    assert refusal.status_code == 422
    assert {key: refusal.json()[key] for key in told} == told
    assert api.get(path).json() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "panne"}, {"title": 5}, {"title": ""}, {"description": "x" * 10_001}, {"school_id": "abc"},
        {"unexpected": True}, {"request_key": "court"},
    ],
)  # fmt: skip
def test_bodies_are_strict(api: TestClient, session: Session, wrong: dict[str, Any]) -> None:
    signed_in(api, make_user(session))
    body = {"kind": "incident", "subject": "school", "title": "T", "description": "D"} | wrong
    assert api.post("/api/v1/tickets", json=body).status_code == 422


def test_http_tells_a_neighbour_nothing(api: TestClient, session: Session) -> None:
    ticket = make_ticket(session)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    path = f"/api/v1/tickets/{ticket.id}"
    assert api.get(path).status_code == api.post(f"{path}/close", json={}).status_code == 404
    assert api.get("/api/v1/tickets").json()["rows"] == []
    body = {
        "kind": "request",
        "subject": "school",
        "title": "T",
        "description": "D",
        "school_id": str(ticket.school_id),
    }
    assert api.post("/api/v1/tickets", json=body).status_code == 404


def test_nobody_without_signing_in(api: TestClient) -> None:
    assert api.get("/api/v1/tickets").status_code == 401
