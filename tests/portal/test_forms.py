"""Forms: what they change, what they refuse, and that nothing typed is lost."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.devices.models import Device, DeviceKind, DeviceStatus, Platform
from fleet.enrollment.models import EnrollmentFailure, EnrollmentToken
from fleet.filtering import service as filtering
from fleet.platforms.android import TEST_DPC
from fleet.scope import Role
from fleet.tickets.models import FollowUp, Ticket, TicketKind, TicketMail, TicketStatus, TicketSubject
from tests.conftest import Clock
from tests.factories import make_collectivity, make_device, make_school, make_ticket, make_user
from tests.sign_in import signed_in

OPENING = {"kind": "incident", "subject": "school", "title": "Plus de réseau", "description": "Depuis ce matin."}


def send(api: TestClient, path: str, **fields: object) -> str:
    """Post a form that must be accepted; return where it leads."""
    form = {name: str(value) for name, value in fields.items()}
    answer = api.post(path, data={**form, "csrf": api.headers["X-CSRF-Token"]}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_a_ticket_goes_from_opened_to_closed(api: TestClient, session: Session, clock: Clock) -> None:
    school = make_school(session)
    officer = make_user(session, Role.OFFICER, collectivity=school.collectivity)
    technician = make_user(session)
    signed_in(api, officer)
    path = send(api, "/tickets/new", school=school.id, request_key="k1", **OPENING).partition("?")[0]
    assert "Plus de réseau" in api.get("/tickets").text
    signed_in(api, technician)
    send(api, f"{path}/assign", to=technician.id)
    send(api, f"{path}/plan", planned_for="2026-12-01T09:30")
    send(api, f"{path}/follow_up", body="Je passe mardi.", request_key="k2")
    send(api, f"{path}/follow_up", body="Prévoir un switch.", internal="yes", request_key="k3")
    assert "9\u00a0h\u00a030" in api.get(path).text
    send(api, f"{path}/solve", resolution="Câble changé.")
    page = api.get(path).text
    assert "Prévoir un switch." in page
    signed_in(api, officer)
    page = api.get(path).text
    assert "Je passe mardi." in page
    assert "Prévoir un switch." not in page
    send(api, f"{path}/reopen", reopen_note="Toujours rien.")
    signed_in(api, technician)
    send(api, f"{path}/hold", hold_note="Pièce commandée.")
    assert "Reprendre" in api.get(path).text
    send(api, f"{path}/resume")
    send(api, f"{path}/solve", resolution="Switch posé.")
    send(api, f"{path}/close", close_note="")
    ticket = session.scalars(select(Ticket).where(Ticket.title == "Plus de réseau")).one()
    session.refresh(ticket)
    assert (ticket.status, ticket.closed_at) == (TicketStatus.CLOSED, clock.now)
    page = api.get(path).text
    assert "Étape suivante" not in page
    titles = re.findall(r'<p class="head"><strong>(.*?)</strong><span class="soft">', page)
    assert [title for title in titles if title != technician.name] == [
        "Clos",
        "Résolu",
        "Repris",
        "En attente",
        "Rouvert",
        "Résolu",
        "Planifié pour le 01/12/2026 à 09:30",
        f"Confié à {technician.name}",
        "Nouveau",
    ]


def test_opening_promises_only_what_is_true(api: TestClient, session: Session, clock: Clock) -> None:
    school = make_school(session)
    technician = make_user(session)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    path = send(api, "/tickets/new", school=school.id, request_key="k", **OPENING)
    number = session.scalars(select(Ticket.number)).one()
    page = api.get(path).text
    assert f"Ticket nᵒ {number} ouvert. L’équipe technique le voit sur son tableau de bord." in page
    assert "Courriel en attente d’envoi" not in page  # who is written to is the staff's business
    signed_in(api, technician)
    page = api.get(path.partition("?")[0]).text
    assert "Courriel en attente d’envoi" in page
    assert technician.email in page
    assert "renseignez PREAU_SMTP_URL" in page
    session.execute(update(TicketMail).values(sent_at=clock.now))
    assert "Courriel en attente d’envoi" not in api.get(path.partition("?")[0]).text


def test_the_same_form_sent_twice_opens_one_ticket(api: TestClient, session: Session) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    form = {**OPENING, "school": school.id, "request_key": "once"}
    assert send(api, "/tickets/new", **form) == send(api, "/tickets/new", **form)
    path = send(api, "/tickets/new", **form).partition("?")[0]
    for _ in range(2):
        send(api, f"{path}/follow_up", body="Bonjour", request_key="said-once")
    assert session.scalar(select(func.count()).select_from(FollowUp)) == 1


def test_a_ticket_on_a_device_or_a_collectivity(api: TestClient, session: Session) -> None:
    device = make_device(session)
    school = device.school
    assert school is not None
    signed_in(api, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    send(api, "/tickets/new", device=device.id, school=school.id, fixed="device", **{**OPENING, "subject": "device"})
    send(api, "/tickets/new", collectivity=school.collectivity_id, **{**OPENING, "subject": "ent", "kind": "request"})
    found = session.scalars(select(Ticket).order_by(Ticket.number)).all()[-2:]
    assert [(t.subject, t.kind, t.device_id, t.school_id) for t in found] == [
        (TicketSubject.DEVICE, TicketKind.INCIDENT, device.id, school.id),
        (TicketSubject.ENT, TicketKind.REQUEST, None, None),
    ]


def test_what_is_missing_is_said_and_what_was_typed_stays(api: TestClient, session: Session) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    form = {**OPENING, "title": "", "description": "Texte <b>à garder</b>", "subject": "device", "school": school.id}
    answer = api.post("/tickets/new", data={**form, "request_key": "k", "csrf": api.headers["X-CSRF-Token"]})
    assert answer.status_code == 422
    assert "Donnez un titre" in answer.text
    assert "Choisissez l’appareil concerné." in answer.text
    assert "Texte &lt;b&gt;à garder&lt;/b&gt;" in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert 'name="request_key" value="k"' in answer.text
    assert session.scalar(select(func.count()).select_from(Ticket)) == 0


def test_a_step_that_is_refused_keeps_its_text(api: TestClient, session: Session, clock: Clock) -> None:
    technician = make_user(session)
    ticket = make_ticket(session, status=TicketStatus.ASSIGNED, assigned_to_id=technician.id)
    signed_in(api, technician)
    csrf = api.headers["X-CSRF-Token"]
    answer = api.post(f"/tickets/{ticket.id}/plan", data={"planned_for": "2020-01-01T08:00", "csrf": csrf})
    assert answer.status_code == 422
    assert "date à venir" in answer.text
    assert 'value="2020-01-01T08:00"' in answer.text
    answer = api.post(f"/tickets/{ticket.id}/reopen", data={"reopen_note": "Encore", "csrf": csrf})
    assert answer.status_code == 409
    assert api.post(f"/tickets/{ticket.id}/dance", data={"csrf": csrf}).status_code == 404


def test_a_device_is_edited_moved_and_retired(api: TestClient, session: Session) -> None:
    device, school = make_device(session), make_school(session, name="École d’arrivée")
    signed_in(api, make_user(session))
    path = f"/devices/{device.id}"
    send(api, f"{path}/edit", name="Écran du CDI", room="CDI", manufacturer="", model="X1")
    page = api.get(f"{path}?done=device-edited").text
    assert "Écran du CDI" in page
    assert "La fiche est à jour." in page
    assert "École d’arrivée" in api.get(f"{path}/move?q=arrivee").text
    assert "Confirmer le changement" in api.get(f"{path}/move?school={school.id}").text
    send(api, f"{path}/move", school=school.id)
    send(api, f"{path}/status", status="retired")
    session.refresh(device)
    assert (device.name, device.school_id, device.status) == ("Écran du CDI", school.id, DeviceStatus.RETIRED)
    csrf = api.headers["X-CSRF-Token"]
    assert api.post(f"{path}/status", data={"status": "active", "csrf": csrf}).status_code == 409
    assert api.post(f"{path}/status", data={"status": "dancing", "csrf": csrf}).status_code == 422
    answer = api.post(f"{path}/edit", data={"name": "", "room": "Salle gardée", "csrf": csrf})
    assert answer.status_code == 422
    assert "Salle gardée" in answer.text


def test_a_token_is_shown_once_and_can_be_revoked(api: TestClient, session: Session) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    csrf = api.headers["X-CSRF-Token"]
    form = {"school": str(school.id), "what": "display:linux", "uses": "3", "expiry": "60", "csrf": csrf}
    page = api.post("/enrollment", data=form)
    assert page.status_code == 200
    text = re.search(r"--token</span> <span class=.argument.>([0-9A-Z-]+)", page.text)
    assert text is not None
    assert '<svg role="img" aria-label="Code QR"' in page.text
    token = session.scalars(select(EnrollmentToken)).one()
    assert (token.max_uses, token.kind, token.platform) == (3, DeviceKind.DISPLAY, Platform.LINUX)
    listed = api.get("/enrollment").text
    assert token.hint in listed
    assert text.group(1) not in listed
    send(api, f"/enrollment/{token.id}/revoke")
    session.refresh(token)
    assert token.revoked_at is not None


def test_a_reloaded_code_page_issues_no_second_code(api: TestClient, session: Session) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    key = re.search(r'name="request_key" value="([^"]+)"', api.get(f"/enrollment?school={school.id}").text)
    assert key is not None
    form = {"school": str(school.id), "what": "display:linux", "uses": "3", "expiry": "60"}
    form |= {"request_key": key.group(1), "csrf": api.headers["X-CSRF-Token"]}
    assert api.post("/enrollment", data=form).status_code == 200
    again = api.post("/enrollment", data=form)
    assert again.status_code == 409
    assert "Ce code a déjà été affiché" in again.text
    assert key.group(1) not in again.text  # the next form is a new one
    assert session.scalar(select(func.count()).select_from(EnrollmentToken)) == 1


def test_android_without_an_application_to_install_is_only_explained(api: TestClient, session: Session) -> None:
    school = make_school(session)
    tablet = make_device(session, school=school, kind=DeviceKind.TABLET, platform=Platform.ANDROID)
    signed_in(api, make_user(session))
    form = {"school": str(school.id), "what": "tablet:android", "uses": "1", "expiry": "60"}
    code = api.post("/enrollment", data={**form, "csrf": api.headers["X-CSRF-Token"]})
    assert code.status_code == 200
    assert "Une tablette ne rapporte rien" in api.get(f"/devices/{tablet.id}").text
    for page in (code.text, api.get("/enroll").text, api.get(f"/devices/{tablet.id}").text):
        assert "PREAU_ANDROID_DPC_COMPONENT" in page
        assert "six fois" not in page
        assert "Afficher le QR" not in page
    assert "<svg role=" not in code.text


def test_the_trial_application_for_android_is_named_beside_each_qr(
    app: FastAPI, api: TestClient, session: Session, config: FleetConfig
) -> None:
    component, url, checksum = TEST_DPC.values()
    app.state.config = replace(
        config, android_dpc_component=component, android_dpc_url=url, android_dpc_checksum=checksum
    )
    school = make_school(session)
    tablet = make_device(session, school=school, kind=DeviceKind.TABLET, platform=Platform.ANDROID)
    signed_in(api, make_user(session))
    form = {"school": str(school.id), "what": "tablet:android", "uses": "1", "expiry": "60"}
    token = api.post("/enrollment", data={**form, "csrf": api.headers["X-CSRF-Token"]})
    assert "Afficher le QR" in api.get(f"/devices/{tablet.id}").text
    device = api.post(f"/devices/{tablet.id}/profile", data={"csrf": api.headers["X-CSRF-Token"]})
    for page in (token.text, device.text):
        assert "<svg" in page
        assert "Test DPC" in page
        assert "applique les raccourcis" not in page.replace("n’applique pas les raccourcis", "")
    assert "Test DPC" in api.get("/enroll").text


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("what", "display:ipados", "Choisissez le type"),
        ("what", "robot_kit:none", "Choisissez le type"),
        ("what", "laptop:windows", "Choisissez le type"),  # no agent runs there yet
        ("uses", "0", "Un nombre de 1 à 200."),
        ("uses", "²", "Un nombre de 1 à 200."),
        ("expiry", "999999", "Choisissez une durée."),
    ],
)
def test_terms_that_cannot_be(api: TestClient, session: Session, field: str, value: str, told: str) -> None:
    school = make_school(session)
    signed_in(api, make_user(session))
    form = {"school": str(school.id), "what": "display:linux", "uses": "1", "expiry": "60"}
    answer = api.post("/enrollment", data={**form, field: value, "csrf": api.headers["X-CSRF-Token"]})
    assert answer.status_code == 422
    assert told in answer.text
    assert session.scalar(select(func.count()).select_from(EnrollmentToken)) == 0


def test_a_wrong_token_on_the_public_page_is_a_sentence_and_counts(api: TestClient, session: Session) -> None:
    answer = api.post("/enroll", data={"token": "AAAA-BBBB-CCCC", "attempt": "0" * 32})
    assert answer.status_code == 404
    assert "Recopiez le code en entier, tirets ou non" in answer.text
    assert "12 signes" not in answer.text
    assert 'value="AAAA-BBBB-CCCC"' in answer.text
    assert session.scalar(select(func.count()).select_from(EnrollmentFailure)) == 1
    crossed = api.post("/enroll", data={"token": "x", "attempt": "y"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403


def test_a_profile_is_edited_and_published(api: TestClient, session: Session) -> None:
    profile = filtering.ensure_default_profile(session)
    signed_in(api, make_user(session))
    path = f"/filtering/profiles/{profile.id}"
    fields = {
        "name": "École",
        "category:gambling": "block",
        "category:child": "allow",
        "category:games": "",
        "denied_names": "https://Exemple.FR/page\n\n",
        "allowed_names": "",
    }
    send(api, path, **fields)
    session.refresh(profile)
    assert profile.blocked_categories == ["gambling"]
    assert profile.allowed_categories == ["child"]
    assert profile.denied_names == ["exemple.fr"]
    current = filtering.find_current_policy(session)
    assert current is not None
    csrf = api.headers["X-CSRF-Token"]
    answer = api.post(path, data={**fields, "denied_names": "pas un nom !", "csrf": csrf})
    assert answer.status_code == 422
    assert "Noms de domaine invalides" in answer.text
    assert "pas un nom !" in answer.text
    session.refresh(profile)
    assert profile.denied_names == ["exemple.fr"]
    assert filtering.find_current_policy(session) is current


def test_why_blocked_says_what_is_wrong_with_the_question(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    assert api.get("/filtering?name=exemple.fr").status_code == 404  # nothing is published
    answer = api.get("/filtering?name=pas un nom")
    assert answer.status_code == 422
    assert "n’est pas un nom de domaine" in answer.text


def test_exports_hold_the_whole_list(api: TestClient, session: Session) -> None:
    school = make_school(session)
    for number in range(60):
        make_ticket(session, school=school, title=f"=Panne {number}")
        make_device(session, school=school)
    signed_in(api, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    lines = api.get("/tickets.csv").content.decode("utf-8-sig").splitlines()
    assert len(lines) == 61
    assert "'=Panne 59" in lines[60]  # no spreadsheet runs it as a formula
    assert len(api.get("/devices.csv?kind=display").content.splitlines()) == 61
    assert len(api.get("/schools.csv").content.splitlines()) == 2


def test_the_board_counts_what_needs_a_person(api: TestClient, session: Session, clock: Clock) -> None:
    technician = make_user(session)
    late = clock.now - timedelta(days=1)
    make_ticket(session, title="Jamais pris")
    make_ticket(session, title="En retard", status=TicketStatus.PLANNED, planned_for=late, assigned_to_id=technician.id)
    make_device(session, name="Écran muet", silent_since=late, last_seen_at=late)
    signed_in(api, technician)
    page = api.get("/").text
    for told in ("Jamais pris", "1 intervention en retard", "En retard", "Écran muet"):
        assert told in page.replace("\u00a0", " "), told
    assert 'hx-trigger="every 30s"' in page
    assert "hx-trigger" not in api.get("/?live=off").text


def test_devices_are_found_by_what_people_type(api: TestClient, session: Session) -> None:
    school = make_school(session, name="ECOLE PRIMAIRE", commune=make_collectivity(session, name="Étréaupont"))
    device = make_device(session, school=school, name="Écran médiathèque")
    make_device(session, name="Autre", kind=DeviceKind.LAPTOP, status=DeviceStatus.LOST)
    signed_in(api, make_user(session))
    found = api.get("/devices?q=ecran mediatheque&kind=&status=&silent=").text
    assert device.name in found
    assert "Autre" not in found
    assert 'École primaire</a><span class="under">Étréaupont</span>' in found
    assert "Aucun appareil ne correspond" in api.get("/devices?q=zzzz").text
    assert session.scalar(select(func.count()).select_from(Device)) == 2


def test_a_kit_is_registered_by_hand(api: TestClient, session: Session) -> None:
    school = make_school(session, name="École du Parc")
    signed_in(api, make_user(session))
    assert "École du Parc" in api.get("/devices/new?q=parc").text
    form = {
        "school": school.id,
        "what": "robot_kit:none",
        "serial": "RK-77",
        "room": "",
        "model": "",
        "manufacturer": "",
    }
    path = send(api, "/devices/new", name="Malle robots", **form).partition("?")[0]
    page = api.get(path).text
    assert "Malle robots" in page
    assert "RK-77" in page
    answer = api.post("/devices/new", data={**form, "name": "", "csrf": api.headers["X-CSRF-Token"]})
    assert answer.status_code == 422
    assert 'value="RK-77"' in answer.text
    signed_in(api, make_user(session, Role.OFFICER, collectivity=school.collectivity))
    assert api.get("/devices/new").status_code == 403
    refused = api.post("/devices/new", data={**form, "name": "Pirate", "csrf": api.headers["X-CSRF-Token"]})
    assert refused.status_code == 403
    assert session.scalar(select(func.count()).select_from(Device)) == 1
