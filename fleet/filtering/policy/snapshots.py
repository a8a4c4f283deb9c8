"""What a policy was built from, kept beside it as JSON, and put back when somebody returns to it."""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import Column, ForeignKey, RowMapping, Table, delete, insert, select
from sqlalchemy.orm import Session

from fleet.db import Base
from fleet.filtering.policy.models import FilterLabel, FilterLayer, FilterNetwork, FilterSchedule

TABLES: tuple[Table, ...] = tuple(
    Base.metadata.tables[model.__tablename__] for model in (FilterSchedule, FilterLayer, FilterNetwork, FilterLabel)
)
"""What people decide and leave standing. Overrides and lessons end by themselves and are no part of it."""
Row = dict[str, object]
Snapshot = Mapping[str, list[Row]]


def take(session: Session) -> dict[str, list[Row]]:
    """Every row of TABLES, by table."""
    return {table.name: [_as_json(dict(row)) for row in _rows(session, table)] for table in TABLES}


def digest_of(snapshot: Snapshot) -> str:
    """The same for the same decisions: SHA-256, hex."""
    return hashlib.sha256(msgspec.json.encode(snapshot, order="sorted")).hexdigest()


def _rows(session: Session, table: Table) -> Iterable[RowMapping]:
    return session.execute(select(table).order_by(*table.primary_key)).mappings()


def _as_json(row: Row) -> Row:
    plain: Row = msgspec.to_builtins(row)
    return plain


def restore(session: Session, snapshot: Snapshot) -> None:
    """Put TABLES back. What is gone since is dealt with as its removal did then: a row that hung on a school, device or
    profile is left out, a network or device is in no room any more. The caller holds the lock of policies.
    """
    session.flush()
    for table in reversed(TABLES):
        session.execute(delete(table))
    for table in TABLES:
        rows = [_from_json(table, row) for row in snapshot.get(table.name, ())]
        for column in table.columns:
            for key in column.foreign_keys:
                rows = _without_orphans(session, column, key, rows)
        if rows:
            session.execute(insert(table), rows)
    session.expire_all()


def _from_json(table: Table, row: Row) -> Row:
    """The columns that still exist, with their types."""
    return {column.name: _typed(column, row[column.name]) for column in table.columns if column.name in row}


def _typed(column: Column[object], value: object) -> object:
    if value is None:
        return None
    if column.type.python_type is UUID:
        return UUID(str(value))
    return datetime.fromisoformat(str(value)) if column.type.python_type is datetime else value


def _without_orphans(session: Session, column: Column[object], key: ForeignKey, rows: list[Row]) -> list[Row]:
    """The rows without those whose key leads nowhere; where its removal empties the key, they stay without it."""
    wanted = {row[column.name] for row in rows if row.get(column.name) is not None}
    there = {None, *session.scalars(select(key.column).where(key.column.in_(wanted)))}
    if key.ondelete == "SET NULL":
        return [row if row.get(column.name) in there else row | {column.name: None} for row in rows]
    return [row for row in rows if row.get(column.name) in there]
