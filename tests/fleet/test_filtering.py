"""Filtering, the controller's side: profiles, publications, explain, and all of it over HTTP."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from filter.compiler import compile_names
from filter.lists.ut1 import read_ut1
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.errors import Conflict, Invalid, NotAllowed
from fleet.filtering import service, tasks
from fleet.filtering.models import Publication, PublicationChunk, PublicationState
from fleet.filtering.policy import profiles
from fleet.filtering.policy.models import FilterProfile
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.nights import night_of
from fleet.filtering.publishing.publications import CHUNK, KEPT, MOST_ATTEMPTS
from fleet.filtering.publishing.turns import COMPILE_LOCK, turn
from fleet.scope import Role, Viewer
from fleet.worker import make_celery
from tests.factories import NOON, make_collectivity, make_user
from tests.fleet.publishing import content_of, in_catalogue, open_names, publish, store
from tests.sign_in import signed_in

# --- profiles ----------------------------------------------------------------------------------------------------


def test_the_default_profile_is_made_once_and_guards_a_school(session: Session, profile: FilterProfile) -> None:
    assert service.ensure_default_profile(session) is profile
    assert {"gambling", "adult", "vpn", "doh"} <= set(profile.blocked_categories)
    assert service.list_profiles(session)[0] is profile


def test_a_change_is_cleaned_and_is_a_policy_at_once(session: Session, staff: Viewer, profile: FilterProfile) -> None:
    service.update_profile(
        session, staff, profile.id, blocked_categories=["vpn", "gambling", "vpn"],
        denied_names=["WWW.Exemple.FR.", "école.example"], now=NOON,
    )  # fmt: skip
    assert profile.blocked_categories == ["gambling", "vpn"]
    assert profile.denied_names == ["www.exemple.fr", "xn--cole-9oa.example"]
    policy = service.find_current_policy(session)
    assert policy is not None
    assert policy.by == staff.name
    assert service.list_publications(session).rows == []  # the names are what they were


@pytest.mark.parametrize(
    "wrong",
    [
        {"denied_names": ["fr"]}, {"allowed_names": ["10.0.0.1"]}, {"allowed_names": ["a b.fr"]},
        {"blocked_categories": ["../etc"]}, {"name": "  "},
    ],
)  # fmt: skip
def test_what_is_no_name_or_category_is_said(
    session: Session, staff: Viewer, profile: FilterProfile, wrong: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        service.update_profile(session, staff, profile.id, **wrong, now=NOON)


def test_only_staff_changes_filtering(session: Session, profile: FilterProfile) -> None:
    officer = make_user(session, Role.OFFICER, collectivity=make_collectivity(session))
    with pytest.raises(NotAllowed):
        service.update_profile(session, accounts.get_viewer(session, officer.id), profile.id, name="x", now=NOON)


def test_networks_have_one_profile_each(session: Session, staff: Viewer, profile: FilterProfile) -> None:
    network = service.add_network(session, staff, "10.2.0.7/24", profile.id, None, NOON)
    assert network.cidr == "10.2.0.0/24"
    with pytest.raises(Conflict):
        service.add_network(session, staff, "10.2.0.0/24", profile.id, None, NOON)
    with pytest.raises(Invalid):
        service.add_network(session, staff, "10.2.0.0/64", profile.id, None, NOON)
    assert profiles.policy_settings(session).networks[0].profile == profile.slug
    service.remove_network(session, staff, network.id, NOON)
    assert service.list_networks(session) == []


# --- publications ------------------------------------------------------------------------------------------------


def test_a_publication_is_a_file_of_what_the_lists_hold(
    session: Session, with_lists: FleetConfig, tmp_path: Path
) -> None:
    publication = publish(session)
    assert publication.state is PublicationState.PUBLISHED, publication.error
    names = open_names(publication, tmp_path / "names")
    assert (names.serial, names.digest, names.etag) == (publication.serial, publication.digest, publication.etag)
    assert (names.names, names.size) == (3 + in_catalogue(), publication.size)
    assert publication.report["names"] == names.names
    of_sources = {each["slug"] for each in publication.report["lists"] if not each["category"].startswith("service:")}
    assert of_sources == {"gambling", "liste_bu"}
    assert service.find_latest(session) is publication


def test_the_small_set_is_there_when_no_lists_are_configured(session: Session, app: FastAPI) -> None:
    publication = publish(session)
    assert publication.state is PublicationState.PUBLISHED, publication.error
    assert publication.report["names"] > 50_000
    assert publication.size is not None
    assert publication.size > CHUNK  # more than one piece


def test_asked_twice_before_it_starts_is_compiled_once(session: Session, with_lists: FleetConfig) -> None:
    first, second = (service.request_publication(session, name, NOON) for name in ("a", "b"))
    assert first is second
    assert publish(session) is first
    again = service.request_publication(session, "c", NOON)
    assert again.serial > first.serial


def test_compiled_twice_is_published_once(session: Session, with_lists: FleetConfig) -> None:
    publication = publish(session)
    digest, published_at = publication.digest, publication.published_at
    tasks.compile_publication(str(publication.id))
    again = service.get_publication(session, publication.id)
    assert (again.digest, again.published_at, again.attempts) == (digest, published_at, 1)


def test_a_failure_says_why_and_the_last_one_stays(session: Session, with_lists: FleetConfig, lists: Path) -> None:
    good = publish(session)
    make_celery(replace(with_lists, ut1_dir=lists / "gambling"))
    failed = publish(session)
    assert failed.state is PublicationState.FAILED
    assert "ne contient aucune catégorie UT1" in (failed.error or "")
    assert service.find_latest(session) is good


def test_lists_without_a_name_open_nothing(session: Session, with_lists: FleetConfig, lists: Path) -> None:
    for path in lists.rglob("domains"):
        path.write_text("# rien\n")
    publication = publish(session)
    assert (publication.state, service.find_latest(session)) == (PublicationState.FAILED, None)


def test_what_a_killed_worker_left_is_compiled_again(session: Session, with_lists: FleetConfig) -> None:
    left = service.request_publication(session, "test", NOON)
    left.state, left.started_at, left.attempts = PublicationState.COMPILING, NOON, 1
    session.flush()
    assert publications.list_waiting(session) == [left.id]
    tasks.compile_publication(str(left.id))
    done = service.get_publication(session, left.id)
    assert (done.state, done.attempts) == (PublicationState.PUBLISHED, 2)
    assert publications.list_waiting(session) == []


def test_a_compile_that_kills_every_worker_is_given_up(session: Session, with_lists: FleetConfig) -> None:
    left = service.request_publication(session, "test", NOON)
    left.state, left.attempts = PublicationState.COMPILING, MOST_ATTEMPTS
    session.flush()
    tasks.compile_publication(str(left.id))
    given_up = service.get_publication(session, left.id)
    assert given_up.state is PublicationState.FAILED
    assert "interrompue" in (given_up.error or "")


def test_only_one_compiles_at_a_time(session: Session, with_lists: FleetConfig) -> None:
    publication = service.request_publication(session, "test", NOON)
    with turn(session.get_bind().engine, COMPILE_LOCK) as is_ours:
        assert is_ours
        tasks.compile_publication(str(publication.id))
        assert service.get_publication(session, publication.id).state is PublicationState.REQUESTED
    tasks.compile_publication(str(publication.id))
    assert service.get_publication(session, publication.id).state is PublicationState.PUBLISHED


def test_whoever_was_overtaken_publishes_nothing(session: Session, lists: Path, tmp_path: Path) -> None:
    publication = service.request_publication(session, "test", NOON)
    slow = publications.start(session, publication.id, NOON)
    quick = publications.start(session, publication.id, NOON)
    assert slow is not None
    assert quick is not None
    compiled = compile_names(read_ut1(lists), tmp_path / "names", serial=quick.serial, compiled_at=NOON)
    assert publications.publish(session, quick, tmp_path / "names", compiled.digest, {}, NOON)
    assert not publications.publish(session, slow, tmp_path / "names", "0" * 64, {}, NOON)
    publications.fail(session, slow, "trop tard")
    assert content_of(session, publication) == (tmp_path / "names").read_bytes()
    assert (publication.state, publication.digest) == (PublicationState.PUBLISHED, compiled.digest)


def test_old_content_goes_and_history_stays(session: Session, with_lists: FleetConfig) -> None:
    for number in range(KEPT + 2):
        store(session, b"%d" % number)
    publish(session)
    kept = session.scalars(select(PublicationChunk.publication_id).distinct()).all()
    newest = [p.id for p in service.list_publications(session).rows[:KEPT]]
    assert set(kept) == set(newest)
    assert service.list_publications(session).total == KEPT + 3


@pytest.mark.parametrize(
    ("moment", "night"),
    [
        (datetime(2026, 11, 24, 1, 40, tzinfo=UTC), "2026-11-24"),
        (datetime(2026, 11, 23, 23, 30, tzinfo=UTC), "2026-11-24"),
        (datetime(2026, 11, 23, 11, 30, tzinfo=UTC), "2026-11-24"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-25"),  # 02:30 for the second time
    ],
)
def test_a_night_has_one_date(moment: datetime, night: str) -> None:
    assert night_of(moment).isoformat() == night


def test_a_night_asks_once(session: Session, with_lists: FleetConfig) -> None:
    for _ in range(2):
        tasks.publish_nightly()
    [asked] = service.list_publications(session).rows
    assert (asked.requested_by, asked.state) == (None, PublicationState.REQUESTED)


# --- for people, over HTTP ---------------------------------------------------------------------------------------


def test_explain_is_the_live_decision(
    api: TestClient, session: Session, staff: Viewer, with_lists: FleetConfig
) -> None:
    signed_in(api, make_user(session))
    path = "/api/v1/filtering/explain"
    assert api.get(path, params={"name": "casino.example"}).json()["code"] == "filtering.none_published"
    profile = service.ensure_default_profile(session)
    service.update_profile(session, staff, profile.id, denied_names=["interdit.example"], now=NOON)
    publish(session)
    for name, action, rule in (
        ("https://www.casino.example/poker", "blocked", "category_deny"),
        ("bonjeux.jeux.example", "allowed", "category_allow"),
        ("interdit.example.", "blocked", "own_deny"),
        ("education.example", "allowed", "default"),
    ):
        told = api.get(path, params={"name": name, "qtype": "AAAA", "client": "10.0.0.1"}).json()
        assert (told["decision"]["action"], told["decision"]["rule"]) == (action, rule), name
    casino = api.get(path, params={"name": "casino.example"}).json()
    assert [match["suffix"] for match in casino["matches"]] == ["casino.example"]
    assert (casino["decision"]["category"], casino["profile"]) == ("gambling", "elementaire")
    service.update_profile(session, staff, profile.id, denied_names=[], allowed_names=["casino.example"], now=NOON)
    publish(session)  # the next bundle is asked, not the one that was open
    assert api.get(path, params={"name": "casino.example"}).json()["decision"]["rule"] == "own_allow"
    for wrong in ({"name": "casino"}, {"name": "a.fr", "qtype": "ZZZ"}, {"name": "a.fr", "client": "x"}):
        assert api.get(path, params=wrong).status_code == 422


def test_staff_edits_publishes_and_reads_over_http(api: TestClient, session: Session, with_lists: FleetConfig) -> None:
    signed_in(api, make_user(session))
    profile = service.ensure_default_profile(session)
    base = "/api/v1/filtering"
    path = f"{base}/profiles/{profile.id}"
    changed = api.patch(path, json={"denied_names": ["Exemple.FR"]})
    assert (changed.status_code, changed.json()["denied_names"]) == (200, ["exemple.fr"])
    assert api.get(path).json()["blocked_categories"] == profile.blocked_categories
    assert api.patch(path, json={"denied_names": "exemple.fr"}).status_code == 422
    network = api.post(f"{base}/networks", json={"cidr": "10.9.0.0/16", "profile_id": str(profile.id)})
    assert network.status_code == 201
    assert api.delete(f"{base}/networks/{network.json()['id']}").status_code == 204
    asked = api.post(f"{base}/publications")
    assert asked.status_code == 202
    tasks.compile_publication(asked.json()["id"])
    assert api.get(f"{base}/publications/{asked.json()['id']}").json()["state"] == "published"
    assert api.get(f"{base}/publications").json()["total"] == 1
    service.register_filter(session, "passerelle", None, NOON)
    [node] = api.get(f"{base}/filters").json()
    assert node["name"] == "passerelle"
    assert not any("secret" in key for key in node)
    assert api.get(f"{base}/totals").json() == []


@pytest.mark.parametrize("role", [Role.OFFICER, Role.AUDITOR])
def test_others_do_not(api: TestClient, session: Session, role: Role) -> None:
    node = {} if role is Role.AUDITOR else {"collectivity": make_collectivity(session)}
    signed_in(api, make_user(session, role, **node))
    profile = service.ensure_default_profile(session)
    base = "/api/v1/filtering"
    assert api.patch(f"{base}/profiles/{profile.id}", json={"name": "x"}).status_code == 403
    assert api.post(f"{base}/publications").status_code == 403
    expected = 200 if role is Role.AUDITOR else 403
    for path in ("profiles", "networks", "publications", "filters", "totals"):
        assert api.get(f"{base}/{path}").status_code == expected


def test_what_is_compiled_last_has_the_highest_serial(session: Session) -> None:
    """A request whose row was made first but came late: filters would refuse its bundle as older."""
    late = service.request_publication(session, "a", NOON)
    newer = Publication(requested_at=NOON, state=PublicationState.PUBLISHED, digest="0" * 64, size=1)
    session.add(newer)
    session.flush()
    order = publications.start(session, late.id, NOON)
    assert order is not None
    assert order.serial > newer.serial
