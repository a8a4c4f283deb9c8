"""A school with a room, and the people who look at its pages."""

import pytest
from sqlalchemy.orm import Session

from fleet.accounts.models import User
from fleet.filtering.policy.models import FilterRoom
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.factories import make_school, make_user
from tests.fleet.deciding import make_room, viewer_of


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


@pytest.fixture
def staff(session: Session) -> Viewer:
    return viewer_of(session)


@pytest.fixture
def lead(session: Session, school: School) -> User:
    return make_user(session, Role.SCHOOL_LEAD, school=school)


@pytest.fixture
def officer(session: Session, school: School) -> User:
    return make_user(session, Role.OFFICER, collectivity=school.collectivity)


@pytest.fixture
def room(session: Session, staff: Viewer, school: School) -> FilterRoom:
    return make_room(session, staff, school)
