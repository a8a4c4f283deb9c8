"""Doors: what forgets its own is refused, what enters one does what it is for, the database is as the code says."""

from collections.abc import Iterator

import pytest
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, create_engine, make_url, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from fleet import door_roles, row_security
from fleet.accounts.models import User
from fleet.collectivities.models import Collectivity
from fleet.db import Base, SessionFactory, connect, transaction
from fleet.devices.models import Device
from fleet.doors import NOTHING, SYSTEM, Door, Scope, enter, for_a_while, put
from fleet.embedded.postgres import Postgres
from fleet.errors import ConfigurationError
from fleet.filtering.models import SigningKey
from fleet.migrate import migrate
from fleet.row_rules import RULES
from fleet.schools.models import School
from tests.conftest import run_outside_transaction
from tests.factories import make_device, make_school, make_user

CLUSTER_WIDE = "preau_app_test"


@pytest.fixture
def bound(own_database_url: str) -> Iterator[Engine]:
    """The session factory on a database of its own, as a process has it: every connection closed."""
    before = SessionFactory.kw.copy()
    engine = connect(own_database_url)
    yield engine
    engine.dispose()
    SessionFactory.kw.clear()
    SessionFactory.configure(**before)


@pytest.fixture
def device(bound: Engine) -> Device:
    with transaction(Door.OPERATOR) as session:
        return make_device(session)


def refused(session: Session, model: type[Base]) -> bool:
    """Whether a table is closed to the session; the transaction is over then."""
    try:
        session.scalars(select(model).limit(1)).all()
    except ProgrammingError as error:
        session.rollback()
        return isinstance(error.orig, InsufficientPrivilege)
    return False


def test_what_forgets_its_door_is_refused_every_table(device: Device) -> None:
    with SessionFactory() as session:
        assert all(refused(session, mapper.class_) for mapper in Base.registry.mappers)


def test_so_is_a_connection_that_no_session_opened(bound: Engine, device: Device) -> None:
    with bound.connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
        connection.execute(text("SELECT * FROM devices"))


def test_a_door_is_entered_again_in_each_transaction_and_left_behind_it(bound: Engine, device: Device) -> None:
    with SessionFactory() as session:
        enter(session, Door.JOBS)
        assert session.scalar(select(Device.name)) == device.name
        session.commit()
        assert session.scalar(select(Device.name)) == device.name
        session.rollback()
        assert session.scalar(text("SELECT current_user")) == Door.JOBS
    with bound.connect() as connection:
        assert connection.scalar(text("SELECT current_user")) == Door.CLOSED
        assert connection.scalar(text("SELECT coalesce(current_setting('preau.schools', true), '')")) == ""


def test_without_scope_a_person_reaches_nothing(device: Device) -> None:
    with transaction(Door.WEB) as session:
        assert session.scalars(select(Device)).all() == []
        assert session.scalars(select(School)).all() == []
        put(session, Scope(school_ids=frozenset({device.school_id})).settings())  # type: ignore[arg-type]
        assert session.scalars(select(Device.id)).all() == [device.id]
        put(session, NOTHING.settings())
        assert session.scalars(select(Device)).all() == []


def test_a_persons_door_writes_its_own_rows_only(device: Device) -> None:
    with transaction(Door.OPERATOR) as session:
        other = make_device(session)
    mine = Scope(school_ids=frozenset({device.school_id}))  # type: ignore[arg-type]
    with SessionFactory() as session:
        enter(session, Door.WEB, mine)
        session.execute(text("UPDATE devices SET name = 'à nous'"))
        session.commit()
        with pytest.raises(ProgrammingError, match="row-level security"):
            session.execute(text("UPDATE devices SET school_id = :id"), {"id": other.school_id})
        session.rollback()
        with pytest.raises(ProgrammingError, match="permission denied"):
            session.execute(text("DELETE FROM devices"))
    with transaction(Door.JOBS) as session:
        names = dict(session.execute(select(Device.id, Device.name)).all())
    assert names == {device.id: "à nous", other.id: other.name}


def test_for_a_while_returns_even_when_it_fails(device: Device) -> None:
    with SessionFactory() as session:
        enter(session, Door.WEB)
        with for_a_while(session, Door.JOBS):
            assert session.scalars(select(Device.id)).all() == [device.id]
        assert session.scalars(select(Device)).all() == []
        with pytest.raises(RuntimeError), for_a_while(session, Door.JOBS):
            raise RuntimeError
        assert session.scalars(select(Device)).all() == []
        with pytest.raises(ProgrammingError), for_a_while(session, Door.JOBS):
            session.execute(text("SELECT nothing FROM nowhere"))
        session.rollback()
        assert session.scalars(select(Device)).all() == []


def test_a_savepoint_that_is_rolled_back_does_not_open_what_was_closed_since(device: Device) -> None:
    with SessionFactory() as session:
        enter(session, Door.JOBS)
        attempt = session.begin_nested()
        enter(session, Door.WEB)
        assert session.scalars(select(Device)).all() == []
        attempt.rollback()
        assert session.scalars(select(Device)).all() == []


@pytest.mark.parametrize("door", [Door.WEB, Door.STAFF])
def test_people_never_read_secrets(bound: Engine, door: Door) -> None:
    with transaction(Door.OPERATOR) as session:
        user = make_user(session)
    with SessionFactory() as session:
        enter(session, door, Scope(user.id))
        assert session.scalars(select(User.name)).all() == [user.name]
        with pytest.raises(ProgrammingError, match="permission denied"):
            session.scalars(select(User.password_hash)).all()
        session.rollback()
        assert refused(session, SigningKey)


def test_every_table_has_its_line_and_the_database_says_the_same(bound: Engine, own_database_url: str) -> None:
    assert set(RULES) == set(Base.metadata.tables)
    owner = create_engine(own_database_url)
    with owner.begin() as connection:
        assert row_security.differences(connection) == []
        assert row_security.apply(connection) == [], "nothing is made anew, nothing is locked"
    owner.dispose()


TAMPERING = {
    "a policy that is too wide": "ALTER POLICY own ON devices USING (true)",
    "one more policy": "CREATE POLICY more ON devices TO preau_web USING (true)",
    "a policy that is gone": "DROP POLICY own ON devices",
    "security that is off": "ALTER TABLE devices DISABLE ROW LEVEL SECURITY",
    "an owner who sees all": "ALTER TABLE devices NO FORCE ROW LEVEL SECURITY",
    "a right too much": "GRANT DELETE ON devices TO preau_web",
    "a column too much": "GRANT SELECT (password_hash) ON users TO preau_web",
    "a right that is gone": "REVOKE SELECT ON devices FROM preau_devices",
    "a table that nobody thought of": "CREATE TABLE forgotten (id int)",
}


@pytest.mark.parametrize("what", TAMPERING)
def test_what_differs_in_the_database_is_told(engine: Engine, what: str) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(TAMPERING[what])
        assert row_security.differences(connection) != []
        connection.rollback()


def test_a_table_without_line_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RULES, "devices")
    with engine.connect() as connection:
        assert row_security.differences(connection) == ["no rule, or no table: devices"]


def test_no_door_owns_anything_or_may_log_in(engine: Engine) -> None:
    with engine.connect() as connection:
        roles = connection.execute(
            text(
                "SELECT rolname, rolcanlogin, rolsuper, rolbypassrls, rolcreaterole,"
                " EXISTS (SELECT FROM pg_class c WHERE c.relowner = r.oid)"
                " FROM pg_roles r WHERE rolname LIKE 'preau\\_%'"
            )
        ).all()
    doors = {row[0]: tuple(row[1:]) for row in roles if row[0] != CLUSTER_WIDE}
    assert doors == dict.fromkeys(Door, (False,) * 5)
    assert Door.WEB not in SYSTEM


@pytest.fixture
def two_logins(postgres: Postgres) -> Iterator[tuple[str, str]]:
    """URLs of a database: its owner's, who may make roles and nothing more, and of a login that owns nothing."""
    for statement in (
        f"CREATE ROLE {CLUSTER_WIDE}_owner LOGIN CREATEROLE PASSWORD 'essai'",
        f"CREATE ROLE {CLUSTER_WIDE} LOGIN PASSWORD 'essai'",
        f"CREATE DATABASE {CLUSTER_WIDE} OWNER {CLUSTER_WIDE}_owner",
        f"GRANT {', '.join(Door)} TO {CLUSTER_WIDE}_owner WITH ADMIN OPTION",
    ):  # fmt: skip
        run_outside_transaction(postgres, statement)
    url = make_url(postgres.url(CLUSTER_WIDE)).set(password="essai")
    urls = [url.set(username=f"{CLUSTER_WIDE}{part}").render_as_string(hide_password=False) for part in ("_owner", "")]
    yield urls[0], urls[1]
    for statement in (
        f"DROP DATABASE {CLUSTER_WIDE} WITH (FORCE)", f"DROP ROLE {CLUSTER_WIDE}", f"DROP ROLE {CLUSTER_WIDE}_owner",
    ):  # fmt: skip
        run_outside_transaction(postgres, statement)


def test_the_owner_migrates_and_the_programs_login_owns_nothing(database_url: str, two_logins: tuple[str, str]) -> None:
    owner_url, url = two_logins
    assert migrate(owner_url, login=make_url(url).username) != []
    assert migrate(owner_url, login=make_url(url).username) == []
    before = SessionFactory.kw.copy()
    engine = connect(url)
    with transaction(Door.OPERATOR) as session:
        make_school(session)
    with transaction(Door.WEB) as session:
        assert session.scalars(select(School)).all() == []
    plain, owner = create_engine(url), create_engine(owner_url)
    with plain.connect() as connection, pytest.raises(ProgrammingError):
        connection.execute(text("ALTER TABLE schools DISABLE ROW LEVEL SECURITY"))
    with owner.connect() as connection:  # a revision that changes rows sees them: the owner inherits the operator's
        assert connection.scalar(text("SELECT count(*) FROM schools")) == 1
        assert connection.scalar(select(Collectivity.id)) is not None
    for each in (engine, plain, owner):
        each.dispose()
    SessionFactory.kw.clear()
    SessionFactory.configure(**before)


def test_a_login_that_no_door_opens_to_cannot_even_connect(database_url: str, two_logins: tuple[str, str]) -> None:
    before = SessionFactory.kw.copy()
    engine = connect(two_logins[1])
    with pytest.raises(OperationalError, match="permission denied to set role"), transaction(Door.WEB) as session:
        session.scalar(text("SELECT 1"))
    engine.dispose()
    SessionFactory.kw.clear()
    SessionFactory.configure(**before)


def test_an_owner_who_may_not_make_roles_is_told_what_an_administrator_runs(
    postgres: Postgres, database_url: str
) -> None:
    for statement in (
        f"CREATE ROLE {CLUSTER_WIDE} LOGIN PASSWORD 'essai'",
        f"CREATE DATABASE {CLUSTER_WIDE} OWNER {CLUSTER_WIDE}",
    ):
        run_outside_transaction(postgres, statement)
    url = make_url(postgres.url(CLUSTER_WIDE)).set(username=CLUSTER_WIDE, password="essai")
    with pytest.raises(ConfigurationError, match=f'GRANT preau_closed, .* TO "{CLUSTER_WIDE}";'):
        migrate(url.render_as_string(hide_password=False))
    for statement in (f"DROP DATABASE {CLUSTER_WIDE} WITH (FORCE)", f"DROP ROLE {CLUSTER_WIDE}"):
        run_outside_transaction(postgres, statement)


def test_roles_made_by_somebody_else_meanwhile_are_fine(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_yet(_connection: Connection) -> list[str]:
        return [door.value for door in Door]

    monkeypatch.setattr(door_roles, "missing_roles", none_yet)
    with engine.begin() as connection:
        door_roles.ensure(connection)
