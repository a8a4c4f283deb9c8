"""Speaking as a device does: what the tests of enrolment and check-ins share."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy.orm import Session

from agent.protocol import CheckIn, EnrollmentReply, EnrollmentRequest, Facts, Identity, decode, encode
from dashboards.portal.app import create_portal
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.devices.facts import hash_facts
from fleet.devices.models import DeviceKind
from fleet.doors import Door
from fleet.enrollment import service
from fleet.enrollment.service import IssuedToken
from fleet.schools.models import School
from fleet.scope import Grant, Role, Viewer
from tests.factories import NOON, make_school

TECHNICIAN = Viewer(uuid.UUID(int=1), "Alix Technicienne", "alix@example.test", (Grant(Role.TECHNICIAN),))
BOX = Identity("SG75-004217", "8f14e45f-ceea-467f-a8f1-0c3b6d4e2a91", ("00:1b:21:3c:4d:5e",))
"""A display that says who it is in every way."""
FACTS = Facts(hostname="ecran-salle-2", manufacturer="Speechi", model="SuperGlass 75")


def issue(session: Session, config: FleetConfig, school: School, **terms: Any) -> IssuedToken:
    """A token of the technician, for one display and an hour unless told otherwise."""
    wanted: dict[str, Any] = {"kind": DeviceKind.DISPLAY, "now": NOON, "expires_in": timedelta(hours=1)} | terms
    return service.issue_token(session, TECHNICIAN, school=school, config=config, **wanted)


def new_attempt() -> str:
    return uuid.uuid4().hex


def enroll(api: TestClient, token: str, attempt: str | None = None, **fields: Any) -> Response:
    """Ask to enroll as the agent does; ``token`` is the text, of which the secret alone travels."""
    secret = token.replace("-", "")[:12]
    said: dict[str, Any] = {"identity": BOX, "facts": FACTS, "attempt": attempt or new_attempt()} | fields
    request = EnrollmentRequest(secret, **said)
    return api.post("/agent/v1/enrollments", content=encode(request))


def enrolled(api: TestClient, token: str, attempt: str | None = None, **fields: Any) -> EnrollmentReply:
    """The same, expecting success."""
    answer = enroll(api, token, attempt, **fields)
    assert answer.status_code == 201, answer.text
    return decode(EnrollmentReply, answer.content)


def check_in(api: TestClient, reply: EnrollmentReply, message: CheckIn | None = None) -> Response:
    """Check in with the credential of an enrolment."""
    headers = {"Authorization": f"Bearer {reply.device_id}.{reply.credential}"}
    content = encode(message or CheckIn(facts_hash=hash_facts(FACTS)))
    return api.post("/agent/v1/checkins", content=content, headers=headers)


def committed(url: str, config: FleetConfig, **terms: Any) -> tuple[TestClient, str]:
    """A controller on a database of its own, with a school and a token in it."""
    api = TestClient(create_portal(replace(config, database_url=url)), base_url="https://preau.example.test")
    with transaction(Door.OPERATOR) as session:
        return api, issue(session, config, make_school(session), now=utc_now(), **terms).text
