"""Tickets: opened, assigned, planned, solved, closed; every move leaves an event."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.accounts.models import User
from fleet.collectivities.models import Collectivity
from fleet.db import Base, HasId, search_index
from fleet.devices.models import Device
from fleet.errors import Conflict
from fleet.owed_mail import OwedMail
from fleet.schools.models import School


class TicketKind(StrEnum):
    INCIDENT = "incident"
    REQUEST = "request"

    @property
    def label(self) -> str:
        return {"incident": "Incident", "request": "Demande"}[self]


class TicketSubject(StrEnum):
    DEVICE = "device"
    SCHOOL = "school"
    ENT = "ent"

    @property
    def label(self) -> str:
        return {"device": "Matériel", "school": "École", "ent": "ENT"}[self]


class TicketStatus(StrEnum):
    NEW = "new"
    ASSIGNED = "assigned"
    PLANNED = "planned"
    PENDING = "pending"
    SOLVED = "solved"
    CLOSED = "closed"

    @property
    def label(self) -> str:
        return STATUS_LABELS[self]


STATUS_LABELS = {
    TicketStatus.NEW: "Nouveau",
    TicketStatus.ASSIGNED: "Confié",
    TicketStatus.PLANNED: "Planifié",
    TicketStatus.PENDING: "En attente",
    TicketStatus.SOLVED: "Résolu",
    TicketStatus.CLOSED: "Clos",
}
"""What people read."""


class Verb(StrEnum):
    """What a person may do to a ticket; the route has the same name."""

    ASSIGN = "assign"
    PLAN = "plan"
    HOLD = "hold"
    RESUME = "resume"
    SOLVE = "solve"
    CLOSE = "close"
    REOPEN = "reopen"
    FOLLOW_UP = "follow_up"


class Step(NamedTuple):
    """From which statuses a verb may be done, and where it leads; None: the ticket stays as it is."""

    starts: frozenset[TicketStatus]
    end: TicketStatus | None


NEW, ASSIGNED, PLANNED = TicketStatus.NEW, TicketStatus.ASSIGNED, TicketStatus.PLANNED
PENDING, SOLVED, CLOSED = TicketStatus.PENDING, TicketStatus.SOLVED, TicketStatus.CLOSED

STEPS: Mapping[Verb, Step] = {
    Verb.ASSIGN: Step(frozenset({NEW, ASSIGNED, PLANNED, PENDING}), ASSIGNED),  # assigned already: handed over
    Verb.PLAN: Step(frozenset({ASSIGNED, PLANNED}), PLANNED),  # planned already: at another moment
    Verb.HOLD: Step(frozenset({ASSIGNED, PLANNED}), PENDING),
    Verb.RESUME: Step(frozenset({PENDING}), ASSIGNED),
    Verb.SOLVE: Step(frozenset({ASSIGNED, PLANNED}), SOLVED),
    Verb.CLOSE: Step(frozenset({NEW, SOLVED}), CLOSED),  # new: withdrawn, or a duplicate
    Verb.REOPEN: Step(frozenset({SOLVED}), ASSIGNED),
    Verb.FOLLOW_UP: Step(frozenset(TicketStatus) - {CLOSED}, None),
}
"""Every legal move, here and nowhere else."""


class TicketMoveRefused(Conflict):
    def __init__(self, present: TicketStatus, wanted: TicketStatus) -> None:
        super().__init__(
            "ticket.move_refused", f"Un ticket « {present.label} » ne peut pas passer à « {wanted.label} »."
        )


class Ticket(HasId, Base):
    """One incident or request of one collectivity."""

    __tablename__ = "tickets"
    __table_args__ = (
        search_index("tickets"),
        # What lists are sorted by, with the id that settles ties: a far page is counted off in the index alone.
        Index("ix_tickets_number_id", "number", "id"),
        Index("ix_tickets_title", "title", "id"),
        # What a collectivity's page shows: few of its tickets are open.
        Index(
            "ix_tickets_open_of_collectivity", "collectivity_id", "number", postgresql_where=text("status <> 'closed'")
        ),
        Index("ix_tickets_updated_at", "updated_at", "id"),
        Index("ix_tickets_planned_for", "planned_for", "id"),
    )

    number: Mapped[int] = mapped_column(Identity(), unique=True)
    kind: Mapped[TicketKind]
    subject: Mapped[TicketSubject]
    status: Mapped[TicketStatus] = mapped_column(default=TicketStatus.NEW, index=True)
    title: Mapped[str]
    description: Mapped[str]
    collectivity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("collectivities.id"), index=True)
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id"), index=True)
    device_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("devices.id"), index=True)
    opened_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"))  # None: a monitor
    assigned_to_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id"), index=True)
    opened_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    planned_for: Mapped[datetime | None]
    solved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[str | None]
    request_key: Mapped[str | None] = mapped_column(unique=True)  # from the form: sent twice, opened once
    search_text: Mapped[str] = mapped_column(default="")

    collectivity: Mapped[Collectivity] = relationship(lazy="raise")
    school: Mapped[School | None] = relationship(lazy="raise")
    device: Mapped[Device | None] = relationship(lazy="raise")
    opened_by: Mapped[User | None] = relationship(lazy="raise", foreign_keys=[opened_by_id])
    assigned_to: Mapped[User | None] = relationship(lazy="raise", foreign_keys=[assigned_to_id])
    events: Mapped[list["TicketEvent"]] = relationship(
        lazy="raise", order_by="(TicketEvent.at, TicketEvent.number)", passive_deletes=True
    )
    follow_ups: Mapped[list["FollowUp"]] = relationship(
        lazy="raise", order_by="(FollowUp.at, FollowUp.number)", passive_deletes=True
    )

    def must_allow(self, verb: Verb) -> None:
        """Raise Conflict, saying why, unless the verb is legal from the present status."""
        starts, end = STEPS[verb]
        if self.status in starts:
            return
        if end is None:
            raise Conflict("ticket.closed", "Ce ticket est clos. Ouvrez-en un nouveau.")
        if verb is Verb.ASSIGN and self.status is SOLVED:
            raise Conflict("ticket.reopen_first", "Ce ticket est résolu. Rouvrez-le avant de le confier à quelqu’un.")
        raise TicketMoveRefused(self.status, end)

    def move(self, verb: Verb, *, by: str | None, at: datetime, note: str = "") -> "TicketEvent":
        """Take a legal step and return the event that tells it; raise Conflict for another."""
        self.must_allow(verb)
        self.status, self.updated_at = STEPS[verb].end or self.status, at
        return TicketEvent(ticket_id=self.id, at=at, status=self.status, by=by, note=note)


class TicketEvent(HasId, Base):
    """One move of a ticket. ``by`` is a name that outlives the account; None is the system."""

    __tablename__ = "ticket_events"
    __table_args__ = (Index("ix_ticket_events_ticket_id_at", "ticket_id", "at"),)

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(BigInteger, Identity())  # order of what happened in the same instant
    at: Mapped[datetime]
    status: Mapped[TicketStatus]
    by: Mapped[str | None]
    note: Mapped[str] = mapped_column(default="")


class FollowUp(HasId, Base):
    """Something said on a ticket. Internal ones are for the operator's staff only."""

    __tablename__ = "ticket_follow_ups"
    __table_args__ = (Index("ix_ticket_follow_ups_ticket_id_at", "ticket_id", "at"),)

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"))
    number: Mapped[int] = mapped_column(BigInteger, Identity())  # order of what happened in the same instant
    at: Mapped[datetime]
    by: Mapped[str]
    body: Mapped[str]
    is_public: Mapped[bool] = mapped_column(default=True)
    request_key: Mapped[str | None] = mapped_column(unique=True)


class MailOccasion(StrEnum):
    """Why a mail is owed."""

    OPENED = "opened"  # to the operator's staff
    RECEIVED = "received"  # to whoever opened it


class TicketMail(OwedMail, Base):
    """One mail owed for a ticket."""

    __tablename__ = "ticket_mails"
    __table_args__ = (UniqueConstraint("ticket_id", "occasion", "recipient"),)

    ticket_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("tickets.id", ondelete="CASCADE"), index=True)
    occasion: Mapped[MailOccasion]
