"""A running portal, and a Chromium to look at it."""

from collections.abc import Iterator

import pytest

from fleet.embedded.postgres import Postgres
from tests.browser import browser as browser
from tests.browser import pictures as pictures
from tests.browser import screens as screens
from tests.portal.site import Site, running_site


@pytest.fixture(scope="session")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One portal for all browser tests: they add to it, and never count on what others added."""
    with running_site(postgres, tmp_path_factory.mktemp("portal")) as site:
        yield site
