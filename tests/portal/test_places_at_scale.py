"""Every list, search and page of benchmarks.places on a small database: no more than twelve statements each."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from benchmarks.places import MOST_STATEMENTS, OFFICERS, PAGES, Sizes, addresses, counting, fill, large
from fleet.collectivities.models import Collectivity
from fleet.scope import Role
from tests.factories import make_user
from tests.sign_in import signed_in

SMALL = Sizes(collectivities=50, schools=60, devices=120, tickets=400)


@pytest.fixture
def filled(api: TestClient, session: Session) -> TestClient:
    fill(session.connection(), SMALL)
    return api


@pytest.mark.parametrize(("role", "names"), [(Role.TECHNICIAN, tuple(PAGES)), (Role.OFFICER, OFFICERS)])
def test_no_page_asks_the_database_too_often(
    filled: TestClient, session: Session, role: Role, names: tuple[str, ...]
) -> None:
    node = {"collectivity": session.get_one(Collectivity, large(session))} if role is Role.OFFICER else {}
    signed_in(filled, make_user(session, role, **node))
    paths = addresses(session, SMALL)
    asked = {}
    for name in names:
        with counting(session.connection()) as sent:
            assert filled.get(paths[name]).status_code == 200, name
        asked[name] = len(sent) - 1  # the last closes the doors behind the request, for the next one of this connection
    assert {name: number for name, number in asked.items() if number > MOST_STATEMENTS} == {}
    assert min(asked.values()) >= 2  # the count counts: the session itself is one
