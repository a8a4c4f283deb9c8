"""Journey: a ticket is opened by a commune's officer and closed with a technician, each in a real browser."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from fleet.demo.people import NEIGHBOUR, OFFICER, TECHNICIAN
from tests.journeys.conftest import Stack
from tests.portal.site import Site
from tests.portal.visitor import Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]

TITLE = "Le vidéoprojecteur de la salle 4 ne démarre plus"
NOTE = "Prévoir une ampoule en réserve."
PATIENCE = 60


@pytest.fixture
def people(stack: Stack, browser: Browser) -> Iterator[dict[str, Visitor]]:
    """The officer of Guise, the technician and the officer of Vervins, each signed in on a screen of their own."""
    portal = Site(stack.url, stack.ca_file, stack.accounts, {})
    emails = (OFFICER.email, TECHNICIAN.email, NEIGHBOUR.email)
    visitors = {email: Visitor.open(browser, portal).sign_in(email) for email in emails}
    yield visitors
    for visitor in visitors.values():
        assert visitor.elsewhere == []
        visitor.context.close()


def status_of(visitor: Visitor, text: str) -> None:
    expect(visitor.page.locator(".page-head .chip").first).to_have_text(text)


def open_ticket(officer: Visitor) -> str:
    """From the commune's own page to the ticket's; return its path."""
    page = officer.page
    page.get_by_role("link", name="Ouvrir un ticket").first.click()
    page.get_by_role("link", name="École élémentaire du Centre").click()
    page.get_by_label("Titre").fill(TITLE)
    page.get_by_label("Que se passe-t-il").fill("Le voyant reste rouge depuis lundi.")
    page.get_by_role("button", name="Envoyer à l’équipe technique").click()
    page.wait_for_url("**/tickets/*?done=ticket-opened")
    status_of(officer, "Nouveau")
    return re.sub(r"^https://[^/]+|\?.*$", "", page.url)


def test_a_ticket_is_opened_then_closed(stack: Stack, people: dict[str, Visitor]) -> None:
    officer, technician, neighbour = (people[p.email] for p in (OFFICER, TECHNICIAN, NEIGHBOUR))
    path = open_ticket(officer)

    wait_for_mail(stack)

    technician.page.goto("/")
    technician.page.get_by_role("link", name=TITLE).first.click()
    technician.page.get_by_role("button", name="Je m’en occupe").click()
    status_of(technician, "Confié")
    technician.page.get_by_label("Message").fill(NOTE)
    technician.page.get_by_label("Note interne").check()
    technician.page.get_by_role("button", name="Envoyer").click()
    technician.page.get_by_label("Message").fill("Je passe jeudi matin.")
    technician.page.get_by_role("button", name="Envoyer").click()
    technician.page.get_by_text("Planifier une intervention").click()
    technician.page.get_by_label("Jour et heure").fill(f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT09:30}")
    technician.page.get_by_role("button", name="Planifier").click()
    status_of(technician, "Planifié")

    stack.kill("controller")  # in the middle of it all: what was said is kept, and everyone is still signed in

    officer.page.goto(path)
    expect(officer.page.locator("main")).to_contain_text("Je passe jeudi matin.")
    expect(officer.page.locator("main")).not_to_contain_text(NOTE)
    officer.page.get_by_label("Message").fill("Merci, la salle sera ouverte.")
    officer.page.get_by_role("button", name="Envoyer").click()

    technician.page.goto(path)
    expect(technician.page.locator("main")).to_contain_text("la salle sera ouverte")
    expect(technician.page.locator("main")).to_contain_text(NOTE)
    technician.page.get_by_text("Résoudre", exact=True).click()
    technician.page.get_by_label("Comment le problème").fill("Ampoule changée, essayée avec la classe.")
    technician.page.get_by_role("button", name="Marquer comme résolu").click()
    status_of(technician, "Résolu")

    neighbour.page.goto("/tickets?status=all")
    expect(neighbour.page.locator("#results")).not_to_contain_text(TITLE)
    answer = neighbour.page.goto(path)
    assert answer is not None
    assert answer.status == 404

    technician.page.get_by_text("Clore", exact=True).click()
    technician.page.get_by_role("button", name="Clore le ticket").click()
    status_of(technician, "Clos")
    officer.page.goto(path)
    status_of(officer, "Clos")
    expect(officer.page.locator("main")).to_contain_text("Ampoule changée, essayée avec la classe.")
    expect(officer.page.get_by_label("Message")).to_have_count(0)


def wait_for_mail(stack: Stack) -> None:
    """The staff is told by mail; a worker sends it, or the sweep when the broker lost it."""
    deadline = time.monotonic() + PATIENCE
    while not any(TITLE in str(letter["Subject"]) for letter in stack.postman.letters):
        assert time.monotonic() < deadline, "nobody was told of the ticket"
        time.sleep(0.2)
