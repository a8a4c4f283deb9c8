"""HTTP shapes of filtering, for people; those for filters are in gateways/schemas.py."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import STRICT, BodyUuid
from fleet.filtering.models import PublicationState

Categories = Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=200)]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(max_length=5000)]


class ProfileIn(BaseModel):
    """What changes; what is not given stays."""

    model_config = STRICT

    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    blocked_categories: Categories | None = None
    allowed_categories: Categories | None = None
    denied_names: Names | None = None
    allowed_names: Names | None = None


class NewProfileIn(BaseModel):
    model_config = STRICT

    slug: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
    name: Annotated[str, Field(min_length=1, max_length=80)]


class FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ProfileOut(FromRow):
    id: UUID
    slug: str
    name: str
    is_default: bool
    blocked_categories: list[str]
    allowed_categories: list[str]
    denied_names: list[str]
    allowed_names: list[str]
    updated_at: datetime


class NetworkIn(BaseModel):
    model_config = STRICT

    cidr: Annotated[str, Field(min_length=1, max_length=64)]
    profile_id: BodyUuid
    school_id: BodyUuid | None = None
    room_id: BodyUuid | None = None


class NetworkOut(FromRow):
    id: UUID
    cidr: str
    profile_id: UUID
    school_id: UUID | None
    room_id: UUID | None


class NetworkAdded(NetworkOut):
    """The network, and what whoever added it should know of it."""

    warning: str | None


class PublicationOut(FromRow):
    id: UUID
    serial: int
    state: PublicationState
    requested_at: datetime
    requested_by: str | None
    started_at: datetime | None
    published_at: datetime | None
    digest: str | None
    size: int | None
    report: dict[str, object]
    error: str | None
    returns_to: UUID | None


class FilterOut(FromRow):
    """A filter as it last reported itself; nothing of its credential."""

    id: UUID
    name: str
    school_id: UUID | None
    registered_at: datetime
    revoked_at: datetime | None
    last_seen_at: datetime | None
    version: str | None
    bundle_serial: int | None
    policy_serial: int | None
    health: dict[str, object]


class TotalOut(FromRow):
    action: str
    category: str
    queries: int


class DecisionOut(FromRow):
    action: str
    rule: str
    category: str | None
    suffix: str | None
    lists: list[str]
    via: str | None
    layer: str
    schedule: str
    reason: str
    until: datetime | None
    ttl: int | None
    entry: str


class ListBrief(FromRow):
    slug: str
    title: str
    category: str
    source: str
    licence: str


class ScheduleStateOut(FromRow):
    slug: str
    name: str
    active: bool
    changes_at: datetime | None


class MatchOut(FromRow):
    """An entry that a list holds for the name or a parent, and what it does in this profile now."""

    suffix: str
    entry: str
    list: ListBrief
    effect: str
    allows: bool
    important: bool
    layer: str
    schedule: ScheduleStateOut | None
    override: str


class LessonBrief(FromRow):
    id: str
    room: str
    title: str
    ends: datetime


class AuthorOut(FromRow):
    """Whose line decided: the layer, the person, and when it was written."""

    layer: str
    by: str
    at: datetime | None
    locked: bool


class ExplainedOut(BaseModel):
    """What the filters answer, and everything found on the way; the first opinion mostly is the decision."""

    serial: int
    policy_serial: int
    name: str
    qtype: int
    client: str | None
    profile: str
    decision: DecisionOut
    author: AuthorOut | None
    lesson: LessonBrief | None
    opinions: list[DecisionOut]
    matches: list[MatchOut]
