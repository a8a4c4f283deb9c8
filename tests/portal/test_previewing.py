"""Previews in a real Chromium: by keyboard alone, and while answers come in."""

import pytest
from playwright.sync_api import Browser, expect

from tests.portal.site import Site
from tests.portal.test_use import tab_to
from tests.portal.visitor import Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]


def test_a_preview_by_keyboard_alone(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    page = visitor.page
    page.goto(f"/filtering/profiles/{site.ids['profile']}?school={site.ids['neighbour_school']}")
    tab_to(page, "Toujours autoriser", most=200)
    page.keyboard.type("au-clavier-essai.example")
    tab_to(page, "Prévisualiser")
    page.keyboard.press("Enter")
    page.wait_for_url("**/filtering/previews/*")
    expect(page.get_by_role("status").first).to_contain_text("rien n’est encore publié")
    tab_to(page, "Suspendre l’actualisation")
    page.keyboard.press("Enter")
    page.wait_for_url("**live=off")
    tab_to(page, "Abandonner")
    page.keyboard.press("Enter")
    tab_to(page, "Confirmer\u00a0: abandonner l’essai")
    page.keyboard.press("Space")
    page.wait_for_url("**done=preview-abandoned")
    tab_to(page, "Reprendre le formulaire")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Toujours autoriser")).to_have_value("au-clavier-essai.example")
    assert visitor.complaints == []
    visitor.context.close()


def test_a_return_by_keyboard_alone(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    page = visitor.page
    page.goto("/filtering/publications")
    tab_to(page, "Revenir à ce contenu")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()").startswith("Prévisualiser")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()").startswith("Confirmer le retour à la publication")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=preview-asked")
    expect(page.locator("#answers")).to_contain_text("se préparent")
    tab_to(page, "Abandonner")
    page.keyboard.press("Enter")
    tab_to(page, "Confirmer\u00a0: abandonner l’essai")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=preview-abandoned")
    tab_to(page, "Revenir à la page d’origine")
    page.keyboard.press("Enter")
    page.wait_for_url("**/filtering/publications")
    assert visitor.complaints == []
    visitor.context.close()


def test_answers_come_in_while_one_types(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site)
    visitor.page.clock.install()
    page = visitor.sign_in(site.technician).page
    page.goto(f"/filtering/previews/{site.ids['preview']}")
    page.get_by_text("Publier ce changement", exact=True).click()
    page.get_by_label("Rechercher").fill("golf")
    with page.expect_response(lambda answer: "poll=yes" in answer.url and "q=golf" in answer.url) as asked:
        page.clock.run_for(4_000)
    assert asked.value.ok
    expect(page.locator("#results tbody tr")).to_have_count(1)
    expect(page.get_by_label("Rechercher")).to_be_focused()
    expect(page.get_by_role("button", name="Confirmer\u00a0: publier ce changement")).to_be_visible()
    assert visitor.complaints == []
    visitor.context.close()
