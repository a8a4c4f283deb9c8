"""What a newcomer meets in the forms of filtering: a wrong value is told beside its field, every node is reachable."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.devices import service as devices
from fleet.devices.models import DeviceStatus
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import lessons, rooms
from fleet.filtering.models import FilterSource
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.policy.places import find_place
from fleet.filtering.publishing import publications
from fleet.schools.models import School
from fleet.scope import Viewer
from tests.conftest import Clock
from tests.factories import make_device, make_school
from tests.fleet.deciding import make_room
from tests.portal.filtering_pages import SOURCE, read, refuse
from tests.portal.test_forms import send
from tests.portal.test_uncovered import publish_small_set


@pytest.fixture
def school(session: Session) -> School:
    return make_school(session, name="École Jean Macé")


def test_what_the_readme_names_is_a_tab(api: TestClient, staff: Viewer) -> None:
    tabs = read(api, "/filtering").partition('<nav class="tabs')[2].partition("</nav>")[0]
    for name, path in (("Publications", "/filtering/publications"), ("Pourquoi ?", "/filtering/why")):
        assert f'href="{path}"' in tabs, name
        assert name in tabs
        page = read(api, path)
        assert f'href="{path}" aria-current="page"' in page


def test_own_names_that_are_wrong_are_told_beside_their_field(
    api: TestClient, staff: Viewer, profile: FilterProfile
) -> None:
    path = f"/filtering/profiles/{profile.id}"
    typed = {"name": profile.name, "denied_names": "pas un nom\nbien.example", "allowed_names": "fr"}
    page = refuse(api, path, 422, **typed)
    assert 'id="denied_names-problem"' in page
    assert 'id="allowed_names-problem"' in page
    assert "Noms de domaine invalides : pas un nom." in page
    assert 'href="#denied_names"' in page
    assert "bien.example" in page
    both = {"denied_names": "https://www.exemple.fr/page", "allowed_names": "WWW.exemple.fr"}
    page = refuse(api, path, 422, name=profile.name, **both)
    assert "Aussi dans « Toujours bloquer » : www.exemple.fr. Gardez un seul des deux." in page


def test_a_school_page_leads_to_its_rooms_and_back(
    api: TestClient, session: Session, staff: Viewer, school: School, profile: FilterProfile
) -> None:
    room = make_room(session, staff, school)
    path = f"/filtering/profiles/{profile.id}?school={school.id}"
    there = f"{path}&amp;room={room.id}"
    assert f'href="{there}">{room.name}</a>' in read(api, path)
    page = read(api, there.replace("&amp;", "&"))
    assert room.name in page.partition("<h1>")[2].partition("</h1>")[0]
    assert "Revenir à toute l’école" in page


def test_a_profile_is_removed_from_its_page_once_nobody_has_it(
    api: TestClient, session: Session, staff: Viewer, school: School, profile: FilterProfile, clock: Clock
) -> None:
    assert "Supprimer ce profil" not in read(api, f"/filtering/profiles/{profile.id}")  # the default one
    path = send(api, "/filtering/profiles", name="Médiathèque", slug="mediatheque").partition("?")[0]
    added = next(each for each in filtering.list_profiles(session) if each.slug == "mediatheque")
    network = rooms.add_network(
        session, staff, "10.9.0.0/24", added, find_place(session, staff, school_id=school.id), clock.now
    )
    page = refuse(api, f"{path}/remove", 409)
    assert "sert encore : 1 réseau : 10.9.0.0/24 (École Jean Macé). Donnez-leur d’abord un autre profil." in page
    rooms.remove_network(session, staff, network.id, clock.now)
    assert "done=profile-removed" in send(api, f"{path}/remove")
    assert "Médiathèque" not in read(api, "/filtering/profiles")
    assert "Profil supprimé" in read(api, "/filtering/history")


def test_a_room_is_renamed_on_its_page(api: TestClient, session: Session, staff: Viewer, school: School) -> None:
    room, other = make_room(session, staff, school), make_room(session, staff, school)
    send(api, f"/filtering/rooms/{room.id}/rename", school=school.id, new_name="Atelier")
    page = read(api, f"/filtering/rooms?school={school.id}")
    assert "Atelier" in page
    page = refuse(api, f"/filtering/rooms/{room.id}/rename", 409, school=school.id, new_name=other.name)
    assert f"Cette école a déjà une salle « {other.name} »." in page
    assert "Salle renommée" in read(api, "/filtering/history")


def test_the_rooms_page_says_which_device_is_retired(
    api: TestClient, session: Session, staff: Viewer, school: School, clock: Clock
) -> None:
    device = make_device(session, school=school)
    rooms.set_label(session, staff, device.id, filtering.ensure_default_profile(session), None, clock.now)
    path = f"/filtering/rooms?school={school.id}"
    assert "Appareil réformé" not in read(api, path)
    devices.change_status(session, staff, device, DeviceStatus.RETIRED, clock.now)
    assert "Appareil réformé : ce profil ne vaut plus rien pour lui." in read(api, path)


def test_categories_without_a_list_are_one_sentence_and_a_way_on(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    filtering.ensure_default_profile(session)
    publish_small_set(session, config, clock, tmp_path)
    told = read(api, "/filtering").partition('id="uncovered"')[2].partition("<section")[0]
    sentence, _, folded = told.partition("<details")
    assert "dont contenus pour adultes" in sentence
    assert 'href="/filtering/sources/new?ready=ut1"' in sentence
    assert "<code>adult</code>" not in sentence
    assert "<code>adult</code>" in folded


def test_a_new_source_offers_the_ut1_lists(api: TestClient, staff: Viewer) -> None:
    assert 'href="/filtering/sources/new?ready=ut1"' in read(api, "/filtering/sources/new")
    assert 'href="/filtering/sources/new?ready=ut1"' not in read(api, "/filtering/sources/new?ready=ut1")


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("category", "jeux en ligne", "Catégories invalides : jeux en ligne"),
        ("quiet_from", "8", "Les heures de repos vont d’une heure à une autre"),
        ("url", "http://127.0.0.1/liste", "est une adresse interne"),
    ],
)
def test_a_wrong_source_is_told_beside_its_field(
    api: TestClient, staff: Viewer, field: str, value: str, told: str
) -> None:
    page = refuse(api, "/filtering/sources/new", 422, **{**SOURCE, field: value})
    beside = page.partition(f'id="{field}-problem"')[2].partition("</p>")[0]
    assert told in beside.replace("\u202f", " ")
    assert f'href="#{field}"' in page


def test_a_source_that_is_being_fetched_shows_its_end_by_itself(
    api: TestClient, session: Session, staff: Viewer, clock: Clock
) -> None:
    path = send(api, "/filtering/sources/new", **SOURCE).partition("?")[0]
    source = session.scalars(select(FilterSource).where(FilterSource.slug == "jeux")).one()
    page = read(api, path)
    assert "Téléchargement en cours" in page
    assert f'hx-get="{path}"' in page
    source.due_at = clock.now + timedelta(hours=12)
    session.flush()
    page = read(api, path)
    assert "Téléchargement en cours" not in page
    assert "every 3s" not in page


def test_the_notice_of_a_return_comes_with_the_list_that_refreshes_itself(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    publish_small_set(session, config, clock, tmp_path)
    latest = publications.find_latest(session)
    assert latest is not None
    latest.returns_to = latest.id
    session.flush()
    polled = read(api, "/filtering/publications").partition('<div id="publications"')[2].partition("</div>")[0]
    assert "les nuits ne publient plus rien" in polled


def test_a_running_lesson_counts_down_and_its_end_takes_it_away(
    api: TestClient, session: Session, staff: Viewer, school: School, clock: Clock
) -> None:
    room = make_room(session, staff, school)
    lesson = lessons.start_lesson(
        session, staff, room.id, minutes=30, names=["lumni.fr"], list_id=None, title="Lecture", now=clock.now
    )
    address = f"/filtering/lessons/{lesson.id}/left"
    assert f'hx-get="{address}"' in read(api, f"/filtering/lessons?school={school.id}")
    clock.now += timedelta(minutes=20)
    answer = api.get(address)
    assert "Fin dans 10" in answer.text.replace("\u00a0", " ").replace("\u202f", " ")
    assert "HX-Retarget" not in answer.headers
    clock.now += timedelta(minutes=11)
    answer = api.get(address)
    assert (answer.headers["HX-Retarget"], answer.headers["HX-Reselect"]) == ("#running", "#running")
    assert address not in answer.text
