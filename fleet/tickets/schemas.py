"""HTTP shapes of tickets."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import AS_TEXT, STRICT, BodyMoment, BodyUuid
from fleet.collectivities.schemas import CollectivityBrief
from fleet.scope import Viewer
from fleet.tickets.models import MailOccasion, Ticket, TicketKind, TicketStatus, TicketSubject, Verb
from fleet.tickets.rights import legal_moves

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
Key = Annotated[
    str, Field(min_length=8, max_length=100, description="Choisie par le formulaire : envoyé deux fois, fait une fois.")
]


class OpeningIn(BaseModel):
    """A ticket on a device, a school or an ENT question; the subject says which of the ids must be there."""

    model_config = STRICT

    kind: Annotated[TicketKind, AS_TEXT]
    subject: Annotated[TicketSubject, AS_TEXT]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    description: Text
    school_id: BodyUuid | None = None
    device_id: BodyUuid | None = None
    collectivity_id: BodyUuid | None = None
    request_key: Key | None = None


class AssignmentIn(BaseModel):
    model_config = STRICT

    to_id: BodyUuid


class PlanIn(BaseModel):
    model_config = STRICT

    planned_for: BodyMoment


class NoteIn(BaseModel):
    model_config = STRICT

    note: Text


class ResolutionIn(BaseModel):
    model_config = STRICT

    resolution: Text


class ClosingIn(BaseModel):
    model_config = STRICT

    note: Annotated[str, Field(max_length=10_000)] = ""


class FollowUpIn(BaseModel):
    model_config = STRICT

    body: Text
    is_public: bool = True
    request_key: Key | None = None


class FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PersonBrief(FromRow):
    id: UUID
    name: str


class SchoolBrief(FromRow):
    id: UUID
    uai: str
    name: str


class DeviceBrief(FromRow):
    id: UUID
    asset_tag: str
    name: str


class EventOut(FromRow):
    at: datetime
    status: TicketStatus
    by: str | None
    note: str


class FollowUpOut(FromRow):
    id: UUID
    at: datetime
    by: str
    body: str
    is_public: bool


class MailOut(FromRow):
    """A mail owed: waiting while neither ``sent_at`` nor ``gave_up_at`` is there."""

    occasion: MailOccasion
    recipient: str
    queued_at: datetime
    attempts: int
    next_attempt_at: datetime
    sent_at: datetime | None
    gave_up_at: datetime | None
    error: str | None


class TicketBrief(FromRow):
    """A ticket as lists show it."""

    id: UUID
    number: int
    kind: TicketKind
    subject: TicketSubject
    status: TicketStatus
    title: str
    collectivity: CollectivityBrief
    school: SchoolBrief | None
    device: DeviceBrief | None
    opened_by: PersonBrief | None
    assigned_to: PersonBrief | None
    opened_at: datetime
    updated_at: datetime
    planned_for: datetime | None
    solved_at: datetime | None
    closed_at: datetime | None


class TicketOut(TicketBrief):
    """A ticket with all that was done and said, and what the caller may do next."""

    description: str
    resolution: str | None
    events: list[EventOut]
    follow_ups: list[FollowUpOut]
    moves: list[Verb] = []

    @classmethod
    def of(cls, viewer: Viewer, ticket: Ticket) -> Self:
        """The ticket as this viewer gets it."""
        shown = cls.model_validate(ticket)
        shown.moves = sorted(legal_moves(viewer, ticket))
        return shown
