"""Sessions: found, renewed, listed, ended; and guessers that lock nobody else out."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from fleet.accounts import guesses, known_browsers, sessions, signing_in
from fleet.accounts.access import BROWSER_COOKIE, COOKIE
from fleet.accounts.models import Guess, KnownBrowser, SignInFailure, WebSession
from fleet.accounts.sessions import Visit
from fleet.errors import TooMany, Unauthenticated
from tests.conftest import Clock
from tests.factories import NOON, PASSWORD, make_user
from tests.fleet.accounts.codes import attempt, code_at, give_second_factor
from tests.sign_in import signed_in

EACH = guesses.LIMITS[Guess.PASSWORD].each
STRANGER = Visit("203.0.113.66")


def fail(session: Session, email: str, visit: Visit, clock: Clock, times: int) -> None:
    """So many wrong passwords, each after its wait."""
    for _ in range(times):
        clock.advance(minutes=1)
        with pytest.raises(Unauthenticated):
            signing_in.sign_in(session, email, "wrong password!", visit, clock.now)


def test_an_idle_session_ends_and_a_used_one_stays(api: TestClient, session: Session, clock: Clock) -> None:
    signed_in(api, make_user(session))
    for _ in range(3):
        clock.advance(minutes=110)
        assert api.get("/api/v1/accounts/me").status_code == 200
    clock.advance(minutes=121)
    assert api.get("/api/v1/accounts/me").status_code == 401


def test_the_last_use_is_written_once_a_minute(
    api: TestClient, session: Session, clock: Clock, statements: list[str]
) -> None:
    signed_in(api, make_user(session))
    written = []
    for seconds in (30, 29, 1, 10, 60):
        statements.clear()
        clock.advance(seconds=seconds)
        api.get("/api/v1/accounts/me")
        written.append(any(each.startswith("UPDATE web_sessions") for each in statements))
    assert written == [False, False, True, False, True]


def test_a_session_says_where_it_is_and_can_be_ended(api: TestClient, session: Session, clock: Clock) -> None:
    user, stranger = make_user(session), make_user(session)
    far = signing_in.sign_in(session, user.email, PASSWORD, Visit("198.51.100.7", "Firefox/140 \x1b[31m"), clock.now)
    theirs = signing_in.sign_in(session, stranger.email, PASSWORD, STRANGER, clock.now)
    signed_in(api, user)
    listed = api.get("/api/v1/accounts/sessions").json()
    assert {each["address"] for each in listed} == {"198.51.100.7", "testclient"}
    assert "Firefox/140 [31m" in {each["browser"] for each in listed}
    assert not any(word in str(listed) for word in ("token", "csrf"))
    assert api.delete(f"/api/v1/accounts/sessions/{theirs.session_id}").status_code == 404
    assert api.delete(f"/api/v1/accounts/sessions/{far.session_id}").status_code == 204
    assert sessions.find_signed_in(session, far.token, clock.now) is None
    assert sessions.find_signed_in(session, theirs.token, clock.now) is not None


def test_a_sign_in_never_takes_over_a_secret_that_was_there(api: TestClient, session: Session) -> None:
    planted = {"Cookie": f"{COOKIE}=planted; {BROWSER_COOKIE}=planted"}
    user = make_user(session)
    body = {"email": user.email, "password": PASSWORD}
    answer = api.post("/api/v1/accounts/sign-in", json=body, headers=planted)
    assert "planted" not in str(answer.headers.get_list("set-cookie"))
    signed_in(api, user)
    before = api.cookies[COOKIE]
    signed_in(api, user)
    assert api.cookies[COOKIE] != before


def test_to_confirm_renews_the_secret_and_opens_dangerous_acts(api: TestClient, session: Session, clock: Clock) -> None:
    signed_in(api, make_user(session))
    token = {"name": "essai", "role": "technician", "expires_at": (clock.now + timedelta(days=30)).isoformat()}
    clock.advance(minutes=11)
    assert api.post("/api/v1/accounts/tokens", json=token).json()["code"] == "session.confirmation_needed"
    before = api.cookies[COOKIE]
    assert api.post("/api/v1/accounts/confirm", json={"secret": "wrong password!"}).status_code == 401
    answer = api.post("/api/v1/accounts/confirm", json={"secret": PASSWORD})
    assert answer.status_code == 200
    assert api.post("/api/v1/accounts/tokens", json=token).status_code == 403  # the old form token
    api.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
    assert api.post("/api/v1/accounts/tokens", json=token).status_code == 201
    assert api.cookies[COOKIE] != before
    assert sessions.find_signed_in(session, before, clock.now) is None


def test_with_a_second_factor_its_code_confirms_and_the_password_does_not(
    api: TestClient, session: Session, clock: Clock
) -> None:
    user = make_user(session)
    secret, _ = give_second_factor(session, user, clock.now)
    clock.advance(minutes=1)
    assert attempt(api, user, code_at(secret, clock.now)) == (200, "")
    clock.advance(minutes=11)
    assert api.post("/api/v1/accounts/confirm", json={"secret": PASSWORD}).json()["code"] == "account.wrong_code"
    answer = api.post("/api/v1/accounts/confirm", json={"secret": code_at(secret, clock.now)})
    assert answer.status_code == 200


def test_guesses_wait_twice_as_long_each_time(session: Session) -> None:
    user, waits = make_user(session), []
    at = NOON
    for _ in range(EACH):
        waited = 0
        while True:
            try:
                signing_in.sign_in(session, user.email, "wrong password!", STRANGER, at)
            except Unauthenticated:
                break
            except TooMany:
                waited += 1
                at += timedelta(seconds=1)
        waits.append(waited)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 16, 32, 60]


def test_a_stranger_s_guesses_stop_neither_the_person_elsewhere_nor_their_own_browser(
    session: Session, clock: Clock
) -> None:
    user = make_user(session)
    office = Visit("198.51.100.1")
    known = signing_in.sign_in(session, user.email, PASSWORD, office, clock.now).browser_token
    fail(session, user.email, STRANGER, clock, EACH)
    fail(session, user.email, office, clock, EACH)  # a pupil, behind the school's one address
    with pytest.raises(TooMany):
        signing_in.sign_in(session, user.email, PASSWORD, office, clock.now)
    for visit in (Visit("192.0.2.1"), Visit(office.address, browser_token=known), Visit(STRANGER.address, "", known)):
        assert signing_in.sign_in(session, user.email, PASSWORD, visit, clock.now).token


def test_a_network_that_guessed_at_everybody_does_not_stop_a_known_browser(session: Session, clock: Clock) -> None:
    user = make_user(session)
    known = signing_in.sign_in(session, user.email, PASSWORD, STRANGER, clock.now).browser_token
    for number in range(guesses.LIMITS[Guess.PASSWORD].network):
        guesses.note(session, guesses.Guesser(Guess.PASSWORD, f"{number}@x.test", STRANGER.address), clock.now)
    session.flush()
    with pytest.raises(TooMany):
        signing_in.sign_in(session, user.email, PASSWORD, STRANGER, clock.now)
    assert signing_in.sign_in(session, user.email, PASSWORD, Visit(STRANGER.address, "", known), clock.now).token


def test_a_known_browser_has_a_limit_of_its_own(session: Session, clock: Clock) -> None:
    user = make_user(session)
    known = Visit(
        "198.51.100.1", "", signing_in.sign_in(session, user.email, PASSWORD, STRANGER, clock.now).browser_token
    )
    fail(session, user.email, known, clock, EACH)
    with pytest.raises(TooMany):
        signing_in.sign_in(session, user.email, PASSWORD, known, clock.now)
    assert signing_in.sign_in(session, user.email, PASSWORD, STRANGER, clock.now).token


def test_a_known_browser_is_known_for_its_person_only(session: Session, clock: Clock) -> None:
    user, other = make_user(session), make_user(session)
    shared = signing_in.sign_in(session, user.email, PASSWORD, STRANGER, clock.now).browser_token
    fail(session, other.email, Visit(STRANGER.address, "", shared), clock, EACH)
    with pytest.raises(TooMany):
        signing_in.sign_in(session, other.email, PASSWORD, Visit(STRANGER.address, "", shared), clock.now)
    clock.advance(minutes=20)
    again = signing_in.sign_in(session, other.email, PASSWORD, Visit(STRANGER.address, "", shared), clock.now)
    assert again.browser_token == shared  # one browser, two people
    assert session.scalar(select(func.count()).select_from(KnownBrowser)) == 2


def test_what_is_over_is_forgotten(session: Session, clock: Clock) -> None:
    user = make_user(session)
    signing_in.sign_in(session, user.email, PASSWORD, STRANGER, clock.now)
    fail(session, user.email, STRANGER, clock, 2)
    clock.advance(days=366)
    assert (sessions.purge(session, clock.now), guesses.purge(session, clock.now)) == (1, 2)
    assert known_browsers.purge(session, clock.now) == 1
    for table in (WebSession, SignInFailure, KnownBrowser):
        assert session.scalar(select(func.count()).select_from(table)) == 0
