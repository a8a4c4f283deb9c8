"""What tests of previews stand on."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.filtering.policy import policies
from fleet.schools.models import School
from fleet.worker import make_celery
from tests.factories import NOON, make_school, make_user
from tests.fleet.deciding import make_room, viewer_of
from tests.fleet.previews.gateway import Gateway, register
from tests.fleet.publishing import publish, store, write_lists
from tests.sign_in import signed_in


@pytest.fixture
def school(session: Session) -> School:
    """With pupils in a network, and a policy and names in force."""
    school = make_school(session, name="École Jean Macé")
    make_room(session, viewer_of(session), school)
    store(session, b"names")
    policies.publish(session, None, "essai", NOON)
    return school


@pytest.fixture
def staff(api: TestClient, session: Session) -> TestClient:
    return signed_in(api, make_user(session))


@pytest.fixture
def gateway(api: TestClient, session: Session, school: School) -> Gateway:
    return register(api, session, "passerelle")


@pytest.fixture
def published(session: Session, config: FleetConfig, tmp_path: Path) -> Path:
    """The folder of lists that is published."""
    lists = write_lists(tmp_path)
    make_celery(FleetConfig(database_url=config.database_url, broker_url="memory://", public_url=config.public_url,
                            ut1_dir=lists))  # fmt: skip
    publish(session)
    return lists
