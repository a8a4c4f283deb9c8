"""A running portal, and a Chromium that writes down all it does."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from fleet.embedded.postgres import Postgres
from tests.portal.site import Site, running_site
from tests.requirements import find

CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One portal for all browser tests: they add to it, and never count on what others added."""
    with running_site(postgres, tmp_path_factory.mktemp("portal")) as site:
        yield site


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, for one module: while Playwright’s loop runs in this thread, no other test can use asyncio."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go: kept with the documentation only when PREAU_PICTURES=1 asks for it."""
    root = Path(__file__).parents[2]
    folder = root / "docs" / "pictures" if os.environ.get("PREAU_PICTURES") == "1" else root / "tests" / "output"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
