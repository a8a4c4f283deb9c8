"""The long forms of filtering by Tab, Enter, Space and letters alone, and at the width of a phone."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.portal.site import Site
from tests.portal.test_use import tab_to
from tests.portal.visitor import PHONE, Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]
READABLE = 200
"""Pixels in which « Comme au-dessus » can be read whole."""


def test_a_school_blocks_a_category_and_a_name_and_takes_it_back(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    page = visitor.page
    page.goto(f"/filtering/profiles/{site.ids['profile']}?school={site.ids['neighbour_school']}")
    tab_to(page, "Rencontres")
    page.keyboard.type("Aut")
    tab_to(page, "Verrou\u00a0: Rencontres")
    page.keyboard.press("Space")
    tab_to(page, "Toujours bloquer", most=200)
    page.keyboard.type("pas un nom")
    tab_to(page, "Enregistrer et publier", most=40)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Noms de domaine invalides")
    tab_to(page, "Noms de domaine invalides\u00a0: pas un nom.")
    page.keyboard.press("Enter")  # leads to the field
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_label("Toujours bloquer")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("au-clavier.example")
    tab_to(page, "Enregistrer et publier", most=40)
    page.keyboard.press("Enter")
    page.wait_for_url("**done=profile-saved")
    expect(page.get_by_label("Toujours bloquer")).to_have_value("au-clavier.example")
    expect(page.get_by_label("Rencontres", exact=True)).to_have_value("allow")
    expect(page.get_by_label("Verrou\u00a0: Rencontres")).to_be_checked()
    page.goto("/filtering/publications")
    tab_to(page, "Revenir à cette politique", most=120)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()").startswith("Confirmer le retour à la politique")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=policy-returned")
    page.goto(f"/filtering/profiles/{site.ids['profile']}?school={site.ids['neighbour_school']}")
    expect(page.get_by_label("Toujours bloquer")).to_have_value("")
    assert visitor.complaints == refused_once(visitor)
    visitor.context.close()


def refused_once(visitor: Visitor) -> list[str]:
    """What a browser says of one form that came back."""
    return [text for text in visitor.complaints if "422" in text][:1]


def test_a_source_is_added(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.technician)
    page = visitor.page
    page.goto("/filtering/sources")
    tab_to(page, "Ajouter une source")
    page.keyboard.press("Enter")
    page.wait_for_url("**/sources/new")
    for label, typed in (
        ("Nom", "Tapée au clavier"),
        ("Identifiant", "au-clavier"),
        ("Adresse de la liste", "https://listes.example/clavier.txt"),
        ("Format", "Un nom"),
        ("Catégorie de ses noms", "games"),
        ("Licence", "CC0"),
    ):
        tab_to(page, label)
        page.keyboard.type(typed)
    tab_to(page, "La source est sur un réseau interne\u00a0: ses adresses peuvent être privées")
    page.keyboard.press("Space")
    page.keyboard.press("Space")
    tab_to(page, "Ajouter et télécharger")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=source-added")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tapée au clavier")
    tab_to(page, "Ne plus utiliser cette source")
    page.keyboard.press("Enter")
    tab_to(page, "Confirmer\u00a0: désactiver")
    page.keyboard.press("Space")
    page.wait_for_url("**done=source-disabled")
    expect(page.locator("main .chip").first).to_have_text("Désactivée")
    assert visitor.complaints == []
    visitor.context.close()


def test_choices_can_be_read_on_a_phone(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site, PHONE).sign_in(site.technician)
    page = visitor.page
    page.goto(f"/filtering/profiles/{site.ids['profile']}?school={site.ids['school']}")
    assert width_of(page, "Rencontres") >= READABLE
    assert visitor.overflow() <= 0
    visitor.context.close()


def width_of(page: Page, label: str) -> float:
    box = page.get_by_label(label, exact=True).bounding_box()
    assert box is not None
    return box["width"]


def test_a_running_lesson_is_asked_for_again_and_nothing_typed_is_lost(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site)
    visitor.page.clock.install()
    page = visitor.sign_in(site.lead).page
    page.goto("/filtering/lessons")
    page.get_by_label("Sites ouverts").fill("en-train-d-ecrire.example")
    with page.expect_response(lambda answer: answer.url.endswith("/left")) as asked:
        page.clock.run_for(21_000)
    assert asked.value.ok
    expect(page.locator("[id^=left-]").first).to_contain_text("Fin dans")
    expect(page.get_by_label("Sites ouverts")).to_have_value("en-train-d-ecrire.example")
    expect(page.get_by_label("Sites ouverts")).to_be_focused()
    assert visitor.complaints == []
    visitor.context.close()
