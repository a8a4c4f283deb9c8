"""Journey: a ticket is opened by a commune's officer and closed with a technician, each in a real browser.

Four processes are killed on the way; people see none of it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from fleet.demo.people import NEIGHBOUR, OFFICER, TECHNICIAN
from tests.embedded.waiting import until
from tests.journeys.conftest import Stack
from tests.portal.site import Site
from tests.portal.visitor import Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]

TITLE = "Le vidéoprojecteur de la salle 4 ne démarre plus"
NOTE = "Prévoir une ampoule en réserve."
PROMISE, THANKS = "Je passe jeudi matin.", "Merci, la salle sera ouverte."


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
    stack.strike("worker")  # nobody is there to send the mails: they are owed
    path = open_ticket(officer)
    wait_for_its_mails(stack, TITLE)

    technician.page.goto("/")
    technician.page.get_by_role("link", name=TITLE).first.click()
    technician.page.get_by_role("button", name="Je m’en occupe").click()
    status_of(technician, "Confié")

    stack.kill("postgres")

    technician.page.get_by_label("Message").fill(NOTE)
    technician.page.get_by_label("Note interne").check()
    technician.page.get_by_role("button", name="Envoyer").click()
    technician.page.get_by_label("Message").fill(PROMISE)
    technician.page.get_by_role("button", name="Envoyer").click()
    technician.page.get_by_text("Planifier une intervention").click()
    technician.page.get_by_label("Jour et heure").fill(f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%dT09:30}")
    technician.page.get_by_role("button", name="Planifier").click()
    status_of(technician, "Planifié")

    stack.kill("controller")  # what was said is kept, and everyone is still signed in

    officer.page.goto(path)
    expect(officer.page.locator("main")).to_contain_text(PROMISE)
    expect(officer.page.locator("main")).not_to_contain_text(NOTE)
    officer.page.get_by_label("Message").fill(THANKS)
    officer.page.get_by_role("button", name="Envoyer").click()

    technician.page.goto(path)
    expect(technician.page.locator("main")).to_contain_text(THANKS)
    expect(technician.page.locator("main")).to_contain_text(NOTE)

    stack.strike("filter")

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

    everything_happened_once(stack, path.rpartition("/")[2])
    until(stack.filters, "the filter is back, with its lists")


def everything_happened_once(stack: Stack, ticket_id: str) -> None:
    """Nothing that was done or said is missing or there twice, and nobody got the same mail again."""
    with stack.signed_in(TECHNICIAN.email) as technician:
        found = technician.get("/api/v1/tickets", params={"search": TITLE}).json()["rows"]
        ticket = technician.get(f"/api/v1/tickets/{ticket_id}").json()
    assert [row["id"] for row in found] == [ticket_id]
    assert [event["status"] for event in ticket["events"]] == ["new", "assigned", "planned", "solved", "closed"]
    assert [said["body"] for said in ticket["follow_ups"]] == [NOTE, PROMISE, THANKS]
    no_mail_came_twice(stack, TITLE)


def addressees(stack: Stack, title: str) -> list[str]:
    """Who got a mail about this ticket."""
    return [str(letter["To"]) for letter in stack.postman.letters if title in str(letter["Subject"])]


def wait_for_its_mails(stack: Stack, title: str) -> None:
    """To the administrator, the technician and the opener: by a worker, or by the sweep when the broker lost it."""
    until(lambda: len(set(addressees(stack, title))) == 3, f"three people have a mail about {title}")


def no_mail_came_twice(stack: Stack, title: str) -> None:
    """A mail keeps its Message-ID however often it is sent."""
    ids = [str(letter["Message-ID"]) for letter in stack.postman.letters if title in str(letter["Subject"])]
    assert len(ids) == len(set(ids))
