"""What tests of tickets stand on."""

import pytest
from sqlalchemy.orm import Session

from tests.fleet.tickets.town import Town


@pytest.fixture
def town(session: Session) -> Town:
    return Town(session)
