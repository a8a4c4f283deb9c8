"""Enrolment tokens: their text, what they let in and how often, and people who issue, list and revoke them."""

import hashlib
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.db import transaction
from fleet.doors import Door
from fleet.enrollment.models import EnrollmentToken
from fleet.enrollment.tokens import CROCKFORD, make_secret, read_token, write_token
from fleet.errors import Conflict, NotFound
from fleet.schools.models import School
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import make_collectivity, make_school, make_user
from tests.fleet.conftest import Signing
from tests.fleet.talking import committed, enroll, issue
from tests.sign_in import signed_in


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
        with transaction(Door.OPERATOR) as session:
            school = session.scalars(select(School)).one()
            try:
                issue(session, config, school, request_key="0123456789abcdef")
            except Conflict as error:
                return error.code
            session.commit()
            return "issued"

    with api, ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(send, range(5))) == ["issued"] + ["token.already_issued"] * 4


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
