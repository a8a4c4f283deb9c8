"""Filters: their credential, the names as they fetch them, their reports."""

import asyncio
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, AsyncClient, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from filter.binding import Bound
from filter.config import FilterConfig
from filter.resolvers import Resolver
from filter.service import FilterService
from filter.signing import trust
from filter.updates.reporter import Reporter
from filter.updates.updater import Updater
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.embedded.starting import ensure_credential
from fleet.errors import Conflict, NotFound
from fleet.filtering import service, tasks
from fleet.filtering.gateways import reports
from fleet.filtering.models import (
    FilterCount,
    FilterNode,
)
from fleet.filtering.policy.models import UnblockRequest
from fleet.filtering.publishing import signing
from fleet.filtering.publishing.publications import CHUNK
from fleet.worker import make_celery
from tests.factories import NOON, make_school
from tests.fleet.publishing import publish, store, write_lists

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


def test_a_kept_credential_learns_the_key_and_a_lost_one_is_replaced(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "credential"
    _node, credential = service.register_filter(session, "passerelle", None, NOON)
    path.write_text(f"{credential}\n")  # as the first version wrote it
    ensure_credential(session, path, NOON)
    expected = [credential, *(f"ed25519 {key}" for key in signing.public_keys(session))]
    assert path.read_text().splitlines() == expected
    before = path.stat()
    ensure_credential(session, path, NOON)
    assert path.stat().st_ino == before.st_ino
    path.write_text("nonsense\n")
    ensure_credential(session, path, NOON)
    renewed, key = path.read_text().splitlines()
    assert service.authenticate(session, f"Bearer {renewed}") is not None
    assert key == expected[1]


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
        answer = api.get("/filter/v1/names", headers=sent)
        assert (answer.status_code, answer.json()["code"]) == (401, "credential.refused"), header
    assert api.get("/filter/v1/names", headers=headers).json()["code"] == "filtering.none_published"
    service.revoke_filter(session, node.name, NOON)
    session.flush()
    assert api.get("/filter/v1/names", headers=headers).status_code == 401


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
        return api.request(method, "/filter/v1/names", headers=sent)

    return get


def test_the_names_whole(fetch: Callable[..., Response], content: bytes, session: Session, filter_node: Any) -> None:
    answer = fetch()
    latest = service.find_latest(session)
    assert latest is not None
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["ETag"] == f'"{hashlib.sha256(content).hexdigest()}.{latest.serial}"'
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
        "bundle_digest": "0" * 64, "policy_serial": 3, "policy_digest": "1" * 64,
        "health": {"status": "ok", "uptime_seconds": 12.5},
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
    assert (node.version, node.bundle_serial, node.policy_serial, node.last_seen_at) == ("0.1.0", 7, 3, NOON)
    assert node.health["policy_digest"] == "1" * 64
    assert node.health["status"] == "ok"
    [total] = service.totals(session, NOON - timedelta(hours=1))
    assert (total.action, total.category, total.queries) == ("blocked", "gambling", 12)
    assert service.totals(session, NOON + timedelta(hours=1)) == []


def test_counts_of_schools_stand_beside_those_of_all(
    api: TestClient, session: Session, filter_node: tuple[FilterNode, dict[str, str]]
) -> None:
    line = {"hour": HOUR, "action": "blocked", "category": "service:tiktok", "queries": 9}
    schools = [line | {"school": uai, "queries": queries} for uai, queries in (("0020001A", 2), ("0020002B", 7))]
    for _ in range(2):
        body = report(counts=[line], school_counts=schools)
        assert api.post("/filter/v1/reports", json=body, headers=filter_node[1]).status_code == 204
    since = NOON - timedelta(hours=1)
    assert [total.queries for total in service.totals(session, since)] == [9]
    assert [total.queries for total in reports.totals(session, since, school="0020002B")] == [7]


def test_the_largest_report_is_taken(api: TestClient, session: Session, filter_node: Any) -> None:
    lines = [{"hour": HOUR, "action": "blocked", "category": f"c{n}", "queries": 1} for n in range(20_000)]
    body = report(counts=lines, school_counts=[line | {"school": "0020001A"} for line in lines])
    assert api.post("/filter/v1/reports", json=body, headers=filter_node[1]).status_code == 204
    assert counted(session) == 40_000


def test_counts_are_kept_for_four_hundred_days(
    session: Session, filter_node: tuple[FilterNode, dict[str, str]]
) -> None:
    now = utc_now()
    for days, queries in ((399, 1), (401, 10)):
        hour = now - timedelta(days=days)
        session.add(
            FilterCount(filter_id=filter_node[0].id, run="r", hour=hour, action="blocked", category="", queries=queries)
        )
    session.flush()
    tasks.purge_counts()
    assert counted(session) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"run": ""}, {"run": "x" * 65}, {"version": "v" * 41}, {"bundle_serial": "7"},
        {"bundle_digest": "nope"}, {"policy_digest": "nope"}, {"policy_serial": -1},
        {"started_at": 1700000000}, {"started_at": "2026-11-24T09:00:00"},
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
    answer = api.post("/filter/v1/reports", json=report(health={"a": "x" * 2**23}), headers=filter_node[1])
    assert answer.status_code == 413


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
    config: FleetConfig,
    tmp_path: Path,
) -> None:
    node, headers = filter_node
    lists = write_lists(tmp_path)
    make_celery(replace(config, ut1_dir=lists))
    publish(session)
    running = FilterService(FilterConfig(listen=(), upstreams=(Resolver("192.0.2.1", 53),)), Bound((), ()))
    running.metrics.count(NOON, "blocked", "category_deny", "gambling")
    running.metrics.count(NOON, "allowed", "default", None)
    trusted = trust(signing.public_keys(session))

    async def converse() -> list[str]:
        async with AsyncClient(
            transport=ASGITransport(app), base_url="https://preau.example.test", headers=headers
        ) as client:
            updater = Updater(client, tmp_path / "data", trusted, running.install, lambda: NOON)
            reporter = Reporter(client, running.metrics, "0.1.0", NOON, running.health, running.gather)
            await updater.start()
            outcomes = [await updater.poll_policy(0), await updater.fetch_names(), await updater.poll_policy(0)]
            with (lists / "gambling" / "domains").open("a") as file:
                file.write("loto.example\n")
            await asyncio.to_thread(publish, session)
            outcomes += [await updater.poll_policy(0), await updater.fetch_names()]
            for _ in range(2):
                await reporter.send(running.pair)
            return outcomes

    assert asyncio.run(converse()) == ["installed", "whole", "unchanged", "unchanged", "delta"]
    newest, policy = service.find_latest(session), service.find_current_policy(session)
    assert newest is not None
    assert policy is not None
    session.refresh(node)
    assert (node.bundle_serial, node.health["bundle_digest"]) == (newest.serial, newest.digest)
    assert (node.policy_serial, node.health["policy_digest"]) == (policy.serial, policy.digest)
    assert node.health["ready"] is True
    found = {(t.action, t.category): t.queries for t in service.totals(session, NOON)}
    assert found == {("blocked", "gambling"): 1, ("allowed", ""): 1}


# --- what people ask on the block page ----------------------------------------------------------------------------


def test_a_request_is_taken_once(api: TestClient, session: Session, filter_node: Any) -> None:
    node, headers = filter_node
    body = {
        "id": str(uuid.uuid4()), "name": "www.casino.example", "reason": "Un cours", "contact": "Mme L.",
        "client_school": "0020000A", "client_room": "", "client_profile": "elementaire", "asked_at": NOON.isoformat(),
        "of_a_later_version": 1,
    }  # fmt: skip
    for _ in range(2):
        answer = api.post("/filter/v1/requests", json=body, headers=headers)
        assert answer.status_code == 204, answer.text
    [asked] = session.scalars(select(UnblockRequest)).all()
    assert (asked.filter_id, asked.school_id, asked.contact) == (node.id, node.school_id, "Mme L.")
    assert api.post("/filter/v1/requests", json=body | {"id": "x"}, headers=headers).status_code == 422
    assert api.post("/filter/v1/requests", json=body).status_code == 401


# --- deltas -------------------------------------------------------------------------------------------------------


def test_a_filter_that_is_too_far_behind_takes_the_whole(
    fetch: Callable[..., Response], api: TestClient, filter_node: Any
) -> None:
    answer = api.get("/filter/v1/names/delta", params={"from": f"{'0' * 64}.1"}, headers=filter_node[1])
    assert (answer.status_code, answer.json()["code"]) == (404, "filtering.no_delta")
    assert api.get("/filter/v1/names/delta", headers=filter_node[1]).status_code == 422
    assert api.get("/filter/v1/names/delta", params={"from": "x"}).status_code == 401
