"""The school that policies are about."""

import pytest
from sqlalchemy.orm import Session

from fleet.schools.models import School
from tests.factories import make_school


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")
