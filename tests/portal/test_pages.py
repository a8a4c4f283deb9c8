"""Every page in a real Chromium: accessible, fit for a phone, silent on the console, asking nobody else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.portal.site import Site
from tests.portal.visitor import DESK, PHONE, Visitor
from tests.requirements import needs

pytestmark = [needs("chromium"), pytest.mark.browser]

OPEN_PAGES = {
    "connexion": "/sign-in",
    "enroler": "/enroll",
    "oubli": "/reset",
    "invitation": "/invitation",
    "nouveau-mot-de-passe": "/reset/new",
}
ADMIN_PAGES = {
    "comptes": "/accounts",
    "comptes-aucun": "/accounts?q=zzz",
    "compte": "/accounts/{account}",
    "inviter": "/accounts/new",
    "inviter-lieu": "/accounts/new?q=guise",
    "inviter-equipe": "/accounts/new?operator=true",
    "donner-role": "/accounts/{account}/roles?collectivity={neighbour_collectivity}",
    "mon-compte": "/account",
    "second-facteur": "/account/second-factor",
    "jetons": "/account/tokens",
    "confirmer": "/account/confirm?next=/account/tokens",
}
STAFF_PAGES = {
    "tableau-de-bord": "/",
    "ecoles": "/schools",
    "ecoles-guise": "/schools?q=guise",
    "ecoles-aucune": "/schools?q=zzz",
    "ecole": "/schools/{school}",
    "parc": "/devices",
    "parc-silencieux": "/devices?silent=true",
    "appareil": "/devices/{device}",
    "appareil-en-echec": "/devices/{failing}",
    "tablette": "/devices/{ipad}",
    "inscrire": "/devices/new?school={school}",
    "deplacer": "/devices/{device}/move?q=guise",
    "enrolement": "/enrollment",
    "enrolement-ecole": "/enrollment?school={school}",
    "tickets": "/tickets",
    "tickets-tous": "/tickets?status=all",
    "ticket": "/tickets/{ticket}",
    "ticket-nouveau": "/tickets/new?device={device}",
    "ticket-lieu": "/tickets/new?q=guise",
    "collectivites": "/collectivities",
    "acces": "/grants",
    "acces-aucun": "/grants?q=zzz",
    "filtrage": "/filtering",
    "filtrage-pourquoi": "/filtering?name=www.{blocked_name}&qtype=A",
    "filtrage-profil": "/filtering/profiles/{profile}",
    "filtrage-profil-ecole": "/filtering/profiles/{profile}?school={school}",
    "filtrage-profil-lieu": "/filtering/profiles/{profile}?q=guise",
    "filtrage-profils": "/filtering/profiles",
    "filtrage-plages": "/filtering/schedules",
    "filtrage-plage": "/filtering/schedules/{schedule}",
    "filtrage-question": "/filtering/why",
    "filtrage-listes": "/filtering/sources",
    "filtrage-liste-retenue": "/filtering/sources/{held_source}",
    "filtrage-liste-muette": "/filtering/sources/{failing_source}",
    "filtrage-liste-nouvelle": "/filtering/sources/new?ready=ut1",
    "filtrage-historique": "/filtering/history",
    "filtrage-historique-vide": "/filtering/history?verb=network.",
    "filtrage-publications": "/filtering/publications",
    "filtrage-essais": "/filtering/previews",
    "filtrage-essai-en-cours": "/filtering/previews/{preview}",
    "filtrage-essai-suspendu": "/filtering/previews/{preview}?live=off",
    "filtrage-essai-fini": "/filtering/previews/{preview_done}",
    "filtrage-essai-aucun": "/filtering/previews/{preview_done}?q=zzz",
    "filtrage-essai-muet": "/filtering/previews/{preview_silent}",
    "filtrage-essai-abandonne": "/filtering/previews/{preview_abandoned}",
    "filtrage-essai-echoue": "/filtering/previews/{preview_failed}",
    "filtrage-profil-essai": "/filtering/profiles/{profile}?school={school}&preview={preview}",
    "lecons": "/filtering/lessons",
    "lecons-ecole": "/filtering/lessons?school={led_school}",
    "lecons-sans-salle": "/filtering/lessons?school={school_without_room}",
    "lecons-lieu": "/filtering/lessons/new?q=guise",
    "salles": "/filtering/rooms?school={led_school}",
    "salles-lieu": "/filtering/rooms",
    "salles-aucune": "/filtering/rooms?school={school_without_room}",
    "derogations": "/filtering/overrides?state=all",
    "derogations-aucune": "/filtering/overrides?q=zzz",
    "derogation": "/filtering/overrides/{override}",
    "derogation-lieu": "/filtering/overrides/new?q=guise",
    "derogation-nouvelle": "/filtering/overrides/new?school={school}&name=exemple.fr",
    "demandes": "/filtering/requests?state=all",
    "demandes-aucune": "/filtering/requests?q=zzz",
    "demande": "/filtering/requests/{request}",
    "demande-refusee": "/filtering/requests/{declined_request}",
    "journal": "/journal",
    "journal-vide": "/journal?q=zzz",
    "journal-appareil": "/journal?table=devices&row={device}",
    "journal-entree": "/journal/{entry}",
    "travaux": "/jobs",
    "travaux-aucun": "/jobs?q=zzz",
    "travail-en-cours": "/jobs/{job}",
    "travail-echoue": "/jobs/{failed_job}",
    "imports": "/imports",
    "import-verifie": "/imports/{import}",
    "import-nouveau": "/imports/{new_import}",
    "recherche": "/search?q=guise",
    "recherche-corrigee": "/search?q=giuse",
    "recherche-aucune": "/search?q=zzzzzz",
    "parc-filtre-garde": "/devices?silent=true&kind=tablet",
    "erreur-404": "/schools/00000000-0000-0000-0000-000000000000",
    "erreur-422": "/schools?page=zero",
}
OFFICER_PAGES = {
    "collectivite": "/collectivities/{collectivity}",
    "collectivite-ticket": "/tickets/new?school={school}",
    "collectivite-lieu": "/tickets/new",
    "collectivite-ecoles": "/schools",
    "collectivite-journal": "/journal",
    "collectivite-lecons": "/filtering/lessons",
    "collectivite-derogations": "/filtering/overrides",
    "collectivite-demande": "/filtering/requests/{allowed_request}",
    "collectivite-salles": "/filtering/rooms?school={led_school}",
    "erreur-403": "/filtering",
}
LEAD_PAGES = {
    "directrice-ecole": "/schools",
    "directrice-parc": "/devices",
    "directrice-lecons": "/filtering/lessons",
    "directrice-salles": "/filtering/rooms",
    "directrice-demandes": "/filtering/requests",
    "directrice-demander": "/filtering/requests/new",
    "directrice-demande": "/filtering/requests/{waiting}",
    "directrice-reponse": "/filtering/requests/{allowed_request}",
    "directrice-derogations": "/filtering/overrides",
}
EXPECTED_ERRORS = {"erreur-404": "404", "erreur-422": "422", "erreur-403": "403"}


@pytest.fixture(scope="module", params=[DESK, PHONE], ids=["desk", "phone"])
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    size: tuple[int, int] = request.param
    return size


@pytest.fixture(scope="module")
def anyone(browser: Browser, site: Site, size: tuple[int, int]) -> Iterator[Visitor]:
    yield from visiting(browser, site, size, None)


@pytest.fixture(scope="module")
def technician(browser: Browser, site: Site, size: tuple[int, int]) -> Iterator[Visitor]:
    yield from visiting(browser, site, size, site.technician)


@pytest.fixture(scope="module")
def admin(browser: Browser, site: Site, size: tuple[int, int]) -> Iterator[Visitor]:
    yield from visiting(browser, site, size, site.admin)


@pytest.fixture(scope="module")
def officer(browser: Browser, site: Site, size: tuple[int, int]) -> Iterator[Visitor]:
    yield from visiting(browser, site, size, site.officer)


@pytest.fixture(scope="module")
def lead(browser: Browser, site: Site, size: tuple[int, int]) -> Iterator[Visitor]:
    yield from visiting(browser, site, size, site.lead)


def visiting(browser: Browser, site: Site, size: tuple[int, int], email: str | None) -> Iterator[Visitor]:
    visitor = Visitor.open(browser, site, size)
    yield visitor.sign_in(email) if email else visitor
    visitor.context.close()


def look(visitor: Visitor, name: str, path: str, screens: Path) -> None:
    """Open a page and hold it to everything that every page owes."""
    visitor.complaints.clear()
    answer = visitor.page.goto(path.format(**visitor.site.ids))
    assert answer is not None
    expected = EXPECTED_ERRORS.get(name)
    assert str(answer.status) == (expected or "200")
    assert visitor.violations() == []
    assert visitor.overflow() <= 0
    assert visitor.clipped() == []
    assert visitor.repeated_ids() == []
    assert visitor.elsewhere == []
    assert [c for c in visitor.complaints if not (expected and f"status of {expected}" in c)] == []
    width = visitor.page.evaluate("innerWidth")
    visitor.picture(screens / f"{name}-{width}.png")


@pytest.mark.parametrize("name", OPEN_PAGES)
def test_pages_of_anyone(anyone: Visitor, name: str, screens: Path) -> None:
    look(anyone, name, OPEN_PAGES[name], screens)


@pytest.mark.parametrize("name", STAFF_PAGES)
def test_pages_of_a_technician(technician: Visitor, name: str, screens: Path) -> None:
    look(technician, name, STAFF_PAGES[name], screens)


@pytest.mark.parametrize("name", ADMIN_PAGES)
def test_pages_of_an_administrator(admin: Visitor, name: str, screens: Path) -> None:
    look(admin, name, ADMIN_PAGES[name], screens)


@pytest.mark.parametrize("name", OFFICER_PAGES)
def test_pages_of_an_officer(officer: Visitor, name: str, screens: Path) -> None:
    look(officer, name, OFFICER_PAGES[name], screens)


@pytest.mark.parametrize("name", LEAD_PAGES)
def test_pages_of_a_school_lead(lead: Visitor, name: str, screens: Path) -> None:
    look(lead, name, LEAD_PAGES[name], screens)
