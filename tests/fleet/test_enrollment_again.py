"""The same attempt sent again, and the same machine that comes back: one enrolment, one row."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.protocol import Identity
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.devices import service as devices
from fleet.devices.models import Device, DeviceEvent, DeviceKind, DeviceStatus, Platform
from fleet.doors import Door
from fleet.enrollment.models import EnrollmentToken
from fleet.operator import OPERATOR
from fleet.schools.models import School
from tests.conftest import Clock
from tests.factories import NOON, make_device, make_school
from tests.fleet.talking import BOX, check_in, committed, enroll, enrolled, issue, new_attempt


def test_the_same_attempt_is_the_same_enrolment(api: TestClient, session: Session, config: FleetConfig) -> None:
    issued, attempt = issue(session, config, make_school(session)), new_attempt()
    lost = enrolled(api, issued.text, attempt)
    got = enrolled(api, issued.text, attempt)
    assert got.device_id == lost.device_id
    assert got.credential != lost.credential
    session.refresh(issued.token)
    assert issued.token.uses == 1
    assert session.scalar(select(func.count()).select_from(Device)) == 1


@pytest.mark.parametrize(("hours", "status"), [(23, 201), (25, 410)])
def test_a_lost_reply_is_given_again_for_a_day_though_the_token_is_over(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, hours: int, status: int
) -> None:
    token, attempt = issue(session, config, make_school(session)).text, new_attempt()
    first = enrolled(api, token, attempt)
    clock.advance(hours=hours)
    again = enroll(api, token, attempt)
    assert again.status_code == status
    assert status != 201 or again.json()["device_id"] == first.device_id


def test_after_a_day_a_token_that_still_serves_repeats_without_a_second_row(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock
) -> None:
    token = issue(session, config, make_school(session), max_uses=5, expires_in=timedelta(days=7)).text
    attempt = new_attempt()
    first = enrolled(api, token, attempt)
    clock.advance(hours=30)
    assert enrolled(api, token, attempt).device_id == first.device_id


def test_a_revoked_token_repeats_nothing(api: TestClient, session: Session, config: FleetConfig) -> None:
    issued, attempt = issue(session, config, make_school(session)), new_attempt()
    enrolled(api, issued.text, attempt)
    issued.token.revoked_at = NOON
    session.flush()
    assert enroll(api, issued.text, attempt).json()["code"] == "token.revoked"


def test_an_attempt_speaks_for_its_own_token_only(api: TestClient, session: Session, config: FleetConfig) -> None:
    school, attempt = make_school(session), new_attempt()
    first = enrolled(api, issue(session, config, school).text, attempt, identity=Identity())
    second = enrolled(api, issue(session, config, school).text, attempt, identity=Identity())
    assert first.device_id != second.device_id


def test_a_loop_of_repeats_ends(api: TestClient, session: Session, config: FleetConfig) -> None:
    token, attempt = issue(session, config, make_school(session)).text, new_attempt()
    answers = [enroll(api, token, attempt).status_code for _ in range(22)]
    assert answers == [201] * 20 + [409] * 2


def test_the_new_credential_is_confirmed_by_its_use_and_retires_the_lost_one(
    api: TestClient, session: Session, config: FleetConfig
) -> None:
    token, attempt = issue(session, config, make_school(session)).text, new_attempt()
    lost, got = enrolled(api, token, attempt), enrolled(api, token, attempt)
    assert check_in(api, got).status_code == 200
    refused = check_in(api, lost)
    assert (refused.status_code, refused.json()["code"]) == (401, "credential.refused")
    kinds = session.scalars(select(DeviceEvent.kind).where(DeviceEvent.device_id == UUID(got.device_id))).all()
    assert "credential_refused" in kinds  # a technician sees that two machines know one secret
    assert check_in(api, got).status_code == 200


def test_max_uses_holds_when_thirty_devices_ask_at_once(own_database_url: str, config: FleetConfig) -> None:
    """Thirty threads, each with a connection of its own, on a database that really commits."""
    api, token = committed(own_database_url, config, max_uses=12)
    with api, ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda _: enroll(api, token, identity=Identity()), range(30)))
    assert sorted(a.status_code for a in answers) == [201] * 12 + [410] * 18
    assert {a.json()["code"] for a in answers if a.status_code == 410} == {"token.used_up"}
    with transaction(Door.OPERATOR) as session:
        assert session.scalar(select(EnrollmentToken.uses)) == 12
        assert session.scalar(select(func.count()).select_from(Device)) == 12


def test_one_attempt_sent_ten_times_at_once_is_one_device(own_database_url: str, config: FleetConfig) -> None:
    api, token = committed(own_database_url, config, max_uses=12)
    attempt = new_attempt()
    with api, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: enrolled(api, token, attempt), range(10)))
    assert len({a.device_id for a in answers}) == 1
    assert len({a.credential for a in answers}) == 10
    with transaction(Door.OPERATOR) as session:
        assert session.scalar(select(EnrollmentToken.uses)) == 1


def test_one_machine_with_two_tokens_at_once_is_one_row(own_database_url: str, config: FleetConfig) -> None:
    """Without the lock on the identity both would see no such machine, and make two."""
    api, first = committed(own_database_url, config, max_uses=10)
    with transaction(Door.OPERATOR) as session:
        second = issue(session, config, session.scalars(select(School)).one(), max_uses=10, now=utc_now()).text
    with api, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: enroll(api, (first, second)[n % 2]), range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7  # a twin, for all one knows
    with transaction(Door.OPERATOR) as session:
        assert session.scalar(select(func.count(Device.id))) == 1


def test_a_reset_device_comes_back_as_itself(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock
) -> None:
    school = make_school(session)
    before = enrolled(api, issue(session, config, school).text)
    assert check_in(api, before).status_code == 200
    device = session.get_one(Device, UUID(before.device_id))
    device.name, device.room, device.status, device.applied_revision = (
        "Écran salle 2",
        "2",
        DeviceStatus.ACTIVE,
        "f" * 16,
    )
    session.flush()
    clock.advance(minutes=6)
    after = enrolled(api, issue(session, config, school).text)
    assert (after.device_id, after.asset_tag, after.adopted) == (before.device_id, before.asset_tag, True)
    session.refresh(device)
    assert (device.name, device.room, device.status, device.applied_revision) == (
        "Écran salle 2",
        "2",
        DeviceStatus.STAGED,
        "",
    )
    assert check_in(api, before).status_code == 401
    assert check_in(api, after).status_code == 200
    kinds = [e.kind for e in devices.list_events(session, OPERATOR, device)]
    assert {"enrolled", "adopted"} <= set(kinds)


def known(session: Session, school: School | None, **changes: Any) -> Device:
    values = {"serial": BOX.serial, "smbios_uuid": BOX.smbios_uuid, "macs": list(BOX.macs), "school": school} | changes
    return make_device(session, **values)


UNDECIDED: dict[str, dict[str, Any]] = {
    "it still speaks": {"last_seen_at": NOON - timedelta(minutes=2)},
    "it is another kind": {"kind": DeviceKind.LAPTOP},
    "it has another platform": {"platform": Platform.WINDOWS},
    "it was retired": {"status": DeviceStatus.RETIRED},
    "its board was changed": {"smbios_uuid": "11111111-2222-3333-4444-555555555555"},
}


@pytest.mark.parametrize("case", UNDECIDED)
def test_a_doubtful_machine_is_for_a_person_to_decide(
    api: TestClient, session: Session, config: FleetConfig, case: str
) -> None:
    school = make_school(session)
    device = known(session, school, **UNDECIDED[case])
    issued = issue(session, config, school, max_uses=5)
    answers = [enroll(api, issued.text) for _ in range(3)]
    assert {(a.status_code, a.json()["code"]) for a in answers} == {(409, "enrollment.needs_decision")}
    assert device.asset_tag in answers[0].json()["detail"]
    session.expire_all()
    assert issued.token.uses == 0
    assert session.scalar(select(func.count()).select_from(Device)) == 1
    kinds = session.scalars(select(DeviceEvent.kind).where(DeviceEvent.device_id == device.id)).all()
    assert kinds == ["enrollment_refused"]  # once an hour, not once a minute


def test_a_machine_of_another_school_is_not_taken_over(api: TestClient, session: Session, config: FleetConfig) -> None:
    device = known(session, make_school(session))
    answer = enroll(api, issue(session, config, make_school(session)).text)
    assert answer.json()["code"] == "enrollment.needs_decision"
    session.refresh(device)
    assert device.enrolled_at is None


def test_a_machine_in_store_is_taken_to_the_school_of_the_token(
    api: TestClient, session: Session, config: FleetConfig
) -> None:
    device = known(session, None, status=DeviceStatus.IN_STOCK)
    school = make_school(session)
    reply = enrolled(api, issue(session, config, school).text)
    assert reply.device_id == str(device.id)
    session.refresh(device)
    assert device.school_id == school.id


def test_two_rows_of_one_machine_are_for_a_person_to_decide(
    api: TestClient, session: Session, config: FleetConfig
) -> None:
    school = make_school(session)
    known(session, school, smbios_uuid=None, macs=[])
    known(session, school, serial=None, macs=[])
    assert enroll(api, issue(session, config, school).text).json()["code"] == "enrollment.needs_decision"


def test_retiring_a_row_is_how_a_technician_decides(api: TestClient, session: Session, config: FleetConfig) -> None:
    """Two rows of one machine: one is retired, the other comes back. A changed board: the old row makes way."""
    school = make_school(session)
    copy = known(session, school, smbios_uuid=None, macs=[])
    right = known(session, school, serial=None, macs=[])
    token = issue(session, config, school, max_uses=5).text
    assert enroll(api, token).status_code == 409
    copy.status = DeviceStatus.RETIRED
    session.flush()
    assert enrolled(api, token).device_id == str(right.id)
    new_board = replace(BOX, smbios_uuid="11111111-2222-3333-4444-555555555555")
    assert enroll(api, token, identity=new_board).status_code == 409
    session.refresh(right)
    right.status = copy.status = DeviceStatus.RETIRED
    copy.serial = "OTHER-1"
    session.flush()
    assert enrolled(api, token, identity=new_board).device_id not in {str(right.id), str(copy.id)}


def test_machines_that_say_nothing_of_themselves_are_never_mixed_up(
    api: TestClient, session: Session, config: FleetConfig
) -> None:
    blank = Identity("To be filled by O.E.M.", "03000200-0400-0500-0006-000700080009", ("02:42:ac:11:00:02",))
    token = issue(session, config, make_school(session), max_uses=3).text
    assert len({enrolled(api, token, identity=blank).device_id for _ in range(3)}) == 3


def test_two_new_boxes_with_one_serial_are_for_a_person(api: TestClient, session: Session, config: FleetConfig) -> None:
    """A copied serial, both enrolled this morning and neither heard yet: the second must not take the first's place."""
    token = issue(session, config, make_school(session), max_uses=30)
    session.flush()
    first = enrolled(api, token.text)
    assert enroll(api, token.text).status_code == 409
    assert check_in(api, first).status_code == 200
