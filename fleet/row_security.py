"""PostgreSQL's side of fleet.row_rules: roles' rights on tables, row-level security and its policies.

Not written in migrations: `preau migrate` brings the database to what the code's table says at the end of each run, in
the same transaction, and touches only what differs. `differences` compares all of it, for tests.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Table, text

from fleet.db import Base
from fleet.doors import SYSTEM, Door
from fleet.row_rules import EVERYTHING, NOBODY, RULES, SEQUENCES, Rows

IDS = "coalesce(nullif(current_setting('preau.{}', true), ''), '{{}}')::uuid[]"
FUNCTIONS = {
    "preau_user": ("uuid", "nullif(current_setting('preau.user', true), '')::uuid"),
    "preau_handles": ("boolean", "coalesce(current_setting('preau.handles', true), '') = 'on'"),
    **{f"preau_{name}": ("uuid[]", IDS.format(name)) for name in ("collectivities", "schools", "running", "named")},
}
"""What the settings of a transaction say: nothing said is nobody and no node."""
PRIVILEGES = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
READS_SECRETS = SYSTEM
MARK = "préau "
"""Begins the comment of a table's first policy; the digest of its statements follows."""


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """What a door may do with a table or (``column`` not empty) with one of its columns."""

    table: str
    column: str
    door: str
    privilege: str


def tables() -> list[Table]:
    """Every table of the application."""
    return list(Base.metadata.sorted_tables)


def policies_of(table: str, rows: Rows) -> Iterator[str]:
    """The statements that make a table's policies: ``whole`` for programs and staff, ``own`` and ``shown`` for people.

    WITH CHECK is what USING says, which is also PostgreSQL's default.
    """
    whole = ", ".join(sorted(door for door in (*SYSTEM, Door.STAFF) if rows.verbs(door)))
    yield f"CREATE POLICY whole ON {table} TO {whole} USING (true) WITH CHECK (true)"
    if rows.own != NOBODY:
        yield f"CREATE POLICY own ON {table} TO {Door.WEB} USING ({rows.own}) WITH CHECK ({rows.own})"
    if rows.shown != NOBODY:
        yield f"CREATE POLICY shown ON {table} FOR SELECT TO {Door.WEB} USING ({rows.shown})"


def digest_of(table: str, rows: Rows) -> str:
    """What tells a table's policies from those of another version."""
    return hashlib.sha256("\n".join(policies_of(table, rows)).encode()).hexdigest()[:16]


def rights_of(table: Table, rows: Rows) -> Iterator[Right]:
    """What each door may do with a table; columns are named where some are secret."""
    for door in Door:
        for verb in rows.verbs(door):
            if verb == "r" and rows.secret and door not in READS_SECRETS:
                open_columns = (c.name for c in table.columns if c.name not in rows.secret)
                yield from (Right(table.name, column, door, "SELECT") for column in open_columns)
            else:
                yield Right(table.name, "", door, PRIVILEGES[verb])


def apply(connection: Connection) -> list[str]:
    """Bring the database to what the code says, and return the tables whose policies were made anew.

    Raise KeyError for a table without rule. The connection is the tables' owner's; see fleet.door_roles for the roles.
    """
    for name, (returns, says) in FUNCTIONS.items():
        make_function(connection, name, returns, says)
    anew = [table.name for table in tables() if found_digest(connection, table.name) != wanted_digest(table.name)]
    for name in anew:
        make_policies(connection, name)
    grant_rights(connection)
    grant_sequences(connection)
    return anew


def make_function(connection: Connection, name: str, returns: str, says: str) -> None:
    """A function that reads a setting: stable, so that it is asked once a query. Kept when it is there as it should."""
    wanted = f"SELECT {says}"
    query = "SELECT prosrc FROM pg_proc WHERE proname = %s AND pronamespace = 'public'::regnamespace"
    if connection.exec_driver_sql(query, (name,)).scalar() == wanted:
        return
    connection.exec_driver_sql(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS {returns} LANGUAGE sql STABLE PARALLEL SAFE AS $${wanted}$$"
    )


def wanted_digest(table: str) -> str:
    return MARK + digest_of(table, RULES[table])


def found_digest(connection: Connection, table: str) -> str | None:
    """What stands in the database, where row-level security is in force."""
    query = (
        "SELECT obj_description(p.oid, 'pg_policy') FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid"
        " WHERE c.oid = to_regclass(%s) AND p.polname = 'whole' AND c.relrowsecurity AND c.relforcerowsecurity"
    )
    found: str | None = connection.exec_driver_sql(query, (table,)).scalar()
    return found


def make_policies(connection: Connection, table: str) -> None:
    """Row-level security, for the owner too, and the policies of the code in place of any other."""
    drop_policies(connection, table)
    connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    for statement in policies_of(table, RULES[table]):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql(f"COMMENT ON POLICY whole ON {table} IS '{wanted_digest(table)}'")


def drop_policies(connection: Connection, table: str) -> None:
    query = "SELECT policyname FROM pg_policies WHERE schemaname = 'public' AND tablename = %s"
    for (name,) in connection.exec_driver_sql(query, (table,)).all():
        connection.exec_driver_sql(f'DROP POLICY "{name}" ON {table}')


def take_away(connection: Connection) -> None:
    """The way back: no policies, no row-level security, no rights of doors; of the tables that are there."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND rowsecurity"
    for (table,) in connection.exec_driver_sql(query).all():
        drop_policies(connection, table)
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY")
    doors = ", ".join(Door)
    connection.exec_driver_sql(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {doors}")
    connection.exec_driver_sql(f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {doors}")
    for name in FUNCTIONS:
        connection.exec_driver_sql(f"DROP FUNCTION IF EXISTS {name}()")


def wanted_rights() -> set[Right]:
    return {right for table in tables() for right in rights_of(table, RULES[table.name])}


def found_rights(connection: Connection) -> set[Right]:
    """What doors may do in the database, tables and columns."""
    query = text(
        """
        SELECT c.relname, '', r.rolname, acl.privilege_type
        FROM pg_class c, aclexplode(c.relacl) acl JOIN pg_roles r ON r.oid = acl.grantee
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND r.rolname = ANY (:doors)
        UNION ALL
        SELECT c.relname, a.attname, r.rolname, acl.privilege_type
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) acl
        JOIN pg_roles r ON r.oid = acl.grantee
        WHERE c.relnamespace = 'public'::regnamespace AND r.rolname = ANY (:doors)
        """
    )
    return {Right(*row) for row in connection.execute(query, {"doors": [door.value for door in Door]})}


def grant_rights(connection: Connection) -> None:
    """Give what is missing and take what is too much."""
    wanted, found = wanted_rights(), found_rights(connection)
    for right in sorted(found - wanted):
        connection.exec_driver_sql(f"REVOKE {_what(right)} ON {right.table} FROM {right.door}")
    for right in sorted(wanted - found):
        connection.exec_driver_sql(f"GRANT {_what(right)} ON {right.table} TO {right.door}")


def _what(right: Right) -> str:
    return f"{right.privilege} ({right.column})" if right.column else right.privilege


def grant_sequences(connection: Connection) -> None:
    """Programs that do everything draw from every sequence, and raise them; other doors from those named."""
    connection.exec_driver_sql(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {', '.join(sorted(EVERYTHING))}")
    for sequence, doors in SEQUENCES.items():
        connection.exec_driver_sql(f"GRANT USAGE ON SEQUENCE {sequence} TO {', '.join(doors)}")


def differences(connection: Connection) -> list[str]:
    """In what the database's policies and rights differ from the code's table, each in a line; [] when in nothing.

    Policies are compared as PostgreSQL writes them: made anew beside those found, in a savepoint that is taken back.
    """
    missing = [table.name for table in tables() if table.name not in RULES]
    missing += [name for name in RULES if name not in Base.metadata.tables]
    if missing:
        return [f"no rule, or no table: {name}" for name in missing]
    found = written_policies(connection)
    attempt = connection.begin_nested()
    connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")  # a table with triggers yet to run cannot be altered
    for table in tables():
        make_policies(connection, table.name)
    wanted = written_policies(connection)
    attempt.rollback()
    rights, allowed = found_rights(connection), wanted_rights()
    return [
        *(f"{each} is open: no row-level security" for each in open_tables(connection)),
        *(f"policy too much: {each}" for each in sorted(found - wanted)),
        *(f"policy missing: {each}" for each in sorted(wanted - found)),
        *(f"right too much: {each}" for each in sorted(rights - allowed)),
        *(f"right missing: {each}" for each in sorted(allowed - rights)),
    ]


def written_policies(connection: Connection) -> set[str]:
    """Every policy as PostgreSQL tells it."""
    policies = connection.exec_driver_sql(
        "SELECT tablename, policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public'"
    )
    return {" | ".join(map(str, row)) for row in policies}


def open_tables(connection: Connection) -> list[str]:
    """Tables where row-level security is not in force, for the owner too; Alembic's own holds nobody's rows."""
    query = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND relname <> 'alembic_version' AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY relname"
    )
    return list(connection.exec_driver_sql(query).scalars())
