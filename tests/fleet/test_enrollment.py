"""Devices enroll: who gets in, guesses, bodies of any shape, and what is fetched before anybody is trusted."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agent.protocol import VERSION as PROTOCOL
from agent.protocol import Identity
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.devices.models import Device, DeviceKind, DeviceStatus, Platform
from fleet.enrollment import tasks
from fleet.enrollment.models import Enrollment, EnrollmentFailure, EnrollmentToken
from fleet.guesser import network_of
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.fleet.conftest import Signing
from tests.fleet.talking import BOX, FACTS, check_in, enroll, enrolled, issue
from tests.sign_in import signed_in


def test_a_device_enrolls_checks_in_and_is_listed(api: TestClient, session: Session, config: FleetConfig) -> None:
    school = make_school(session, name="École Jean Zay")
    reply = enrolled(api, issue(session, config, school).text, agent_version="0.1.0")
    assert (reply.school, reply.adopted, reply.check_in_seconds) == ("École Jean Zay", False, 60)
    assert reply.asset_tag.startswith("PRE-")
    assert len(reply.credential) == 64
    device = session.get_one(Device, UUID(reply.device_id))
    assert (device.status, device.kind, device.platform) == (DeviceStatus.STAGED, DeviceKind.DISPLAY, Platform.LINUX)
    assert (device.serial, device.macs, device.name, device.model) == (
        BOX.serial,
        list(BOX.macs),
        "ecran-salle-2",
        FACTS.model,
    )
    assert device.enrolled_at == NOON
    assert check_in(api, reply).status_code == 200
    assert reply.credential not in str(api.get("/health/live").headers)


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    "expired": ({"expires_in": timedelta(minutes=5)}, {}, 410, "token.expired"),
    "revoked": ({"revoked": True}, {}, 410, "token.revoked"),
    "used up": ({"used": True}, {}, 410, "token.used_up"),
    "other platform": ({}, {"platform": "windows"}, 422, "token.wrong_kind"),
    "other kind": ({}, {"kind": "laptop"}, 422, "token.wrong_kind"),
    "for an iPad": ({"kind": DeviceKind.TABLET}, {"platform": "ipados"}, 422, "token.wrong_kind"),
    "bad attempt": ({}, {"attempt": "short"}, 400, "protocol.invalid"),
    "attempt in capitals": ({}, {"attempt": "A" * 32}, 400, "protocol.invalid"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_token_lets_in_only_what_it_is_for(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, case: str
) -> None:
    terms, request, status, code = REFUSED[case]
    revoked, used = terms.get("revoked"), terms.get("used")
    issued = issue(
        session, config, make_school(session), **{k: v for k, v in terms.items() if k not in {"revoked", "used"}}
    )
    if revoked:
        issued.token.revoked_at = NOON
    if used:
        enrolled(api, issued.text, identity=Identity())
    session.flush()
    uses = 1 if used else 0
    clock.advance(minutes=5)
    answer = enroll(api, issued.text, **request)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["detail"][0].isupper()
    session.refresh(issued.token)
    assert issued.token.uses == uses
    assert session.scalar(select(func.count()).select_from(Enrollment)) == uses


def test_the_last_second_of_a_token_counts(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock
) -> None:
    token = issue(session, config, make_school(session), max_uses=2, expires_in=timedelta(minutes=5)).text
    clock.advance(minutes=4, seconds=59)
    enrolled(api, token, identity=Identity())
    clock.advance(seconds=1)
    assert enroll(api, token, identity=Identity()).json()["code"] == "token.expired"


def test_a_token_serves_as_often_as_it_says(api: TestClient, session: Session, config: FleetConfig) -> None:
    token = issue(session, config, make_school(session), max_uses=3).text
    replies = [enrolled(api, token, identity=Identity()) for _ in range(3)]
    assert len({reply.device_id for reply in replies}) == 3
    assert enroll(api, token, identity=Identity()).json()["code"] == "token.used_up"


ODD_TERMS: dict[str, tuple[dict[str, Any], str]] = {
    "a kit": ({"kind": "robot_kit"}, "token.tracked_kind"),
    "an iPad display": ({"kind": "display", "platform": "ipados"}, "device.platform_mismatch"),
    "a Windows gateway": ({"kind": "gateway", "platform": "windows"}, "device.platform_mismatch"),
}


@pytest.mark.parametrize("case", ODD_TERMS)
def test_terms_that_make_no_sense_are_refused(api: TestClient, session: Session, case: str) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    terms, code = ODD_TERMS[case]
    answer = api.post("/api/v1/enrollment/tokens", json={"school_id": str(school.id)} | terms)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    "terms",
    [{"max_uses": 0}, {"max_uses": 201}, {"max_uses": "2"}, {"expires_in_minutes": 0}, {"expires_in_minutes": 43201},
     {"kind": "toaster"}, {"school_id": "x"}, {"more": 1}, {"request_key": "x" * 65}, {"request_key": "é" * 12}],
)  # fmt: skip
def test_limits_of_a_token_hold_over_http(api: TestClient, session: Session, terms: dict[str, Any]) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    body = {"school_id": str(school.id), "kind": "display"} | terms
    assert api.post("/api/v1/enrollment/tokens", json=body).status_code == 422
    assert session.scalar(select(func.count()).select_from(EnrollmentToken)) == 0


def guess(api: TestClient, token: str = "ZZZZ-ZZZZ-ZZZZ") -> Any:
    return enroll(api, token)


def test_wrong_tokens_are_counted_though_the_request_fails(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock
) -> None:
    right = issue(session, config, make_school(session), expires_in=timedelta(hours=2)).text
    answers = [guess(api) for _ in range(11)]
    assert [a.status_code for a in answers] == [404] * 10 + [429]
    assert answers[-1].json()["code"] == "token.too_many_attempts"
    assert answers[-1].headers["Retry-After"]
    assert enroll(api, right).status_code == 429  # else guessing could go on
    clock.advance(minutes=10, seconds=1)
    assert enroll(api, right).status_code == 201


def test_what_no_token_looks_like_counts_as_a_guess(api: TestClient, session: Session) -> None:
    assert enroll(api, "x").json()["code"] == "token.unknown"
    assert session.scalar(select(func.count()).select_from(EnrollmentFailure)) == 1


def test_an_expired_token_is_no_guess(api: TestClient, session: Session, config: FleetConfig, clock: Clock) -> None:
    token = issue(session, config, make_school(session)).text
    clock.advance(hours=2)
    assert {enroll(api, token).status_code for _ in range(15)} == {410}


def test_guesses_from_everywhere_are_limited_too(api: TestClient, session: Session, config: FleetConfig) -> None:
    right = issue(session, config, make_school(session)).text
    session.add_all(EnrollmentFailure(address=f"198.51.100.{n}", at=NOON) for n in range(299))
    session.flush()
    assert guess(api).status_code == 404
    assert guess(api).status_code == 429
    assert enroll(api, right).status_code == 201  # strangers must not close enrolment for everyone


def test_guesses_that_no_longer_count_are_forgotten(app: FastAPI, session: Session) -> None:
    now = utc_now()
    for age in (1, 9, 11, 5000):
        session.add(EnrollmentFailure(address="192.0.2.1", at=now - timedelta(minutes=age)))
    session.flush()
    tasks.purge_guesses()
    assert session.scalar(select(func.count()).select_from(EnrollmentFailure)) == 2


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),  # a line owns a /64: its hosts are one guesser
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_who_counts_as_one_guesser(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_ca_and_the_agent_are_handed_out(api: TestClient, signing: Signing) -> None:
    assert api.get("/agent/v1/ca").json()["code"] == "ca.none"
    api.app.state.config = replace(api.app.state.config, ca_file=signing.ca_file)  # type: ignore[attr-defined]
    assert api.get("/agent/v1/ca").content == signing.ca_file.read_bytes()
    archive = api.get("/agent/v1/preau-agent.pyz").content
    assert archive.startswith(b"#!")
    assert archive == api.get("/agent/v1/preau-agent.pyz").content


HOSTILE = (
    b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe", b"[" * 100_000, b'{"token":' * 30_000, b'{"token":1,"attempt":2}',
    b'{"token":"7K3MQ9XT2BRC"}', b'{"token":"7K3MQ9XT2BRC","attempt":null}', b'{"token":"\\u0000","attempt":"x"}',
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","facts":[]}',
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","facts":{"memory_bytes":-1}}',
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","facts":{"memory_bytes":1e999}}',
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","facts":{"memory_bytes":' + b"9" * 5000 + b"}}",
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","facts":{"hostname":"' + b"x" * 300 + b'"}}',
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","identity":{"macs":[' + b'"",' * 100 + b'""]}}',
    b'{"token":"7K3MQ9XT2BRC","attempt":"' + b"0" * 32 + b'","identity":{"serial":"\\ud800"}}',
    b" " * (256 * 1024 + 1),
)  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_body_is_refused_and_changes_nothing(api: TestClient, session: Session, body: bytes) -> None:
    answer = api.post("/agent/v1/enrollments", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "protocol.invalid")
    for table in (Device, Enrollment, EnrollmentFailure):
        assert session.scalar(select(func.count()).select_from(table)) == 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"attempt":"x"}', "Message illisible : le champ « token » manque."),
        (b'{"token":1,"attempt":"x"}', "Message illisible : le champ « token » n’a pas la forme attendue."),
        (b'{"token":"x","attempt":"x"}', "Message illisible : le champ « attempt » doit compter 32 signes"),
        (b'{"token":"x","attempt":"x","facts":{"hostname":"' + b"x" * 300 + b'"}}', "« facts.hostname » est trop long"),
        (b"[]", "Message illisible : l’ensemble n’a pas la forme attendue."),
        (b"{", "Message illisible : ce n’est pas du JSON."),
        (b" " * (256 * 1024 + 1), "Message illisible : plus de 262144 octets."),
    ],
)
def test_what_is_wrong_with_a_message_is_told_in_french(api: TestClient, body: bytes, told: str) -> None:
    assert told in api.post("/agent/v1/enrollments", content=body).json()["detail"]


ODD_BODIES = st.dictionaries(
    st.sampled_from(["token", "attempt", "kind", "platform", "identity", "facts", "agent_version", "protocol"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("0" * 32),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["serial", "macs"]), inner),
        max_leaves=6,
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ODD_BODIES)
def test_no_body_breaks_enrolment_or_lets_anybody_in(api: TestClient, session: Session, body: dict[str, Any]) -> None:
    answer = api.post("/agent/v1/enrollments", content=json.dumps(body))
    assert answer.status_code in {400, 404, 429}
    assert session.scalar(select(func.count()).select_from(Device)) == 0


def test_the_protocol_version_is_what_these_tests_were_written_for() -> None:
    assert PROTOCOL == 1
