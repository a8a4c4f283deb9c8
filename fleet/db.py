"""The database: one session factory, one base class, one way to leave work for after the commit."""

import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from fastapi import Depends
from kombu.exceptions import OperationalError
from sqlalchemy import DateTime, Engine, Enum, Index, MetaData, Text, Uuid, create_engine, event, make_url
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from fleet.doors import SETTINGS, Door, enter
from fleet.errors import FleetError

log = logging.getLogger(__name__)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def _values(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind]


class Base(DeclarativeBase):
    """Every table. Datetimes are aware, strings text, JSON jsonb, enumerations their value as text."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text,
        uuid.UUID: Uuid,
        StrEnum: Enum(StrEnum, native_enum=False, values_callable=_values, length=40),
        dict[str, Any]: JSONB,
        list[str]: JSONB,
    }


class HasId:
    """A random 128-bit primary key, made here so that it is known before the insert."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)


def search_index(table: str) -> Index:
    """The index that finds any part of a word in a table's folded ``search_text`` (extension pg_trgm)."""
    return Index(
        f"ix_{table}_search_text",
        "search_text",
        postgresql_using="gin",
        postgresql_ops={"search_text": "gin_trgm_ops"},
    )


SessionFactory: sessionmaker[Session] = sessionmaker(
    expire_on_commit=False, info={SETTINGS: {"role": Door.CLOSED.value}}
)
"""Its sessions are shown nothing until they enter a door: use `transaction`, or `DbSession` in routes."""


def connect(database_url: str) -> Engine:
    """Bind the session factory to a database. Call once per process; nothing is opened yet."""
    engine = create_engine(
        database_url,
        pool_pre_ping=True,  # a PostgreSQL that was restarted costs one reconnect, not one failed request
        pool_size=10,
        max_overflow=20,
        connect_args={"connect_timeout": 10, "options": closed(database_url)},
    )
    SessionFactory.configure(bind=engine)
    return engine


def closed(database_url: str) -> str:
    """PostgreSQL's ``options`` for a connection without any right until it enters a door; those of the URL stay."""
    given = make_url(database_url).query.get("options", "")
    return f"{given if isinstance(given, str) else ' '.join(given)} -c role={Door.CLOSED.value}".strip()


@contextmanager
def transaction(door: Door) -> Iterator[Session]:
    """One transaction through a door, for tasks, commands and whatever no request carries: commits at its end, rolls
    back on error.
    """
    with SessionFactory.begin() as session:
        enter(session, door)
        yield session


def get_session() -> Iterator[Session]:
    """One transaction a request: commits on success, rolls back on error (but see FleetError.keeps_changes).

    Closed until the route or what it depends on enters a door: `fleet.accounts.access` does for people.
    """
    with SessionFactory() as session:
        try:
            yield session
        except FleetError as error:
            if error.keeps_changes:
                session.commit()
            raise
        session.commit()


DbSession = Annotated[Session, Depends(get_session, scope="function")]
"""Commit, then reply: FastAPI's default scope replies first."""


LEFT_FOR_LATER = "preau.left_for_later"


def after_commit(session: Session, publish: Callable[..., object], *ids: str) -> None:
    """Hand work to the worker once the data it needs is really there: after the outermost commit.

    A broker that is down costs nothing but time: the change is committed, and the sweep finds the work.
    """
    session.info.setdefault(LEFT_FOR_LATER, []).append((publish, ids))


@event.listens_for(Session, "after_commit")
def _hand_over(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint: nobody else sees its rows yet
    for publish, ids in session.info.pop(LEFT_FOR_LATER, ()):
        try:
            publish(*ids)
        except (OperationalError, OSError) as error:
            log.warning(
                "broker unreachable, the sweep will find it", extra={"work": repr(publish), "error": str(error)}
            )


@event.listens_for(Session, "after_rollback")
def _forget(session: Session) -> None:
    if not session.in_nested_transaction():
        session.info.pop(LEFT_FOR_LATER, None)
