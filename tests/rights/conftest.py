"""One populated application for all that walk through it."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from dashboards.portal.app import create_portal
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import SessionFactory
from tests.conftest import OWN, SECRET_KEY, leaving_doors
from tests.factories import NOON
from tests.rights.filling import make_world
from tests.rights.walking import InProcess, Walk, watching


@pytest.fixture(scope="module")
def walk(database_url: str, engine: Engine) -> Iterator[Walk]:
    """Rows are made as the tables' owner, once; the application reaches them through its doors. Rolled back at last."""
    app = create_portal(
        FleetConfig(
            database_url=database_url,
            broker_url="memory://",
            public_url="https://preau.example.test",
            secret_keys=(SECRET_KEY,),
            second_factor_required=False,
        )
    )
    app.dependency_overrides = {utc_now: lambda: NOON}
    before = SessionFactory.kw.copy()
    with engine.connect() as connection:
        transaction = connection.begin()
        SessionFactory.configure(bind=connection, join_transaction_mode="create_savepoint")
        with (
            leaving_doors(connection),
            InProcess(app, "https://preau.example.test") as api,
        ):
            with Session(connection, **OWN) as session:
                world = make_world(session)
                session.commit()
            walk = Walk(app, api, connection, world)
            walk.before = walk.fingerprint()
            with watching(walk):
                yield walk
        transaction.rollback()
    SessionFactory.kw.clear()
    SessionFactory.configure(**before)
