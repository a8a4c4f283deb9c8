"""Pages about accounts: who reaches them, what they ask first, and what they say back."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts import second_factor, sessions, signing_in
from fleet.accounts.models import User
from fleet.accounts.sessions import Visit
from fleet.config import FleetConfig
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import PASSWORD, make_collectivity, make_school, make_user
from tests.fleet.accounts.codes import BOX, code_at, give_second_factor, require_second_factor
from tests.sign_in import signed_in

NEW = "quatre mots sans aucun rapport"


def post(api: TestClient, path: str, **form: str) -> tuple[int, str]:
    """A form of this session: the status, and where it leads."""
    answer = api.post(path, data=form | {"csrf": api.headers["X-CSRF-Token"]}, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", "")


@pytest.fixture
def admin(api: TestClient, session: Session) -> User:
    user = make_user(session, Role.ADMIN)
    signed_in(api, user)
    return user


@pytest.mark.parametrize("path", ["/accounts", "/accounts/new", "/accounts/00000000-0000-0000-0000-000000000000"])
@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.OFFICER, Role.AUDITOR])
def test_accounts_are_for_administrators(api: TestClient, session: Session, role: Role, path: str) -> None:
    node = {"collectivity": make_collectivity(session)} if role is Role.OFFICER else {}
    signed_in(api, make_user(session, role, **node))
    assert api.get(path).status_code == 403
    assert 'href="/accounts"' not in api.get("/schools").text


def test_staff_without_a_second_factor_are_led_to_it_and_nowhere_else(
    api: TestClient, session: Session, config: FleetConfig, clock: Clock
) -> None:
    require_second_factor(api, config)
    user = make_user(session)
    signed_in(api, user)
    for path in ("/", "/schools", "/account", "/account/tokens", "/tickets/new"):
        answer = api.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/account/second-factor"), path
    assert post(api, "/account/password", current=PASSWORD, password=NEW) == (303, "/account/second-factor")
    page = api.get("/account/second-factor").text
    assert "Votre rôle l’exige" in page.replace("\u00a0", " ")
    assert 'href="/devices"' not in page
    assert post(api, "/account/second-factor/start")[0] == 303
    enrolment = second_factor.find_started(session, user, BOX)
    assert enrolment is not None
    assert enrolment.secret[:4] in api.get("/account/second-factor").text
    assert post(api, "/account/second-factor/on", code=code_at(enrolment.secret, clock.now))[0] == 200
    assert api.get("/schools").status_code == 200


def test_switching_it_on_ends_other_sessions_and_renews_this_one(
    api: TestClient, session: Session, admin: User, clock: Clock
) -> None:
    far = signing_in.sign_in(session, admin.email, PASSWORD, Visit("192.0.2.1"), clock.now)
    before = dict(api.cookies)
    post(api, "/account/second-factor/start")
    enrolment = second_factor.find_started(session, admin, BOX)
    assert enrolment is not None
    post(api, "/account/second-factor/on", code=code_at(enrolment.secret, clock.now))
    assert dict(api.cookies) != before
    assert sessions.find_signed_in(session, far.token, clock.now) is None
    for token in before.values():
        assert sessions.find_signed_in(session, token, clock.now) is None


DANGEROUS = (
    "/account/second-factor/start", "/account/second-factor/on", "/account/second-factor/off", "/account/tokens",
    "/account/second-factor/recovery-codes", "/accounts/new", "/accounts/{id}/close", "/accounts/{id}/reopen",
    "/accounts/{id}/roles", "/accounts/{id}/roles/{id}/take", "/accounts/{id}/second-factor/reset",
    "/accounts/{id}/withdraw",
)  # fmt: skip


@pytest.mark.parametrize("path", DANGEROUS)
def test_dangerous_acts_ask_first_who_one_is(api: TestClient, admin: User, clock: Clock, path: str) -> None:
    clock.advance(minutes=10)
    answer = post(api, path.format(id=admin.id), code="1")
    assert answer == (303, "/account/confirm?next=%2Faccount")


def test_to_confirm_leads_back(api: TestClient, session: Session, admin: User, clock: Clock) -> None:
    clock.advance(minutes=10)
    assert (
        api.get("/accounts/new", follow_redirects=False).headers["location"]
        == "/account/confirm?next=%2Faccounts%2Fnew"
    )
    assert post(api, "/account/confirm", secret="faux mot de passe", next="/accounts/new")[0] == 401
    assert post(api, "/account/confirm", secret=PASSWORD, next="//evil.example")[1] == "/account"
    answer = api.get("/accounts/new")
    assert answer.status_code == 200


def test_a_password_is_changed_for_the_old_one(api: TestClient, session: Session, admin: User, clock: Clock) -> None:
    far = signing_in.sign_in(session, admin.email, PASSWORD, Visit("192.0.2.1"), clock.now)
    assert post(api, "/account/password", current="faux mot de passe", password=NEW)[0] == 401
    assert post(api, "/account/password", current=PASSWORD, password="trop court")[0] == 422
    assert post(api, "/account/password", current=PASSWORD, password=NEW) == (303, "/account?done=password-changed")
    assert sessions.find_signed_in(session, far.token, clock.now) is None
    assert api.get("/account").status_code == 200
    session.expire_all()
    assert signing_in.sign_in(session, admin.email, NEW, Visit("192.0.2.1"), clock.now).token


def test_the_code_page_opens_nothing_by_itself(api: TestClient, session: Session, clock: Clock) -> None:
    user = make_user(session)
    secret, codes = give_second_factor(session, user, clock.now - timedelta(hours=1))
    assert api.get("/sign-in/code", follow_redirects=False).headers["location"] == "/sign-in"
    form = {"email": user.email, "password": PASSWORD, "next": "/tickets"}
    answer = api.post("/sign-in", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/sign-in/code?next=%2Ftickets"
    assert api.get("/schools", follow_redirects=False).status_code == 303
    assert "Ce code n’est pas le bon" in api.post("/sign-in/code", data={"code": "000000"}).text
    done = api.post("/sign-in/code", data={"code": codes[0], "next": "/tickets"}, follow_redirects=False)
    assert done.headers["location"] == "/tickets"
    api.cookies.clear()
    api.post("/sign-in", data=form)
    clock.advance(minutes=11)
    late = api.post("/sign-in/code", data={"code": code_at(secret, clock.now)})
    assert "le temps pour saisir le code a passé" in late.text


def test_an_administrator_gives_and_takes_closes_and_reopens(api: TestClient, session: Session, admin: User) -> None:
    school = make_school(session)
    user = make_user(session, Role.SCHOOL_LEAD, school=school)
    place = f"/accounts/{user.id}"
    assert post(api, f"{place}/roles", collectivity=str(school.collectivity_id), role="officer")[1].endswith(
        "role-given"
    )
    assert post(api, f"{place}/roles", collectivity=str(school.collectivity_id), role="officer")[0] == 409
    assert post(api, f"{place}/roles", school=str(school.id), role="admin")[0] == 422
    town = {"collectivity": str(school.collectivity_id), "role": "auditor"}
    assert post(api, f"{place}/roles", **town, ends="2020-01-01T18:00")[0] == 422
    assert post(api, f"{place}/roles", **town, ends="2027-07-05T18:00")[1].endswith("role-given")
    assert "jusqu’au" in (text := api.get(place).text)
    assert "2027" in text
    name = school.collectivity.name
    session.expire_all()
    assert name in api.get(place).text
    given = next(g for g in _grants(session, user) if g.role is Role.OFFICER)
    assert post(api, f"{place}/roles/{given.id}/take")[1].endswith("role-taken")
    assert post(api, f"{place}/close")[1].endswith("account-closed")
    assert post(api, f"{place}/reopen")[1].endswith("account-reopened")
    assert post(api, f"/accounts/{admin.id}/close")[0] == 409
    assert (
        "dernier compte d’administration"
        in api.post(f"/accounts/{admin.id}/close", data={"csrf": api.headers["X-CSRF-Token"]}).text
    )


def _grants(session: Session, user: User) -> list:  # type: ignore[type-arg]
    session.refresh(user, ["grants"])
    return list(user.grants)


def test_an_invitation_that_is_wrong_keeps_what_was_typed(api: TestClient, session: Session, admin: User) -> None:
    csrf = api.headers["X-CSRF-Token"]
    form = {"csrf": csrf, "operator": "1", "role": "technician", "name": "Léa", "email": "pas une adresse"}
    page = api.post("/accounts/new", data=form)
    assert page.status_code == 422
    assert "n’est pas une adresse électronique" in page.text
    assert 'value="Léa"' in page.text
    form["email"] = admin.email
    assert api.post("/accounts/new", data=form).status_code == 409
    form["email"] = "lea@example.test"
    assert api.post("/accounts/new", data=form, follow_redirects=False).status_code == 303


def test_an_installation_for_trials_says_so(api: TestClient, config: FleetConfig) -> None:
    assert "PREAU_SECOND_FACTOR=optional" in api.get("/sign-in").text
    require_second_factor(api, config)
    assert "PREAU_SECOND_FACTOR" not in api.get("/sign-in").text
