"""The portal as people use it, in a real Chromium: by keyboard, without scripts, live, from a QR."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.portal.site import Site
from tests.portal.visitor import PHONE, Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]


def tab_to(page: Page, name: str, most: int = 80) -> None:
    """Press Tab until the element with this accessible name has the focus, and see that the focus shows."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "() => { const e = document.activeElement;"
            " const label = e.labels && e.labels.length ? e.labels[0].textContent : e.textContent;"
            " const style = getComputedStyle(e);"
            " return { name: label.trim(), outline: style.outlineStyle, width: parseFloat(style.outlineWidth) }; }"
        )
        if focused["name"] == name:
            assert focused["outline"] != "none"
            assert focused["width"] >= 2
            return
    raise AssertionError(f"{name} was never reached by Tab")


def test_signing_in_and_opening_a_ticket_by_keyboard_alone(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site)
    page = visitor.page
    page.goto("/sign-in")
    tab_to(page, "Adresse électronique")
    page.keyboard.type(site.officer)
    tab_to(page, "Mot de passe")
    page.keyboard.type(site.passwords[site.officer])
    page.keyboard.press("Enter")
    page.wait_for_url("**/collectivities/*")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Aller au contenu"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    tab_to(page, "Ouvrir un ticket")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tickets/new")
    tab_to(page, "École élémentaire du Centre")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tickets/new?school=*")
    tab_to(page, "Titre")
    page.keyboard.type("Ouvert au clavier")
    tab_to(page, "Que se passe-t-il\u00a0?")
    page.keyboard.type("Sans souris.")
    tab_to(page, "Envoyer à l’équipe technique")
    page.keyboard.press("Enter")
    page.wait_for_url("**/tickets/*?done=ticket-opened")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ouvert au clavier")
    expect(page.get_by_role("status")).to_contain_text("L’équipe technique le voit sur son tableau de bord.")
    assert visitor.complaints == []
    visitor.context.close()


def test_everything_works_without_scripts(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site, java_script_enabled=False).sign_in(site.technician)
    page = visitor.page
    page.goto("/schools")
    page.get_by_label("Rechercher").fill("chateau thierry madeleine")
    page.get_by_role("button", name="Chercher").click()
    expect(page.get_by_role("link", name="École élémentaire la Madeleine")).to_be_visible()
    page.goto("/tickets/new")
    page.get_by_label("Quelle école").fill("guise centre")
    page.get_by_role("button", name="Chercher").click()
    page.get_by_role("link", name="École élémentaire du Centre").click()
    page.get_by_label("Titre").fill("Ouvert sans script")
    page.get_by_label("Que se passe-t-il").fill("Aucun JavaScript ici.")
    page.get_by_role("button", name="Envoyer").click()
    page.get_by_role("button", name="Je m’en occupe").click()
    expect(page.locator("main .chip").first).to_have_text("Confié")
    page.get_by_text("Résoudre", exact=True).click()
    page.get_by_label("Comment le problème").fill("C’était un test.")
    page.get_by_role("button", name="Marquer comme résolu").click()
    expect(page.locator("main .chip").first).to_have_text("Résolu")
    page.goto("/")
    expect(page.get_by_role("heading", name="Bonjour Hugo")).to_be_visible()
    visitor.context.close()


def test_typing_searches_at_once_and_the_address_keeps_it(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    page = visitor.page
    page.goto("/schools")
    expect(page.locator("#results tbody tr")).to_have_count(25)
    page.get_by_label("Rechercher").press_sequentially("etreaupont")
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page).to_have_url(re.compile("q=etreaupont"))
    assert page.evaluate("document.activeElement.id") == "q"
    page.reload()
    expect(page.locator("#results tbody tr")).to_have_count(1)
    page.goto("/tickets")
    page.get_by_label("Statut").select_option("closed")
    expect(page.locator("#results")).to_contain_text("Malle de robots")
    assert visitor.complaints == []
    assert visitor.elsewhere == []
    visitor.context.close()


def test_the_board_refreshes_until_it_is_paused(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site)
    visitor.page.clock.install()
    page = visitor.sign_in(site.technician).page
    with page.expect_request(lambda request: request.headers.get("hx-request") == "true"):
        page.clock.run_for(31_000)
    page.get_by_role("link", name="Suspendre l’actualisation").click()
    expect(page.get_by_role("link", name="Reprendre l’actualisation")).to_be_visible()
    visitor.requests.clear()
    page.clock.run_for(120_000)
    assert [r.url for r in visitor.requests if r.headers.get("hx-request")] == []
    assert visitor.complaints == []
    visitor.context.close()


@pytest.fixture
def token(browser: Browser, site: Site) -> str:
    """A token for two iPads, issued on the page."""
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    text = issue(visitor, "Tablette · iPadOS", 2)
    visitor.context.close()
    return text


def issue(visitor: Visitor, what: str, uses: int) -> str:
    page = visitor.page
    page.goto(f"/enrollment?school={visitor.site.ids['school']}")
    page.get_by_label("Type d’appareil").select_option(label=what)
    page.get_by_label("Nombre d’appareils").fill(str(uses))
    page.get_by_role("button", name="Émettre le code").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Code d’enrôlement")
    return page.locator("#token-text").inner_text()


def test_a_qr_opens_the_enrolment_page_and_its_token_stays_in_the_browser(
    browser: Browser, site: Site, token: str, tmp_path: Path
) -> None:
    visitor = Visitor.open(browser, site, PHONE, accept_downloads=True)
    page = visitor.page
    page.goto(f"/enroll#{token}")
    expect(page.get_by_label("Code")).to_have_value(token)
    expect(page.locator("#enroll-command")).to_contain_text(f"--token {token}")
    assert "#" not in page.url
    assert all(token not in request.url for request in visitor.requests)
    with page.expect_download() as download:
        page.get_by_role("button", name="Télécharger le profil").click()
    assert download.value.suggested_filename.endswith(".mobileconfig")
    profile = tmp_path / "profile"
    download.value.save_as(profile)
    openssl = shutil.which("openssl")
    assert openssl is not None
    check = [openssl, "cms", "-verify", "-inform", "DER", "-in", str(profile), "-CAfile", str(site.ca_file)]
    verified = subprocess.run([*check, "-purpose", "any"], capture_output=True)
    assert verified.returncode == 0, verified.stderr
    assert b"webClip" in verified.stdout
    page.evaluate("location.hash = '#7K3M-Q9XT-2BRC'")  # a second QR in the same tab
    expect(page.get_by_label("Code")).to_have_value("7K3M-Q9XT-2BRC")
    expect(page.locator("#enroll-command")).to_contain_text("--token 7K3M-Q9XT-2BRC")
    page.get_by_label("Code").fill("AAAA-BBBB-CCCC")
    page.get_by_role("button", name="Télécharger le profil").click()
    expect(page.get_by_role("alert")).to_contain_text("Ce code n’existe pas")
    assert visitor.violations() == []
    visitor.context.close()


@pytest.mark.parametrize("what", ["Écran interactif · Linux", "Tablette · iPadOS", "Tablette · Android"])
def test_the_page_of_a_token(browser: Browser, site: Site, what: str, screens: Path) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    issue(visitor, what, 5)
    name = what.rpartition(" ")[2].lower()
    assert visitor.violations() == []
    visitor.picture(screens / f"code-{name}-1280.png")
    visitor.page.set_viewport_size({"width": 320, "height": 640})
    assert visitor.overflow() <= 0
    assert visitor.clipped() == []
    assert visitor.violations() == []
    visitor.page.emulate_media(media="print")
    expect(visitor.page.get_by_role("navigation", name="Menu principal").first).to_be_hidden()
    expect(visitor.page.locator("#token-text")).to_be_visible()
    assert visitor.complaints == []
    visitor.picture(screens / f"code-{name}-feuille.png")
    visitor.context.close()


def test_a_tablets_qr_and_profile_from_its_page(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site, accept_downloads=True).sign_in(site.technician)
    page = visitor.page
    page.goto(f"/devices/{site.ids['android']}")
    page.get_by_role("button", name="Afficher le QR").click()
    expect(page.get_by_role("img", name="Code QR")).to_be_visible()
    assert visitor.violations() == []
    page.goto(f"/devices/{site.ids['ipad']}")
    with page.expect_download():
        page.get_by_role("button", name="Télécharger le profil").click()
    page.reload()
    expect(page.locator("main .chip").first).to_have_text("Profil émis")
    visitor.context.close()


def test_the_menu_of_a_phone(browser: Browser, site: Site, screens: Path) -> None:
    visitor = Visitor.open(browser, site, PHONE).sign_in(site.lead)
    page = visitor.page
    page.get_by_text("Menu", exact=True).click()
    page.screenshot(path=screens / "menu-320.png")
    assert visitor.violations() == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Parc")).to_be_hidden()
    page.get_by_text("Menu", exact=True).click()
    page.get_by_role("navigation", name="Menu principal").get_by_role("link", name="Parc").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Parc")
    visitor.context.close()
