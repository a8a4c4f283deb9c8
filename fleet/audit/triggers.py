"""The database's part of the log, made from functions.sql and tables.py: brought up to date at every migration, and
compared with what there is whenever somebody verifies.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, text

from fleet.audit.tables import AUDITED, Audited

FUNCTIONS = (Path(__file__).parent / "functions.sql").read_text(encoding="utf-8")
ROW, BEFORE, INSERT, DELETE, UPDATE, TRUNCATE = 1, 2, 4, 8, 16, 32
"""Bits of pg_trigger.tgtype (PostgreSQL, catalog/pg_trigger.h)."""
EVENTS = {INSERT: "INSERT", UPDATE: "UPDATE", DELETE: "DELETE", TRUNCATE: "TRUNCATE"}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger as the database must have it, enabled ALWAYS: the setting that skips others does not skip it."""

    table: str
    name: str
    kind: int
    function: str
    arguments: tuple[str, ...] = ()
    is_deferred: bool = False

    @property
    def statements(self) -> tuple[str, str, str]:
        """What makes it, whatever was there."""
        events = " OR ".join(event for bit, event in EVENTS.items() if self.kind & bit)
        timing = "BEFORE" if self.kind & BEFORE else "AFTER"
        each = "ROW" if self.kind & ROW else "STATEMENT"
        arguments = ", ".join(f"'{argument}'" for argument in self.arguments)
        kind = "CONSTRAINT TRIGGER" if self.is_deferred else "TRIGGER"
        when = "DEFERRABLE INITIALLY DEFERRED " if self.is_deferred else ""
        what = f"{when}FOR EACH {each} EXECUTE FUNCTION {self.function}({arguments})"
        return (
            f"DROP TRIGGER IF EXISTS {self.name} ON {self.table}",
            f"CREATE {kind} {self.name} {timing} {events} ON {self.table} {what}",
            f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name}",
        )


OF_THE_LOG = (
    Trigger("audit_entries", "audit_stamp", ROW | BEFORE | INSERT, "audit_stamp"),
    Trigger("audit_entries", "audit_link", ROW | INSERT, "audit_link", is_deferred=True),
    *(
        Trigger(table, "audit_refuse", BEFORE | UPDATE | TRUNCATE, "audit_refuse")
        for table in ("audit_entries", "audit_links")
    ),
    *(Trigger(table, "audit_keep", ROW | BEFORE | DELETE, "audit_keep") for table in ("audit_entries", "audit_links")),
)


def arguments_of(told: Audited) -> tuple[str, ...]:
    """What audit_note is told of a table."""
    columns = (told.masked, told.ignored)
    return (",".join(told.key), told.label, told.owner.value, *(",".join(names) for names in columns))


def wanted() -> Iterator[Trigger]:
    """Every trigger that must be there."""
    yield from OF_THE_LOG
    for table, told in AUDITED.items():
        yield Trigger(table, "audit_note", ROW | INSERT | UPDATE | DELETE, "audit_note", arguments_of(told))
        yield Trigger(table, "audit_truncate", TRUNCATE, "audit_note_truncate")


def attach(connection: Connection) -> bool:
    """Make functions and triggers what the code says; True when anything differed. The tables must be there."""
    if not differences(connection):
        return False
    surplus = set(_present(connection)) - {(each.table, each.name) for each in wanted()}
    statements = [
        "SET CONSTRAINTS ALL IMMEDIATE",  # a table with triggers yet to run cannot be altered
        *re.findall(r"CREATE OR REPLACE FUNCTION .*?\$\$;", FUNCTIONS, re.DOTALL),
        *(f'DROP TRIGGER "{name}" ON "{table}"' for table, name in surplus),
        *(statement for trigger in wanted() for statement in trigger.statements),
    ]
    for statement in statements:
        connection.execute(text(statement))
    return True


def differences(connection: Connection) -> list[str]:
    """In French, what of the log's functions and triggers is missing, disabled, altered or too much."""
    return [*_function_differences(connection), *_trigger_differences(connection)]


def bodies() -> dict[str, str]:
    """Function -> body, as functions.sql has it."""
    return dict(re.findall(r"FUNCTION (\w+)\(.*?AS \$\$(.*?)\$\$;", FUNCTIONS, re.DOTALL))


FOUND_FUNCTIONS = text(
    "SELECT proname, prosrc FROM pg_proc"
    " WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'audit\\_%'"
)
FOUND_TRIGGERS = text(
    """
    SELECT relname, tgname, tgtype, proname, tgargs, tginitdeferred, tgenabled
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
    WHERE NOT tgisinternal AND proname LIKE 'audit\\_%' AND relnamespace = current_schema()::regnamespace
    """
)


def _function_differences(connection: Connection) -> Iterator[str]:
    found = {row.proname: row.prosrc for row in connection.execute(FOUND_FUNCTIONS)}
    for name, body in bodies().items():
        if name not in found:
            yield f"la fonction {name} manque"
        elif found[name] != body:
            yield f"la fonction {name} a été modifiée"


def _present(connection: Connection) -> dict[tuple[str, str], tuple[Trigger, str]]:
    """(table, name) -> the trigger as it is, and whether it is enabled."""
    found = {}
    for table, name, kind, function, arguments, is_deferred, enabled in connection.execute(FOUND_TRIGGERS):
        given = tuple(part.decode() for part in bytes(arguments).split(b"\0")[:-1])
        found[table, name] = Trigger(table, name, kind, function, given, is_deferred), enabled
    return found


def _trigger_differences(connection: Connection) -> Iterator[str]:
    found = _present(connection)
    for trigger in wanted():
        present, enabled = found.pop((trigger.table, trigger.name), (None, ""))
        if present is None:
            yield f"le déclencheur {trigger.name} de {trigger.table} manque"
        elif present != trigger:
            yield f"le déclencheur {trigger.name} de {trigger.table} a été modifié"
        elif enabled != "A":
            yield f"le déclencheur {trigger.name} de {trigger.table} est désactivé"
    for table, name in found:
        yield f"le déclencheur {name} de {table} est de trop"
