"""The migrations lead to the tables that the code declares, and keep what was there."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic import command
from sqlalchemy import Connection, create_engine, func, select, text
from sqlalchemy.orm import Session

from fleet.embedded.postgres import Postgres
from fleet.filtering.models import FilterNode, FilterSource, Publication, PublicationState
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterEvent, FilterLayer, FilterPolicy
from fleet.filtering.previews import asking, preparing
from fleet.filtering.previews.models import FilterPreview, PreviewAnswer, PreviewKind, PreviewOutcome, PreviewState
from fleet.filtering.publishing import publications
from fleet.migrate import alembic_config, migrate
from tests.conftest import run_outside_transaction
from tests.factories import NOON, make_school
from tests.fleet.deciding import make_room, viewer_of
from tests.fleet.publishing import store


def test_migrations_and_models_agree(database_url: str) -> None:
    command.check(alembic_config(database_url))


@contextmanager
def database_at(postgres: Postgres, revision: str) -> Iterator[str]:
    """A database as that version left it."""
    name = f"at_{uuid.uuid4().hex}"
    run_outside_transaction(postgres, f"CREATE DATABASE {name}")
    url = postgres.url(name)
    migrate(url, revision)
    yield url
    run_outside_transaction(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def first_url(postgres: Postgres) -> Iterator[str]:
    with database_at(postgres, "0001") as url:
        yield url


@pytest.fixture
def third_url(postgres: Postgres) -> Iterator[str]:
    with database_at(postgres, "0003") as url:
        yield url


PUBLICATION = text(
    "INSERT INTO filter_publications"
    " (id, state, requested_at, published_at, requested_by, attempts, report, digest, size)"
    " VALUES (:id, :state, now(), :published, 'Alix', 1, '{\"names\": 3}', :digest, 4)"
)
CHUNK = text("INSERT INTO filter_publication_chunks VALUES (:id, 0, 'old!')")
COUNT = text("INSERT INTO filter_counts VALUES (:id, 'run', now(), 'blocked', 'gambling', 5)")
NODE = text(
    "INSERT INTO filter_nodes (id, name, secret_hash, registered_at, bundle_serial, health)"
    " VALUES (:id, 'passerelle', 'x', now(), 2, '{}')"
)


def add(connection: Connection, state: str) -> uuid.UUID:
    """A publication of the first version."""
    identifier = uuid.uuid4()
    published = "2026-11-20T02:40:00Z" if state == "published" else None
    digest = "a" * 64 if state == "published" else None
    facts = {"id": identifier, "state": state, "published": published, "digest": digest}
    connection.execute(PUBLICATION, facts)
    if state == "published":
        connection.execute(CHUNK, {"id": identifier})
    return identifier


def test_publications_of_the_first_version_stay_as_history(first_url: str) -> None:
    engine = create_engine(first_url)
    with engine.begin() as connection:
        old = [add(connection, state) for state in ("published", "failed", "published")]
        node = uuid.uuid4()
        connection.execute(NODE, {"id": node})
        connection.execute(COUNT, {"id": node})
    migrate(first_url)
    with Session(engine) as session:
        rows = {row.id: row for row in publications.list_publications(session).rows}
        states = [rows[identifier].state for identifier in old]
        assert states == [PublicationState.RETIRED, PublicationState.FAILED, PublicationState.RETIRED]
        assert (rows[old[0]].requested_by, rows[old[0]].report, rows[old[0]].size) == ("Alix", {"names": 3}, 4)
        assert rows[old[0]].published_at is not None
        assert not any(publications.has_content(session, identifier) for identifier in old)
        assert publications.find_latest(session) is None
        [asked] = publications.list_waiting(session)  # filters of this version are served as soon as a worker is there
        assert rows[asked].serial > rows[old[2]].serial
        assert session.scalar(text("SELECT bundle_serial FROM filter_nodes")) == 2
        assert session.execute(text("SELECT school, queries FROM filter_counts")).one() == ("", 5)
    engine.dispose()


@pytest.mark.parametrize(
    ("before", "asked", "made"),
    [([], 0, 0), (["failed"], 0, 0), (["published", "requested"], 1, 0), (["published", "published"], 1, 1)],
)
def test_one_publication_is_asked_for_at_most(first_url: str, before: list[str], asked: int, made: int) -> None:
    engine = create_engine(first_url)
    with engine.begin() as connection:
        for state in before:
            add(connection, state)
    migrate(first_url)
    with Session(engine) as session:
        assert len(publications.list_waiting(session)) == asked
        assert session.scalar(select(func.count()).select_from(Publication)) == len(before) + made
    engine.dispose()


def test_the_way_back_to_the_first_version(first_url: str) -> None:
    engine = create_engine(first_url)
    with engine.begin() as connection:
        add(connection, "published")
    migrate(first_url)
    command.downgrade(alembic_config(first_url), "0001")
    with engine.connect() as connection:
        states = connection.scalars(text("SELECT DISTINCT state FROM filter_publications")).all()
    assert set(states) <= {"failed", "requested"}
    migrate(first_url)
    engine.dispose()


def test_what_the_third_version_decided_stays_and_may_be_previewed(third_url: str) -> None:
    """Layers, policies, names, filters and history; then the fourth version's tables take a question about them."""
    engine = create_engine(third_url)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        staff = viewer_of(session)
        make_room(session, staff, make_school(session))
        names = store(session, b"names")
        policy = policies.publish(session, None, "essai", NOON)
        session.add(FilterNode(name="passerelle", secret_hash="x", registered_at=NOON, last_seen_at=NOON, health={}))
        session.add(FilterSource(slug="jeux", title="Jeux", url="https://jeux.example", added_at=NOON))
    tables = (FilterLayer, FilterPolicy, Publication, FilterNode, FilterSource, FilterEvent)
    with Session(engine) as session:
        before = [session.scalar(select(func.count()).select_from(table)) for table in tables]
    migrate(third_url)
    with Session(engine) as session, session.begin():
        assert [session.scalar(select(func.count()).select_from(table)) for table in tables] == before
        assert policies.current_etag(session) == policy.etag
        assert publications.find_latest(session) is not None
        preview = FilterPreview(
            kind=PreviewKind.RETURN, subject="Publication", asked_by="Alix", asked_at=NOON, judged_at=NOON,
            threshold=3, days=7, publication_id=names.id,
        )  # fmt: skip
        session.add(preview)
        session.flush()
        preparing.ask(session, preview, "x.0", b"delta")
        preview.ends_at = NOON + asking.LASTS
        node = session.scalars(select(FilterNode)).one()
        asking.record_answer(
            session, node, preview.id, outcome=PreviewOutcome.JUDGED, judged=1, withheld=0, truncated=False, changes=[],
            now=NOON,
        )  # fmt: skip
        assert preview.state is PreviewState.DONE
    command.downgrade(alembic_config(third_url), "0003")
    migrate(third_url)
    with Session(engine) as session:
        assert session.scalars(select(PreviewAnswer)).all() == []
        assert policies.current_etag(session) == policy.etag
    engine.dispose()
