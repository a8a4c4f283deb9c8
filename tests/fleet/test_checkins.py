"""Check-ins through HTTP: what a device says is kept once, what it should hold comes back, silence is noticed."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from agent.protocol import CheckIn, CheckInReply, EnrollmentReply, Facts, Outcome, decode, encode
from fleet.checkins import service, tasks
from fleet.config import FleetConfig
from fleet.configuration.models import ResourceOutcome
from fleet.configuration.states import state_of
from fleet.devices import service as devices
from fleet.devices.facts import hash_facts
from fleet.devices.models import Device, DeviceCredential, DeviceEvent, DeviceStatus
from fleet.errors import ConfigurationError
from tests.conftest import Clock
from tests.factories import NOON, make_device, make_school
from tests.fleet.talking import FACTS, TECHNICIAN, check_in, enrolled, issue

HASH = hash_facts(FACTS)


@pytest.fixture
def reply(api: TestClient, session: Session, config: FleetConfig) -> EnrollmentReply:
    """A display that has just enrolled."""
    return enrolled(api, issue(session, config, make_school(session)).text)


@pytest.fixture
def device(session: Session, reply: EnrollmentReply) -> Device:
    return session.get_one(Device, UUID(reply.device_id))


def say(api: TestClient, reply: EnrollmentReply, **fields: Any) -> CheckInReply:
    answer = check_in(api, reply, CheckIn(**({"facts_hash": HASH} | fields)))
    assert answer.status_code == 200, answer.text
    return decode(CheckInReply, answer.content)


def kinds_of(session: Session, device: Device) -> list[str]:
    query = select(DeviceEvent.kind).where(DeviceEvent.device_id == device.id).order_by(DeviceEvent.at)
    return list(session.scalars(query))


# ---- desired state


def test_a_device_is_given_its_state_until_it_holds_it(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device
) -> None:
    desired = say(api, reply).desired
    assert desired is not None
    assert say(api, reply).desired == desired  # not applied yet: the order is not lost
    assert say(api, reply, applied_revision="0" * 16).desired == desired
    session.refresh(device)
    assert device.status is DeviceStatus.STAGED
    assert say(api, reply, applied_revision=desired.revision).desired is None
    session.refresh(device)
    assert (device.status, device.applied_revision) == (DeviceStatus.ACTIVE, desired.revision)
    assert kinds_of(session, device).count("ready") == 1


def test_a_failed_resource_keeps_a_device_from_being_ready(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device
) -> None:
    desired = say(api, reply).desired
    assert desired is not None
    failed = (Outcome("shortcuts", "applied"), Outcome("dns", "failed", "lecture seule"))
    say(api, reply, applied_revision=desired.revision, outcomes=failed)
    session.refresh(device)
    assert device.status.value == "staged"
    outcomes = session.scalars(select(ResourceOutcome)).all()
    assert state_of(device, outcomes, NOON) == ("failed", "en échec : dns")
    mended = (Outcome("shortcuts", "unchanged"), Outcome("dns", "applied"))
    say(api, reply, applied_revision=desired.revision, outcomes=mended)
    session.refresh(device)
    assert device.status is DeviceStatus.ACTIVE


def test_a_device_that_is_no_longer_staged_is_not_moved(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device
) -> None:
    desired = say(api, reply).desired
    assert desired is not None
    device.status = DeviceStatus.LOST
    session.flush()
    say(api, reply, applied_revision=desired.revision)
    session.refresh(device)
    assert (device.status, device.last_seen_at) == (DeviceStatus.LOST, NOON)


def test_the_reply_tells_the_time_and_an_interval_that_varies(
    api: TestClient, reply: EnrollmentReply, clock: Clock
) -> None:
    said = [say(api, reply) for _ in range(40)]
    assert {datetime.fromisoformat(each.server_time) for each in said} == {clock.now}
    intervals = {each.next_check_in_seconds for each in said}
    assert len(intervals) > 3
    assert intervals <= set(range(54, 67))


@pytest.mark.parametrize(("seconds", "allowed"), [(1, {1}), (5, {5}), (60, set(range(54, 67)))])
def test_the_interval_follows_its_setting(config: FleetConfig, seconds: int, allowed: set[int]) -> None:
    told = {service.next_check_in(replace(config, check_in_seconds=seconds)) for _ in range(300)}
    assert told <= allowed


ENVIRONMENT = {"PREAU_DATABASE_URL": "x", "PREAU_BROKER_URL": "x", "PREAU_PUBLIC_URL": "https://preau.example.test"}


@pytest.mark.parametrize(("typed", "read"), [("", 60), ("5", 5), ("86400", 86400)])
def test_the_interval_is_a_setting(typed: str, read: int) -> None:
    assert FleetConfig.from_environ(ENVIRONMENT | {"PREAU_CHECK_IN_SECONDS": typed}).check_in_seconds == read


@pytest.mark.parametrize("typed", ["0", "-5", "86401", "5s", "1.5"])
def test_an_interval_that_makes_no_sense_stops_the_start(typed: str) -> None:
    with pytest.raises(ConfigurationError, match="PREAU_CHECK_IN_SECONDS"):
        FleetConfig.from_environ(ENVIRONMENT | {"PREAU_CHECK_IN_SECONDS": typed})


# ---- facts


def test_facts_are_asked_for_when_their_hash_is_new(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device
) -> None:
    assert not say(api, reply).want_facts  # those of the enrolment are known
    newer = replace(FACTS, disk_free_bytes=17, hostname="ecran-cdi")
    assert say(api, reply, facts_hash=hash_facts(newer)).want_facts
    assert not say(api, reply, facts_hash=hash_facts(newer), facts=newer).want_facts
    session.refresh(device)
    assert (device.facts["disk_free_bytes"], device.facts["hostname"]) == (17, "ecran-cdi")
    assert device.name == "ecran-salle-2"  # what people call it is theirs
    assert not say(api, reply, facts_hash=hash_facts(newer)).want_facts


def test_facts_are_not_written_again_while_their_hash_is_the_same(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device
) -> None:
    say(api, reply, facts=replace(FACTS, model="Autre"), facts_hash=HASH)
    session.refresh(device)
    assert device.model == FACTS.model


def test_an_agent_that_knows_more_fields_is_not_asked_for_ever(
    api: TestClient, session: Session, reply: EnrollmentReply
) -> None:
    """Its hash covers fields that this controller drops."""
    headers = {"Authorization": f"Bearer {reply.device_id}.{reply.credential}"}
    later = {"facts_hash": "ab" * 32, "facts": {"hostname": "ecran", "colour": "blue"}}
    api.post("/agent/v1/checkins", content=json.dumps(later), headers=headers)
    assert not say(api, reply, facts_hash="ab" * 32).want_facts


def test_facts_are_an_allow_list(api: TestClient, session: Session, reply: EnrollmentReply, device: Device) -> None:
    headers = {"Authorization": f"Bearer {reply.device_id}.{reply.credential}"}
    told = {"facts_hash": "cd" * 32, "facts": {"hostname": "ecran", "users": ["Chloé"], "environment": {"PW": "x"}}}
    assert api.post("/agent/v1/checkins", content=json.dumps(told), headers=headers).status_code == 200
    session.refresh(device)
    assert device.facts == {"hostname": "ecran"}


# ---- outcomes


def test_outcomes_are_upserted_and_a_repair_is_history(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device, clock: Clock
) -> None:
    for status in ("applied", "repaired", "repaired", "unchanged", "repaired"):
        say(api, reply, applied_revision="a" * 16, outcomes=(Outcome("shortcuts", status, f"ent {status}"),))
        clock.advance(minutes=1)
    [row] = session.scalars(select(ResourceOutcome).execution_options(populate_existing=True)).all()
    assert (row.resource, row.status, row.revision) == ("shortcuts", "repaired", "a" * 16)
    assert kinds_of(session, device).count("repaired") == 2  # when it begins, not at each check-in that says so


def test_an_outcome_said_twice_counts_once(api: TestClient, session: Session, reply: EnrollmentReply) -> None:
    say(api, reply, outcomes=(Outcome("dns", "failed"), Outcome("dns", "applied")))
    assert session.scalars(select(ResourceOutcome.status)).all() == ["applied"]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("2026-11-24T11:59:00+01:00", NOON - timedelta(minutes=1)),
        ("2026-11-24T10:59:00Z", NOON - timedelta(minutes=1)),
        ("2031-01-01T00:00:00+01:00", NOON),  # a clock that is ahead
        ("1970-01-01T00:00:00+00:00", NOON),  # a clock without a battery
        ("2026-11-24T11:59:00", NOON),  # no zone: no moment
        ("hier", NOON),
        ("", NOON),
    ],
)
def test_a_wrong_clock_of_a_device_does_not_date_what_it_says(said: str, kept: datetime) -> None:
    assert service.moment_of(Outcome("dns", "applied", at=said), NOON) == kept


# ---- credentials

BAD_HEADERS = {
    "none": None,
    "empty": "",
    "another scheme": "Basic {id}.{secret}",
    "no secret": "Bearer {id}",
    "an empty secret": "Bearer {id}.",
    "another secret": "Bearer {id}." + "0" * 64,
    "another device": "Bearer 00000000-0000-0000-0000-000000000001.{secret}",
    "no id": "Bearer x.{secret}",
    "the secret first": "Bearer {secret}.{id}",
}


@pytest.mark.parametrize("case", BAD_HEADERS)
def test_without_its_credential_a_device_is_nobody(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device, case: str
) -> None:
    header = BAD_HEADERS[case]
    headers = (
        {"Authorization": header.format(id=reply.device_id, secret=reply.credential)} if header is not None else {}
    )
    answer = api.post("/agent/v1/checkins", content=encode(CheckIn(HASH)), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "credential.refused")
    session.refresh(device)
    assert device.last_seen_at is None


def test_the_credential_is_stored_as_its_hash_and_confirmed_by_use(
    api: TestClient, session: Session, reply: EnrollmentReply
) -> None:
    row = session.scalars(select(DeviceCredential)).one()
    assert reply.credential not in row.secret_hash
    assert row.confirmed_at is None
    say(api, reply)
    session.refresh(row)
    assert row.confirmed_at == NOON


def test_a_retired_device_is_refused_and_its_attempt_is_seen(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device
) -> None:
    seen = devices.get_device(session, TECHNICIAN, device.id)
    devices.change_status(session, TECHNICIAN, seen, DeviceStatus.RETIRED, NOON)
    session.flush()
    assert [check_in(api, reply).status_code for _ in range(3)] == [401] * 3
    assert kinds_of(session, device).count("credential_refused") == 1


# ---- hostile bodies


def answer_to(api: TestClient, reply: EnrollmentReply, body: bytes) -> Any:
    headers = {"Authorization": f"Bearer {reply.device_id}.{reply.credential}"}
    return api.post("/agent/v1/checkins", content=body, headers=headers)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "", "application/octet-stream"])
def test_the_content_type_does_not_matter(api: TestClient, reply: EnrollmentReply, content_type: str) -> None:
    """Small clients forget it."""
    headers = {"Authorization": f"Bearer {reply.device_id}.{reply.credential}", "Content-Type": content_type}
    assert api.post("/agent/v1/checkins", content=encode(CheckIn(HASH)), headers=headers).status_code == 200


HOSTILE = {
    "nothing": b"",
    "a list": b"[]",
    "no hash": b"{}",
    "deep": b'{"facts_hash":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "deep lists": b'{"facts_hash":"x","outcomes":' + b"[" * 100_000,
    "too long": b'{"facts_hash":"' + b"x" * (256 * 1024) + b'"}',
    "a long text": b'{"facts_hash":"' + b"x" * 257 + b'"}',
    "many outcomes": json.dumps({"facts_hash": "x", "outcomes": [{"resource": "a", "status": "b"}] * 65}).encode(),
    "a long detail": json.dumps(
        {"facts_hash": "x", "outcomes": [{"resource": "a", "status": "failed", "detail": "y" * 4001}]}
    ).encode(),
    "true for a number": b'{"facts_hash":"x","protocol":true}',
    "NUL": b'{"facts_hash":"\\u0000"}',
    "half a character": b'{"facts_hash":"\\udfff"}',
    "NaN": b'{"facts_hash":"x","facts":{"memory_bytes":NaN}}',
    "a number too large for the database": b'{"facts_hash":"x","facts":{"memory_bytes":9223372036854775808}}',
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_body_is_refused_and_changes_nothing(
    api: TestClient, session: Session, reply: EnrollmentReply, device: Device, case: str
) -> None:
    answer = answer_to(api, reply, HOSTILE[case])
    assert (answer.status_code, answer.json()["code"]) == (400, "protocol.invalid")
    session.refresh(device)
    assert (device.last_seen_at, device.applied_revision, device.facts_hash) == (None, "", HASH)
    assert session.scalars(select(DeviceCredential.confirmed_at)).all() == [None]
    assert check_in(api, reply).status_code == 200


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["facts_hash", "facts", "applied_revision", "outcomes", "agent_version", "protocol"])
BODIES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(FIELDS, JSON_VALUES, max_size=6).map(lambda d: json.dumps(d).encode()),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(BODIES)
def test_no_body_breaks_the_controller(api: TestClient, reply: EnrollmentReply, body: bytes) -> None:
    assert answer_to(api, reply, body).status_code in {200, 400}


# ---- silence


def sweep(session: Session, config: FleetConfig, now: datetime) -> int:
    return service.mark_silent_devices(session, now, config)


def test_a_device_that_stops_speaking_is_silent_once_and_comes_back(
    api: TestClient, session: Session, config: FleetConfig, reply: EnrollmentReply, device: Device, clock: Clock
) -> None:
    desired = say(api, reply).desired
    assert desired is not None
    say(api, reply, applied_revision=desired.revision)
    clock.advance(minutes=5)
    assert sweep(session, config, clock.now) == 0  # five intervals: not yet
    clock.advance(seconds=1)
    assert [sweep(session, config, clock.now) for _ in range(3)] == [1, 0, 0]
    session.refresh(device)
    assert device.silent_since == clock.now
    assert state_of(device, (), clock.now + timedelta(hours=3)) == ("silent", "silencieux depuis 3 h")
    say(api, reply, applied_revision=desired.revision)
    session.refresh(device)
    assert device.silent_since is None
    assert kinds_of(session, device)[-2:] == ["silent", "back"]


@pytest.mark.parametrize(
    ("values", "missed"),
    [
        ({}, 1),
        ({"status": DeviceStatus.STAGED}, 0),
        ({"status": DeviceStatus.RETIRED}, 0),
        ({"last_seen_at": None}, 0),  # a tablet with a profile: it never speaks
        ({"silent_since": NOON - timedelta(days=1)}, 0),
        ({"last_seen_at": NOON - timedelta(minutes=4)}, 0),
    ],
)
def test_only_devices_in_service_are_missed(
    session: Session, config: FleetConfig, values: dict[str, Any], missed: int
) -> None:
    make_device(session, **({"last_seen_at": NOON - timedelta(hours=1)} | values))
    assert sweep(session, config, NOON) == missed


def test_the_sweep_is_one_statement_however_many_are_silent(
    session: Session, config: FleetConfig, statements: list[str]
) -> None:
    school = make_school(session)
    for _ in range(20):
        make_device(session, school=school, last_seen_at=NOON - timedelta(hours=1))
    statements.clear()
    assert sweep(session, config, NOON) == 20
    assert len(statements) == 1
    events = session.scalars(select(DeviceEvent)).all()
    assert {(e.kind, e.at, e.detail) for e in events} == {
        ("silent", NOON, "dernier signe de vie le 24/11/2026 à 11:00")
    }


def test_the_task_sweeps(app: FastAPI, session: Session) -> None:
    device = make_device(session, last_seen_at=datetime(2020, 1, 1, tzinfo=UTC))
    tasks.sweep_silent_devices()
    session.refresh(device)
    assert device.silent_since is not None


# ---- cost


def test_a_check_in_costs_few_statements(
    api: TestClient, session: Session, reply: EnrollmentReply, statements: list[str]
) -> None:
    desired = say(api, reply).desired
    assert desired is not None
    outcomes = tuple(Outcome(name, "unchanged") for name in ("shortcuts", "browser", "dns"))
    say(api, reply, applied_revision=desired.revision, outcomes=outcomes)
    session.expire_all()
    statements.clear()
    say(api, reply, applied_revision=desired.revision, outcomes=outcomes)
    assert len(statements) <= 8, statements  # one of them enters the door


def test_facts_have_a_stable_hash() -> None:
    assert hash_facts(Facts()) == hash_facts(Facts())
    assert hash_facts(Facts(hostname="a")) != hash_facts(Facts(hostname="b"))
