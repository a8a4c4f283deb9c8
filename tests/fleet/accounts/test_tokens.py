"""API tokens: no more than their maker, in the header only, ended at once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from fleet.accounts import guesses, tokens
from fleet.accounts.models import ApiToken, Guess, NodeGrant, RoleGrant, User
from fleet.accounts.service import get_viewer
from fleet.audit.models import AuditEntry
from fleet.errors import FleetError
from fleet.scope import MAY, Grant, Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_school, make_user
from tests.sign_in import signed_in

YEAR = NOON + timedelta(days=365)
HERE, THERE = uuid4(), uuid4()


def issue(session: Session, user: User, grant: Grant) -> str:
    return tokens.issue(session, get_viewer(session, user.id), name="essai", grant=grant, expires_at=YEAR, now=NOON)[1]


def ask(api: TestClient, token: str, path: str = "/api/v1/schools") -> int:
    return api.get(path, headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_token_sees_what_its_role_sees(api: TestClient, session: Session) -> None:
    mine, theirs = make_school(session), make_school(session)
    user = make_user(session, Role.OFFICER, collectivity=mine.collectivity)
    text = issue(session, user, Grant(Role.AUDITOR, mine.collectivity_id))
    header = {"Authorization": f"Bearer {text}"}
    assert [row["uai"] for row in api.get("/api/v1/schools", headers=header).json()["rows"]] == [mine.uai]
    assert api.get(f"/api/v1/schools/{theirs.id}", headers=header).status_code == 404
    body = {
        "kind": "incident",
        "subject": "school",
        "school_id": str(mine.id),
        "title": "Panne",
        "description": "Rien.",
    }
    assert api.post("/api/v1/tickets", json=body, headers=header).status_code == 403  # an auditor reads


def test_a_change_by_token_needs_no_form_token(api: TestClient, session: Session) -> None:
    school = make_school(session)
    user = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    text = issue(session, user, Grant(Role.OFFICER, school.collectivity_id))
    body = {
        "kind": "incident",
        "subject": "school",
        "school_id": str(school.id),
        "title": "Panne",
        "description": "Rien.",
    }
    answer = api.post("/api/v1/tickets", json=body, headers={"Authorization": f"Bearer {text}"})
    assert answer.status_code in (200, 201), answer.text


def test_only_its_digest_is_kept_and_it_is_shown_once(api: TestClient, session: Session, clock: Clock) -> None:
    signed_in(api, make_user(session))
    body = {"name": "export", "role": "auditor", "expires_at": (clock.now + timedelta(days=30)).isoformat()}
    made = api.post("/api/v1/accounts/tokens", json=body).json()
    row = session.scalars(select(ApiToken)).one()
    assert made["token"] not in str(vars(row))
    assert made["token"].startswith(made["prefix"])
    [listed] = api.get("/api/v1/accounts/tokens").json()
    assert "token" not in listed
    assert listed["last_used_at"] is None
    assert ask(api, made["token"]) == 200
    assert api.get("/api/v1/accounts/tokens").json()[0]["last_used_at"] is not None
    assert api.delete(f"/api/v1/accounts/tokens/{row.id}").status_code == 204
    assert ask(api, made["token"]) == 401


HOLDERS = [
    (held, wanted)
    for held in (Grant(Role.ADMIN), Grant(Role.TECHNICIAN), Grant(Role.AUDITOR), Grant(Role.OFFICER, HERE),
                 Grant(Role.TECHNICIAN, HERE), Grant(Role.SCHOOL_LEAD, None, HERE))
    for role in Role
    for wanted in (Grant(role), Grant(role, HERE), Grant(role, THERE), Grant(role, None, HERE))
]  # fmt: skip


@pytest.mark.parametrize(("held", "wanted"), HOLDERS)
def test_no_token_may_what_its_maker_may_not(held: Grant, wanted: Grant) -> None:
    """For every action, at every place: whatever is handed out, the maker may do as well."""
    if not tokens.covers(held, wanted):
        return
    maker, token = (Viewer(uuid4(), "x", "x", (grant,)) for grant in (held, wanted))
    for action in MAY:
        for place in ((None, None), (HERE, None), (THERE, None), (None, HERE), (HERE, HERE)):
            assert maker.may(action, *place) or not token.may(action, *place)
    assert maker.sees_all or not token.sees_all
    assert maker.sees_all or token.collectivity_ids <= maker.collectivity_ids
    assert maker.sees_all or token.school_ids <= maker.school_ids


@pytest.mark.parametrize(
    ("grant", "days", "name", "code"),
    [
        (Grant(Role.ADMIN), 30, "x", "token.too_wide"),
        (Grant(Role.TECHNICIAN, HERE), 30, "x", ""),
        (Grant(Role.AUDITOR), 366, "x", ""),
        (Grant(Role.AUDITOR), 367, "x", "token.bad_end"),
        (Grant(Role.AUDITOR), 0, "x", "token.bad_end"),
        (Grant(Role.AUDITOR), 30, " ", "token.bad_name"),
        (Grant(Role.AUDITOR), 30, "x" * 81, "token.bad_name"),
    ],
)
def test_what_a_technician_may_hand_out(session: Session, grant: Grant, days: int, name: str, code: str) -> None:
    if grant.collectivity_id:
        make_collectivity(session, id=grant.collectivity_id)
    maker, end = get_viewer(session, make_user(session).id), NOON + timedelta(days=days)
    if not code:
        assert tokens.issue(session, maker, name=name, grant=grant, expires_at=end, now=NOON)
        return
    with pytest.raises(FleetError) as refused:
        tokens.issue(session, maker, name=name, grant=grant, expires_at=end, now=NOON)
    assert refused.value.code == code


def test_a_token_ends_with_its_date_its_maker_s_role_and_account(
    api: TestClient, session: Session, clock: Clock
) -> None:
    user = make_user(session)
    text = issue(session, user, Grant(Role.TECHNICIAN))
    assert ask(api, text) == 200
    session.execute(delete(RoleGrant).where(RoleGrant.user_id == user.id))
    session.expire_all()
    assert ask(api, text) == 401
    session.add(RoleGrant(user_id=user.id, role=Role.TECHNICIAN))
    session.flush()
    session.expire_all()
    assert ask(api, text) == 200
    session.get_one(User, user.id).is_active = False
    session.flush()
    assert ask(api, text) == 401
    session.get_one(User, user.id).is_active = True
    session.flush()
    clock.now = YEAR
    assert ask(api, text) == 401


def test_a_token_in_an_address_is_refused_whatever_it_is_worth(api: TestClient, session: Session) -> None:
    text = issue(session, make_user(session), Grant(Role.AUDITOR))
    for path in (f"/api/v1/schools?access_token={text}", f"/api/v1/schools?q={text}"):
        answer = api.get(path, headers={"Authorization": f"Bearer {text}"})
        assert (answer.status_code, answer.json()["code"]) == (422, "token.in_url")


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic eDp5", "bearer preau_x", "Bearer preau_" + "é" * 43, "Bearer " + "x" * 9999],
)
def test_what_is_no_token_opens_nothing_even_beside_a_cookie(api: TestClient, session: Session, header: str) -> None:
    signed_in(api, make_user(session))
    answer = api.get("/api/v1/schools", headers={b"Authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "token.refused")


def test_a_token_opens_no_page_and_makes_no_token(api: TestClient, session: Session) -> None:
    text = issue(session, make_user(session, Role.ADMIN), Grant(Role.ADMIN))
    header = {"Authorization": f"Bearer {text}"}
    assert api.get("/schools", headers=header, follow_redirects=False).status_code == 303
    body = {"name": "x", "role": "auditor", "expires_at": YEAR.isoformat()}
    assert api.post("/api/v1/accounts/tokens", json=body, headers=header).status_code == 401


def test_many_wrong_tokens_are_stopped_and_a_right_one_is_not(api: TestClient, session: Session) -> None:
    text = issue(session, make_user(session), Grant(Role.AUDITOR))
    for _ in range(guesses.LIMITS[Guess.TOKEN].network):
        guesses.note(session, guesses.Guesser(Guess.TOKEN, "", "testclient"), NOON)
    session.flush()
    assert ask(api, tokens.MARK + "x" * 43) == 429
    assert ask(api, text) == 200


def test_what_a_token_changes_is_the_token_s_also_beside_a_cookie(api: TestClient, session: Session) -> None:
    school = make_school(session)
    user = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    text = issue(session, user, Grant(Role.OFFICER, school.collectivity_id))
    signed_in(api, user)
    body = {
        "kind": "incident", "subject": "school", "school_id": str(school.id), "title": "Panne", "description": "Rien.",
    }  # fmt: skip
    assert api.post("/api/v1/tickets", json=body, headers={"Authorization": f"Bearer {text}"}).status_code == 201
    entry = session.scalars(select(AuditEntry).where(AuditEntry.table_name == "tickets")).one()
    row = session.scalars(select(ApiToken)).one()
    assert (entry.actor_kind, entry.actor_id) == ("token", str(row.id))
    assert entry.actor_name == f"{user.name} (jeton essai)"


def test_a_token_ends_with_the_role_that_it_came_from(api: TestClient, session: Session, clock: Clock) -> None:
    school = make_school(session)
    user = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    user.grants[0].ends_at = NOON + timedelta(days=1)
    session.flush()
    text = issue(session, user, Grant(Role.OFFICER, school.collectivity_id))
    assert ask(api, text) == 200
    clock.advance(days=1)
    assert ask(api, text) == 401


def test_a_token_is_shown_what_was_granted_to_its_node(api: TestClient, session: Session) -> None:
    school, lent = make_school(session), make_school(session)
    user = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    session.add(
        NodeGrant(
            to_collectivity_id=school.collectivity_id, school_id=lent.id, starts_at=NOON, ends_at=YEAR, reason="essai",
            given_at=NOON, given_by="Alix",
        )
    )  # fmt: skip
    session.flush()
    text = issue(session, user, Grant(Role.OFFICER, school.collectivity_id))
    rows = api.get("/api/v1/schools", headers={"Authorization": f"Bearer {text}"}).json()["rows"]
    assert {row["uai"] for row in rows} == {school.uai, lent.uai}
