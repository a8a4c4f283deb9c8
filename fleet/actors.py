"""Who is at work in this thread or task, told to the database with every transaction: the audit log's triggers ask it.

The edge that begins the work (an HTTP request, a Celery task, a command) opens a `working` block; who proves an
identity on the way calls `become`. Sessions that begin meanwhile tell it by themselves, whoever opens them.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Connection, Select, Uuid, cast, event, func, null, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session, SessionTransaction
from starlette.types import Scope

SETTING = "preau.actor"
"""The PostgreSQL setting that holds the actor for the length of a transaction, as JSON."""


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


def become(session: Session, kind: ActorKind, identifier: object, name: str) -> None:
    """The visitor has proved to be this one: from now on, and in the session's open transaction.

    Who was known already stays: a command that looks whether a credential still opens something is no filter.
    """
    work = current.get()
    if work is None or work.kind is not ActorKind.VISITOR:
        return
    work.kind, work.id, work.name = kind, str(identifier), name
    session.execute(telling(work))


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
    text = null() if told is None else cast(dict(told), JSONB)
    nodes = (cast(collectivity_id, Uuid), cast(school_id, Uuid))
    session.execute(select(func.audit_event(action, table, identifier, subject, text, *nodes)))


def telling(work: Work) -> Select[str]:
    """The statement that tells PostgreSQL, until the transaction ends."""
    return select(func.set_config(SETTING, work.as_json(), True))


@event.listens_for(Session, "after_begin")
def _tell(_session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    """Savepoints inherit it from the transaction that they are part of."""
    work = current.get()
    if work is not None and not transaction.nested:
        connection.execute(telling(work))
