"""Every kind of tampering, done by SQL as the database's owner would, is found; what nobody touched is intact."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, DBAPIError

from filter.signing import SigningKey
from fleet.audit import chain, checkpoints, triggers
from fleet.audit.checkpoints import Checkpoint
from fleet.errors import Invalid
from tests.fleet.audit.changes import add_commune
from tests.fleet.audit.conftest import COUNT

NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
ENTRY = "(SELECT entry_id FROM audit_links WHERE number = {})"
FIFTH, SIXTH = ENTRY.format(5), ENTRY.format(6)
FORGED = """
INSERT INTO audit_entries (transaction_id, at, actor_kind, database_user, action, table_name, digest)
VALUES (1, now(), 'person', 'x', 'insert', 'users', '')
"""
SWAP = """
UPDATE audit_links l SET entry_id = (SELECT id FROM audit_entries ORDER BY id OFFSET 10 - l.number LIMIT 1)
WHERE number IN (5, 6)
"""
RECHAIN = """
DO $$ DECLARE before bytea := decode(repeat('00', 32), 'hex'); place bigint := 0; link record;
BEGIN
    UPDATE audit_entries e SET digest = audit_digest(e);
    FOR link IN
        SELECT l.number, e.digest FROM audit_links l JOIN audit_entries e ON e.id = entry_id ORDER BY l.number
    LOOP
        place := place + 1;
        before := sha256(before || link.digest || int8send(place));
        UPDATE audit_links SET number = place, hash = before WHERE number = link.number;
    END LOOP;
    UPDATE audit_head SET number = place, hash = before;
END $$
"""
"""All hashes made right again after a change: what only a checkpoint kept elsewhere shows."""


def tamper(connection: Connection, statements: Sequence[str]) -> None:
    """What an owner of the tables may do; the triggers are as before afterwards."""
    for table in ("audit_entries", "audit_links"):
        connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
    for statement in statements:
        assert connection.exec_driver_sql(statement).rowcount != 0, f"{statement} changed nothing"
    assert triggers.attach(connection)


def problems_after(engine: Engine, statements: Sequence[str]) -> list[tuple[str, int | None]]:
    with engine.connect() as connection:
        tamper(connection, statements)
        return [(problem.kind, problem.number) for problem in chain.verify(connection).problems]


def test_an_untouched_log_is_intact(chained: Engine) -> None:
    told: list[tuple[int, int]] = []
    with chained.connect() as connection:
        report = chain.verify(connection, lambda done, total: told.append((done, total)))
    assert (report.problems, report.entries, report.number, report.start) == ([], COUNT, COUNT, 0)
    assert told[-1] == (COUNT, COUNT)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        ([f"UPDATE audit_entries SET actor_name = 'Autre' WHERE id = {FIFTH}"], [("altered", 5)]),
        ([f"UPDATE audit_entries SET at = at - interval '1 day' WHERE id = {FIFTH}"], [("altered", 5)]),
        ([f"UPDATE audit_entries SET after = after || '{{\"name\": \"Laon\"}}' WHERE id = {FIFTH}"], [("altered", 5)]),
        ([f"UPDATE audit_entries SET school_id = gen_random_uuid() WHERE id = {FIFTH}"], [("altered", 5)]),
        (
            [
                f"UPDATE audit_entries SET operation = 'rien' WHERE id = {FIFTH}",
                "UPDATE audit_entries e SET digest = audit_digest(e)",
            ],
            [("altered", 5)],
        ),
        ([f"UPDATE audit_links SET hash = sha256('x') WHERE number = 5"], [("altered", 5)]),  # noqa: F541
        ([f"DELETE FROM audit_entries WHERE id = {FIFTH}"], [("removed", 5)]),
        (["DELETE FROM audit_links WHERE number = 5"], [("removed", 5), ("inserted", None)]),
        (
            [f"DELETE FROM audit_entries WHERE id = {FIFTH}", "DELETE FROM audit_links WHERE number = 5"],
            [("removed", 5)],
        ),
        (
            [
                f"DELETE FROM audit_entries WHERE id IN ({FIFTH}, {SIXTH})",
                "DELETE FROM audit_links WHERE number IN (5, 6)",
            ],
            [("removed", 5)],
        ),
        (
            [FORGED],
            [("inserted", None)],
        ),
        (
            ["UPDATE audit_links SET entry_id = -number WHERE number IN (5, 6)",
             SWAP],
            [("moved", 5), ("moved", 6)],
        ),
        (
            [f"DELETE FROM audit_entries WHERE id IN ({ENTRY.format(11)}, {ENTRY.format(12)})",
             "DELETE FROM audit_links WHERE number > 10"],
            [("tail", 11)],
        ),
        (["UPDATE audit_head SET hash = sha256('x')"], [("tail", COUNT)]),
        (
            [f"DELETE FROM audit_entries WHERE id IN ({ENTRY.format(1)}, {ENTRY.format(2)})",
             "DELETE FROM audit_links WHERE number < 3"],
            [("removed", 1)],
        ),
        (
            [f"DELETE FROM audit_entries WHERE id IN ({ENTRY.format(1)}, {ENTRY.format(2)})",
             "UPDATE audit_head SET start_number = 2, start_hash = (SELECT hash FROM audit_links WHERE number = 2)",
             "DELETE FROM audit_links WHERE number < 3"],
            [("start", 2)],
        ),
    ],
)  # fmt: skip
def test_what_was_tampered_with_is_named(
    chained: Engine, statements: list[str], found: list[tuple[str, int | None]]
) -> None:
    assert problems_after(chained, statements) == found


def test_an_entry_put_in_between_shifts_all_that_follows(chained: Engine) -> None:
    statements = [
        "UPDATE audit_links SET number = -number - 1 WHERE number > 4",
        "UPDATE audit_links SET number = -number WHERE number < 0",
        FORGED,
        "UPDATE audit_entries e SET digest = audit_digest(e)",
        "INSERT INTO audit_links SELECT 5, max(id), sha256('x') FROM audit_entries",
    ]
    found = problems_after(chained, statements)
    assert found[0] == ("altered", 5)


REWRITES = {
    "altered": [f"UPDATE audit_entries SET actor_name = 'Autre' WHERE id = {FIFTH}", RECHAIN],
    "removed": [f"DELETE FROM audit_entries WHERE id = {FIFTH}", "DELETE FROM audit_links WHERE number = 5", RECHAIN],
    "cut": [
        f"DELETE FROM audit_entries WHERE id = {ENTRY.format(COUNT)}",
        f"DELETE FROM audit_links WHERE number = {COUNT}",
        RECHAIN,
    ],
}


@pytest.mark.parametrize("how", REWRITES)
def test_a_chain_that_its_owner_rewrote_is_found_by_a_checkpoint(chained: Engine, how: str) -> None:
    key = SigningKey.generate()
    with chained.connect() as connection:
        known = Checkpoint.from_json(checkpoints.take(connection, NOW, key).to_json())
        tamper(connection, REWRITES[how])
        report = chain.verify(connection)
        assert report.problems == [], "every hash is right again"
        checkpoints.check(connection, report, known, key.public_hex)
    assert [problem.kind for problem in report.problems] == ["checkpoint"]


def test_a_checkpoint_holds_while_entries_are_added(chained: Engine) -> None:
    key = SigningKey.generate()
    with chained.connect() as connection:
        known = checkpoints.take(connection, NOW, key)
        add_commune(connection, "Nouvelle")
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        report = chain.verify(connection)
        checkpoints.check(connection, report, known, key.public_hex)
    assert (report.problems, report.number) == ([], COUNT + 1)


def test_a_checkpoint_of_another_key_is_worth_nothing(chained: Engine) -> None:
    with chained.connect() as connection:
        for signer in (SigningKey.generate(), None):
            report = chain.verify(connection)
            known = checkpoints.take(connection, NOW, signer)
            checkpoints.check(connection, report, known, SigningKey.generate().public_hex)
            assert [problem.kind for problem in report.problems] == ["checkpoint"]


@pytest.mark.parametrize(
    "line", ["", "{}", "[]", '{"number": 1}', '{"number": 1, "hash": "zz", "at": "", "entries": 0}']
)
def test_what_is_no_checkpoint_is_refused(line: str) -> None:
    with pytest.raises(Invalid):
        Checkpoint.from_json(line)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER TABLE users DISABLE TRIGGER audit_note", "désactivé"),
        ("ALTER TABLE users ENABLE TRIGGER audit_note", "désactivé"),
        ("DROP TRIGGER audit_note ON users", "manque"),
        (
            "CREATE OR REPLACE FUNCTION audit_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "modifi",
        ),
        ("DROP TRIGGER audit_refuse ON audit_entries", "manque"),
        ("CREATE TRIGGER more AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION audit_note('id')", "de trop"),
    ],
)
def test_triggers_that_are_not_what_the_code_says_are_told_and_mended(
    chained: Engine, statement: str, told: str
) -> None:
    with chained.connect() as connection:
        connection.exec_driver_sql(statement)
        [problem] = chain.verify(connection).problems
        assert problem.kind == "trigger"
        assert told in problem.detail
        assert triggers.attach(connection)
        assert chain.verify(connection).problems == []
        assert not triggers.attach(connection)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET subject = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "UPDATE audit_links SET hash = ''",
        "DELETE FROM audit_links",
        "TRUNCATE audit_links",
        "INSERT INTO audit_entries (id, action, table_name) VALUES (1, 'x', 'x')",
    ],
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_nothing_of_the_log_is_altered(chained: Engine, statement: str, role: str) -> None:
    with chained.connect() as connection:
        connection.exec_driver_sql(f"SET LOCAL session_replication_role = {role}")
        with pytest.raises(DBAPIError):
            connection.exec_driver_sql(statement)


def test_a_purge_leaves_a_chain_that_says_so(chained: Engine) -> None:
    old = f"UPDATE audit_entries SET at = at - interval '400 days' WHERE id <= {FIFTH}"
    with chained.connect() as connection:
        tamper(connection, [old, RECHAIN])
        before = checkpoints.take(connection, NOW, None)
        assert connection.scalar(text("SELECT audit_cut(now() - interval '365 days')")) == 5
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        report = chain.verify(connection)
        checkpoints.check(connection, report, before, None)
        assert (report.problems, report.start, report.entries, report.number) == ([], 5, COUNT - 5 + 1, COUNT + 1)
        assert connection.scalar(text("SELECT audit_cut(now() - interval '365 days')")) == 0


def test_what_is_young_cannot_be_purged(chained: Engine) -> None:
    with chained.connect() as connection, pytest.raises(DBAPIError, match="180 days"):
        connection.execute(text("SELECT audit_cut(now() - interval '30 days')"))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(value=VALUES, name=TEXTS)
def test_python_and_the_database_hash_the_same(chained: Engine, value: object, name: str) -> None:
    with chained.connect() as connection:
        connection.execute(
            text("SELECT set_config('preau.actor', :actor, true)"), {"actor": json.dumps({"name": name})}
        )
        connection.execute(
            text("INSERT INTO filter_schedules (id, slug, name, zone_b, content, updated_at, updated_by)"
                 " VALUES (gen_random_uuid(), 'x', :name, true, CAST(:content AS jsonb), now(), :name)"),
            {"name": name, "content": json.dumps({"": value})},
        )  # fmt: skip
        connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        links = list(chain.read_links(connection))
    assert (links[-1].number, links[-1].digest) == (COUNT + 1, links[-1].kept)
    assert links[-1].digest is not None
    assert links[-1].hash == chain.hash_of(links[-2].hash, links[-1].digest, COUNT + 1)


def test_no_nul_reaches_the_log(chained: Engine) -> None:
    with chained.connect() as connection:
        connection.execute(text("SELECT set_config('preau.actor', :a, true)"), {"a": '{"name": "\\u0000"}'})
        with pytest.raises(DataError):
            add_commune(connection, "x")
