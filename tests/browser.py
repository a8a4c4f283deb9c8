"""A real Chromium for tests, and where their pictures go: fixtures that a conftest.py imports."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, for one module: while Playwright’s loop runs in this thread, no other test can use asyncio."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find("chromium"), args=list(CHROMIUM_OPTIONS))
        yield browser
        browser.close()


ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def screens() -> Path:
    """Where screenshots go for whoever wants to look at the last run; never committed."""
    folder = ROOT / "tests" / "output"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def pictures(screens: Path) -> Path:
    """Where the documentation's pictures go: to the documentation only when PREAU_PICTURES=1 asks for it."""
    folder = ROOT / "docs" / "pictures" if os.environ.get("PREAU_PICTURES") == "1" else screens
    folder.mkdir(parents=True, exist_ok=True)
    return folder
