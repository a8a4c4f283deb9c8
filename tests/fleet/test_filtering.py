"""Filtering, the controller's side: profiles, publications, the bundle as filters fetch it, their reports, explain."""

import asyncio
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from filter.bundle import Bundle
from filter.config import Endpoint, FilterConfig
from filter.reporter import Reporter
from filter.service import FilterService
from filter.updater import Updater
from fleet.accounts import service as accounts
from fleet.config import FleetConfig
from fleet.errors import Conflict, Invalid, NotAllowed, NotFound
from fleet.filtering import profiles, publications, service, tasks
from fleet.filtering.models import (
    FilterCount,
    FilterNode,
    FilterProfile,
    Publication,
    PublicationChunk,
    PublicationState,
)
from fleet.filtering.nights import night_of
from fleet.filtering.publications import CHUNK, KEPT, MOST_ATTEMPTS
from fleet.scope import Role, Viewer
from fleet.worker import make_celery
from tests.factories import NOON, make_collectivity, make_school, make_user
from tests.sign_in import signed_in


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A small UT1 tree."""
    for category, names in {"gambling": "casino.example\njeux.example\n", "liste_bu": "bonjeux.jeux.example\n"}.items():
        (tmp_path / "ut1" / category).mkdir(parents=True)
        (tmp_path / "ut1" / category / "domains").write_text(names)
    return tmp_path / "ut1"


@pytest.fixture
def with_lists(app: FastAPI, config: FleetConfig, lists: Path) -> FleetConfig:
    config = replace(config, ut1_dir=lists)
    make_celery(config)
    return config


@pytest.fixture
def staff(session: Session) -> Viewer:
    return accounts.get_viewer(session, make_user(session).id)


@pytest.fixture
def profile(session: Session) -> FilterProfile:
    return service.ensure_default_profile(session)


def publish(session: Session) -> Publication:
    """Ask, and do what a worker does."""
    publication = service.request_publication(session, "test", NOON)
    tasks.compile_publication(str(publication.id))
    return service.get_publication(session, publication.id)


def store(session: Session, content: bytes, **overrides: Any) -> Publication:
    """A published bundle whose content is these bytes."""
    publication = Publication(
        requested_at=NOON, state=PublicationState.PUBLISHED, published_at=NOON, size=len(content),
        digest=hashlib.sha256(content).hexdigest(), **overrides,
    )  # fmt: skip
    session.add(publication)
    session.flush()
    for position in range(0, len(content), CHUNK):
        piece = content[position : position + CHUNK]
        session.add(PublicationChunk(publication_id=publication.id, position=position // CHUNK, content=piece))
    session.flush()
    return publication


def content_of(session: Session, publication: Publication) -> bytes:
    query = select(PublicationChunk.content).where(PublicationChunk.publication_id == publication.id)
    return b"".join(session.scalars(query.order_by(PublicationChunk.position)))


# --- profiles ----------------------------------------------------------------------------------------------------


def test_the_default_profile_is_made_once_and_guards_a_school(session: Session, profile: FilterProfile) -> None:
    assert service.ensure_default_profile(session) is profile
    assert {"gambling", "adult", "vpn", "doh"} <= set(profile.blocked_categories)
    assert service.list_profiles(session) == [profile]


def test_a_change_is_cleaned_and_asks_for_a_bundle(session: Session, staff: Viewer, profile: FilterProfile) -> None:
    service.update_profile(
        session, staff, profile.id, blocked_categories=["vpn", "gambling", "vpn"],
        denied_names=["WWW.Exemple.FR.", "école.example"], now=NOON,
    )  # fmt: skip
    assert profile.blocked_categories == ["gambling", "vpn"]
    assert profile.denied_names == ["www.exemple.fr", "xn--cole-9oa.example"]
    [asked] = service.list_publications(session).rows
    assert (asked.state, asked.requested_by) == (PublicationState.REQUESTED, staff.name)


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


def test_a_publication_is_a_bundle_of_what_was_decided(
    session: Session, with_lists: FleetConfig, tmp_path: Path
) -> None:
    publication = publish(session)
    assert publication.state is PublicationState.PUBLISHED, publication.error
    content = content_of(session, publication)
    assert (publication.size, publication.digest) == (len(content), hashlib.sha256(content).hexdigest())
    path = tmp_path / "bundle"
    path.write_bytes(content)
    bundle = Bundle.open(path)
    assert (bundle.serial, bundle.names) == (publication.serial, 3)
    assert publication.report["names"] == 3
    assert {entry["slug"] for entry in publication.report["lists"]} == {"gambling", "liste_bu"}
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
    with publications.compile_turn(session.get_bind().engine) as is_ours:
        assert is_ours
        tasks.compile_publication(str(publication.id))
        assert service.get_publication(session, publication.id).state is PublicationState.REQUESTED
    tasks.compile_publication(str(publication.id))
    assert service.get_publication(session, publication.id).state is PublicationState.PUBLISHED


def test_whoever_was_overtaken_publishes_nothing(session: Session, tmp_path: Path) -> None:
    publication = service.request_publication(session, "test", NOON)
    slow = publications.start(session, publication.id, NOON)
    quick = publications.start(session, publication.id, NOON)
    assert slow is not None
    assert quick is not None
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "new").write_bytes(b"new")
    assert publications.publish(session, quick, tmp_path / "new", {}, NOON)
    assert not publications.publish(session, slow, tmp_path / "old", {}, NOON)
    publications.fail(session, slow, "trop tard")
    assert content_of(session, publication) == b"new"
    assert publication.state is PublicationState.PUBLISHED


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


# --- filters -----------------------------------------------------------------------------------------------------


@pytest.fixture
def filter_node(session: Session) -> tuple[FilterNode, dict[str, str]]:
    """A registered filter, and the header it sends."""
    node, credential = service.register_filter(session, "passerelle-laon", make_school(session), NOON)
    return node, {"Authorization": f"Bearer {credential}"}


def test_a_credential_is_kept_as_a_hash_and_replaced_whole(session: Session) -> None:
    node, first = service.register_filter(session, "passerelle", None, NOON)
    assert first.partition(".")[2] not in {node.secret_hash, node.name}
    with pytest.raises(Conflict):
        service.register_filter(session, " passerelle ", None, NOON)
    same, second = service.register_filter(session, "passerelle", None, NOON, replace=True)
    assert (same, second.partition(".")[0]) == (node, first.partition(".")[0])
    assert service.authenticate(session, f"Bearer {second}") is node
    service.revoke_filter(session, "passerelle", NOON)
    again, third = service.register_filter(session, "passerelle", None, NOON)
    assert service.authenticate(session, f"bearer {third}") is again
    with pytest.raises(NotFound):
        service.revoke_filter(session, "inconnue", NOON)


def test_nobody_else_gets_in(api: TestClient, session: Session, filter_node: tuple[FilterNode, dict[str, str]]) -> None:
    node, headers = filter_node
    right = headers["Authorization"]
    other, _ = service.register_filter(session, "autre", None, NOON)
    secret = right.partition(".")[2]
    wrong = [
        None, "", "Bearer", f"Bearer {node.id}", f"Bearer {node.id}.", f"Bearer .{secret}", right[:-1], right + "0",
        f"Basic {right.partition(' ')[2]}", f"Bearer {other.id}.{secret}", "Bearer é.é", f"Bearer {node.secret_hash}",
        f"Bearer {node.id}.{node.secret_hash}",
    ]  # fmt: skip
    for header in wrong:
        sent = [] if header is None else [(b"Authorization", header.encode())]
        answer = api.get("/filter/v1/bundle", headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential.refused"), header
    assert api.get("/filter/v1/bundle", headers=headers).json()["code"] == "filtering.none_published"
    service.revoke_filter(session, node.name, NOON)
    session.flush()
    assert api.get("/filter/v1/bundle", headers=headers).status_code == 401


@pytest.fixture
def content() -> bytes:
    """Two pieces and a bit."""
    return random.Random(7).randbytes(2 * CHUNK + 12345)


@pytest.fixture
def fetch(
    api: TestClient, session: Session, filter_node: tuple[FilterNode, dict[str, str]], content: bytes
) -> Callable[..., Response]:
    store(session, b"an older one")
    store(session, content)

    def get(method: str = "GET", **headers: str) -> Response:
        sent = filter_node[1] | {name.replace("_", "-"): value for name, value in headers.items()}
        return api.request(method, "/filter/v1/bundle", headers=sent)

    return get


def test_the_bundle_whole(fetch: Callable[..., Response], content: bytes, session: Session, filter_node: Any) -> None:
    answer = fetch()
    latest = service.find_latest(session)
    assert latest is not None
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert answer.headers["X-Preau-Serial"] == str(latest.serial)
    assert answer.headers["Content-Length"] == str(len(content))
    session.refresh(filter_node[0])
    assert filter_node[0].last_seen_at == NOON


def test_its_head(fetch: Callable[..., Response], content: bytes) -> None:
    answer = fetch("HEAD", Range="bytes=0-9")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(content))


def test_what_one_has_is_not_sent_again(fetch: Callable[..., Response]) -> None:
    etag = fetch("HEAD").headers["ETag"]
    answer = fetch(If_None_Match=etag)
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", etag)
    assert fetch(If_None_Match='"another"').status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        "0-0",
        "5-",
        "-5",
        f"{CHUNK - 3}-{CHUNK + 3}",
        f"{CHUNK}-",
        f"{2 * CHUNK}-{2 * CHUNK}",
        f"-{CHUNK + 20000}",
        "3-2999999",
    ],
)
def test_a_part_of_it(fetch: Callable[..., Response], content: bytes, wanted: str) -> None:
    first, _, last = wanted.partition("-")
    expected = content[-int(last) :] if not first else content[int(first) : int(last) + 1 if last else None]
    answer = fetch(Range=f"bytes={wanted}")
    assert (answer.status_code, answer.content) == (206, expected)
    start = len(content) - len(expected) if not first else int(first)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(content)}"


def test_resuming_another_version_starts_anew(fetch: Callable[..., Response], content: bytes) -> None:
    etag = fetch("HEAD").headers["ETag"]
    assert fetch(Range="bytes=100-", If_Range=etag).status_code == 206
    answer = fetch(Range="bytes=100-", If_Range='"of-yesterday"')
    assert (answer.status_code, answer.content) == (200, content)


def test_behind_the_end(fetch: Callable[..., Response], content: bytes) -> None:
    answer = fetch(Range=f"bytes={len(content)}-")
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, f"bytes */{len(content)}")


# --- reports -----------------------------------------------------------------------------------------------------

HOUR = "2026-11-24T10:00:00+00:00"


def report(**overrides: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0", "run": "0123456789abcdef", "started_at": "2026-11-24T09:12:00+00:00", "bundle_serial": 7,
        "bundle_digest": "0" * 64, "health": {"status": "ok", "uptime_seconds": 12.5},
        "counts": [{"hour": HOUR, "action": "blocked", "category": "gambling", "queries": 5}],
    } | overrides  # fmt: skip


def counted(session: Session) -> int:
    return int(session.scalar(select(func.sum(FilterCount.queries))) or 0)


def test_reports_count_once_whatever_comes_twice_or_late(
    api: TestClient, session: Session, filter_node: tuple[FilterNode, dict[str, str]]
) -> None:
    node, headers = filter_node

    def send(queries: int, run: str = "0123456789abcdef") -> None:
        counts = [{"hour": HOUR, "action": "blocked", "category": "gambling", "queries": queries}]
        answer = api.post("/filter/v1/reports", json=report(run=run, counts=counts * 2), headers=headers)
        assert answer.status_code == 204, answer.text

    for queries, so_far in ((5, 5), (9, 9), (9, 9), (5, 9)):
        send(queries)
        assert counted(session) == so_far
    send(3, run="apres-redemarrage")
    assert counted(session) == 12
    session.refresh(node)
    assert (node.version, node.bundle_serial, node.last_seen_at) == ("0.1.0", 7, NOON)
    assert node.health["status"] == "ok"
    [total] = service.totals(session, NOON - timedelta(hours=1))
    assert (total.action, total.category, total.queries) == ("blocked", "gambling", 12)
    assert service.totals(session, NOON + timedelta(hours=1)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"run": ""}, {"run": "x" * 65}, {"version": "v" * 41}, {"bundle_serial": "7"},
        {"bundle_digest": "nope"}, {"started_at": 1700000000}, {"started_at": "2026-11-24T09:00:00"},
        {"health": {"a": "x" * 16_384}}, {"health": {"a": "NUL \x00"}}, {"health": []}, {"version": "é"},
        {"counts": [{"hour": "2026-11-24T10:30:00+00:00", "action": "blocked", "queries": 1}]},
        {"counts": [{"hour": HOUR, "action": "blocked", "queries": -1}]},
        {"counts": [{"hour": HOUR, "action": "blocked", "queries": True}]},
        {"counts": [{"hour": HOUR, "action": "a b", "queries": 1}]},
        {"counts": [{"action": "blocked", "queries": 1}]},
    ],
)  # fmt: skip
def test_reports_are_strict(api: TestClient, filter_node: Any, session: Session, wrong: dict[str, Any]) -> None:
    assert api.post("/filter/v1/reports", json=report(**wrong), headers=filter_node[1]).status_code == 422
    assert counted(session) == 0


def test_a_report_has_a_size(api: TestClient, filter_node: Any) -> None:
    answer = api.post("/filter/v1/reports", json=report(health={"a": "x" * 2**22}), headers=filter_node[1])
    assert answer.status_code == 413


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
    assert (casino["decision"]["category"], casino["profile"]) == ("gambling", "ecole")
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


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": "\\ud800"}', '{"a": 1e999}'])
def test_what_postgresql_cannot_keep_is_refused(api: TestClient, filter_node: Any, text: str) -> None:
    body = json.dumps(report(health={})).replace('"health": {}', f'"health": {text}')
    headers = filter_node[1] | {"Content-Type": "application/json"}
    assert api.post("/filter/v1/reports", content=body, headers=headers).status_code == 422


# --- a real filter ------------------------------------------------------------------------------------------------


def test_a_real_filter_fetches_what_was_published_and_reports(
    app: FastAPI,
    session: Session,
    filter_node: tuple[FilterNode, dict[str, str]],
    with_lists: FleetConfig,
    tmp_path: Path,
) -> None:
    node, headers = filter_node
    published = publish(session)
    running = FilterService(FilterConfig(listen=(), upstreams=(Endpoint("192.0.2.1", 53),)))
    running.metrics.count(NOON, "blocked", "category_deny", "gambling")
    running.metrics.count(NOON, "allowed", "default", None)

    async def converse() -> tuple[str, str]:
        async with AsyncClient(
            transport=ASGITransport(app), base_url="https://preau.example.test", headers=headers
        ) as client:
            updater = Updater(client, tmp_path / "data", running.install)
            reporter = Reporter(client, running.metrics, "0.1.0", NOON, running.health, lambda: NOON)
            await updater.start()
            outcomes = await updater.poll(), await updater.poll()
            await reporter.send(updater.serial, updater.digest)
            await reporter.send(updater.serial, updater.digest)
            return outcomes

    assert asyncio.run(converse()) == ("installed", "unchanged")
    session.refresh(node)
    assert (node.bundle_serial, node.health["bundle_digest"]) == (published.serial, published.digest)
    assert node.health["ready"] is True
    assert node.health["upstreams"] == [{"address": "192.0.2.1:53", "failures": 0}]
    found = {(t.action, t.category): t.queries for t in service.totals(session, NOON)}
    assert found == {("blocked", "gambling"): 1, ("allowed", ""): 1}
