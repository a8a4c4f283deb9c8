"""Grants of sight: who gives them, what they give, and the moment at which they end."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts.models import NodeGrant, User
from fleet.accounts.service import get_viewer
from fleet.collectivities.models import Collectivity, CollectivityKind, Membership
from fleet.devices import service as devices
from fleet.errors import FleetError, NotAllowed
from fleet.grants import service
from fleet.grants.nodes import Node, find_node_by_code
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_device, make_school, make_user
from tests.sign_in import signed_in

DAY = timedelta(days=1)


@pytest.fixture
def admin(session: Session) -> Viewer:
    return get_viewer(session, make_user(session, Role.ADMIN).id, NOON)


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session)


@pytest.fixture
def town(session: Session) -> Collectivity:
    return make_collectivity(session)


@pytest.fixture
def officer(session: Session, town: Collectivity) -> User:
    return make_user(session, Role.OFFICER, collectivity=town)


def give(session: Session, admin: Viewer, to: Node, node: Node, **more: Any) -> NodeGrant:
    values: dict[str, Any] = {"ends": NOON + DAY, "reason": "convention", "now": NOON} | more
    return service.give_grant(session, admin, to=to, node=node, **values)


def seen_at(session: Session, user: User, moment: datetime) -> set[str]:
    viewer = get_viewer(session, user.id, moment)
    return {school.uai for school in schools.list_schools(session, viewer).rows}


def test_a_grant_shows_a_school_and_ends_at_its_very_moment(
    session: Session, admin: Viewer, officer: User, town: Collectivity, school: School
) -> None:
    give(session, admin, Node(town), Node(school=school), starts=NOON + timedelta(hours=1))
    moments = {0: False, 1: True, 23: True, 24: False, 48: False}
    found = {hours: school.uai in seen_at(session, officer, NOON + timedelta(hours=hours)) for hours in moments}
    assert found == moments


def test_a_granted_collectivity_comes_with_its_schools_and_is_read_only(
    session: Session, admin: Viewer, officer: User, town: Collectivity, school: School
) -> None:
    device = make_device(session, school=school)
    give(session, admin, Node(town), Node(school.collectivity))
    viewer = get_viewer(session, officer.id, NOON)
    assert devices.get_device(session, viewer, device.id) is device
    assert not viewer.may(Action.OPEN_TICKET, school.collectivity_id, school.id)
    assert viewer.may(Action.OPEN_TICKET, town.id)


def test_a_school_may_be_granted_another(session: Session, admin: Viewer, school: School) -> None:
    mine = make_school(session)
    lead = make_user(session, Role.SCHOOL_LEAD, school=mine)
    give(session, admin, Node(school=mine), Node(school=school))
    assert seen_at(session, lead, NOON) == {mine.uai, school.uai}


def test_a_membership_gives_no_sight_and_a_grant_is_not_passed_on(
    session: Session, admin: Viewer, town: Collectivity
) -> None:
    group = make_collectivity(session, kind=CollectivityKind.EPCI)
    session.add(Membership(member_id=town.id, group_id=group.id))
    school, far = make_school(session, collectivity=town), make_school(session)
    of_group = make_user(session, Role.OFFICER, collectivity=group)
    assert seen_at(session, of_group, NOON) == set()
    give(session, admin, Node(town), Node(school=far))
    give(session, admin, Node(group), Node(town))
    assert seen_at(session, of_group, NOON) == {school.uai}


def test_ended_early_it_gives_nothing_from_the_next_request_on(
    api: TestClient, session: Session, admin: Viewer, officer: User, town: Collectivity, school: School, clock: Clock
) -> None:
    grant = give(session, admin, Node(town), Node(school=school))
    signed_in(api, officer)
    assert api.get(f"/api/v1/schools/{school.id}").status_code == 200
    service.end_grant(session, admin, grant.id, NOON)
    session.flush()
    assert api.get(f"/api/v1/schools/{school.id}").status_code == 404
    give(session, admin, Node(town), Node(school=school))
    session.flush()
    assert api.get(f"/api/v1/schools/{school.id}").status_code == 200
    clock.advance(hours=11, minutes=59)
    clock.now = NOON + DAY
    assert api.get(f"/api/v1/schools/{school.id}").status_code in {401, 404}, "the session ends before, at the latest"


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "to itself": ({"node": "town"}, "grant.to_itself"),
    "what it runs": ({"node": "own school"}, "grant.already_theirs"),
    "an end in the past": ({"ends": NOON - DAY}, "grant.bad_period"),
    "an end that is now": ({"ends": NOON}, "grant.bad_period"),
    "before it starts": ({"starts": NOON + 2 * DAY}, "grant.bad_period"),
    "too long": ({"ends": NOON + 2000 * DAY}, "grant.too_long"),
    "no reason": ({"reason": " \n "}, "grant.no_reason"),
    "a novel": ({"reason": "x" * 401}, "grant.no_reason"),
    "twice": ({"twice": True}, "grant.already_given"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_is_refused(session: Session, admin: Viewer, town: Collectivity, school: School, case: str) -> None:
    asked, code = dict(REFUSALS[case][0]), REFUSALS[case][1]
    nodes = {"town": Node(town), "own school": Node(school=make_school(session, collectivity=town))}
    node = nodes.get(asked.pop("node", ""), Node(school=school))
    if asked.pop("twice", False):
        give(session, admin, Node(town), node)
    with pytest.raises(FleetError) as refused:
        give(session, admin, Node(town), node, **asked)
    assert refused.value.code == code
    assert refused.value.detail.endswith((".", "…"))


def test_one_after_the_other_is_no_double(session: Session, admin: Viewer, town: Collectivity, school: School) -> None:
    first = give(session, admin, Node(town), Node(school=school))
    give(session, admin, Node(town), Node(school=school), starts=first.ends_at, ends=first.ends_at + DAY)
    with pytest.raises(FleetError, match="déjà terminé"):
        service.end_grant(session, admin, first.id, first.ends_at)


@pytest.mark.parametrize("role", [Role.TECHNICIAN, Role.AUDITOR])
def test_only_administrators_give(session: Session, town: Collectivity, school: School, role: Role) -> None:
    viewer = get_viewer(session, make_user(session, role).id, NOON)
    with pytest.raises(NotAllowed):
        give(session, viewer, Node(town), Node(school=school))


def test_the_administrator_of_a_town_gives_nothing(session: Session, town: Collectivity, school: School) -> None:
    viewer = get_viewer(session, make_user(session, Role.ADMIN, collectivity=town).id, NOON)
    with pytest.raises(NotAllowed):
        give(session, viewer, Node(town), Node(school=school))


def test_over_http(api: TestClient, session: Session, town: Collectivity, school: School) -> None:
    signed_in(api, make_user(session, Role.ADMIN))
    body = {
        "to_collectivity_id": str(town.id), "school_id": str(school.id), "ends_at": "2027-06-30T18:00:00+02:00",
        "reason": "convention",
    }  # fmt: skip
    given = api.post("/api/v1/grants", json=body)
    assert given.status_code == 201, given.text
    assert given.json()["to"] == town.name
    assert given.json()["state"] == "holds"
    assert api.post("/api/v1/grants", json=body).json()["code"] == "grant.already_given"
    listed = api.get("/api/v1/grants", params={"search": school.name, "is_open": True}).json()
    assert [row["id"] for row in listed["rows"]] == [given.json()["id"]]
    assert api.post("/api/v1/grants", json=body | {"collectivity_id": str(town.id)}).json()["code"] == "grant.one_node"
    url = f"/api/v1/grants/{given.json()['id']}"
    assert api.post(f"{url}/end").json()["state"] == "ended"
    assert api.post(f"{url}/end").status_code == 409
    assert api.get(url).json()["ended_by"]
    signed_in(api, make_user(session, Role.OFFICER, collectivity=town))
    assert api.get("/api/v1/grants").status_code == 403


def test_nodes_are_found_by_the_codes_that_people_know(session: Session, admin: Viewer, school: School) -> None:
    town = make_collectivity(session, siren="210200010")
    assert find_node_by_code(session, admin, f" {school.uai.lower()} ").school is school
    assert find_node_by_code(session, admin, "210 200 010").collectivity is town
    assert find_node_by_code(session, admin, str(town.insee_code)).collectivity is town
    for typed in ("", "nulle part", "\x00", "0029999Z"):
        with pytest.raises(FleetError):
            find_node_by_code(session, admin, typed)
