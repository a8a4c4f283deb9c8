"""What people do to their own account, and administrators to others', by the forms of their pages."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.accounts import second_factor, sessions, signing_in
from fleet.accounts.models import ApiToken, User
from fleet.accounts.sessions import SignedIn, Visit
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import PASSWORD, make_school, make_user
from tests.fleet.accounts.codes import BOX, code_at, give_second_factor
from tests.portal.test_accounts import post
from tests.sign_in import signed_in


@pytest.fixture
def admin(api: TestClient, session: Session) -> User:
    user = make_user(session, Role.ADMIN)
    signed_in(api, user)
    return user


def sign_in_elsewhere(session: Session, user: User, clock: Clock) -> SignedIn:
    return signing_in.sign_in(session, user.email, PASSWORD, Visit("192.0.2.1"), clock.now)


def is_alive(session: Session, elsewhere: SignedIn, clock: Clock) -> bool:
    return sessions.find_signed_in(session, elsewhere.token, clock.now) is not None


def take_new_token(api: TestClient) -> None:
    """The session was renewed: its forms carry another token."""
    api.headers["X-CSRF-Token"] = api.get("/api/v1/accounts/me").json()["csrf_token"]


def test_an_invitation_is_sent_again_and_withdrawn(api: TestClient, session: Session, admin: User) -> None:
    form = {"email": "nora@guise.test", "name": "Nora", "role": "school_lead", "school": str(make_school(session).id)}
    assert post(api, "/accounts/new", **form)[0] == 303
    invited = select(User).where(User.email == "nora@guise.test")
    user = session.scalars(invited).one()
    assert post(api, f"/accounts/{user.id}/invite")[1].endswith("done=invited")
    assert post(api, f"/accounts/{user.id}/withdraw") == (303, "/accounts?done=invitation-withdrawn")
    assert session.scalar(invited) is None


def test_a_telephone_and_a_browser_are_lost(api: TestClient, session: Session, admin: User, clock: Clock) -> None:
    user = make_user(session)
    elsewhere = sign_in_elsewhere(session, user, clock)
    assert post(api, f"/accounts/{user.id}/sessions/end")[1].endswith("done=account-sessions-ended")
    assert not is_alive(session, elsewhere, clock)
    give_second_factor(session, user, clock.now)
    assert post(api, f"/accounts/{user.id}/second-factor/reset")[1].endswith("done=factor-reset")
    assert not second_factor.is_on(session, user.id)


def test_own_sessions_end_one_by_one_and_all_but_this(
    api: TestClient, session: Session, admin: User, clock: Clock
) -> None:
    one, two = (sign_in_elsewhere(session, admin, clock) for _ in range(2))
    assert post(api, f"/account/sessions/{one.session_id}/end") == (303, "/account?done=session-ended")
    assert (is_alive(session, one, clock), is_alive(session, two, clock)) == (False, True)
    assert post(api, "/account/sessions/end") == (303, "/account?done=sessions-ended")
    assert not is_alive(session, two, clock)
    assert api.get("/account").status_code == 200


def test_a_token_is_shown_once_and_revoked(api: TestClient, session: Session, admin: User) -> None:
    form = {"name": "Relevé du soir", "right": "0", "days": "30", "csrf": api.headers["X-CSRF-Token"]}
    shown = api.post("/account/tokens", data=form)
    token = session.scalars(select(ApiToken)).one()
    assert (shown.status_code, token.prefix in shown.text) == (200, True)
    assert post(api, f"/account/tokens/{token.id}/revoke") == (303, "/account/tokens?done=token-ended")
    session.refresh(token)
    assert token.revoked_at is not None


def test_recovery_codes_are_renewed_and_the_second_factor_switched_off(
    api: TestClient, session: Session, admin: User, clock: Clock
) -> None:
    post(api, "/account/second-factor/start")
    enrolment = second_factor.find_started(session, admin, BOX)
    assert enrolment is not None
    assert post(api, "/account/second-factor/on", code=code_at(enrolment.secret, clock.now))[0] == 200
    take_new_token(api)
    assert post(api, "/account/second-factor/recovery-codes")[0] == 200
    take_new_token(api)
    assert post(api, "/account/second-factor/off") == (303, "/account/second-factor?done=factor-off")
    assert not second_factor.is_on(session, admin.id)
