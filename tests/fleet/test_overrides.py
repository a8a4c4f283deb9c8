"""Overrides: for a reason, until a date, on a node; locks above hold; taken back early."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.errors import Conflict, Invalid, NotAllowed
from fleet.filtering.exceptions import overrides
from fleet.filtering.exceptions.overrides import Wish
from fleet.filtering.policy import editing
from fleet.filtering.policy.layers import CategoryLine, LayerSettings, Mark, NameLine
from fleet.filtering.policy.models import FilterEvent
from fleet.filtering.policy.places import find_place
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import NOON, make_collectivity, make_school, make_user
from tests.fleet.deciding import flat, make_room, profile_named, viewer_of
from tests.sign_in import signed_in

PATH = "/api/v1/filtering/overrides"
DAY = timedelta(days=1)


def wish(**changes: Any) -> Wish:
    values: dict[str, Any] = {
        "verdict": Verdict.ALLOW, "reason": "Sortie au musée", "starts": NOON, "ends": NOON + DAY,
        "names": ["musee.example"],
    }  # fmt: skip
    return Wish(**(values | changes))


def test_it_says_who_why_and_until_when(session: Session) -> None:
    staff, school = viewer_of(session), make_school(session, name="École Jean Macé")
    make_room(session, staff, school)
    place = find_place(session, staff, school_id=school.id)
    profile = profile_named(session, "elementaire")
    made = overrides.add_override(session, staff, place, profile, wish(categories=["games"]), NOON)
    [told] = flat(session, f"elementaire@{school.uai}").overrides
    assert (told.id, told.names, told.categories) == (str(made.id), ("musee.example",), ("games",))
    assert (told.by, told.reason, told.layer) == (staff.name, "Sortie au musée", "École Jean Macé")
    assert flat(session, "elementaire").overrides == ()
    event = session.scalars(select(FilterEvent).where(FilterEvent.verb == "override.add")).one()
    assert (event.by, event.school_id, event.before) == (staff.name, school.id, None)
    assert event.after is not None
    assert event.after["reason"] == "Sortie au musée"


def test_taken_back_early(session: Session) -> None:
    staff = viewer_of(session)
    made = overrides.add_override(session, staff, find_place(session, staff), None, wish(), NOON)
    assert flat(session, "college").overrides
    overrides.revoke_override(session, staff, made, NOON + timedelta(hours=1))
    assert flat(session, "college").overrides == ()
    with pytest.raises(Conflict):
        overrides.revoke_override(session, staff, made, NOON + timedelta(hours=2))
    assert overrides.list_overrides(session, staff, now=NOON, is_ended=True).total == 1
    assert overrides.list_overrides(session, staff, now=NOON, is_ended=False).total == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"ends": NOON}, {"ends": NOON - DAY}, {"ends": NOON + timedelta(days=367)}, {"starts": NOON + 2 * DAY},
        {"starts": NOON - 9 * DAY, "ends": NOON - DAY}, {"names": []}, {"names": ["pas un nom"]}, {"reason": "  "},
        {"reason": "x" * 401}, {"verdict": Verdict.NEUTRAL}, {"categories": ["service:inconnu"]},
        {"names": [f"n{i}.example" for i in range(201)]},
    ],
)  # fmt: skip
def test_what_is_no_override(session: Session, wrong: dict[str, Any]) -> None:
    staff = viewer_of(session)
    with pytest.raises(Invalid):
        overrides.add_override(session, staff, find_place(session, staff), None, wish(**wrong), NOON)


def test_what_is_locked_above_is_refused_and_a_later_lock_silences_it(session: Session) -> None:
    staff, school = viewer_of(session), make_school(session)
    make_room(session, staff, school)
    profile = profile_named(session, "elementaire")
    place = find_place(session, staff, school_id=school.id)
    with pytest.raises(Invalid, match="Verrouillé"):
        overrides.add_override(session, staff, place, profile, wish(names=[], categories=["adult"]), NOON)
    overrides.add_override(session, staff, place, profile, wish(names=["www.jeux.example"]), NOON)
    own = f"elementaire@{school.uai}"
    assert flat(session, own).overrides
    lock = LayerSettings(
        categories=(CategoryLine("adult", Verdict.BLOCK, mark=Mark(locked=True)),),
        names=(NameLine("jeux.example", Verdict.BLOCK, mark=Mark(locked=True)),),
    )
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, profile, lock, NOON)
    assert flat(session, "elementaire").overrides == ()
    with pytest.raises(StopIteration):
        flat(session, own)  # all that the school said is void: it shares


def test_only_staff_makes_them(session: Session) -> None:
    school = make_school(session)
    for role, node in ((Role.SCHOOL_LEAD, {"school": school}), (Role.OFFICER, {"collectivity": school.collectivity})):
        viewer = viewer_of(session, role, **node)
        place = find_place(session, viewer, school_id=school.id)
        with pytest.raises(NotAllowed):
            overrides.add_override(session, viewer, place, None, wish(), NOON)


def test_over_http(api: TestClient, session: Session, clock: Clock) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    body = {
        "school_id": str(school.id), "verdict": "allow", "names": ["https://musee.example/salle"], "reason": "Sortie",
        "ends": "2026-11-25T12:00:00+01:00",
    }  # fmt: skip
    made = api.post(PATH, json=body)
    assert (made.status_code, made.json()["names"]) == (201, ["musee.example"])
    for wrong in ({"ends": 12}, {"ends": "2026-11-25T12:00:00"}, {"verdict": "non"}, {"names": [1]}, {"room": "x"}):
        assert api.post(PATH, json=body | wrong).status_code == 422
    two = {"collectivity_id": str(school.collectivity_id)}
    assert api.post(PATH, json=body | two).json()["code"] == "filtering.two_nodes"
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    assert [row["id"] for row in api.get(PATH).json()["rows"]] == [made.json()["id"]]
    path = f"{PATH}/{made.json()['id']}/revoke"
    assert api.post(path).status_code == 403
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    assert (api.get(PATH).json()["total"], api.post(path).status_code) == (0, 404)
    signed_in(api, make_user(session))
    revoked = api.post(path)
    assert datetime.fromisoformat(revoked.json()["revoked_at"]) == clock.now
    assert api.post(path).status_code == 409


def test_the_operators_node_is_for_those_who_see_all(api: TestClient, session: Session) -> None:
    school = make_school(session)
    profile_id = str(profile_named(session, "elementaire").id)
    path, here = "/api/v1/filtering/effective", {"profile_id": profile_id, "school_id": str(school.id)}
    for role, node in ((Role.SCHOOL_LEAD, {"school": school}), (Role.OFFICER, {"collectivity": school.collectivity})):
        signed_in(api, make_user(session, role, **node))
        refused = api.get(path, params={"profile_id": profile_id})
        assert (refused.status_code, refused.json()["code"]) == (403, "filtering.operator_only")
        assert api.get(path, params=here).status_code == 200
    signed_in(api, make_user(session))
    assert api.get(path, params={"profile_id": profile_id}).status_code == 200
