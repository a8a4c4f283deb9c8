"""Who is at work in this thread or task, told to the database before it changes: the audit log's triggers ask it.

The edge that begins the work (an HTTP request, a Celery task, a command) opens a `working` block; who proves an
identity on the way calls `become`. Every connection tells it by itself before its transaction's first change, whoever
opened it and whatever it sends: reading costs nothing, writing one short statement.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Connection, Engine, Uuid, cast, event, func, null, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from starlette.types import Scope

SETTING = "preau.actor"
"""The PostgreSQL setting that holds the actor for the length of a transaction, as JSON."""
TOLD = "preau.told"
"""In a connection's info: what its transaction was told."""
READS = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET ", "SHOW ")
"""How statements begin that change no row."""


class ActorKind(StrEnum):
    """What did it. The values are stable: entries keep them."""

    PERSON = "person"
    TOKEN = "token"  # noqa: S105 - a kind
    DEVICE = "device"
    FILTER = "filter"
    JOB = "job"
    COMMAND = "command"
    VISITOR = "visitor"
    """A request that proved no identity: a sign-in, a reset by mail."""
    UNKNOWN = "unknown"
    """Not this program: written by the database itself when nobody told it."""


@dataclass(slots=True)
class Work:
    """One request, task or command, and who is behind it as far as is known by now."""

    kind: ActorKind
    id: str | None = None
    name: str | None = None
    address: str | None = None
    request_id: str | None = None
    operation: str | None = None
    scope: Scope | None = None
    """Of a request: it knows its route only later."""

    def as_json(self) -> str:
        """What the database is told."""
        operation = self.operation or operation_of(self.scope)
        told = {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "address": self.address,
            "request": self.request_id,
            "operation": operation,
        }
        return json.dumps({name: value for name, value in told.items() if value is not None})


current: ContextVar[Work | None] = ContextVar("work", default=None)


def operation_of(scope: Scope | None) -> str | None:
    """``tickets.close_ticket`` for a route of the API, ``portal.tickets.close_ticket`` for a form of the portal."""
    endpoint = (scope or {}).get("endpoint")
    if endpoint is None:
        return None
    part, *path = str(endpoint.__module__).split(".")
    place = path if part == "dashboards" else path[:-1] or path  # the API's are all in a routes.py
    return ".".join([*place, endpoint.__name__])


@contextmanager
def working(work: Work) -> Iterator[Work]:
    """What happens inside is this work's."""
    token = current.set(work)
    try:
        yield work
    finally:
        current.reset(token)


def become(kind: ActorKind, identifier: object, name: str) -> None:
    """The visitor has proved to be this one: from now on.

    Who was known already stays: a command that looks whether a credential still opens something is no filter.
    """
    work = current.get()
    if work is not None and work.kind is ActorKind.VISITOR:
        work.kind, work.id, work.name = kind, str(identifier), name


def note(
    session: Session,
    action: str,
    table: str,
    row_id: object,
    subject: str,
    *,
    told: Mapping[str, object] | None = None,
    collectivity_id: UUID | None = None,
    school_id: UUID | None = None,
) -> None:
    """An entry of the audit log for what changes no audited row: somebody signed in, a file left. ``told``: no secret.

    Never for what a stranger does: entries cannot be taken back, and would be his to make without end.
    """
    identifier = None if row_id is None else str(row_id)
    content = null() if told is None else cast(dict(told), JSONB)
    nodes = (cast(collectivity_id, Uuid), cast(school_id, Uuid))
    tell(session.connection())
    session.execute(select(func.audit_event(action, table, identifier, subject, content, *nodes)))


def tell(connection: Connection) -> None:
    """Tell the database who is at work, unless its transaction knows: what writes by a SELECT calls this itself."""
    work = current.get()
    wanted = work.as_json() if work is not None else ""
    if connection.info.get(TOLD) != wanted:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute("SELECT set_config(%s, %s, true)", (SETTING, wanted))
        connection.info[TOLD] = wanted


@event.listens_for(Engine, "before_cursor_execute")
def _before_a_change(connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
    """A transaction says who is at work before its first statement that may change something; reading costs nothing."""
    if not statement.lstrip().startswith(READS):
        tell(connection)


@event.listens_for(Engine, "begin")
def _nobody_yet(connection: Connection) -> None:
    connection.info[TOLD] = ""


@event.listens_for(Engine, "rollback_savepoint")
def _forget(connection: Connection, *_rest: object) -> None:
    """PostgreSQL took the setting back to what it was before the savepoint, which nobody noted."""
    if not connection.invalidated:  # lost: what comes next is another one
        connection.info.pop(TOLD, None)
