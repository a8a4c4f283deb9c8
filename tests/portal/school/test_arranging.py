"""Pages of rooms, networks, overrides and requests: what staff arranges and the school reads."""

import re

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.accounts.models import User
from fleet.filtering.exceptions import overrides, rooms
from fleet.filtering.exceptions.overrides import Verdict
from fleet.filtering.gateways import nodes
from fleet.schools.models import School
from tests.conftest import Clock
from tests.factories import NOON, make_device, make_school, make_user
from tests.fleet.deciding import profile_named, viewer_of
from tests.portal.school.refused import OVERRIDES, REQUESTS, ROOMS, refused
from tests.portal.test_forms import send
from tests.sign_in import signed_in


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
