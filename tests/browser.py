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


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots go: kept with the documentation only when PREAU_PICTURES=1 asks for it."""
    root = Path(__file__).parents[1]
    folder = root / "docs" / "pictures" if os.environ.get("PREAU_PICTURES") == "1" else root / "tests" / "output"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
