"""The search box: what it finds, for whom, and what it says of typing errors."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from dashboards.portal.search import look
from fleet.accounts import service as accounts
from fleet.collectivities.models import Collectivity
from fleet.operator import OPERATOR
from fleet.schools import spelling
from fleet.scope import Role, Viewer
from tests.factories import make_collectivity, make_device, make_school, make_ticket, make_user
from tests.portal.test_queries import counting


def test_only_words_that_one_may_see_are_suggested(session: Session) -> None:
    mine = make_collectivity(session, name="Bruyères")
    make_school(session, name="École Zyxwabcd", collectivity=make_collectivity(session))
    viewer = accounts.get_viewer(session, make_user(session, Role.OFFICER, collectivity=mine).id)
    assert spelling.correct(session, OPERATOR, "zyxwabce") == "zyxwabcd"
    assert spelling.correct(session, viewer, "zyxwabce") == ""
    assert spelling.correct(session, viewer, "bruyerse") == "bruyeres"


@pytest.fixture
def officer(session: Session) -> Viewer:
    user = make_user(session, Role.OFFICER, collectivity=make_collectivity(session, name="Guise"))
    return accounts.get_viewer(session, user.id)


def test_one_box_finds_everything_that_one_may_see(session: Session, officer: Viewer) -> None:
    [own] = officer.collectivity_ids
    mine = make_school(session, name="Jean Macé", collectivity=session.get_one(Collectivity, own))
    theirs = make_school(session, name="Jean Macé")
    for school in (mine, theirs):
        device = make_device(session, school=school, name="Écran Jean Macé")
        make_ticket(session, school=school, device=device, title="Panne Jean Macé")
    everything = look(session, OPERATOR, "jean mace")
    assert (everything.schools.total, everything.devices.total) == (2, 2)
    some = look(session, officer, "jean mace")
    assert [school.id for school in some.schools.rows] == [mine.id]
    assert (some.devices.total, some.collectivities.total) == (1, 0)
    assert look(session, officer, device.serial or "").total == 0
    assert look(session, OPERATOR, device.serial or "").devices.total == 1


@pytest.mark.parametrize("path", ["/search", "/schools", "/devices", "/tickets", "/collectivities"])
def test_a_typing_error_is_told_with_what_was_found_instead(
    api: TestClient, session: Session, staff: Viewer, path: str
) -> None:
    school = make_school(session, name="École Schweitzer", collectivity=make_collectivity(session, name="Schweitzer"))
    make_ticket(session, school=school, title="Panne Schweitzer", device=make_device(session, school=school))
    page = api.get(f"{path}?q=shweitzer").text
    assert "Rien ne répond à" in page
    assert "schweitzer" in page
    assert "Rien ne répond à" not in api.get(f"{path}?q=schweitzer").text
    assert "Voici ce qui répond" not in api.get(f"{path}?q=zzzzzzz").text


def test_the_box_asks_the_database_a_bounded_number_of_times(api: TestClient, session: Session, staff: Viewer) -> None:
    school = make_school(session, name="Jean Macé")
    for _ in range(8):
        make_ticket(session, school=school, device=make_device(session, school=school, name="Jean Macé"))
    with counting(session) as seen:
        page = api.get("/search?q=jean mace").text
    assert "Tous les appareils" in page
    assert "Toutes les écoles" not in page
    assert len(seen) <= 9, "two of them open the door"
    assert not any("count(" in statement for statement in seen)
    with counting(session) as seen:
        api.get("/search?q=jaen mace")
    assert len(seen) <= 12
    assert "Que cherchez-vous" in api.get("/search").text
