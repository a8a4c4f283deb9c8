"""ENT portals: the catalogue, and who may give a school its portal."""

from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.ent import service
from fleet.ent.catalogue import ONE_AISNE
from fleet.scope import Role
from tests.factories import make_school, make_user
from tests.sign_in import signed_in

URL = "/api/v1/ent"


@pytest.fixture(autouse=True)
def catalogue(session: Session) -> None:
    service.add_examples(session)


def test_the_catalogue_has_deep_links_on_https(api: TestClient, session: Session) -> None:
    assert api.get(URL).status_code == 401
    signed_in(api, make_user(session))
    portals = {portal["slug"]: portal for portal in api.get(URL).json()}
    assert set(portals) == {ONE_AISNE, "neo", "beneylu"}
    one = portals[ONE_AISNE]
    assert [link["slug"] for link in one["links"]] == [
        "messagerie", "cahier-de-textes", "blog", "espace-documentaire",
    ]  # fmt: skip
    for link in one["links"]:
        assert urlsplit(link["url"]).scheme == "https"
        assert link["url"].startswith(one["url"] + "/")


def test_examples_come_once(session: Session) -> None:
    assert service.add_examples(session) == []


def test_a_technician_gives_changes_and_takes_away(api: TestClient, session: Session) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    url = f"{URL}/schools/{school.id}"
    assert api.get(url).json() is None
    for slug in (ONE_AISNE, "neo", "neo"):
        assert api.put(url, json={"portal": slug}).json()["slug"] == slug
        found = service.find_portal(session, school.id)
        assert found is not None
        assert found.slug == slug
        assert found.links[0].title == "Messagerie"
    assert api.put(url, json={"portal": None}).json() is None
    assert api.get(url).json() is None
    answer = api.put(url, json={"portal": "pronote"})
    assert (answer.status_code, answer.json()["code"]) == (404, "ent.not_found")
    assert "one-aisne" in answer.json()["detail"]
    assert api.put(url, json={"portal": 3}).status_code == 422


def test_an_officer_reads_its_own_and_changes_nothing(api: TestClient, session: Session) -> None:
    school, foreign = make_school(session), make_school(session)
    service.assign_portal(session, school, service.get_portal(session, ONE_AISNE))
    signed_in(api, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    assert api.get(f"{URL}/schools/{school.id}").json()["slug"] == ONE_AISNE
    assert api.put(f"{URL}/schools/{school.id}", json={"portal": "neo"}).status_code == 403
    assert api.get(f"{URL}/schools/{foreign.id}").status_code == 404
    assert api.put(f"{URL}/schools/{foreign.id}", json={"portal": "neo"}).status_code == 404


def test_a_change_without_the_proof_that_it_was_meant_is_refused(api: TestClient, session: Session) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    del api.headers["X-CSRF-Token"]
    assert api.put(f"{URL}/schools/{school.id}", json={"portal": ONE_AISNE}).status_code == 403
    assert service.find_portal(session, school.id) is None


def test_schools_are_counted_by_portal(session: Session) -> None:
    one = service.get_portal(session, ONE_AISNE)
    for _ in range(3):
        service.assign_portal(session, make_school(session), one)
    assert service.count_schools(session) == {one.id: 3}
