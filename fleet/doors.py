"""Doors: every transaction works as one database role, which may do what its door is for and nothing else.

A process opens its connections as ``Door.CLOSED``, a role without any right: a transaction that enters no door is
refused each table ("permission denied") and is never shown a row. One statement enters a door, for the rest of the
transaction, and says beside it whose rows may be reached; PostgreSQL's row-level security (fleet.row_rules) does the
rest. Enter through `fleet.db.transaction`, `enter` or `for_a_while`, and nowhere else.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction


class Door(StrEnum):
    """Who works; the value is a role of the database cluster, without login and without anything of its own."""

    CLOSED = "preau_closed"
    """Nobody: what forgot its door."""
    GATE = "preau_gate"
    """Finding out who is there: accounts, sessions, roles and grants, before anything else is read."""
    WEB = "preau_web"
    """A person of a collectivity or a school: the rows of the scope, see fleet.row_rules."""
    STAFF = "preau_staff"
    """A person of the operator (technician, administrator, auditor), who sees every adherent's rows.

    A role of its own rather than a flag of the scope: its policies are plainly "true", so that the largest lists cost
    nothing, and those of ``WEB`` have no OR that would keep PostgreSQL from its indexes.
    """
    DEVICES = "preau_devices"
    """/agent/v1 and enrolment."""
    FILTERS = "preau_filters"
    """/filter/v1."""
    JOBS = "preau_jobs"
    """The program's own work: Celery, gauges, and what a person's change sets off at once, such as a policy that is
    compiled from every school's decisions.
    """
    OPERATOR = "preau_operator"
    """Whoever types `preau …` on the controller."""


SYSTEM = frozenset(Door) - {Door.CLOSED, Door.WEB, Door.STAFF}
"""Doors of programs: their rows are not told apart, their tables are."""
Settings = Mapping[str, str]
SETTINGS = "preau.settings"
"""In ``session.info``: what each transaction of the session begins with, as PostgreSQL settings. Replaced as a whole,
never changed in place; ``role`` is one of them.
"""
BEGUN = "preau.begun"
"""In ``session.info``: the connection of the transaction that runs, once there is one."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a person's transaction reaches, for row-level security; nothing at all by default."""

    user_id: UUID | None = None
    collectivity_ids: frozenset[UUID] = frozenset()
    """Those that the person sees."""
    school_ids: frozenset[UUID] = frozenset()
    """Every school that the person sees, those that the collectivities run included."""
    running_ids: frozenset[UUID] = frozenset()
    """The collectivities that run those schools: what they decide holds there."""
    named_ids: frozenset[UUID] = frozenset()
    """Collectivities whose names are public where these schools are: their communes, groups, and who runs them."""
    handles_tickets: bool = False
    """Whether internal follow-ups are for this person."""

    def settings(self) -> dict[str, str]:
        return {
            "preau.user": str(self.user_id or ""),
            "preau.collectivities": as_array(self.collectivity_ids),
            "preau.schools": as_array(self.school_ids),
            "preau.running": as_array(self.running_ids),
            "preau.named": as_array(self.named_ids | self.running_ids | self.collectivity_ids),
            "preau.handles": "on" if self.handles_tickets else "",
        }


NOTHING = Scope()


def as_array(ids: Iterable[UUID]) -> str:
    """The text of a PostgreSQL array."""
    return "{" + ",".join(sorted(map(str, ids))) + "}"


def enter(session: Session, door: Door, scope: Scope = NOTHING) -> None:
    """Work through this door from here on: for the rest of this transaction, and in every later one of the session.

    Costs one statement, with the first of the transaction or at once. Raise DBAPIError when the database's login is
    no member of the door's role (see `preau migrate`).
    """
    put(session, {"role": door.value} | (scope.settings() if door in {Door.WEB, Door.STAFF} else {}))


def put(session: Session, settings: Settings) -> None:
    """Add PostgreSQL settings to those that the session's transactions have: the role, the scope, and whatever else a
    trigger or policy reads, such as who acts. Local to each transaction, sent in one statement with the others.
    """
    session.info[SETTINGS] = {**session.info.get(SETTINGS, {}), **settings}
    if (connection := session.info.get(BEGUN)) is not None:
        apply(connection, settings)


@contextlib.contextmanager
def for_a_while(session: Session, door: Door) -> Iterator[None]:
    """Do one thing of a transaction through another door, then return through the one before.

    For what a person sets off and may not see: a policy is compiled of every school's decisions. What is pending is
    written before, with the rights of the one who asked, and what was done here before the return.
    """
    session.flush()
    before: Settings = session.info.get(SETTINGS, {"role": "none"})
    enter(session, door)
    try:
        yield
        session.flush()
    finally:
        session.info[SETTINGS] = before
        if (connection := session.info.get(BEGUN)) is not None:
            with contextlib.suppress(DBAPIError):  # of a transaction that failed: only its rollback is left
                apply(connection, before)


def apply(connection: Connection, settings: Settings) -> None:
    """Set PostgreSQL settings until the end of the transaction."""
    pairs = [part for pair in settings.items() for part in pair]
    connection.exec_driver_sql("SELECT " + ", ".join(["set_config(%s, %s, true)"] * len(settings)), tuple(pairs))


@event.listens_for(Session, "after_begin")
def _enter_again(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    if transaction.nested:
        return  # a savepoint keeps what its transaction has
    session.info[BEGUN] = connection
    if settings := session.info.get(SETTINGS):
        apply(connection, settings)


@event.listens_for(Session, "after_soft_rollback")
def _stay_inside(session: Session, previous: SessionTransaction) -> None:
    """A savepoint that is rolled back takes back the door that was entered in it."""
    connection = session.info.get(BEGUN)
    if previous.nested and connection is not None and (settings := session.info.get(SETTINGS)):
        apply(connection, settings)


@event.listens_for(Session, "after_transaction_end")
def _leave(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(BEGUN, None)
