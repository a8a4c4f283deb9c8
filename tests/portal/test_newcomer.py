"""A commune's officer is invited by mail, chooses a password, sets a second factor up, and sees exactly the commune's
schools: as a person does it, in a real browser. It takes the documentation's pictures on its way.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from fleet import owed_mail
from fleet.accounts import letters
from fleet.accounts.models import AccountLetter
from fleet.clock import utc_now
from fleet.collectivities.models import Collectivity
from fleet.config import FleetConfig
from fleet.db import SessionFactory
from fleet.demo.people import VERVINS
from fleet.schools.models import School
from tests.fleet.smtp import Postman, serving
from tests.portal.site import Site
from tests.portal.visitor import DESK, PHONE, Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]

EMAIL, NAME, PASSWORD = "claire.moreau@vervins.example", "Claire Moreau", "trois canards sur le préau"


def config_of(site: Site) -> FleetConfig:
    assert site.config is not None
    return site.config


@contextmanager
def database(site: Site) -> Iterator[Session]:
    """The portal's own database, as its worker has it."""
    engine = create_engine(config_of(site).database_url)
    SessionFactory.configure(bind=engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def deliver(site: Site) -> str:
    """Play the worker: send what is owed, and return the last letter's text."""
    postman = Postman()
    with serving(postman) as smtp_url, database(site) as session:
        config = replace(config_of(site), smtp_url=smtp_url)
        for letter_id in owed_mail.list_due(session, AccountLetter, utc_now()):
            owed_mail.send_one(letters.claim, letter_id, config)
    return str(postman.letters[-1].get_content())


def schools_of_vervins(site: Site) -> set[str]:
    with database(site) as session:
        query = select(School.uai).join(Collectivity, Collectivity.id == School.collectivity_id)
        return set(session.scalars(query.where(Collectivity.insee_code == VERVINS)))


def heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def check(visitor: Visitor, name: str, pictures: Path) -> None:
    """What every page owes, and its picture."""
    assert visitor.violations() == []
    assert visitor.overflow() <= 0
    assert visitor.repeated_ids() == []
    visitor.page.screenshot(path=pictures / f"{name}.png")


def invite(browser: Browser, site: Site, pictures: Path) -> None:
    """An administrator's part."""
    admin = Visitor.open(browser, site, DESK).sign_in(site.admin)
    page = admin.page
    page.get_by_role("link", name="Comptes").first.click()
    page.get_by_role("link", name="Inviter une personne").click()
    page.get_by_label("Collectivité ou école").fill("vervins")
    page.get_by_role("button", name="Chercher").click()
    page.get_by_role("link", name="Vervins", exact=True).first.click()
    page.get_by_label("Nom", exact=True).fill(NAME)
    page.get_by_label("Adresse électronique").fill(EMAIL)
    check(admin, "account-invite", pictures)
    page.get_by_role("button", name="Inviter").click()
    expect(page.get_by_text("L’invitation part par courriel.")).to_be_visible()
    heading(page, NAME)
    page.goto("/accounts")
    check(admin, "accounts", pictures)
    admin.context.close()


def test_a_commune_s_officer_arrives(browser: Browser, site: Site, pictures: Path) -> None:
    invite(browser, site, pictures)
    letter = deliver(site)
    link = re.search(r"https://\S+/invitation(#[\w-]+)", letter)
    assert link is not None, letter
    visitor = Visitor.open(browser, site, DESK)
    page = visitor.page
    page.goto(f"/invitation{link.group(1)}")
    page.wait_for_url("**/invitation")  # the script sent the secret on, and took it out of the address
    page.get_by_label("Mot de passe").wait_for()
    secret = link.group(1).removeprefix("#")
    assert not any(secret in request.url.partition("#")[0] for request in visitor.requests)
    assert not any(secret in (request.headers.get("referer") or "") for request in visitor.requests)
    check(visitor, "invitation", pictures)
    page.get_by_label("Mot de passe").fill(PASSWORD)
    page.get_by_role("button", name="Enregistrer et entrer").click()
    heading(page, "Vervins")
    totp = set_up_second_factor(visitor, pictures)
    sees_exactly_its_schools(visitor, site)
    comes_back_with_a_code(browser, site, totp, pictures)
    visitor.context.close()


def set_up_second_factor(visitor: Visitor, pictures: Path) -> pyotp.TOTP:
    page = visitor.page
    page.get_by_role("link", name="Mon compte").first.click()
    page.get_by_role("link", name="Activer", exact=True).click()
    page.get_by_role("button", name="Commencer").click()
    expect(page.get_by_role("img", name="Code QR")).to_be_visible()
    totp = pyotp.TOTP("".join(page.locator("#factor-secret").inner_text().split()))
    check(visitor, "second-factor", pictures)
    page.get_by_label("Code à six chiffres").fill("000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Ce code n’est pas le bon")
    page.get_by_label("Code à six chiffres").fill(totp.now())
    page.keyboard.press("Enter")
    heading(page, "Codes de secours")
    check(visitor, "recovery-codes", pictures)
    with page.expect_download() as download:
        page.get_by_role("link", name="Télécharger").click()
    codes = Path(download.value.path()).read_text().split()
    assert len(codes) == 10
    assert codes == page.locator("#codes").inner_text().split()
    page.get_by_role("link", name="C’est noté").click()
    expect(page.get_by_text("10 codes de secours restants")).to_be_visible()
    check(visitor, "my-account", pictures)
    return totp


def sees_exactly_its_schools(visitor: Visitor, site: Site) -> None:
    page, expected = visitor.page, schools_of_vervins(site)
    page.goto("/schools?state=all")
    shown = {
        found for text in page.locator("tbody tr").all_inner_texts() for found in re.findall(r"\b\d{7}[A-Z]\b", text)
    }
    assert shown == expected != set()
    for other in ("school", "neighbour_school"):
        answer = page.goto(f"/schools/{site.ids[other]}")
        assert answer is not None
        with database(site) as session:
            uai = session.scalar(select(School.uai).where(School.id == site.ids[other]))
        assert answer.status == (200 if uai in expected else 404)
    answer = page.goto("/accounts")
    assert answer is not None
    assert answer.status == 403


def comes_back_with_a_code(browser: Browser, site: Site, totp: pyotp.TOTP, pictures: Path) -> None:
    """On a telephone, by keyboard alone."""
    visitor = Visitor.open(browser, site, PHONE)
    page = visitor.page
    page.goto("/sign-in")
    page.get_by_label("Adresse électronique").focus()
    page.keyboard.type(EMAIL)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    heading(page, "Second facteur")
    check(visitor, "sign-in-code", pictures)
    page.get_by_label("Code", exact=True).focus()
    page.keyboard.type(totp.at(utc_now() + timedelta(seconds=30)))  # the one that switched it on is used up
    page.keyboard.press("Enter")
    heading(page, "Vervins")
    visitor.context.close()


def test_a_token_is_made_shown_once_and_revoked(browser: Browser, site: Site, screens: Path) -> None:
    visitor = Visitor.open(browser, site, DESK).sign_in(site.technician)
    page = visitor.page
    page.goto("/account/tokens")
    page.get_by_label("À quoi il sert").fill("Export de nuit")
    page.get_by_label("Droits").select_option(label="Auditeur · Toutes les collectivités")
    page.get_by_role("button", name="Créer").click()
    heading(page, "Jeton créé")
    token = page.locator("#token-text").inner_text()
    assert token.startswith("preau_")
    check(visitor, "token-made", screens)
    header = {"Authorization": f"Bearer {token}"}
    assert page.request.get("/api/v1/schools?size=1", headers=header).status == 200
    page.get_by_role("link", name="Retour aux jetons").click()
    expect(page.get_by_text("Export de nuit").first).to_be_visible()
    assert token not in page.content()
    page.get_by_text("Révoquer", exact=False).first.click()
    page.get_by_role("button", name="Révoquer Export de nuit").click()
    expect(page.get_by_text("Le jeton est révoqué")).to_be_visible()
    assert page.request.get("/api/v1/schools?size=1", headers=header).status == 401
    visitor.context.close()
