"""Signing in, staying in, and being kept out."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.accounts import guesses, service, sessions, signing_in
from fleet.accounts.access import COOKIE
from fleet.accounts.models import Guess, SignInFailure, WebSession
from fleet.accounts.sessions import Visit
from fleet.errors import Conflict, Invalid, TooMany, Unauthenticated
from fleet.scope import Action, Grant, Role
from fleet.stored_secrets import digest
from tests.conftest import Clock
from tests.factories import NOON, PASSWORD, make_collectivity, make_school, make_user
from tests.sign_in import signed_in

EACH = guesses.LIMITS[Guess.PASSWORD].each
HERE = Visit("127.0.0.1")


def attempt(api: TestClient, email: str, password: str) -> int:
    return api.post("/api/v1/accounts/sign-in", json={"email": email, "password": password}).status_code


def test_a_right_password_opens_a_session_kept_only_as_a_hash(api: TestClient, session: Session) -> None:
    user = make_user(session)
    assert signed_in(api, user).get("/api/v1/accounts/me").json()["email"] == user.email
    token = api.cookies[COOKIE]
    stored = session.scalar(select(WebSession.token_hash).where(WebSession.user_id == user.id))
    assert stored == digest(token)
    assert token not in stored


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(api: TestClient, session: Session) -> None:
    user = make_user(session)
    answer = api.post("/api/v1/accounts/sign-in", json={"email": user.email, "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("__host-", "secure", "httponly", "samesite=lax", "path=/"))


def test_the_address_is_read_without_case(api: TestClient, session: Session) -> None:
    user = make_user(session, email="mairie@example.test")
    assert attempt(api, " MAIRIE@Example.test ", PASSWORD) == 200
    assert user.email == "mairie@example.test"


@pytest.mark.parametrize(("email", "password"), [("known", "wrong password!"), ("unknown@example.test", PASSWORD)])
def test_a_wrong_password_and_an_unknown_address_are_told_alike(
    api: TestClient, session: Session, email: str, password: str
) -> None:
    user = make_user(session)
    body = {"email": user.email if email == "known" else email, "password": password}
    answer = api.post("/api/v1/accounts/sign-in", json=body)
    assert (answer.status_code, answer.json()["code"]) == (401, "account.wrong_password")
    assert session.scalar(select(func.count()).select_from(SignInFailure)) == 1


def test_guessing_is_stopped_where_it_comes_from_then_forgiven(api: TestClient, session: Session, clock: Clock) -> None:
    user = make_user(session)
    for _ in range(EACH):
        assert attempt(api, user.email, "wrong password!") == 401
        clock.advance(minutes=1)
    assert attempt(api, user.email, PASSWORD) == 429
    elsewhere = signing_in.sign_in(session, user.email, PASSWORD, Visit("203.0.113.9"), clock.now)
    assert elsewhere.viewer.user_id == user.id  # a stranger's guesses lock nobody out
    clock.advance(minutes=16)
    assert attempt(api, user.email, PASSWORD) == 200


def test_a_session_ends(api: TestClient, session: Session, clock: Clock) -> None:
    signed_in(api, make_user(session))
    for _ in range(7):
        clock.advance(minutes=110)
        answer = api.get("/api/v1/accounts/me").status_code
    assert answer == 401  # in constant use, and over after twelve hours
    assert sessions.purge(session, clock.now) == 1


def test_signing_out_ends_it_on_the_server_too(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    token = api.cookies[COOKIE]
    assert api.post("/api/v1/accounts/sign-out").status_code == 204
    assert sessions.find_signed_in(session, token, NOON) is None


@pytest.mark.parametrize("header", [None, b"", b"guessed", b"\xc3\xa9"])
def test_a_change_without_the_session_s_own_token_is_refused(
    api: TestClient, session: Session, header: bytes | None
) -> None:
    signed_in(api, make_user(session))
    del api.headers["X-CSRF-Token"]
    headers = {} if header is None else {b"X-CSRF-Token": header}
    answer = api.post("/api/v1/accounts/sign-out", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "session.csrf")


def test_a_closed_account_neither_signs_in_nor_stays_in(api: TestClient, session: Session) -> None:
    user = make_user(session)
    signed_in(api, user)
    user.is_active = False
    session.flush()
    assert api.get("/api/v1/accounts/me").status_code == 401
    assert attempt(api, user.email, PASSWORD) == 401


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"email": "no at sign"}, "account.bad_email"),
        ({"name": "  "}, "account.no_name"),
        ({"password": "short"}, "account.password_length"),
        ({"password": "x" * 257}, "account.password_length"),
        ({"grants": []}, "account.no_role"),
    ],
)
def test_what_an_account_needs(session: Session, changes: dict[str, object], code: str) -> None:
    values = {"email": "a@example.test", "name": "A", "password": PASSWORD, "grants": [Grant(Role.ADMIN)]} | changes
    with pytest.raises(Invalid) as refused:
        service.create_user(session, **values)  # type: ignore[arg-type]  # a table of cases
    assert refused.value.code == code


def test_an_address_has_one_account(session: Session) -> None:
    user = make_user(session)
    with pytest.raises(Conflict):
        service.create_user(session, email=user.email.upper(), name="B", password=PASSWORD, grants=[Grant(Role.ADMIN)])


def test_a_new_password_ends_every_session(session: Session) -> None:
    user = make_user(session)
    token = signing_in.sign_in(session, user.email, PASSWORD, HERE, NOON).token
    service.set_password(session, user.email, "une autre phrase de passe")
    assert sessions.find_signed_in(session, token, NOON) is None
    again = signing_in.sign_in(session, user.email, "une autre phrase de passe", HERE, NOON)
    assert again.viewer.user_id == user.id


def test_staff_are_the_operator_s_own(session: Session) -> None:
    technician = make_user(session, Role.TECHNICIAN)
    make_user(session, Role.OFFICER, collectivity=make_collectivity(session))
    make_user(session, Role.TECHNICIAN, collectivity=make_collectivity(session))
    assert service.list_staff(session, NOON) == [technician]


def test_a_role_holds_on_its_node_only(session: Session) -> None:
    school = make_school(session)
    other = make_school(session)
    officer = service.get_viewer(session, make_user(session, Role.OFFICER, collectivity=school.collectivity).id)
    lead = service.get_viewer(session, make_user(session, Role.SCHOOL_LEAD, school=school).id)
    for viewer in (officer, lead):
        assert viewer.may(Action.OPEN_TICKET, school.collectivity_id, school.id)
        assert not viewer.may(Action.OPEN_TICKET, other.collectivity_id, other.id)
        assert not viewer.may(Action.HANDLE_TICKET, school.collectivity_id, school.id)
    technician = service.get_viewer(session, make_user(session).id)
    assert technician.may(Action.HANDLE_TICKET, other.collectivity_id, other.id)


def test_guesses_from_one_ipv6_line_count_together(session: Session) -> None:
    user = make_user(session)
    for host in range(EACH):
        visit, at = Visit(f"2001:db8:1:1::{host:x}"), NOON + timedelta(minutes=host)
        with pytest.raises(Unauthenticated):
            signing_in.sign_in(session, user.email, "wrong password!", visit, at)
    with pytest.raises(TooMany):
        signing_in.sign_in(session, user.email, PASSWORD, Visit("2001:db8:1:1::ffff"), NOON + timedelta(minutes=12))


@pytest.mark.parametrize("email", ["a\x00@example.test", "\u200ba@example.test"])
def test_an_address_that_no_account_can_have_is_a_wrong_one(api: TestClient, session: Session, email: str) -> None:
    assert attempt(api, email, PASSWORD) == 401
    assert api.post("/sign-in", data={"email": email, "password": PASSWORD}).status_code < 500
