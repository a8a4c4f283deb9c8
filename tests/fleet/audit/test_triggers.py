"""Every change of an audited table leaves one entry, in the same transaction, with nothing secret in it."""

import re
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from fleet.actors import ActorKind, Work, become, note, working
from fleet.audit.models import AuditEntry
from fleet.audit.tables import AUDITED, MASK, NOT_AUDITED
from fleet.models import Base
from fleet.scope import Role
from tests.factories import make_collectivity, make_device, make_school, make_user
from tests.fleet.audit.changes import RENAME, add_commune

LATEST = text("SELECT * FROM audit_entries ORDER BY id DESC LIMIT 1")
COUNT = text("SELECT count(*) FROM audit_entries")
SECRET = re.compile(r"secret|password|hash|pem|csrf|_key|otp|recovery")
PUBLIC = {
    ("devices", "facts_hash"),  # never told anyway
    ("filter_signing_keys", "public_hex"),
}


@pytest.fixture
def connection(chained: Engine) -> Iterator[Connection]:
    with chained.connect() as connection:
        yield connection


def test_every_table_is_audited_or_says_why_not() -> None:
    tables = set(Base.metadata.tables)
    assert set(AUDITED) | set(NOT_AUDITED) == tables
    assert not set(AUDITED) & set(NOT_AUDITED)


def test_what_is_told_of_a_table_names_columns_that_it_has() -> None:
    for table, told in AUDITED.items():
        columns = set(Base.metadata.tables[table].columns.keys())
        assert set(told.key) | set(told.masked) | set(told.ignored) <= columns, table
        assert told.label in {*columns, ""}, table
        assert set(told.key) == {column.name for column in Base.metadata.tables[table].primary_key}, table


def test_columns_that_sound_secret_are_masked() -> None:
    told = {
        (table, column.name)
        for table, audited in AUDITED.items()
        for column in Base.metadata.tables[table].columns
        if SECRET.search(column.name) and column.name not in {*audited.masked, *audited.ignored}
    }
    assert told - PUBLIC == set()


def test_an_insert_an_update_and_a_deletion_tell_what_changed(connection: Connection) -> None:
    identifier = add_commune(connection, "Laon")
    made = connection.execute(LATEST).one()
    assert (made.action, made.table_name, made.row_id, made.subject) == (
        "insert",
        "collectivities",
        str(identifier),
        "Laon",
    )
    assert (made.before, made.after["name"], made.collectivity_id) == (None, "Laon", identifier)
    assert "search_text" not in made.after
    assert "siren" not in made.after, "an empty column says nothing"
    connection.execute(RENAME, {"id": identifier, "name": "Guise"})
    changed = connection.execute(LATEST).one()
    assert (changed.action, changed.before, changed.after) == ("update", {"name": "Laon"}, {"name": "Guise"})
    connection.execute(text("DELETE FROM collectivities WHERE id = :id"), {"id": identifier})
    gone = connection.execute(LATEST).one()
    assert (gone.action, gone.before["name"], gone.after) == ("delete", "Guise", None)


def test_what_changes_nothing_or_only_noise_leaves_no_entry(connection: Connection) -> None:
    identifier = add_commune(connection, "Laon")
    before = connection.scalar(COUNT)
    connection.execute(RENAME, {"id": identifier, "name": "Laon"})
    connection.execute(text("UPDATE collectivities SET search_text = 'x', updated_at = now()"))
    assert connection.scalar(COUNT) == before


def test_bulk_changes_and_truncation_are_seen(connection: Connection) -> None:
    before = connection.scalar(COUNT) or 0
    changed = connection.execute(text("UPDATE collectivities SET name = name || ' !'")).rowcount
    assert connection.scalar(COUNT) == before + changed
    connection.execute(text("TRUNCATE ent_portals CASCADE"))
    told = connection.scalars(text("SELECT table_name FROM audit_entries WHERE action = 'truncate'")).all()
    assert set(told) == {"ent_portals", "ent_links", "school_ents"}


def test_a_savepoint_that_is_rolled_back_leaves_nothing(connection: Connection) -> None:
    before = connection.scalar(COUNT) or 0
    kept = add_commune(connection, "Laon")
    savepoint = connection.begin_nested()
    add_commune(connection, "Guise")
    savepoint.rollback()
    add_commune(connection, "Hirson")
    connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    assert connection.scalar(COUNT) == before + 2
    linked = connection.scalars(
        text("SELECT subject FROM audit_links JOIN audit_entries e ON e.id = entry_id ORDER BY number DESC LIMIT 2")
    )
    assert list(linked) == ["Hirson", "Laon"]
    assert kept is not None


def test_secrets_are_said_to_have_changed_and_no_more(session: Session) -> None:
    user = make_user(session, password_hash="$argon2id$first")
    user.password_hash = "$argon2id$second"
    session.flush()
    entries = session.query(AuditEntry).filter_by(table_name="users", row_id=str(user.id)).order_by(AuditEntry.id).all()
    assert entries[0].after is not None
    assert entries[0].after["password_hash"] == MASK
    assert (entries[1].before, entries[1].after) == ({"password_hash": MASK}, {"password_hash": MASK})
    everything = session.scalars(text("SELECT e::text FROM audit_entries e")).all()
    assert not any("argon2id" in told for told in everything)


def test_entries_belong_to_whoever_owned_the_row_then(session: Session) -> None:
    first, second = make_school(session), make_school(session)
    device = make_device(session, school=first, room="Salle 3")
    device.school_id, device.room = second.id, "Salle 9"
    session.flush()
    made, left, arrived = (
        session.query(AuditEntry).filter_by(table_name="devices", row_id=str(device.id)).order_by(AuditEntry.id)
    )
    assert (made.action, made.school_id, made.collectivity_id) == ("insert", first.id, first.collectivity_id)
    assert (left.action, left.school_id, left.after) == ("leave", first.id, None)
    assert left.before == {"school_id": str(first.id), "room": "Salle 3"}
    assert (arrived.action, arrived.school_id, arrived.before) == ("arrive", second.id, None)
    assert arrived.after == {"school_id": str(second.id), "room": "Salle 9"}


def test_a_row_of_a_device_belongs_to_its_school(session: Session) -> None:
    device = make_device(session)
    session.execute(
        text(
            "INSERT INTO device_credentials (id, device_id, secret_hash, issued_at) VALUES (:id, :device, 'x', now())"
        ),
        {"id": uuid.uuid4(), "device": device.id},
    )
    entry = session.query(AuditEntry).filter_by(table_name="device_credentials").one()
    assert entry.school_id == device.school_id
    assert entry.after is not None
    assert entry.after["secret_hash"] == MASK


def test_whoever_tells_the_database_nothing_is_unknown(connection: Connection) -> None:
    connection.execute(text("SET LOCAL application_name = 'psql'"))
    add_commune(connection, "Laon")
    entry = connection.execute(LATEST).one()
    assert (entry.actor_kind, entry.actor_name, entry.operation) == ("unknown", "preau", "psql")
    assert (entry.address, entry.database_user) == ("127.0.0.1", "preau")


def test_time_and_transaction_are_not_the_writers_to_choose(connection: Connection) -> None:
    connection.execute(
        text("INSERT INTO audit_entries (action, table_name, at, actor_kind, transaction_id, database_user, digest)"
             " VALUES ('insert', 'users', '2001-01-01', 'person', 1, 'x', '')")
    )  # fmt: skip
    entry = connection.execute(LATEST).one()
    assert (entry.at.year > 2001, entry.transaction_id > 1, entry.actor_kind) == (True, True, "unknown")


def test_work_is_told_with_every_transaction(chained: Engine) -> None:
    work = Work(ActorKind.VISITOR, address="192.0.2.7", request_id="r1", operation="tickets.open_ticket")
    with working(work), Session(chained, expire_on_commit=False) as session:
        make_collectivity(session)
        first = session.query(AuditEntry).order_by(AuditEntry.id.desc()).first()
        become(ActorKind.PERSON, uuid.UUID(int=7), "Alix")
        note(session, "export", "devices", None, "parc", told={"rows": 3})
        second = session.query(AuditEntry).order_by(AuditEntry.id.desc()).first()
        become(ActorKind.FILTER, uuid.UUID(int=8), "passerelle")
        session.expunge_all()
        session.rollback()
        savepoint = session.begin_nested()
        make_collectivity(session)
        savepoint.rollback()  # what the database was told went with it
        make_collectivity(session)
        third = session.query(AuditEntry).order_by(AuditEntry.id.desc()).first()
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.actor_kind, first.address, first.request_id) == ("visitor", "192.0.2.7", "r1")
    assert (second.actor_kind, second.actor_id, second.actor_name) == ("person", str(uuid.UUID(int=7)), "Alix")
    assert (second.action, second.after, second.operation) == ("export", {"rows": 3}, "tickets.open_ticket")
    assert (third.actor_kind, third.actor_name) == ("person", "Alix"), "one identity, and the next transaction's too"


def test_a_role_is_told_beside_the_account(connection: Connection) -> None:
    role = f"r_{uuid.uuid4().hex[:8]}"
    connection.execute(text(f"CREATE ROLE {role} BYPASSRLS"))
    connection.execute(text(f"GRANT INSERT ON collectivities TO {role}"))
    connection.execute(text(f"SET LOCAL ROLE {role}"))
    add_commune(connection, "Laon")
    connection.execute(text("RESET ROLE"))
    assert connection.execute(LATEST).one().database_user == f"preau/{role}"


def test_roles_of_people_are_entries_of_their_node(session: Session) -> None:
    school = make_school(session)
    make_user(session, Role.SCHOOL_LEAD, school=school)
    entry = session.query(AuditEntry).filter_by(table_name="role_grants").one()
    assert (entry.subject, entry.school_id, entry.collectivity_id) == ("school_lead", school.id, school.collectivity_id)
