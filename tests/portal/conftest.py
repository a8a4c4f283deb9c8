"""A running portal, and a Chromium to look at it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts import service as accounts
from fleet.embedded.postgres import Postgres
from fleet.filtering import service as filtering
from fleet.filtering.policy.models import FilterProfile
from fleet.scope import Role, Viewer
from tests.browser import browser as browser
from tests.browser import pictures as pictures
from tests.browser import screens as screens
from tests.factories import make_user
from tests.portal.site import Site, running_site
from tests.sign_in import signed_in


@pytest.fixture(scope="session")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One portal for all browser tests: they add to it, and never count on what others added."""
    with running_site(postgres, tmp_path_factory.mktemp("portal")) as site:
        yield site


@pytest.fixture
def staff(api: TestClient, session: Session) -> Viewer:
    """A technician who is signed in."""
    user = make_user(session)
    signed_in(api, user)
    return accounts.get_viewer(session, user.id)


@pytest.fixture
def auditor(api: TestClient, session: Session) -> Viewer:
    user = make_user(session, Role.AUDITOR)
    signed_in(api, user)
    return accounts.get_viewer(session, user.id)


@pytest.fixture
def profile(session: Session) -> FilterProfile:
    """The profile of whoever has no other."""
    return filtering.ensure_default_profile(session)
