"""The school's pages of filtering in a browser: a lesson, a request, by keyboard alone, without scripts."""

import pytest
from playwright.sync_api import Browser, expect

from tests.portal.school.refused import LESSONS, OVERRIDES, REQUESTS, ROOMS
from tests.portal.site import Site
from tests.portal.test_use import tab_to
from tests.portal.visitor import DESK, PHONE, Visitor
from tests.requirements import needs


@needs("chromium")
@pytest.mark.browser
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_a_lead_runs_a_lesson_from_start_to_stop(browser: Browser, site: Site, size: tuple[int, int]) -> None:
    visitor = Visitor.open(browser, site, size).sign_in(site.lead)
    page = visitor.page
    page.goto(LESSONS)
    page.get_by_label("Salle", exact=True).select_option(label="Salle informatique")
    page.get_by_label("Durée", exact=True).select_option(label="45 minutes")
    page.get_by_label("Sites ouverts").fill("https://www.louvre.example/salle/12\nvikidia.example")
    page.get_by_label("Titre (facultatif)").fill("Arts plastiques")
    page.get_by_role("button", name="Lancer la leçon").click()
    expect(page.get_by_role("status").first).to_contain_text("La leçon est lancée")
    running = page.get_by_role("article", name="Salle informatique : Arts plastiques")
    expect(running).to_contain_text("jusqu’à")
    running.get_by_text("2 sites ouverts").click()
    expect(running).to_contain_text("www.louvre.example")
    assert visitor.violations() == []
    before = running.locator(".chip").inner_text()
    running.get_by_label("Prolonger Salle informatique de").select_option(label="1 heure")
    running.get_by_role("button", name="Prolonger").click()
    expect(page.get_by_role("status").first).to_contain_text("La leçon finira plus tard")
    assert running.locator(".chip").inner_text() != before
    running.get_by_text("Arrêter maintenant").click()
    running.get_by_role("button", name="Arrêter la leçon").click()
    expect(page.get_by_role("status").first).to_contain_text("La leçon est arrêtée")
    expect(running).to_have_count(0)
    row = page.locator("tbody tr", has_text="Arts plastiques").first
    expect(row).to_contain_text("Arrêtée")
    row.get_by_role("link", name="Refaire").click()
    expect(page.get_by_label("Sites ouverts")).to_have_value("vikidia.example\nwww.louvre.example")
    assert visitor.complaints == []
    assert visitor.elsewhere == []
    visitor.context.close()


@needs("chromium")
@pytest.mark.browser
def test_a_technician_answers_a_request_and_the_school_reads_it(browser: Browser, site: Site) -> None:
    directrice = Visitor.open(browser, site).sign_in(site.lead)
    directrice.page.goto(f"{REQUESTS}/new")
    directrice.page.get_by_label("Site", exact=True).fill(f"www.{site.ids['blocked_name']}")
    directrice.page.get_by_label("À quoi doit-il servir").fill("Un débat sur les jeux d’argent")
    directrice.page.get_by_role("button", name="Envoyer").click()
    expect(directrice.page.get_by_role("status").first).to_contain_text("Votre demande est partie")
    address = directrice.page.url.partition("?")[0]
    expect(directrice.page.get_by_role("button", name="Ouvrir le site")).to_have_count(0)
    technician = Visitor.open(browser, site).sign_in(site.technician)
    page = technician.page
    page.goto(address)
    answer = page.locator(".card", has_text="Ce que répond le filtre maintenant")
    expect(answer).to_contain_text("est bloqué pour le profil")
    expect(answer).to_contain_text("jeux d’argent")
    page.get_by_label("Un mot à l’école").fill("Ouvert un mois.")
    page.get_by_role("button", name="Ouvrir le site").click()
    expect(page.get_by_role("status").first).to_contain_text("Le site est ouvert")
    expect(answer).to_contain_text("est autorisé pour le profil")
    directrice.page.goto(address)
    expect(directrice.page.locator("main .chip").first).to_have_text("Acceptée")
    expect(directrice.page.locator("main")).to_contain_text("Ouvert un mois.")
    directrice.page.get_by_role("link", name="Voir la dérogation").click()
    expect(directrice.page.get_by_role("heading", level=1)).to_have_text(f"Autorise www.{site.ids['blocked_name']}")
    expect(directrice.page.get_by_text("Lever la dérogation")).to_have_count(0)
    assert technician.complaints == directrice.complaints == []
    technician.context.close()
    directrice.context.close()


@needs("chromium")
@pytest.mark.browser
def test_a_neighbour_sees_nothing_of_it(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.neighbour)
    page = visitor.page
    for path, nothing in (
        (LESSONS, "Aucune leçon ici"),
        (f"{REQUESTS}?state=all", "Aucune demande ici"),
        (f"{OVERRIDES}?state=all", "Aucune dérogation ici"),
    ):
        page.goto(path)
        expect(page.locator("main")).to_contain_text(nothing)
    for path in ("{led_school}", "{school}"):
        answer = page.goto(f"{ROOMS}?school={path}".format(**site.ids))
        assert answer is not None
        assert answer.status == 404
    visitor.context.close()


@needs("chromium")
@pytest.mark.browser
def test_a_lesson_by_keyboard_alone(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site).sign_in(site.lead)
    page = visitor.page
    page.goto(LESSONS)
    tab_to(page, "Salle")
    page.keyboard.type("Salle inf")
    tab_to(page, "Sites ouverts")
    page.keyboard.type("clavier.example")
    tab_to(page, "Titre (facultatif)")
    page.keyboard.type("Au clavier")
    tab_to(page, "Lancer la leçon")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=lesson-started")
    running = page.get_by_role("article", name="Salle informatique : Au clavier")
    expect(running).to_be_visible()
    running.locator("summary").first.focus()
    tab_to(page, "Arrêter maintenant")
    page.keyboard.press("Enter")
    tab_to(page, "Arrêter la leçon")
    page.keyboard.press("Enter")
    page.wait_for_url("**done=lesson-stopped")
    assert visitor.complaints == []
    visitor.context.close()


@needs("chromium")
@pytest.mark.browser
def test_overrides_and_requests_without_scripts(browser: Browser, site: Site) -> None:
    visitor = Visitor.open(browser, site, java_script_enabled=False).sign_in(site.technician)
    page = visitor.page
    page.goto(f"{OVERRIDES}/new")
    page.get_by_label("Quelle école").fill("guise")
    page.get_by_role("button", name="Chercher").click()
    page.get_by_role("link", name="Guise", exact=True).click()
    page.get_by_label("Sites", exact=True).fill("sans-script.example")
    page.get_by_label("Raison").fill("Essai sans script")
    page.get_by_role("button", name="Enregistrer et publier").click()
    expect(page.get_by_role("status").first).to_contain_text("La dérogation est enregistrée")
    page.get_by_text("Lever la dérogation").click()
    page.get_by_role("button", name="Lever maintenant").click()
    expect(page.locator("main .chip").first).to_have_text("Levée")
    visitor.context.close()
