"""Two people at one layer: who writes in place of what he did not see is told, and nothing is lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

from filter.settings import Verdict
from fleet.accounts import service as accounts
from fleet.errors import Outdated
from fleet.filtering import service
from fleet.filtering.policy import editing, profiles
from fleet.filtering.policy.layers import SILENT, LayerSettings, NameLine
from fleet.filtering.policy.revisions import revision_at
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_user
from tests.fleet.deciding import profile_named
from tests.sign_in import signed_in

LAYERS, LAYER = "/api/v1/filtering/layers", "/api/v1/filtering/layer"


def denying(*names: str) -> list[dict[str, str]]:
    return [{"name": name, "verdict": "block"} for name in names]


def test_a_layer_that_somebody_changed_meanwhile_is_not_replaced(
    api: TestClient, session: Session, clock: Clock
) -> None:
    where = {"profile_id": str(profile_named(session, "college").id), "school_id": str(make_school(session).id)}
    other = make_user(session)
    signed_in(api, make_user(session))
    silent = api.get(LAYER, params=where)
    assert silent.json() == {"content": silent.json()["content"], "updated_at": None, "updated_by": ""}
    seen = {"If-Match": silent.headers["ETag"]}
    assert api.put(LAYERS, json=where, headers={"If-Match": "*"}).status_code == 412, "there is none yet"
    first = api.put(LAYERS, json=where | {"names": denying("un.example")}, headers=seen)
    assert first.status_code == 204
    assert api.get(LAYER, params=where).headers["ETag"] == first.headers["ETag"] != silent.headers["ETag"]

    signed_in(api, other)
    clock.advance(minutes=1)
    late = api.put(LAYERS, json=where | {"names": denying("deux.example")}, headers=seen)
    assert (late.status_code, late.json()["code"]) == (412, "filtering.layer_changed")
    told = api.get(LAYER, params=where).json()
    assert f"modifié par {told['updated_by']} le 24/11/2026 à 12:00:00" in late.json()["detail"]
    assert [name["name"] for name in told["content"]["names"]] == ["un.example"]

    seen = {"If-Match": first.headers["ETag"]}
    both = api.put(LAYERS, json=where | {"names": denying("un.example", "deux.example")}, headers=seen)
    assert both.status_code == 204
    assert api.put(LAYERS, json=where, headers=seen).status_code == 412
    assert api.put(LAYERS, json=where, headers={"If-Match": "*"}).status_code == 204
    emptied = api.put(LAYERS, json=where, headers={"If-Match": both.headers["ETag"]})
    assert emptied.json()["detail"].startswith("Ce réglage n’existe plus, ou a été vidé")
    assert api.get(LAYER, params=where).headers["ETag"] == silent.headers["ETag"]


@pytest.mark.parametrize("form", ['W/"{}"', '"x", "{}"', 'W/"x" ,W/"{}"', "{}"])
def test_a_revision_is_known_in_a_list_and_weakened_by_a_proxy(api: TestClient, session: Session, form: str) -> None:
    where = {"profile_id": str(profile_named(session, "college").id), "school_id": str(make_school(session).id)}
    signed_in(api, make_user(session))
    revision = api.get(LAYER, params=where).headers["ETag"].strip('"')
    for wrong in (form.format("y"), form.format("")):
        assert api.put(LAYERS, json=where, headers={"If-Match": wrong}).status_code == 412
    assert api.put(LAYERS, json=where, headers={"If-Match": form.format(revision)}).status_code == 204


def test_what_is_said_again_by_another_is_another_revision(session: Session) -> None:
    """It looks the same, and is not what was seen: who wrote it counts."""
    profile = profile_named(session, "college")
    says = LayerSettings(names=(NameLine("un.example", Verdict.BLOCK),))
    revisions = set()
    for number in range(2):
        viewer = accounts.get_viewer(session, make_user(session).id)
        editing.set_layer(session, viewer, editing.OPERATOR_FOUND, profile, SILENT, NOON)
        editing.set_layer(session, viewer, editing.OPERATOR_FOUND, profile, says, NOON + timedelta(hours=number))
        revisions.add(revision_at(editing.find_layer(session, editing.OPERATOR_FOUND, profile)))
    assert len(revisions) == 2


def test_a_layer_is_read_by_who_sees_its_node(api: TestClient, session: Session) -> None:
    school, profile = make_school(session), profile_named(session, "college")
    where = {"profile_id": str(profile.id), "school_id": str(school.id)}
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    assert api.get(LAYER, params=where).status_code == 200
    assert api.get(LAYER, params={"profile_id": str(profile.id)}).status_code == 403
    assert api.put(LAYERS, json=where, headers={"If-Match": "x"}).status_code == 403
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=make_school(session)))
    assert api.get(LAYER, params=where).status_code == 404


@pytest.fixture
def engine(own_database_url: str) -> Iterator[Engine]:
    """Of a database that is really committed to."""
    found = create_engine(own_database_url)
    yield found
    found.dispose()


def test_of_two_who_saw_the_same_one_writes(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        service.ensure_default_profile(session, NOON)
        profile_id = profile_named(session, "college").id
        people = [make_user(session).id for _ in range(2)]
        seen = revision_at(editing.find_layer(session, editing.OPERATOR_FOUND, profile_named(session, "college")))
    ready = Barrier(2)

    def write(person: UUID) -> str:
        says = LayerSettings(names=(NameLine(f"{person.hex}.example", Verdict.BLOCK),))
        with Session(engine) as session:
            viewer, profile = accounts.get_viewer(session, person), profiles.get_profile(session, profile_id)
            ready.wait(30)
            try:
                editing.set_layer(session, viewer, editing.OPERATOR_FOUND, profile, says, NOON, seen=seen)
            except Outdated:
                return ""
            session.commit()
        return f"{person.hex}.example"

    with ThreadPoolExecutor(2) as pool:
        written = [name for name in pool.map(write, people) if name]
    with Session(engine) as session:
        layer = editing.find_layer(session, editing.OPERATOR_FOUND, profiles.get_profile(session, profile_id))
    assert layer is not None
    assert [line.name for line in layer.says.names] == written
