"""Lessons, rooms, overrides and requests to unblock as people use them, and who may what."""

import re
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, expect
from sqlalchemy.orm import Session

from fleet.accounts.models import User
from fleet.filtering.exceptions import lessons, name_lists, overrides, requests, rooms
from fleet.filtering.exceptions.overrides import Verdict, Wish
from fleet.filtering.gateways import nodes
from fleet.filtering.policy.models import FilterRoom
from fleet.filtering.policy.places import find_place
from fleet.schools.models import School
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import NOON, make_device, make_school, make_user
from tests.fleet.deciding import current_settings, make_room, profile_named, viewer_of
from tests.portal.site import Site
from tests.portal.test_forms import send
from tests.portal.test_queries import MOST, counting
from tests.portal.test_use import tab_to
from tests.portal.visitor import DESK, PHONE, Visitor
from tests.requirements import needs
from tests.sign_in import signed_in

LESSONS, ROOMS, OVERRIDES, REQUESTS = (f"/filtering/{name}" for name in ("lessons", "rooms", "overrides", "requests"))


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


@pytest.fixture
def staff(session: Session) -> Viewer:
    return viewer_of(session)


@pytest.fixture
def lead(session: Session, school: School) -> User:
    return make_user(session, Role.SCHOOL_LEAD, school=school)


@pytest.fixture
def officer(session: Session, school: School) -> User:
    return make_user(session, Role.OFFICER, collectivity=school.collectivity)


@pytest.fixture
def room(session: Session, staff: Viewer, school: School) -> FilterRoom:
    return make_room(session, staff, school)


def refused(api: TestClient, path: str, status: int, **fields: object) -> str:
    """Post a form that must be refused; return the page that comes back."""
    form = {name: str(value) for name, value in fields.items()}
    answer = api.post(path, data={**form, "csrf": api.headers["X-CSRF-Token"]}, follow_redirects=False)
    assert answer.status_code == status, answer.text
    return answer.text.replace("\u00a0", " ")


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


def test_a_lesson_lasts_what_is_asked_and_its_sites_are_kept(
    api: TestClient, session: Session, school: School, lead: User, room: FilterRoom, clock: Clock
) -> None:
    signed_in(api, lead)
    address = send(
        api, LESSONS, school=school.id, room=room.id, minutes=60, other=25, names="musee.example", keep="Musées"
    )
    assert "finit" not in address
    [told] = current_settings(session).lessons
    assert (told.ends, told.names) == (clock.now + timedelta(minutes=25), ("musee.example",))
    page = api.get(address).text
    assert "La leçon est lancée" in page
    viewer = viewer_of(session, Role.SCHOOL_LEAD, school=school)
    [saved] = name_lists.list_lists(session, viewer, school.id)
    assert (saved.name, saved.names) == ("Musées", ["musee.example"])
    [lesson] = lessons.list_lessons(session, viewer, now=clock.now).rows
    send(api, f"{LESSONS}/{lesson.id}/stop")
    send(api, LESSONS, school=school.id, room=room.id, minutes=60, list=saved.id)
    assert current_settings(session).lessons[0].ends == clock.now + timedelta(minutes=60)
    send(api, f"{LESSONS}/lists/{saved.id}/remove", school=school.id)
    assert name_lists.list_lists(session, viewer, school.id) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"minutes": 60}, "Donnez au moins un site, ou choisissez une liste enregistrée."),
        ({"minutes": 60, "names": "pas un nom !"}, "« pas un nom ! » n’est pas un nom de domaine."),
        ({"minutes": 60, "names": "a.example", "other": "4"}, "Un nombre de 5 à 240."),
        ({"minutes": 60, "names": "a.example", "other": "241"}, "Un nombre de 5 à 240."),
        ({"minutes": 60, "names": "a.example", "room": ""}, "Choisissez la salle."),
        ({"minutes": 60, "keep": "Musées", "list": "00000000-0000-0000-0000-000000000001"}, "Écrivez plus haut"),
    ],
)
def test_a_refused_lesson_keeps_what_was_typed(
    api: TestClient, school: School, lead: User, room: FilterRoom, fields: dict[str, object], told: str
) -> None:
    signed_in(api, lead)
    form = {"school": school.id, "room": room.id, "title": "Histoire, CM2", **fields}
    page = refused(api, LESSONS, 422, **form)
    assert told in page
    assert 'value="Histoire, CM2"' in page
    assert "En cours</span>" not in page


def test_what_a_school_reads_when_a_lesson_cannot_start(
    api: TestClient, session: Session, school: School, staff: Viewer, lead: User
) -> None:
    signed_in(api, lead)
    page = api.get(LESSONS).text
    assert "Cette école n’a pas encore de salle" in page
    assert f"/tickets/new?school={school.id}" in page
    empty = rooms.add_room(session, staff, school, "Salle vide", NOON)
    form = {"school": school.id, "room": empty.id, "minutes": 60, "names": "a.example"}
    assert "Aucun réseau ni appareil n’est rattaché à cette salle" in refused(api, LESSONS, 409, **form)
    assert "aucune leçon ne peut s’y lancer" in api.get(ROOMS).text


def test_a_lesson_that_is_over_is_neither_stopped_nor_prolonged(
    api: TestClient, session: Session, lead: User, staff: Viewer, room: FilterRoom, clock: Clock
) -> None:
    lesson = lessons.start_lesson(session, staff, room.id, minutes=10, names=["a.example"], now=clock.now)
    signed_in(api, lead)
    assert "Une leçon finit au plus dans 240 minutes." in refused(
        api, f"{LESSONS}/{lesson.id}/prolong", 422, longer=240
    )
    clock.advance(minutes=11)
    for verb in ("stop", "prolong"):
        assert "Cette leçon est finie." in refused(api, f"{LESSONS}/{lesson.id}/{verb}", 409, longer=10)


def test_staff_arranges_rooms_and_the_school_reads_them(
    api: TestClient, session: Session, school: School, lead: User
) -> None:
    device = make_device(session, school=school, name="PC du fond")
    profile = profile_named(session, "elementaire")
    signed_in(api, make_user(session))
    address = send(api, ROOMS, school=school.id, name="Salle 4")
    [room] = rooms.list_rooms(session, viewer_of(session), school.id)
    attached = {"school": school.id, "cidr": "10.4.0.0/24", "network_profile": profile.id, "network_room": room.id}
    send(api, f"{ROOMS}/networks", **attached)
    send(api, f"{ROOMS}/devices", school=school.id, device=device.id, device_profile=profile.id, device_room=room.id)
    page = api.get(address).text
    assert "La salle est ajoutée" in page
    again = refused(api, f"{ROOMS}/networks", 409, **attached)
    assert "10.4.0.0/24 a déjà un profil" in again
    assert 'value="10.4.0.0/24"' in again
    assert "une salle «" in refused(api, ROOMS, 409, school=school.id, name="Salle 4")
    signed_in(api, lead)
    page = api.get(ROOMS).text
    assert "10.4.0.0/24" in page
    assert "PC du fond" in page
    assert "Détacher" not in page
    for path in (ROOMS, f"{ROOMS}/{room.id}/remove", f"{ROOMS}/networks", f"{ROOMS}/devices/{device.id}/remove"):
        refused(api, path, 403, name="À moi", **attached, device=device.id, device_profile=profile.id)
    signed_in(api, make_user(session))
    [network] = [n for n in rooms.list_networks(session) if n.school_id == school.id]
    send(api, f"{ROOMS}/devices/{device.id}/remove", school=school.id)
    send(api, f"{ROOMS}/networks/{network.id}/remove", school=school.id)
    send(api, f"{ROOMS}/{room.id}/remove", school=school.id)
    assert "Aucune salle" in api.get(f"{ROOMS}?school={school.id}").text


def test_a_network_that_another_school_has_behind_its_own_filter_is_attached_with_a_word_of_warning(
    api: TestClient, session: Session, school: School
) -> None:
    other = make_school(session)
    nodes.register_filter(session, "ailleurs", other, NOON)
    signed_in(api, make_user(session))
    home = {"cidr": "192.168.1.0/24", "network_profile": profile_named(session, "elementaire").id}
    assert "network-shared" not in send(api, f"{ROOMS}/networks", school=other.id, **home)
    address = send(api, f"{ROOMS}/networks", school=school.id, **home)
    assert "Une autre école, qui a son filtre, a le même" in api.get(address).text
    third = refused(api, f"{ROOMS}/networks", 409, school=make_school(session).id, **home)
    assert "Enregistrez d’abord le filtre de cette école" in third


def test_an_override_is_added_found_and_taken_back(
    api: TestClient, session: Session, school: School, clock: Clock
) -> None:
    signed_in(api, make_user(session))
    form = {
        "school": school.id,
        "verdict": "allow",
        "names": "https://europe.example/page",
        "categories": "games",
        "ends": "2026-12-01T18:00",
        "reason": "Projet Europe",
    }
    wrong = refused(api, f"{OVERRIDES}/new", 422, **{**form, "ends": "2026-01-01T18:00"})
    assert "La dérogation doit finir après avoir commencé" in wrong
    assert "https://europe.example/page" in wrong
    assert re.search(r'value="games" checked', wrong)
    address = send(api, f"{OVERRIDES}/new", **form)
    page = api.get(address).text
    assert "Autorise europe.example, Jeux en ligne" in page
    assert "1er\u00a0déc." in page
    for found in ("?q=europe", "?q=projet+macé", "?state=running", f"?school={school.id}"):
        assert "Autorise europe.example" in api.get(f"{OVERRIDES}{found}").text, found
    for lost in ("?q=asie", "?state=coming", "?state=ended"):
        assert "Autorise europe.example" not in api.get(f"{OVERRIDES}{lost}").text, lost
    address = address.partition("?")[0]
    send(api, f"{address}/revoke")
    assert "déjà finie" in refused(api, f"{address}/revoke", 409)
    assert "Levée" in api.get(f"{OVERRIDES}?state=ended").text
    assert "europe.example" in api.get(f"{OVERRIDES}.csv?state=all").text


def test_an_override_for_everybody_or_a_collectivity(api: TestClient, session: Session, school: School) -> None:
    signed_in(api, make_user(session))
    page = api.get(f"{OVERRIDES}/new?q={school.collectivity.name}").text
    assert f"collectivity={school.collectivity_id}" in page
    page = api.get(f"{OVERRIDES}/new?everywhere=true&name=exemple.fr").text
    assert "Toutes les écoles" in page
    assert "exemple.fr</textarea>" in page
    form = {"verdict": "block", "names": "exemple.fr", "ends": "2026-12-01T18:00", "reason": "Attaque en cours"}
    assert "Toutes les écoles" in api.get(send(api, f"{OVERRIDES}/new", **form)).text
    address = send(api, f"{OVERRIDES}/new", collectivity=school.collectivity_id, **form)
    assert school.collectivity.name in api.get(address).text


def test_a_request_is_declined_with_a_reason_then_allowed(
    api: TestClient, session: Session, school: School, lead: User, clock: Clock
) -> None:
    signed_in(api, lead)
    assert "Donnez le site" in refused(api, f"{REQUESTS}/new", 422, school=school.id, name="", reason="Exposé")
    wrong = refused(api, f"{REQUESTS}/new", 422, school=school.id, name="pas un nom", reason="Exposé de CM2")
    assert "n’est pas un nom de domaine" in wrong
    assert "Exposé de CM2</textarea>" in wrong
    address = send(api, f"{REQUESTS}/new", school=school.id, name="https://jeu.example/page", reason="Exposé")
    page = api.get(address).text
    assert "<h1>jeu.example</h1>" in page
    assert "Aucune liste n’est encore publiée." in page
    address = address.partition("?")[0]
    assert "Refuser la demande" not in page
    for verb in ("allow", "decline"):
        refused(api, f"{address}/{verb}", 403, ends="2026-12-01T18:00", refusal="Non.", place="school")
    signed_in(api, make_user(session))
    assert "Dites pourquoi" in refused(api, f"{address}/decline", 422, refusal="")
    send(api, f"{address}/decline", refusal="Hors sujet.")
    assert "jeu.example" not in api.get(REQUESTS).text
    assert "jeu.example" in api.get(f"{REQUESTS}?state=declined&q=mace").text
    late = refused(api, f"{address}/allow", 422, ends="2026-01-01T18:00", place="school", answer="Finalement oui.")
    assert "Finalement oui.</textarea>" in late
    send(api, f"{address}/allow", ends="2026-12-01T18:00", place="school", answer="Finalement oui.")
    [override] = overrides.list_overrides(session, viewer_of(session), now=clock.now).rows
    assert (override.names, override.school_id, override.verdict) == (["jeu.example"], school.id, Verdict.ALLOW)
    signed_in(api, lead)
    page = api.get(address).text
    assert "Acceptée" in page
    assert "Finalement oui." in page


def test_an_officer_sees_and_changes_nothing(
    api: TestClient, session: Session, school: School, staff: Viewer, officer: User, room: FilterRoom, clock: Clock
) -> None:
    lesson = lessons.start_lesson(session, staff, room.id, minutes=60, names=["musee.example"], now=clock.now)
    found = find_place(session, staff, school_id=school.id)
    wish = Wish(Verdict.ALLOW, "Projet", clock.now, clock.now + timedelta(days=2), ["europe.example"])
    override = overrides.add_override(session, staff, found, None, wish, clock.now)
    asked = requests.ask(
        session, staff, name="jeu.example", reason="Exposé", school_id=school.id, profile=None, now=clock.now
    )
    signed_in(api, officer)
    shown = {
        LESSONS: "musee.example",
        ROOMS: room.name,
        OVERRIDES: "europe.example",
        f"{OVERRIDES}/{override.id}": "europe.example",
        REQUESTS: "jeu.example",
        f"{REQUESTS}/{asked.id}": "jeu.example",
    }
    for path, text in shown.items():
        page = api.get(path).text
        main = page.partition("<main")[2]
        assert text in main, path
        assert 'method="post"' not in main, path
        assert "/new" not in main, path
    forms: dict[str, dict[str, object]] = {
        LESSONS: {"school": school.id, "room": room.id, "minutes": 60, "names": "a.example"},
        f"{LESSONS}/{lesson.id}/stop": {},
        f"{LESSONS}/{lesson.id}/prolong": {"longer": 10},
        ROOMS: {"school": school.id, "name": "À moi"},
        f"{OVERRIDES}/new": {
            "school": school.id, "verdict": "allow", "names": "a.example", "ends": "2026-12-01T18:00", "reason": "x",
        },
        f"{OVERRIDES}/{override.id}/revoke": {},
        f"{REQUESTS}/new": {"school": school.id, "name": "a.example", "reason": "x"},
        f"{REQUESTS}/{asked.id}/allow": {"ends": "2026-12-01T18:00", "place": "school"},
        f"{REQUESTS}/{asked.id}/decline": {"refusal": "Non."},
    }  # fmt: skip
    for path, fields in forms.items():
        refused(api, path, 403, **fields)


def test_what_is_the_neighbours_does_not_exist_here_either(
    api: TestClient, session: Session, school: School, staff: Viewer, lead: User, clock: Clock
) -> None:
    theirs = make_school(session, name="École voisine")
    their_room = make_room(session, staff, theirs)
    lesson = lessons.start_lesson(session, staff, their_room.id, minutes=60, names=["voisin.example"], now=clock.now)
    found = find_place(session, staff, school_id=theirs.id)
    wish = Wish(Verdict.ALLOW, "Voisin", clock.now, clock.now + timedelta(days=2), ["voisin.example"])
    override = overrides.add_override(session, staff, found, None, wish, clock.now)
    asked = requests.ask(
        session, staff, name="voisin.example", reason="Exposé", school_id=theirs.id, profile=None, now=clock.now
    )
    signed_in(api, lead)
    for path in (
        f"{LESSONS}?school={theirs.id}",
        f"{LESSONS}?again={lesson.id}",
        f"{ROOMS}?school={theirs.id}",
        f"{OVERRIDES}/{override.id}",
        f"{REQUESTS}/{asked.id}",
        f"{REQUESTS}/new?school={theirs.id}",
    ):
        assert api.get(path).status_code == 404, path
    for path in (LESSONS, ROOMS, f"{OVERRIDES}?state=all", f"{REQUESTS}?state=all"):
        assert "voisin" not in api.get(path).text, path
    for path in (f"{LESSONS}.csv", f"{OVERRIDES}.csv?state=all", f"{REQUESTS}.csv?state=all"):
        assert "voisin" not in api.get(path).text, path
    forms: dict[str, dict[str, object]] = {
        LESSONS: {"school": theirs.id, "room": their_room.id, "minutes": 60, "names": "a.example"},
        f"{LESSONS}/{lesson.id}/stop": {},
        ROOMS: {"school": theirs.id, "name": "À moi"},
        f"{OVERRIDES}/{override.id}/revoke": {},
        f"{REQUESTS}/{asked.id}/decline": {"refusal": "Non."},
        f"{REQUESTS}/new": {"school": theirs.id, "name": "a.example", "reason": "x"},
    }
    for path, fields in forms.items():
        refused(api, path, 404, **fields)


def test_each_menu_leads_to_what_one_may_open(
    api: TestClient, session: Session, school: School, lead: User, officer: User
) -> None:
    for user, home in ((lead, LESSONS), (officer, REQUESTS), (make_user(session), "/filtering")):
        signed_in(api, user)
        page = api.get(f"{OVERRIDES}").text
        assert f'href="{home}" aria-current="page">' in page
        tabs = re.search(r'<nav class="tabs.*?</nav>', page, re.DOTALL)
        assert tabs is not None
        for path in re.findall(r'href="([^"]+)"', tabs.group()):
            assert api.get(path).status_code == 200, path


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


@pytest.mark.parametrize(
    "path", [LESSONS, OVERRIDES, REQUESTS, f"{LESSONS}?school={{school}}", f"{ROOMS}?school={{school}}"]
)
def test_more_rows_ask_the_database_no_more(
    api: TestClient, session: Session, staff: Viewer, school: School, clock: Clock, path: str
) -> None:
    signed_in(api, make_user(session))
    counts = []
    for rows in (1, 6):
        for _ in range(rows):
            elsewhere = make_school(session)
            for place in (school, elsewhere):
                room = make_room(session, staff, place)
                lessons.start_lesson(session, staff, room.id, minutes=60, names=["a.example"], now=clock.now)
                requests.ask(
                    session, staff, name="a.example", reason="x", school_id=place.id, profile=None, now=clock.now
                )
            found = find_place(session, staff, school_id=elsewhere.id)
            wish = Wish(Verdict.ALLOW, "x", clock.now, clock.now + timedelta(days=2), ["a.example"])
            overrides.add_override(session, staff, found, None, wish, clock.now)
        with counting(session) as seen:
            assert api.get(path.format(school=school.id)).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1] <= MOST


def test_a_page_beyond_the_last_shows_the_last(
    api: TestClient, session: Session, staff: Viewer, school: School, clock: Clock
) -> None:
    for number in range(27):
        name = f"site-{number}.example"
        requests.ask(session, staff, name=name, reason="x", school_id=school.id, profile=None, now=clock.now)
    signed_in(api, make_user(session))
    page = api.get(f"{REQUESTS}?page=999").text
    assert page.count('<tr role="row">') == 3
    assert 'rel="prev"' in page
    assert "site-9.example" in api.get(f"{REQUESTS}?sort=-name").text


def test_a_device_that_is_retired_on_its_page_leaves_the_policy_at_once(
    api: TestClient, session: Session, staff: Viewer, school: School, room: FilterRoom
) -> None:
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, profile_named(session, "ecrans"), room.id, NOON)
    assert len(current_settings(session).labels) == 1
    signed_in(api, make_user(session))
    send(api, f"/devices/{device.id}/status", status="retired")
    assert current_settings(session).labels == ()
