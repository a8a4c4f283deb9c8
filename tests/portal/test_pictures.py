"""The documentation's pictures, taken anew by every run.

PREAU_PICTURES=1 puts them into docs/pictures; run this file alone then, so that they show no other test’s tickets.
"""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.portal.site import Site
from tests.portal.visitor import Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]

SCREEN, PHONE = (1280, 860), (390, 780)
PICTURES = [
    ("board", "technician", "/", SCREEN, "Bonjour Hugo"),
    ("schools", "technician", "/schools?q=guise", SCREEN, "Écoles"),
    ("school", "technician", "/schools/{school}", SCREEN, "École élémentaire du Centre"),
    ("devices", "technician", "/devices?school={school}&sort=-last_seen", SCREEN, "Parc"),
    ("device", "technician", "/devices/{device}", SCREEN, "Écran salle 2"),
    ("ticket", "technician", "/tickets/{ticket}", SCREEN, "Accès à l’ENT pour une nouvelle collègue"),
    ("filtering", "technician", "/filtering/why?name=www.{blocked_name}", SCREEN, "Pourquoi ?"),
    ("list-held", "technician", "/filtering/sources/{held_source}", SCREEN, None),
    ("profile", "technician", "/filtering/profiles/{profile}?school={school}", SCREEN, None),
    ("preview", "technician", "/filtering/previews/{preview_done}", (1280, 1200), None),
    ("lessons", "lead", "/filtering/lessons", SCREEN, None),
    ("search", "technician", "/search?q=giuse", SCREEN, None),
    ("import", "technician", "/imports/{import}", SCREEN, None),
    ("jobs", "technician", "/jobs", SCREEN, "Travaux"),
    ("journal", "technician", "/journal", SCREEN, "Journal"),
    ("collectivity", "officer", "/collectivities/{collectivity}", SCREEN, "Guise"),
    ("collectivity-phone", "officer", "/collectivities/{collectivity}", PHONE, "Guise"),
    ("ticket-phone", "lead", "/tickets/{ticket}", PHONE, "Accès à l’ENT pour une nouvelle collègue"),
    ("sign-in", "", "/sign-in", SCREEN, "Connexion"),
]


@pytest.mark.parametrize(("name", "who", "path", "size", "title"), PICTURES, ids=[p[0] for p in PICTURES])
def test_picture(
    browser: Browser,
    site: Site,
    pictures: Path,
    name: str,
    who: str,
    path: str,
    size: tuple[int, int],
    title: str | None,
) -> None:
    visitor = Visitor.open(browser, site, size)
    if who:
        visitor.sign_in(getattr(site, who))
    visitor.page.goto(path.format(**site.ids))
    heading = visitor.page.get_by_role("heading", level=1)
    expect(heading).to_be_visible() if title is None else expect(heading).to_have_text(title)
    visitor.page.screenshot(path=pictures / f"{name}.png")
    visitor.context.close()


def test_picture_of_a_token(browser: Browser, site: Site, pictures: Path) -> None:
    visitor = Visitor.open(browser, site, SCREEN).sign_in(site.technician)
    visitor.page.goto(f"/enrollment?school={site.ids['school']}")
    visitor.page.get_by_role("button", name="Émettre le code").click()
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Code d’enrôlement")
    visitor.page.screenshot(path=pictures / "token.png")
    visitor.context.close()
