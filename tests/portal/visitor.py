"""A person with a browser, and what the browser saw: requests, complaints, what axe and the ruler say of a page."""

import warnings
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request

from tests.portal.site import Site

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
TAGS = ["RGAAv4", "wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
DESK, PHONE = (1280, 900), (320, 640)
TALLEST_PICTURE = 4_000
"""Pixels; a long list on a phone is more than twice that, and not every machine's Chromium can paint it at once."""


@dataclass
class Visitor:
    """One browser window of one person."""

    site: Site
    context: BrowserContext
    page: Page
    elsewhere: list[str] = field(default_factory=list)
    """Requests that left for another origin."""
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Errors and content security policy violations of the console."""

    @classmethod
    def open(cls, browser: Browser, site: Site, size: tuple[int, int] = DESK, **options: Any) -> Self:
        context = browser.new_context(
            base_url=site.url,
            ignore_https_errors=True,
            locale="fr-FR",
            timezone_id="Europe/Paris",
            viewport={"width": size[0], "height": size[1]},
            **options,
        )
        context.set_default_timeout(15_000)
        visitor = cls(site, context, context.new_page())
        visitor.page.on("request", visitor._note_request)
        visitor.page.on("console", visitor._note_console)
        visitor.page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        return visitor

    def _note_request(self, request: Request) -> None:
        self.requests.append(request)
        if urlsplit(request.url).netloc != urlsplit(self.site.url).netloc:
            self.elsewhere.append(request.url)

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def sign_in(self, email: str) -> Self:
        """Through the form, as a person does."""
        self.page.goto("/sign-in")
        self.page.get_by_label("Adresse électronique").fill(email)
        self.page.get_by_label("Mot de passe").fill(self.site.passwords[email])
        self.page.get_by_role("button", name="Se connecter").click()
        self.page.wait_for_url(lambda url: not url.endswith("/sign-in"))
        return self

    def picture(self, path: Path) -> None:
        """The top of the page, for whoever wants to look. No test hangs on it: without one there is a warning."""
        width = self.page.evaluate("innerWidth")
        try:
            self.page.screenshot(
                path=path, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": TALLEST_PICTURE}
            )
        except Error as error:
            warnings.warn(f"no picture {path.name}: {error.message}", stacklevel=2)

    def violations(self) -> list[str]:
        """What axe finds against RGAA and WCAG 2.2 AA, one line each."""
        self.page.evaluate(AXE)
        options = {"runOnly": {"type": "tag", "values": TAGS}}
        found = self.page.evaluate("options => axe.run(document, options)", options)
        return [f"{v['id']}: {v['help']} {[n['target'] for n in v['nodes']]}" for v in found["violations"]]

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def clipped(self) -> list[str]:
        """Cards whose content is wider than they are: it would be cut, though the page itself is not too wide."""
        script = """() => [...document.querySelectorAll(".card, .notice, details")]
            .filter((element) => element.checkVisibility() && element.scrollWidth > element.clientWidth + 1)
            .map((element) => element.textContent.trim().slice(0, 60))"""
        found: list[str] = self.page.evaluate(script)
        return found

    def repeated_ids(self) -> list[str]:
        """Ids that more than one element has: focus and labels would go astray."""
        script = """() => {
            const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
            return ids.filter((id, position) => ids.indexOf(id) !== position);
        }"""
        found: list[str] = self.page.evaluate(script)
        return found
