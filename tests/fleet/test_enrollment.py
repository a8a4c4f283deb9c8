"""Enrolment through HTTP: who gets in, once, and what becomes of a machine that we know."""

import hashlib
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
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
from dashboards.portal.app import create_portal
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import SessionFactory
from fleet.devices import service as devices
from fleet.devices.models import Device, DeviceEvent, DeviceKind, DeviceStatus, Platform
from fleet.enrollment import tasks
from fleet.enrollment.models import Enrollment, EnrollmentFailure, EnrollmentToken
from fleet.enrollment.tokens import CROCKFORD, make_secret, read_token, write_token
from fleet.errors import Conflict, NotFound
from fleet.guesser import network_of
from fleet.operator import OPERATOR
from fleet.schools.models import School
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.fleet.conftest import Signing
from tests.fleet.talking import BOX, FACTS, check_in, enroll, enrolled, issue, new_attempt
from tests.sign_in import signed_in

# ---- the text of a token


@given(st.text(CROCKFORD, min_size=12, max_size=12), st.sampled_from(["", "0A1B2C3D4E5F6G7H"]))
def test_a_token_is_read_as_it_was_written(secret: str, pin: str) -> None:
    assert read_token(write_token(secret, pin)) == read_token(secret + pin)
    assert (read_token(write_token(secret, pin)).secret, read_token(write_token(secret, pin)).pin) == (secret, pin)


@pytest.mark.parametrize(
    "typed",
    ["7K3M-Q9XT-2B10", "7k3m-q9xt-2b10", "7K3MQ9XT2B10", " 7K3M Q9XT 2B1O ", "7K3M-Q9XT-2BIO", "7k3m q9xt-2bl0"],
)
def test_a_token_is_read_as_people_type_it(typed: str) -> None:
    assert read_token(typed).secret == "7K3MQ9XT2B10"


@pytest.mark.parametrize("typed", ["", "7K3M-Q9XT-2B1", "7K3M-Q9XT-2B100", "7K3M-Q9XT-2B1U", "é" * 12, "-" * 12])
def test_what_is_no_token_is_unknown(typed: str) -> None:
    with pytest.raises(NotFound):
        read_token(typed)


def test_secrets_have_sixty_bits_and_do_not_repeat() -> None:
    made = {make_secret() for _ in range(200)}
    assert len(made) == 200
    assert all(len(secret) == 12 and set(secret) <= set(CROCKFORD) for secret in made)
    assert len(set("".join(made))) == 32


def test_a_token_carries_the_pin_of_our_own_ca(session: Session, config: FleetConfig, signing: Signing) -> None:
    ca_file = signing.ca_file
    issued = issue(session, replace(config, ca_file=ca_file), make_school(session))
    pin = read_token(issued.text).pin
    number = 0
    for letter in pin:
        number = number * 32 + CROCKFORD.index(letter)
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca_file.read_text())).digest()
    assert number.to_bytes(10, "big") == digest[:10]
    assert issued.url == f"https://preau.example.test/enroll#{issued.text}"
    assert len(issue(session, config, make_school(session)).text) == 14


def test_neither_the_text_nor_the_secret_is_stored_or_shown(session: Session, config: FleetConfig) -> None:
    issued = issue(session, config, make_school(session))
    stored = {name: str(getattr(issued.token, name)) for name in EnrollmentToken.__table__.columns.keys()}  # noqa: SIM118
    secret = read_token(issued.text).secret
    assert not any(secret in value for value in stored.values())
    assert stored["hint"] == secret[:4]
    assert issued.text not in repr(issued)


# ---- who gets in


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


# ---- once


def test_a_form_sent_twice_issues_one_token(api: TestClient, session: Session) -> None:
    school, other = make_school(session), make_user(session)
    signed_in(api, make_user(session))
    body = {"school_id": str(school.id), "kind": "display", "request_key": "0123456789abcdef"}
    first, again = (api.post("/api/v1/enrollment/tokens", json=body) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["code"]) == (201, 409, "token.already_issued")
    assert session.scalar(select(func.count()).select_from(EnrollmentToken)) == 1
    assert first.json()["token"]["school"]["uai"] == school.uai
    assert api.post("/api/v1/enrollment/tokens", json=body | {"request_key": "fedcba9876543210"}).status_code == 201
    signed_in(api, other)  # the key of another person says nothing about mine
    assert api.post("/api/v1/enrollment/tokens", json=body).status_code == 201


def test_one_form_sent_five_times_at_once_issues_one_token(own_database_url: str, config: FleetConfig) -> None:
    api, _ = committed(own_database_url, config)

    def send(_: int) -> str:
        with SessionFactory() as session:
            school = session.scalars(select(School)).one()
            try:
                issue(session, config, school, request_key="0123456789abcdef")
            except Conflict as error:
                return error.code
            session.commit()
            return "issued"

    with api, ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(send, range(5))) == ["issued"] + ["token.already_issued"] * 4


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
    with SessionFactory() as session:
        assert session.scalar(select(EnrollmentToken.uses)) == 12
        assert session.scalar(select(func.count()).select_from(Device)) == 12


def test_one_attempt_sent_ten_times_at_once_is_one_device(own_database_url: str, config: FleetConfig) -> None:
    api, token = committed(own_database_url, config, max_uses=12)
    attempt = new_attempt()
    with api, ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: enrolled(api, token, attempt), range(10)))
    assert len({a.device_id for a in answers}) == 1
    assert len({a.credential for a in answers}) == 10
    with SessionFactory() as session:
        assert session.scalar(select(EnrollmentToken.uses)) == 1


def test_one_machine_with_two_tokens_at_once_is_one_row(own_database_url: str, config: FleetConfig) -> None:
    """Without the lock on the identity both would see no such machine, and make two."""
    api, first = committed(own_database_url, config, max_uses=10)
    with SessionFactory.begin() as session:
        second = issue(session, config, session.scalars(select(School)).one(), max_uses=10, now=utc_now()).text
    with api, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: enroll(api, (first, second)[n % 2]), range(8)))
    assert sorted(a.status_code for a in answers) == [201] + [409] * 7  # a twin, for all one knows
    with SessionFactory.begin() as session:
        assert session.scalar(select(func.count(Device.id))) == 1


def committed(url: str, config: FleetConfig, **terms: Any) -> tuple[TestClient, str]:
    """A controller on a database of its own, with a school and a token in it."""
    api = TestClient(create_portal(replace(config, database_url=url)), base_url="https://preau.example.test")
    with SessionFactory.begin() as session:
        return api, issue(session, config, make_school(session), now=utc_now(), **terms).text


# ---- guesses


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


# ---- the same machine again


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


# ---- for people


def test_tokens_are_issued_listed_and_revoked_over_http(api: TestClient, session: Session, clock: Clock) -> None:
    school = make_school(session)
    signed_in(api, make_user(session, name="Camille"))
    body = {
        "school_id": str(school.id),
        "kind": "tablet",
        "platform": "android",
        "max_uses": 30,
        "expires_in_minutes": 1440,
    }
    issued = api.post("/api/v1/enrollment/tokens", json=body)
    assert issued.status_code == 201, issued.text
    assert issued.json()["url"].endswith(f"/enroll#{issued.json()['text']}")
    assert issued.json()["text"] in issued.json()["command"]
    [row] = api.get("/api/v1/enrollment/tokens").json()["rows"]
    assert (row["school"]["uai"], row["issued_by"], row["max_uses"]) == (school.uai, "Camille", 30)
    assert issued.json()["text"] not in api.get("/api/v1/enrollment/tokens").text
    clock.advance(minutes=1)
    revoked = [api.post(f"/api/v1/enrollment/tokens/{row['id']}/revoke").json()["revoked_at"] for _ in range(2)]
    assert revoked[0] == revoked[1] is not None
    answer = enroll(api, issued.json()["text"], platform="android")
    assert answer.json()["code"] == "token.revoked"


def test_an_officer_sees_his_tokens_only_and_issues_none(
    api: TestClient, session: Session, config: FleetConfig
) -> None:
    mine, theirs = make_collectivity(session), make_collectivity(session)
    my_school, their_school = make_school(session, collectivity=mine), make_school(session, collectivity=theirs)
    ours, other = issue(session, config, my_school).token, issue(session, config, their_school).token
    signed_in(api, make_user(session, Role.OFFICER, collectivity=mine))
    assert [r["id"] for r in api.get("/api/v1/enrollment/tokens").json()["rows"]] == [str(ours.id)]
    assert api.post(f"/api/v1/enrollment/tokens/{other.id}/revoke").status_code == 404
    assert api.post(f"/api/v1/enrollment/tokens/{ours.id}/revoke").status_code == 403
    for school, status in ((my_school, 403), (their_school, 404)):
        body = {"school_id": str(school.id), "kind": "display"}
        assert api.post("/api/v1/enrollment/tokens", json=body).status_code == status


def test_strangers_get_no_token(api: TestClient, session: Session) -> None:
    body = {"school_id": str(make_school(session).id), "kind": "display"}
    assert api.post("/api/v1/enrollment/tokens", json=body).status_code == 401
    assert api.get("/api/v1/enrollment/tokens").status_code == 401


# ---- what a new agent fetches before it trusts anybody


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


def test_two_new_boxes_with_one_serial_are_for_a_person(api: TestClient, session: Session, config: FleetConfig) -> None:
    """A copied serial, both enrolled this morning and neither heard yet: the second must not take the first's place."""
    token = issue(session, config, make_school(session), max_uses=30)
    session.flush()
    first = enrolled(api, token.text)
    assert enroll(api, token.text).status_code == 409
    assert check_in(api, first).status_code == 200
