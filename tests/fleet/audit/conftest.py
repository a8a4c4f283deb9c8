"""A database whose log really is chained: the usual test transaction never commits, and links come with commits."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, create_engine

from fleet.embedded.postgres import Postgres
from tests.conftest import run_outside_transaction
from tests.fleet.audit.changes import add_commune

COUNT = 12
"""Entries that `chained` begins with."""


@pytest.fixture(scope="module")
def chained(postgres: Postgres, template_database: str) -> Iterator[Engine]:
    """Twelve entries, of as many transactions. Leave it as it is: work in a transaction that is rolled back."""
    name = f"chained_{uuid.uuid4().hex}"
    run_outside_transaction(postgres, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    engine = create_engine(postgres.url(name))
    for number in range(COUNT):
        with engine.begin() as connection:
            add_commune(connection, f"Commune {number}")
    yield engine
    engine.dispose()
    run_outside_transaction(postgres, f"DROP DATABASE {name} WITH (FORCE)")
