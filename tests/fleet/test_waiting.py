"""Filters that wait are answered the moment something changes, whichever controller process they speak to."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session
from starlette.types import Receive, Scope, Send

from fleet.embedded.ports import free_port
from fleet.filtering import waiting
from fleet.filtering.gateways import nodes
from fleet.filtering.models import FilterNode
from fleet.filtering.policy import policies
from fleet.filtering.waiting import Bell
from fleet.metrics import HELD
from tests.embedded.waiting import until
from tests.factories import NOON
from tests.fleet.publishing import store

POLICY = "/filter/v1/policy"


# --- one process, one transaction --------------------------------------------------------------------------------


@pytest.fixture
def asking(api: TestClient, session: Session) -> dict[str, str]:
    """What a registered filter sends."""
    _node, credential = nodes.register_filter(session, "passerelle", None, NOON)
    return {"Authorization": f"Bearer {credential}"}


def test_there_is_no_policy_at_first(api: TestClient, asking: dict[str, str]) -> None:
    answer = api.get(POLICY, headers=asking)
    assert (answer.status_code, answer.json()["code"]) == (404, "filtering.none_published")


def test_the_policy_and_what_names_there_are(api: TestClient, session: Session, asking: dict[str, str]) -> None:
    asking = asking | {"Accept-Encoding": "identity"}
    policy = policies.publish(session, None, "essai", NOON)
    told = api.get(POLICY, headers=asking)
    assert (told.status_code, told.content) == (200, policy.content)
    assert told.headers["ETag"] == f'"{policy.etag}"'
    assert "X-Preau-Names" not in told.headers
    names = store(session, b"names")
    known = api.get(POLICY, headers=asking | {"If-None-Match": told.headers["ETag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["X-Preau-Names"] == f'"{names.etag}"'
    head = api.head(POLICY, headers=asking)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(policy.content)))
    session.expire_all()
    assert session.scalars(select(FilterNode.last_seen_at)).one() == NOON


@pytest.mark.parametrize("coding", ["gzip", "br;q=0.9, GZIP;q=0.5", "x-gzip"])
def test_the_policy_travels_compressed_to_who_can_unpack_it(
    api: TestClient, session: Session, asking: dict[str, str], coding: str
) -> None:
    policy = policies.publish(session, None, "essai", NOON)
    asking = asking | {"Accept-Encoding": coding}
    told = api.get(POLICY, headers=asking)
    assert (told.headers["Content-Encoding"], told.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert told.content == policy.content, "the client of this test unpacks it"
    assert int(told.headers["Content-Length"]) < len(policy.content) / 2
    assert told.headers["ETag"] == f'W/"{policy.etag}"', "other bytes than those of the strong tag"
    for tag in (f'W/"{policy.etag}"', f'"{policy.etag}"'):
        assert api.get(POLICY, headers=asking | {"If-None-Match": tag}).status_code == 304
    assert api.head(POLICY, headers=asking).headers["Content-Length"] == told.headers["Content-Length"]
    newer = policies.publish(session, None, "essai", NOON, anew=True)
    assert api.get(POLICY, headers=asking).content == newer.content


@pytest.mark.parametrize("coding", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000, br"])
def test_it_travels_plain_to_who_cannot(api: TestClient, session: Session, asking: dict[str, str], coding: str) -> None:
    policy = policies.publish(session, None, "essai", NOON)
    told = api.get(POLICY, headers=asking | {"Accept-Encoding": coding})
    assert "Content-Encoding" not in told.headers
    assert told.headers["ETag"] == f'"{policy.etag}"'
    assert int(told.headers["Content-Length"]) == len(policy.content)


def test_strangers_wait_for_nothing(api: TestClient, session: Session, asking: dict[str, str]) -> None:
    policies.publish(session, None, "essai", NOON)
    for headers in ({}, {"Authorization": asking["Authorization"][:-1]}):
        assert api.get(POLICY, params={"wait": 30}, headers=headers).status_code == 401
    for wait in (-1, 31, "x"):
        assert api.get(POLICY, params={"wait": wait}, headers=asking).status_code == 422


def test_what_an_answer_is_held_is_no_slowness(app: FastAPI, session: Session, asking: dict[str, str]) -> None:
    policy = policies.publish(session, None, "essai", NOON)
    scopes: list[Scope] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    known = asking | {"If-None-Match": f'"{policy.etag}"'}
    client = TestClient(watched)
    assert client.get(POLICY, params={"wait": 1}, headers=known).status_code == 304
    assert client.get(POLICY, headers=known).status_code == 304
    held, at_once = (scope.get(HELD, 0.0) for scope in scopes)
    assert held > at_once == 0


def test_who_missed_the_news_of_names_is_not_held(app: FastAPI, session: Session, asking: dict[str, str]) -> None:
    """They changed between two of its questions: it would hear of them a whole wait later."""
    policy = policies.publish(session, None, "essai", NOON)
    known = asking | {"If-None-Match": f'"{policy.etag}"'}
    scopes: list[Scope] = []

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await app(scope, receive, send)

    def is_held(**heard: str) -> bool:
        answer = TestClient(watched).get(POLICY, params={"wait": 1}, headers=known | heard)
        assert answer.status_code == 304
        return HELD in scopes[-1]

    assert is_held(**{"X-Preau-Names": '"gone.1"'}), "there are no names to hear of"
    names = store(session, b"names")
    assert is_held()
    assert is_held(**{"X-Preau-Names": f'"{names.etag}"'})
    assert not is_held(**{"X-Preau-Names": '"gone.1"'})


# --- the bell ----------------------------------------------------------------------------------------------------


async def heard(bell: Bell) -> None:
    """Until it listens."""
    while not bell.is_listening:
        await bell.wait(bell.next_ring(), 1)


def test_the_bell_rings_for_all_who_wait_once_it_is_committed(own_database_url: str) -> None:
    engine = create_engine(own_database_url)

    async def wait_together() -> int:
        bell = Bell(own_database_url)
        await heard(bell)
        rings = [bell.next_ring() for _ in range(50)]
        with Session(engine) as session:
            waiting.announce(session)
            assert not rings[0].is_set()
            session.commit()
        await asyncio.gather(*(bell.wait(ring, 30) for ring in rings))
        woken = sum(ring.is_set() for ring in rings)
        await bell.close()
        return woken

    assert asyncio.run(wait_together()) == 50
    engine.dispose()


def test_the_bell_listens_again_when_its_connection_was_cut(own_database_url: str) -> None:
    engine = create_engine(own_database_url)

    async def lose_and_find() -> bool:
        bell = Bell(own_database_url)
        await heard(bell)
        with engine.begin() as connection:
            cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            assert connection.scalar(text(cut))
        while bell.is_listening:
            await bell.wait(bell.next_ring(), 1)
        await heard(bell)
        ring = bell.next_ring()
        with Session(engine) as session, session.begin():
            waiting.announce(session)
        await bell.wait(ring, 30)
        woken = ring.is_set()
        await bell.close()
        return woken

    assert asyncio.run(lose_and_find())
    engine.dispose()


def test_without_a_listener_one_looks_oneself() -> None:
    async def wait_alone() -> bool:
        bell = Bell("postgresql+psycopg://nobody@127.0.0.1:9/none")
        ring = bell.next_ring()
        await bell.wait(ring, 30)  # comes back to look, long before
        await bell.close()
        return bell.is_listening

    assert asyncio.run(wait_alone()) is False


# --- two controllers ---------------------------------------------------------------------------------------------


@dataclass
class Controller:
    """A controller process."""

    port: int
    process: subprocess.Popen[bytes]

    def is_ready(self) -> bool:
        try:
            return httpx2.get(f"http://127.0.0.1:{self.port}/health/ready", trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False

    def ask(self, headers: dict[str, str], **params: Any) -> httpx2.Response:
        url = f"http://127.0.0.1:{self.port}{POLICY}"
        return httpx2.get(url, headers=headers, params=params, timeout=60, trust_env=False)


@contextmanager
def controllers(url: str, number: int, folder: Path) -> Iterator[list[Controller]]:
    """Real processes on one database."""
    environment = os.environ | {
        "PREAU_DATABASE_URL": url, "PREAU_BROKER_URL": "memory://", "PREAU_PUBLIC_URL": "https://preau.example.test",
        "PREAU_SECOND_FACTOR": "optional", "PREAU_ENV_FILE": str(folder / "none.env"),
    }  # fmt: skip
    started = []
    for _ in range(number):
        port = free_port()
        command = [sys.executable, "-m", "fleet", "serve", "--port", str(port)]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(Controller(port, process))
    try:
        for controller in started:
            until(controller.is_ready, "the controller answers", 60)
        yield started
    finally:
        for controller in started:
            controller.process.terminate()
        for controller in started:
            controller.process.wait(30)


def test_a_change_reaches_filters_of_every_controller(own_database_url: str, tmp_path: Path) -> None:
    engine = create_engine(own_database_url)
    with Session(engine) as session, session.begin():
        _node, credential = nodes.register_filter(session, "passerelle", None, NOON)
        first = policies.publish(session, None, "essai", datetime.now(UTC)).etag
    headers = {"Authorization": f"Bearer {credential}", "If-None-Match": f'"{first}"'}
    with controllers(own_database_url, 2, tmp_path) as both:
        answers: list[httpx2.Response] = []
        asking = [
            threading.Thread(target=lambda each=each: answers.append(each.ask(headers, wait=30)))
            for each in both
            for _ in range(20)
        ]
        for thread in asking:
            thread.start()
        until(lambda: listeners(engine) == 2, "both listen", 30)
        assert answers == []
        with Session(engine) as session, session.begin():
            second = policies.publish(session, None, "essai", datetime.now(UTC), anew=True).etag
        until(lambda: len(answers) == len(asking), "all are told, long before they would ask again", 20)
        for thread in asking:
            thread.join()
        assert {answer.headers["ETag"] for answer in answers} == {f'W/"{second}"'}
        assert [answer.status_code for answer in answers] == [200] * 40
        assert listeners(engine) == 2
    engine.dispose()


def listeners(engine: Engine) -> int:
    """Connections that listen."""
    with engine.connect() as connection:
        found = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        return connection.scalar(text(found)) or 0


def test_who_waits_holds_no_connection(own_database_url: str, tmp_path: Path) -> None:
    """More filters than a controller has connections: the others are answered all the same."""
    engine = create_engine(own_database_url)
    with Session(engine) as session, session.begin():
        _node, credential = nodes.register_filter(session, "passerelle", None, NOON)
        first = policies.publish(session, None, "essai", datetime.now(UTC)).etag
    headers = {"Authorization": f"Bearer {credential}", "If-None-Match": f'"{first}"'}
    with controllers(own_database_url, 1, tmp_path) as [controller]:
        asking = [threading.Thread(target=controller.ask, args=(headers,), kwargs={"wait": 30}) for _ in range(80)]
        for thread in asking:
            thread.start()
        until(lambda: listeners(engine) == 1, "it listens", 30)
        assert controller.ask(headers).status_code == 304
        until(lambda: waits_in_transaction(engine) == 0, "nobody is in a transaction", 30)
        with Session(engine) as session, session.begin():
            waiting.announce(session)
            policies.publish(session, None, "essai", datetime.now(UTC), anew=True)
        for thread in asking:
            thread.join()
    engine.dispose()


def waits_in_transaction(engine: Engine) -> int:
    """Connections that hold a transaction open."""
    with engine.connect() as connection:
        found = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        return connection.scalar(text(found)) or 0


def test_an_application_that_ends_stops_listening(app: FastAPI, own_database_url: str) -> None:
    """Its event loop must not be left with a task of ours."""
    with TestClient(app) as client:
        assert client.get(POLICY, params={"wait": 1}).status_code == 401
