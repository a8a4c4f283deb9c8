"""The second factor: codes that count once, recovery codes, and what stays closed until it is on."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts import guesses, second_factor
from fleet.accounts.models import Guess, RecoveryCode, SecondFactor
from fleet.config import FleetConfig
from fleet.errors import Conflict, Invalid
from fleet.scope import Role
from fleet.stored_secrets import SecretBox, read_keys
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.fleet.accounts.codes import BOX, attempt, code_at, give_second_factor, require_second_factor

STEP = timedelta(seconds=30)


def test_the_secret_is_sealed_and_bound_to_its_account(session: Session) -> None:
    user, other = make_user(session), make_user(session)
    secret, codes = give_second_factor(session, user, NOON)
    row = session.get_one(SecondFactor, user.id)
    assert secret not in row.sealed_secret
    assert BOX.open(row.sealed_secret, second_factor.about(user.id)) == secret
    with pytest.raises(Conflict):
        BOX.open(row.sealed_secret, second_factor.about(other.id))
    stored = session.scalars(select(RecoveryCode.code_hash).where(RecoveryCode.user_id == user.id)).all()
    assert len(stored) == len(set(codes)) == second_factor.RECOVERY_CODES
    assert not any(code.replace("-", "") in digest for code in codes for digest in stored)


@pytest.mark.parametrize(
    ("steps", "right"), [(-3, False), (-2, False), (-1, True), (0, True), (1, True), (2, False), (3, False)]
)
def test_a_code_counts_one_step_around_its_own(session: Session, steps: int, right: bool) -> None:
    user = make_user(session)
    secret, _ = give_second_factor(session, user, NOON - timedelta(hours=1))
    used = second_factor.use_code(session, user.id, code_at(secret, NOON + steps * STEP), BOX, NOON)
    assert used is (second_factor.Code.PHONE if right else None)


def test_a_code_counts_once_and_no_older_one_after_it(session: Session) -> None:
    user = make_user(session)
    secret, _ = give_second_factor(session, user, NOON - timedelta(hours=1))
    assert second_factor.use_code(session, user.id, code_at(secret, NOON), BOX, NOON)
    assert not second_factor.use_code(session, user.id, code_at(secret, NOON), BOX, NOON)
    assert not second_factor.use_code(session, user.id, code_at(secret, NOON - STEP), BOX, NOON)
    assert second_factor.use_code(session, user.id, code_at(secret, NOON + STEP), BOX, NOON)


def test_the_code_that_switched_it_on_is_used_up(session: Session) -> None:
    user = make_user(session)
    secret, _ = give_second_factor(session, user, NOON)
    assert not second_factor.use_code(session, user.id, code_at(secret, NOON), BOX, NOON)


def test_a_recovery_code_counts_once_however_it_is_typed(session: Session) -> None:
    user = make_user(session)
    _, codes = give_second_factor(session, user, NOON)
    typed = f" {codes[0].lower().replace('-', ' ').replace('0', 'o').replace('1', 'l')} "
    assert second_factor.use_code(session, user.id, typed, BOX, NOON) is second_factor.Code.RECOVERY
    assert not second_factor.use_code(session, user.id, codes[0], BOX, NOON)
    assert second_factor.count_recovery_codes(session, user.id) == second_factor.RECOVERY_CODES - 1
    second_factor.renew_recovery_codes(session, user.id)
    assert not second_factor.use_code(session, user.id, codes[1], BOX, NOON)


def test_another_one_s_code_is_wrong(session: Session) -> None:
    user, other = make_user(session), make_user(session)
    give_second_factor(session, user, NOON - timedelta(hours=1))
    secret, codes = give_second_factor(session, other, NOON - timedelta(hours=1))
    assert not second_factor.use_code(session, user.id, code_at(secret, NOON), BOX, NOON)
    assert not second_factor.use_code(session, user.id, codes[0], BOX, NOON)


def test_it_is_off_until_a_first_code_is_right(session: Session) -> None:
    user = make_user(session)
    secret = second_factor.start(session, user, BOX, NOON).secret
    assert not second_factor.is_on(session, user.id)
    assert not second_factor.use_code(session, user.id, code_at(secret, NOON), BOX, NOON)
    with pytest.raises(Invalid):
        second_factor.switch_on(session, user.id, "000000", BOX, NOON)
    assert not second_factor.is_on(session, user.id)


SHARED = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@given(st.text(max_size=80))
def test_what_is_no_code_is_wrong(typed: str) -> None:
    row = SecondFactor(sealed_secret=BOX.seal(SHARED, "second_factor:None"), last_step=0)
    is_code = "".join(typed.split()) in {code_at(SHARED, NOON + steps * STEP) for steps in (-1, 0, 1)}
    assert second_factor._take_code(row, typed, BOX, NOON) is is_code


def test_a_new_key_seals_and_the_old_one_still_opens() -> None:
    old, new = bytes(32), bytes([1]) * 32
    sealed = SecretBox((old,)).seal("secret", "about")
    both = SecretBox((new, old))
    assert both.open(sealed, "about") == "secret"
    assert SecretBox((new,)).open(both.seal("secret", "about"), "about") == "secret"
    with pytest.raises(Conflict, match="PREAU_SECRET_KEY"):
        SecretBox((new,)).open(sealed, "about")
    with pytest.raises(Conflict, match="PREAU_SECRET_KEY"):
        SecretBox(()).seal("secret", "about")


@pytest.mark.parametrize("text", ["", "AAAA", "!!!", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=,AAAA"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not"):
        read_keys(text)


def test_signing_in_asks_for_the_code(api: TestClient, session: Session, clock: Clock) -> None:
    user = make_user(session)
    secret, _ = give_second_factor(session, user, clock.now - timedelta(hours=1))
    assert attempt(api, user) == (401, "account.code_needed")
    assert attempt(api, user, "000000") == (401, "account.wrong_code")
    assert attempt(api, user, code_at(secret, clock.now), password="wrong password!") == (401, "account.wrong_password")
    assert attempt(api, user, code_at(secret, clock.now)) == (200, "")
    assert attempt(api, user, code_at(secret, clock.now)) == (401, "account.wrong_code")


def test_wrong_codes_are_limited_where_they_come_from_and_in_all(
    api: TestClient, session: Session, clock: Clock
) -> None:
    user = make_user(session)
    secret, _ = give_second_factor(session, user, clock.now - timedelta(hours=1))
    for _ in range(guesses.LIMITS[Guess.CODE].each):
        assert attempt(api, user, "000000")[0] == 401
        clock.advance(minutes=1)
    assert attempt(api, user, code_at(secret, clock.now)) == (429, "account.too_many_failures")
    clock.advance(minutes=16)
    assert attempt(api, user, code_at(secret, clock.now)) == (200, "")  # the browser is known from now on
    for network in range(guesses.CODES_IN_ALL):
        guesses.note(session, guesses.Guesser(Guess.CODE, user.email, f"198.51.100.{network}"), clock.now)
    session.flush()
    clock.advance(minutes=1)
    assert attempt(api, user, code_at(secret, clock.now)) == (200, "")
    api.cookies.clear()
    clock.advance(minutes=1)
    assert attempt(api, user, code_at(secret, clock.now)) == (429, "account.too_many_codes")


ALLOWED = {"/api/v1/accounts/me"}
ASKED = ("/api/v1/accounts/me", "/api/v1/accounts/tokens", "/api/v1/schools", "/api/v1/tickets", "/api/v1/devices")


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.ADMIN])
def test_staff_reach_nothing_until_it_is_on(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock, role: Role
) -> None:
    require_second_factor(api, config)
    user = make_user(session, role)
    assert attempt(api, user) == (200, "")
    for path in ASKED:
        answer = api.get(path)
        assert (answer.status_code == 200) is (path in ALLOWED), path
        assert path in ALLOWED or answer.json()["code"] == "second_factor.owed"
    secret, _ = give_second_factor(session, user, clock.now)
    clock.advance(minutes=1)
    assert attempt(api, user, code_at(secret, clock.now)) == (200, "")
    assert {api.get(path).status_code for path in ASKED} == {200}


@pytest.mark.parametrize("role", [Role.OFFICER, Role.SCHOOL_LEAD, Role.AUDITOR])
def test_others_may_do_without(api: TestClient, session: Session, config: FleetConfig, role: Role) -> None:
    require_second_factor(api, config)
    school = make_school(session)
    nodes: dict[Role, dict[str, object]] = {
        Role.OFFICER: {"collectivity": school.collectivity},
        Role.SCHOOL_LEAD: {"school": school},
    }
    assert attempt(api, make_user(session, role, **nodes.get(role, {}))) == (200, "")
    assert api.get("/api/v1/schools").status_code == 200
