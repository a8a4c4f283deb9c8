"""The overview of filtering, why a name is blocked, and who may see and do what."""

import re
from pathlib import Path
from uuid import uuid4

from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from dashboards.portal.filtering_words import REFUSALS, refusals_of
from filter.settings import Verdict
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.filtering import service as filtering
from fleet.filtering.lists import sources
from fleet.filtering.lists.terms import Terms
from fleet.filtering.models import ContentState
from fleet.filtering.policy import editing
from fleet.filtering.policy.layers import LayerSettings, NameLine
from fleet.filtering.policy.models import FilterProfile, FilterSchedule
from fleet.filtering.policy.places import find_place
from fleet.filtering.publishing import publications
from fleet.scope import Role, Viewer
from tests.conftest import Clock
from tests.factories import make_school, make_user
from tests.portal.filtering_pages import SOURCE, read, refuse
from tests.portal.list_data import add_held_source
from tests.portal.test_forms import send
from tests.portal.test_queries import counting
from tests.portal.test_uncovered import publish_small_set
from tests.sign_in import signed_in


def test_the_overview_says_what_is_in_force_and_what_waits(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    assert "Rien n’est encore publié" in read(api, "/filtering")
    publish_small_set(session, config, clock, tmp_path)
    add_held_source(session, staff, clock.now)
    node, _ = filtering.register_filter(session, "Passerelle de Guise", None, clock.now)
    latest, policy = filtering.find_latest(session), filtering.find_current_policy(session)
    assert latest is not None
    assert policy is not None
    node.last_seen_at, node.bundle_serial, node.policy_serial = clock.now, latest.serial, policy.serial
    node.health = {"refused": {"policy": {"etag": "x", "reason": "foreign_signature", "at": "…"}}}
    session.flush()
    page = read(api, "/filtering")
    assert f"Publication {latest.serial}" in page
    assert f"Politique {policy.serial}" in page
    assert "1 liste attend une décision" in page
    assert "lumni.fr" in page or "rétréci" in page
    assert "Il a refusé la politique : la signature n’est pas celle de ce contrôleur. Il garde le précédent." in page
    assert "À jour" in page
    node.policy_serial = policy.serial - 1
    session.flush()
    assert "En retard d’un réglage" in read(api, "/filtering")


def test_health_in_another_shape_breaks_no_page() -> None:
    assert refusals_of({}) == refusals_of({"refused": "x"}) == refusals_of({"refused": {"names": 3}}) == []
    assert refusals_of({"refused": {"names": {"reason": "odd"}}}) == ["Il a refusé les listes : odd."]
    assert {"truncated", "unsigned", "older_serial"} <= set(REFUSALS)


def test_the_old_address_of_why_leads_to_its_page(api: TestClient, staff: Viewer) -> None:
    answer = api.get("/filtering?name=exemple.fr&client=10.0.0.1", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/filtering/why?name=exemple.fr&qtype=A&client=10.0.0.1",
    )


def test_why_tells_list_layer_author_and_every_match(
    api: TestClient, session: Session, staff: Viewer, config: FleetConfig, clock: Clock, tmp_path: Path
) -> None:
    assert "Posez une question" in read(api, "/filtering/why")
    publish_small_set(session, config, clock, tmp_path)
    page = read(api, "/filtering/why?name=www.arenalasvegas.com")
    for told in ("bloqué", "arenalasvegas.com", "Jeux d’argent", "Réglé par", "Aisne", "bloqué par ce profil"):
        assert told in page, told
    profile = filtering.ensure_default_profile(session)
    says = LayerSettings(names=(NameLine("arenalasvegas.com", Verdict.ALLOW, "sortie scolaire"),))
    editing.set_layer(session, staff, editing.OPERATOR_FOUND, profile, says, clock.now)
    page = read(api, "/filtering/why?name=www.arenalasvegas.com")
    assert "autorisé" in page
    assert f"{staff.name} le" in page
    assert "sortie scolaire" in page
    assert f'href="/filtering/profiles/{profile.id}"' in page


def test_an_auditor_sees_everything_and_no_button(
    api: TestClient, session: Session, auditor: Viewer, profile: FilterProfile, clock: Clock
) -> None:
    technician = accounts.get_viewer(session, make_user(session).id)
    source, held = add_held_source(session, technician, clock.now)
    schedule = session.scalars(select(FilterSchedule)).one()
    for path in (
        "/filtering", "/filtering/why", "/filtering/sources", f"/filtering/sources/{source.id}", "/filtering/profiles",
        f"/filtering/profiles/{profile.id}", "/filtering/schedules", f"/filtering/schedules/{schedule.id}",
        "/filtering/publications", "/filtering/history",
    ):  # fmt: skip
        page = read(api, path)
        forms = re.findall(r'<form method="post" action="(/filtering[^"]*)"', page)
        assert "Confirmer" not in page, path
        assert "Enregistrer et publier" not in page, path
        assert [each for each in forms if "/profiles/" not in each and "/schedules/" not in each] == [], path
    for path, fields in (
        ("/filtering/sources/new", SOURCE),
        (f"/filtering/sources/{source.id}/edit", SOURCE),
        (f"/filtering/sources/{source.id}/fetch", {}),
        (f"/filtering/sources/{source.id}/enabled", {"enabled": "no"}),
        (f"/filtering/sources/contents/{held.id}/approve", {}),
        (f"/filtering/sources/contents/{held.id}/reject", {}),
        (f"/filtering/profiles/{profile.id}", {"name": "X"}),
        ("/filtering/profiles", {"name": "X", "slug": "x"}),
        ("/filtering/schedules/new", {"name": "X", "slug": "x", "days-0": "0", "start-0": "08:00", "end-0": "09:00"}),
        (f"/filtering/schedules/{schedule.id}/remove", {}),
        ("/filtering/publications", {}),
    ):
        refuse(api, path, 403, **fields)
    assert api.get("/filtering/sources/new").status_code == 403
    session.refresh(held)
    assert held.state is ContentState.HELD


def test_a_school_lead_has_only_the_history_of_the_school(api: TestClient, session: Session, staff: Viewer) -> None:
    school = make_school(session)
    profile = filtering.ensure_default_profile(session)
    send(api, f"/filtering/profiles/{profile.id}?school={school.id}", **{"category:games": "block"})
    send(api, "/filtering/sources/new", **SOURCE)
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=school))
    for path in ("/filtering/sources", "/filtering/profiles", "/filtering/publications", "/filtering/schedules"):
        assert api.get(path).status_code == 403, path
    page = read(api, "/filtering/history")
    assert "Réglage d’un profil" in page
    assert "Nouvelle source" not in page


def test_more_rows_ask_no_more(
    api: TestClient, session: Session, staff: Viewer, profile: FilterProfile, clock: Clock
) -> None:
    pages = (
        "/filtering", "/filtering/sources", "/filtering/profiles", f"/filtering/profiles/{profile.id}",
        "/filtering/publications", "/filtering/history",
    )  # fmt: skip
    counts: list[list[int]] = []
    for rows in (26, 12):  # more than a page of each
        for _ in range(rows):
            publications.add_return(session, publications.add_request(session, None, clock.now), "X", clock.now)
            found = find_place(session, staff, school_id=make_school(session).id)
            says = LayerSettings(names=(NameLine("exemple.fr", Verdict.ALLOW),))
            editing.set_layer(session, staff, found, profile, says, clock.now)
            terms = Terms(title="Jeux", url="https://listes.example/x", category="games")
            sources.add_source(session, staff, f"s{uuid4().hex[:12]}", terms, clock.now)
        counts.append([])
        for path in pages:
            with counting(session) as seen:
                read(api, path)
            counts[-1].append(len(seen))
    assert counts[0] == counts[1]
