"""The steps of a ticket, each read from its form and handed to the verb of the same name."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeAlias

from dashboards.portal.forms import Reader
from fleet.db import DbSession
from fleet.scope import Viewer
from fleet.tickets import service as tickets
from fleet.tickets.models import Ticket, Verb

Handler: TypeAlias = Callable[[DbSession, Viewer, Ticket, Reader, datetime], object]
MAX_TEXT = tickets.MAX_TEXT


def assign(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    to_id = reader.identifier("to", "Choisissez une personne.")
    reader.check()
    if to_id is not None:
        tickets.assign_ticket(session, viewer, ticket, to_id, now)


def plan(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    planned_for = reader.local_moment("planned_for", "Indiquez le jour et l’heure.")
    reader.check()
    if planned_for is not None:
        tickets.plan_ticket(session, viewer, ticket, planned_for, now)


def hold(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    note = reader.text("hold_note", maximum=MAX_TEXT, missing="Dites ce qui est attendu, et de qui.")
    reader.check()
    tickets.hold_ticket(session, viewer, ticket, note, now)


def resume(session: DbSession, viewer: Viewer, ticket: Ticket, _reader: Reader, now: datetime) -> None:
    tickets.resume_ticket(session, viewer, ticket, now)


def solve(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    resolution = reader.text("resolution", maximum=MAX_TEXT, missing="Dites comment le problème a été résolu.")
    reader.check()
    tickets.solve_ticket(session, viewer, ticket, resolution, now)


def close(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    note = reader.text("close_note", maximum=MAX_TEXT)
    reader.check()
    tickets.close_ticket(session, viewer, ticket, now, note)


def reopen(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    note = reader.text("reopen_note", maximum=MAX_TEXT, missing="Dites ce qui ne va toujours pas.")
    reader.check()
    tickets.reopen_ticket(session, viewer, ticket, note, now)


def follow_up(session: DbSession, viewer: Viewer, ticket: Ticket, reader: Reader, now: datetime) -> None:
    body = reader.text("body", maximum=MAX_TEXT, missing="Écrivez votre message.")
    reader.check()
    is_public = reader.raw("internal") != "yes"
    tickets.follow_up(session, viewer, ticket, body, is_public, now, reader.raw("request_key") or None)


HANDLERS: Mapping[Verb, Handler] = {
    Verb.ASSIGN: assign,
    Verb.PLAN: plan,
    Verb.HOLD: hold,
    Verb.RESUME: resume,
    Verb.SOLVE: solve,
    Verb.CLOSE: close,
    Verb.REOPEN: reopen,
    Verb.FOLLOW_UP: follow_up,
}
DONE: Mapping[Verb, str] = {
    Verb.ASSIGN: "ticket-assigned",
    Verb.PLAN: "ticket-planned",
    Verb.HOLD: "ticket-pending",
    Verb.RESUME: "ticket-resumed",
    Verb.SOLVE: "ticket-solved",
    Verb.CLOSE: "ticket-closed",
    Verb.REOPEN: "ticket-reopened",
    Verb.FOLLOW_UP: "follow-up",
}
