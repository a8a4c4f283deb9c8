"""Tickets: opened by whoever sees the place or device, handled by the operator's staff; each verb leaves an event."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from fleet import metrics
from fleet.accounts import service as accounts
from fleet.accounts.models import User
from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity
from fleet.db import after_commit
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.errors import Conflict, Invalid, NotAllowed
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Viewer
from fleet.tickets import finding, mails, tasks
from fleet.tickets.finding import count_tickets as count_tickets
from fleet.tickets.finding import get_ticket as get_ticket
from fleet.tickets.finding import list_mails as list_mails
from fleet.tickets.finding import list_tickets as list_tickets
from fleet.tickets.models import (
    FollowUp,
    Ticket,
    TicketEvent,
    TicketKind,
    TicketStatus,
    TicketSubject,
    Verb,
)
from fleet.tickets.rights import is_staff_of, may
from fleet.tickets.rights import legal_moves as legal_moves

MAX_TITLE = 200
MAX_TEXT = 10_000
FARTHEST_PLAN = timedelta(days=2 * 365)


class TicketChanged(Conflict):
    """Somebody else was first."""

    def __init__(self, present: TicketStatus) -> None:
        super().__init__(
            "ticket.changed",
            f"Ce ticket vient d’être modifié par quelqu’un d’autre : il est « {present.label} ». Rechargez la page.",
        )


def open_ticket(
    session: Session,
    viewer: Viewer,
    *,
    kind: TicketKind,
    subject: TicketSubject,
    title: str,
    description: str,
    school: School | None = None,
    device: Device | None = None,
    collectivity: Collectivity | None = None,
    request_key: str | None = None,
    now: datetime,
) -> Ticket:
    """Open a ticket on a device, a school or an ENT question, owe the mails, and return it as `get_ticket` does.

    The same ``request_key`` from the same person again returns the ticket it opened first. Raise NotFound for a place
    or device that the viewer does not see, NotAllowed for a reader, Invalid for a text or a subject that is missing.
    """
    title = one_line(title)
    description = text_of(description, "ticket.no_description", "Décrivez ce qui se passe.")
    place = _place(session, viewer, subject, school, device, collectivity)
    viewer.must(Action.OPEN_TICKET, place["collectivity_id"], place["school_id"])
    key = own_key(viewer, request_key)
    row = insert(Ticket).values(
        kind=kind, subject=subject, status=TicketStatus.NEW, title=title, description=description,
        opened_by_id=viewer.user_id, opened_at=now, updated_at=now, request_key=key, search_text="", **place,
    )  # fmt: skip
    new_id = session.scalar(row.on_conflict_do_nothing(index_elements=["request_key"]).returning(Ticket.id))
    if new_id is None:  # the form was sent twice; the first one is committed by now
        return get_ticket(session, viewer, session.scalars(select(Ticket.id).where(Ticket.request_key == key)).one())
    ticket = get_ticket(session, viewer, new_id)
    ticket.search_text = finding.search_text_of(ticket)
    session.add(TicketEvent(ticket_id=ticket.id, at=now, status=TicketStatus.NEW, by=viewer.name))
    for mail in mails.owe_for_opening(session, ticket, viewer, now):
        after_commit(session, tasks.send_mail.delay, str(mail.id))
    after_commit(session, metrics.tickets_opened.labels(kind).inc)
    return _done(session, viewer, ticket)


def assign_ticket(session: Session, viewer: Viewer, ticket: Ticket, to_id: UUID, now: datetime) -> Ticket:
    """Give it to one of the operator's staff. A visit planned by somebody else is planned no more."""
    _begin(session, viewer, ticket, Verb.ASSIGN)
    person = _staff_member(session, to_id, now)
    if ticket.status is TicketStatus.ASSIGNED and ticket.assigned_to_id == to_id:
        return get_ticket(session, viewer, ticket.id)  # said twice
    session.add(ticket.move(Verb.ASSIGN, by=viewer.name, at=now, note=f"Confié à {person.name}"))
    ticket.assigned_to_id, ticket.planned_for = person.id, None
    return _done(session, viewer, ticket)


def plan_ticket(session: Session, viewer: Viewer, ticket: Ticket, planned_for: datetime, now: datetime) -> Ticket:
    """Say when somebody will see to it; again to change the moment. Raise Invalid for a moment in the past,
    or years ahead."""
    if planned_for.tzinfo is None or planned_for <= now:
        raise Invalid("ticket.planned_in_the_past", "Choisissez une date à venir.")
    if planned_for - now > FARTHEST_PLAN:
        raise Invalid("ticket.planned_too_far", "Choisissez une date dans les deux ans.")
    _begin(session, viewer, ticket, Verb.PLAN)
    note = f"Planifié pour le {planned_for.astimezone(mails.PARIS):%d/%m/%Y à %H:%M}"
    session.add(ticket.move(Verb.PLAN, by=viewer.name, at=now, note=note))
    ticket.planned_for = planned_for
    return _done(session, viewer, ticket)


def hold_ticket(session: Session, viewer: Viewer, ticket: Ticket, note: str, now: datetime) -> Ticket:
    """Wait for somebody or something else; the note, which everyone on the ticket reads, says for what."""
    note = text_of(note, "ticket.no_note", "Dites ce qui est attendu, et de qui.")
    _begin(session, viewer, ticket, Verb.HOLD)
    session.add(ticket.move(Verb.HOLD, by=viewer.name, at=now, note=note))
    ticket.planned_for = None
    return _done(session, viewer, ticket)


def resume_ticket(session: Session, viewer: Viewer, ticket: Ticket, now: datetime) -> Ticket:
    """What was awaited has come: back to whoever had it."""
    _begin(session, viewer, ticket, Verb.RESUME)
    session.add(ticket.move(Verb.RESUME, by=viewer.name, at=now))
    return _done(session, viewer, ticket)


def solve_ticket(session: Session, viewer: Viewer, ticket: Ticket, resolution: str, now: datetime) -> Ticket:
    """Say how it was solved; the other side may then close or reopen it."""
    resolution = text_of(resolution, "ticket.no_resolution", "Dites comment le problème a été résolu.")
    _begin(session, viewer, ticket, Verb.SOLVE)
    session.add(ticket.move(Verb.SOLVE, by=viewer.name, at=now, note=resolution))
    ticket.resolution, ticket.solved_at, ticket.planned_for = resolution, now, None
    return _done(session, viewer, ticket)


def close_ticket(session: Session, viewer: Viewer, ticket: Ticket, now: datetime, note: str = "") -> Ticket:
    """Accept the solution, or withdraw a ticket that nobody took yet. Nothing moves it afterwards."""
    _begin(session, viewer, ticket, Verb.CLOSE)
    session.add(ticket.move(Verb.CLOSE, by=viewer.name, at=now, note=_short(note)))
    ticket.closed_at = now
    after_commit(session, metrics.tickets_closed.labels(ticket.kind).inc)
    return _done(session, viewer, ticket)


def reopen_ticket(session: Session, viewer: Viewer, ticket: Ticket, note: str, now: datetime) -> Ticket:
    """The solution does not hold: back to whoever had it, with the reason."""
    note = text_of(note, "ticket.no_note", "Dites ce qui ne va toujours pas.")
    _begin(session, viewer, ticket, Verb.REOPEN)
    session.add(ticket.move(Verb.REOPEN, by=viewer.name, at=now, note=note))
    ticket.solved_at, ticket.resolution = None, None
    return _done(session, viewer, ticket)


def follow_up(
    session: Session,
    viewer: Viewer,
    ticket: Ticket,
    body: str,
    is_public: bool,
    now: datetime,
    request_key: str | None = None,
) -> Ticket:
    """Say something on it; not public means for the operator's staff only. The same key again changes nothing."""
    body = text_of(body, "ticket.no_body", "Écrivez votre message.")
    if not is_public and not is_staff_of(viewer, ticket):
        raise NotAllowed("ticket.internal_is_staff_only", "Seuls les techniciens écrivent des notes internes.")
    _begin(session, viewer, ticket, Verb.FOLLOW_UP)
    key = own_key(viewer, request_key)
    if key is None or session.scalar(select(FollowUp.id).where(FollowUp.request_key == key)) is None:
        said = FollowUp(ticket_id=ticket.id, at=now, by=viewer.name, body=body, is_public=is_public, request_key=key)
        session.add(said)
        if is_public:  # an internal note must not show through the date either
            ticket.updated_at = now
    return _done(session, viewer, ticket)


def _place(
    session: Session,
    viewer: Viewer,
    subject: TicketSubject,
    school: School | None,
    device: Device | None,
    collectivity: Collectivity | None,
) -> dict[str, UUID | None]:
    """Whose ticket it is; raise NotFound for what the viewer does not see, Invalid when its subject is missing."""
    if device is not None:
        device = devices.get_device(session, viewer, device.id)
        if school is not None and school.id != device.school_id:
            raise Invalid("ticket.other_school", "Cet appareil n’est pas dans cette école.")
        school = device.school
    elif school is not None:
        school = schools.get_school(session, viewer, school.id)
    if subject is TicketSubject.DEVICE and device is None:
        raise Invalid("ticket.no_device", "Choisissez l’appareil concerné.")
    if subject is TicketSubject.SCHOOL and school is None:
        raise Invalid("ticket.no_school", "Choisissez l’école concernée.")
    if school is not None:
        owner_id = school.collectivity_id
    elif collectivity is not None:
        owner_id = collectivities.get_collectivity(session, viewer, collectivity.id).id
    else:
        raise Invalid("ticket.no_place", "Choisissez l’école ou la collectivité concernée.")
    return {
        "collectivity_id": owner_id,
        "school_id": school.id if school else None,
        "device_id": device.id if device else None,
    }


def one_line(title: str) -> str:
    """The title with its spaces and line ends reduced; raise Invalid when it is empty or too long."""
    title = " ".join("".join(c if c.isprintable() else " " for c in title).split())
    if not title:
        raise Invalid("ticket.no_title", "Donnez un titre.")
    if len(title) > MAX_TITLE:
        raise Invalid("ticket.title_too_long", f"Le titre dépasse {MAX_TITLE} caractères.")
    return title


def own_key(viewer: Viewer, request_key: str | None) -> str | None:
    """The key of a form as stored: with its person, so that nobody meets another's. Raise Invalid for no plain text."""
    if not request_key:
        return None
    if len(request_key) > 100 or not (request_key.isascii() and request_key.isprintable()):
        raise Invalid("ticket.bad_key", "Ce formulaire est abîmé. Rechargez la page.")
    return f"{viewer.user_id}:{request_key}"


def text_of(typed: str, code: str, detail: str) -> str:
    """What was typed, trimmed; raise Invalid when nothing is left or it is too long."""
    typed = _short(typed)
    if not typed:
        raise Invalid(code, detail)
    return typed


def _short(typed: str) -> str:
    typed = typed.replace("\x00", "").encode("utf-8", "ignore").decode().strip()  # no NUL, no half of a character
    if len(typed) > MAX_TEXT:
        raise Invalid("ticket.too_long", f"Ce texte dépasse {MAX_TEXT} caractères.")
    return typed


def _begin(session: Session, viewer: Viewer, ticket: Ticket, verb: Verb) -> None:
    """Rights, then the row's lock, then whether the ticket is still as the caller read it and may take this step."""
    if not may(viewer, ticket, verb):
        raise NotAllowed("ticket.not_allowed", "Seule l’équipe de l’ADICA peut faire cela sur ce ticket.")
    read = (ticket.status, ticket.assigned_to_id, ticket.planned_for)
    columns = ["status", "assigned_to_id", "planned_for"]
    session.refresh(ticket, attribute_names=columns, with_for_update={"of": Ticket})
    ticket.must_allow(verb)
    if verb is not Verb.FOLLOW_UP and read != (ticket.status, ticket.assigned_to_id, ticket.planned_for):
        raise TicketChanged(ticket.status)


def _staff_member(session: Session, user_id: UUID, now: datetime) -> User:
    person = next((user for user in accounts.list_staff(session, now) if user.id == user_id), None)
    if person is None:
        raise Invalid("ticket.not_staff", "Choisissez une personne de l’équipe de l’ADICA.")
    return person


def _done(session: Session, viewer: Viewer, ticket: Ticket) -> Ticket:
    session.flush()
    return get_ticket(session, viewer, ticket.id)
