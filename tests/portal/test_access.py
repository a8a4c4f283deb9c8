"""Who may open and do what in the portal, and the headers that every page carries."""

import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from dashboards.portal.security import CONTENT_SECURITY_POLICY
from fleet.accounts.access import COOKIE
from fleet.scope import Role
from fleet.tickets.models import TicketStatus
from tests.conftest import Clock
from tests.factories import (
    PASSWORD,
    make_collectivity,
    make_device,
    make_school,
    make_ticket,
    make_user,
)
from tests.sign_in import signed_in

PAGES = (
    "/", "/schools", "/devices", "/tickets", "/collectivities", "/grants", "/enrollment", "/filtering", "/tickets/new",
    "/filtering/lessons", "/filtering/rooms", "/filtering/overrides", "/filtering/overrides/new", "/filtering/requests",
    "/journal",
    "/jobs", "/search",
)  # fmt: skip
STAFF_ONLY = ("/enrollment", "/grants", "/filtering", "/filtering/publications")


def csrf(api: TestClient) -> str:
    return api.headers["X-CSRF-Token"]


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_sent_to_sign_in_and_back(api: TestClient, path: str) -> None:
    answer = api.get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == ("/sign-in" if path == "/" else f"/sign-in?next={path.replace('/', '%2F')}")


def test_a_polled_part_sends_the_whole_page_to_sign_in(api: TestClient) -> None:
    answer = api.get("/tickets", headers={"HX-Request": "true"}, follow_redirects=False)
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"].startswith("/sign-in")


@pytest.mark.parametrize(
    ("wanted", "lands"),
    [
        ("/tickets?status=all", "/tickets?status=all"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/ok\r\nSet-Cookie: a=b", "/"),
        ("javascript:alert(1)", "/"),
        ("", "/"),
    ],
)
def test_sign_in_leads_to_local_pages_only(api: TestClient, session: Session, wanted: str, lands: str) -> None:
    user = make_user(session)
    answer = api.post(
        "/sign-in", data={"email": user.email, "password": PASSWORD, "next": wanted}, follow_redirects=False
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == lands
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert all(flag in cookie for flag in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))


def test_each_role_lands_where_its_work_starts(api: TestClient, session: Session) -> None:
    school = make_school(session)
    people = {
        make_user(session, Role.ADMIN): "/",
        make_user(session, Role.AUDITOR): "/",
        make_user(session, Role.OFFICER, collectivity=school.collectivity): f"/collectivities/{school.collectivity_id}",
        make_user(session, Role.SCHOOL_LEAD, school=school): f"/schools/{school.id}",
    }
    for user, lands in people.items():
        answer = api.post("/sign-in", data={"email": user.email, "password": PASSWORD}, follow_redirects=False)
        assert answer.headers["location"] == lands
        assert api.get(lands).status_code == 200
        api.cookies.clear()


def test_a_wrong_password_is_one_sentence_and_counts(api: TestClient, session: Session, clock: Clock) -> None:
    user = make_user(session)
    for _ in range(10):
        clock.advance(minutes=1)
        answer = api.post("/sign-in", data={"email": user.email, "password": "non"})
        assert answer.status_code == 401
        assert "Adresse ou mot de passe incorrect." in answer.text
        assert user.email in answer.text
        assert COOKIE not in api.cookies
    answer = api.post("/sign-in", data={"email": user.email, "password": PASSWORD})
    assert answer.status_code == 429
    assert "quart d’heure" in answer.text


def test_another_site_cannot_sign_somebody_in(api: TestClient, session: Session) -> None:
    user = make_user(session)
    form = {"email": user.email, "password": PASSWORD}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert api.post("/sign-in", data=form, headers=headers).status_code == 403
    assert api.post("/sign-in", data=form, headers={"Origin": "https://preau.example.test"}).status_code == 200


def test_signing_out_ends_the_session_on_the_server(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    cookie = api.cookies[COOKIE]
    answer = api.post("/sign-out", data={"csrf": csrf(api)}, follow_redirects=False)
    assert answer.headers["location"].startswith("/sign-in")
    api.cookies.clear()
    assert api.get("/tickets", headers={"Cookie": f"{COOKIE}={cookie}"}, follow_redirects=False).status_code == 303


def test_a_change_needs_the_forms_own_token(api: TestClient, session: Session) -> None:
    ticket = make_ticket(session)
    user = make_user(session)
    signed_in(api, user)
    for form in ({"to": str(user.id)}, {"to": str(user.id), "csrf": "x" * 43}):
        answer = api.post(f"/tickets/{ticket.id}/assign", data=form, headers={"X-CSRF-Token": ""})
        assert answer.status_code == 403
        assert "Cette page a expiré" in answer.text
    session.refresh(ticket)
    assert ticket.status is TicketStatus.NEW


@pytest.mark.parametrize("path", STAFF_ONLY)
def test_staff_pages_are_closed_to_others(api: TestClient, session: Session, path: str) -> None:
    signed_in(api, make_user(session, Role.OFFICER, collectivity=make_collectivity(session)))
    answer = api.get(path)
    assert answer.status_code == 403
    assert "Accès refusé" in answer.text
    assert f'href="{path}"' not in api.get("/schools").text


def test_what_is_the_neighbours_does_not_exist(api: TestClient, session: Session) -> None:
    mine, theirs = make_school(session, name="École à moi"), make_school(session, name="École voisine")
    device = make_device(session, school=theirs, name="Écran voisin")
    ticket = make_ticket(session, school=theirs, title="Panne voisine")
    signed_in(api, make_user(session, Role.OFFICER, collectivity=mine.collectivity))
    hidden = (
        f"/schools/{theirs.id}",
        f"/devices/{device.id}",
        f"/devices/{device.id}/move",
        f"/tickets/{ticket.id}",
        f"/collectivities/{theirs.collectivity_id}",
        f"/tickets/new?device={device.id}",
        f"/tickets/new?school={theirs.id}",
        f"/tickets/new?collectivity={theirs.collectivity_id}",
        f"/devices?school={theirs.id}",
    )
    for path in hidden:
        assert api.get(path).status_code == 404, path
    form = {"csrf": csrf(api)}
    for path in (f"/tickets/{ticket.id}/follow_up", f"/devices/{device.id}/edit", f"/devices/{device.id}/status"):
        assert api.post(path, data=form).status_code == 404, path
    for path in ("/schools", "/schools.csv?state=all", "/devices", "/devices.csv", "/tickets?status=all"):
        text = api.get(path).text
        assert "voisin" not in text, path
    assert "voisin" not in api.get(f"/tickets.csv?status=all&collectivity={theirs.collectivity_id}").text


def test_an_auditor_reads_and_changes_nothing(api: TestClient, session: Session) -> None:
    device, ticket = make_device(session), make_ticket(session)
    signed_in(api, make_user(session, Role.AUDITOR))
    page = api.get(f"/devices/{device.id}").text
    assert "Changer le statut" not in page
    assert "/tickets/new" not in page
    assert "Étape suivante" not in api.get(f"/tickets/{ticket.id}").text
    for path, form in (
        (f"/devices/{device.id}/edit", {"name": "Autre"}),
        (f"/devices/{device.id}/status", {"status": "lost"}),
        ("/filtering/publications", {}),
        (f"/tickets/{ticket.id}/close", {}),
    ):
        assert api.post(path, data={**form, "csrf": csrf(api)}).status_code == 403, path


def test_every_answer_carries_the_security_headers(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    for path in ("/", "/sign-in", "/enroll", "/nowhere", "/schools?page=x", "/static/theme.css", "/api/v1/accounts/me"):
        headers = api.get(path).headers
        assert headers["content-security-policy"] == CONTENT_SECURITY_POLICY, path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "max-age" in headers["strict-transport-security"]
    assert api.get("/").headers["cache-control"] == "no-store"


def test_pages_hold_nothing_that_the_policy_refuses(api: TestClient, session: Session) -> None:
    device = make_device(session)
    signed_in(api, make_user(session))
    for path in (*PAGES, f"/devices/{device.id}", f"/enrollment?school={device.school_id}"):
        text = api.get(path).text
        assert not re.search(r"<[^>]+\sstyle=|<style|\son[a-z]+=|hx-on|<script(?![^>]+src=)", text), path
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text.replace("https://preau.example.test", "")), (
            path
        )


def test_errors_are_pages_for_people_and_json_for_programs(api: TestClient, session: Session) -> None:
    signed_in(api, make_user(session))
    page = api.get("/nowhere")
    assert page.status_code == 404
    assert "Page introuvable" in page.text
    assert api.get("/schools/pas-un-id").status_code == 404
    assert api.get("/schools?page=0").status_code == 422
    assert "Tri inconnu" in api.get("/schools?sort=couleur").text
    assert api.post("/schools").status_code == 405
    told = api.get("/api/v1/nowhere")
    assert told.headers["content-type"] == "application/json"
    assert told.json() == {"code": "http.404", "detail": "Cette adresse n’existe pas : vérifiez le chemin."}
    wrong = api.delete("/api/v1/schools")
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "http.405", "GET")
    assert api.get("/api/v1/schools/00000000-0000-0000-0000-000000000000").json()["code"] == "school.not_found"


def test_a_crash_is_a_page_with_a_reference(api: TestClient, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    signed_in(api, make_user(session))

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("a secret that must not be shown")

    monkeypatch.setattr("dashboards.portal.tickets.reader_of", crash)
    calm = TestClient(api.app, base_url=str(api.base_url), cookies=api.cookies, raise_server_exceptions=False)
    page = calm.get("/tickets")
    assert page.status_code == 500
    assert "Rien n’a été enregistré" in page.text
    assert "secret" not in page.text
    assert page.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
