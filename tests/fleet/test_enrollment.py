"""Enrolment through HTTP: tokens, what redeeming one does, and what it must never do."""

import uuid
from datetime import timedelta
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from agent.protocol import CheckIn, CheckInReply, EnrollmentReply, EnrollmentRequest, Identity, decode, encode
from fleet.config import FleetConfig
from fleet.devices.models import DeviceKind
from fleet.enrollment import service
from fleet.schools.models import School
from fleet.scope import Grant, Role, Viewer
from tests.factories import NOON, make_school

TECHNICIAN = Viewer(uuid.UUID(int=1), "Alix Technicienne", "alix@example.test", (Grant(Role.TECHNICIAN),))


def issue(session: Session, config: FleetConfig, school: School, **terms: Any) -> str:
    terms = {"kind": DeviceKind.DISPLAY, "now": NOON, "expires_in": timedelta(hours=1)} | terms
    return service.issue_token(session, TECHNICIAN, school=school, config=config, **terms).text


def enroll(api: TestClient, token: str, attempt: str = "0" * 32, **fields: Any) -> Any:
    request = EnrollmentRequest(token=token, attempt=attempt, **fields)
    return api.post("/agent/v1/enrollments", content=encode(request))


def test_smoke(api: TestClient, session: Session, config: FleetConfig) -> None:
    text = issue(session, config, make_school(session))
    answer = enroll(api, text, identity=Identity(serial="ABC12345", macs=("00:11:22:33:44:55",)))
    assert answer.status_code == 201, answer.text
    reply = decode(EnrollmentReply, answer.content)
    again = enroll(api, text, identity=Identity(serial="ABC12345", macs=("00:11:22:33:44:55",)))
    assert decode(EnrollmentReply, again.content).device_id == reply.device_id
    second = enroll(api, text, "1" * 32)
    assert second.json()["code"] == "token.used_up"
    headers = {"Authorization": f"Bearer {reply.device_id}.{reply.credential}"}
    checked = api.post("/agent/v1/checkins", content=encode(CheckIn(facts_hash="x")), headers=headers)
    assert checked.status_code == 200, checked.text
    assert decode(CheckInReply, checked.content).desired is not None
