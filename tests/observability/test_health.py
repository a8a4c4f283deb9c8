"""The health endpoints, with the database there, away, and overloaded."""

import socket
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from dashboards.portal.app import create_portal
from fleet.config import FleetConfig
from fleet.db import SessionFactory


@pytest.fixture
def lonely() -> Iterator[TestClient]:
    """A controller whose database is not there; its session factory is put back afterwards."""
    before = SessionFactory.kw.copy()
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
    url = f"postgresql+psycopg://preau:x@127.0.0.1:{nobody.getsockname()[1]}/preau"
    app = create_portal(
        FleetConfig(
            database_url=url,
            broker_url="memory://",
            public_url="https://preau.example.test",
            second_factor_required=False,
        )
    )
    with TestClient(app, base_url="https://preau.example.test", client=("127.0.0.1", 50000)) as client:
        yield client
    nobody.close()
    SessionFactory.kw.clear()
    SessionFactory.configure(**before)


def test_a_controller_with_its_database_is_ready(api: TestClient) -> None:
    assert api.get("/health/live").json() == {"status": "ok"}
    assert api.get("/health/ready").json() == {"status": "ok"}


def test_without_its_database_a_controller_lives_but_is_not_ready(lonely: TestClient) -> None:
    assert lonely.get("/health/live").status_code == 200
    answer = lonely.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {"status": "unavailable", "reason": "database_unreachable"}


def test_without_its_database_the_metrics_say_so_and_nothing_stale(lonely: TestClient) -> None:
    text = lonely.get("/metrics").text
    assert "fleet_database_up 0.0" in text
    assert "\nfleet_devices{" not in text


def test_a_controller_whose_connections_are_all_taken_is_not_ready(
    api: TestClient, session: Session, database_url: str
) -> None:
    engine = create_engine(database_url, pool_size=1, max_overflow=0, pool_timeout=0)
    before = SessionFactory.kw.copy()
    SessionFactory.configure(bind=engine)
    with engine.connect():
        answer = api.get("/health/ready")
    SessionFactory.configure(**before)
    engine.dispose()
    assert (answer.status_code, answer.json()["reason"]) == (503, "database_busy")
