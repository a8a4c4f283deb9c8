"""HTTP shapes of filtering: for people, and for filters."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from fleet.bodies import STRICT, BodyMoment, BodyUuid
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


class NetworkOut(FromRow):
    id: UUID
    cidr: str
    profile_id: UUID
    school_id: UUID | None


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
    report: dict[str, Any]
    error: str | None


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
    health: dict[str, Any]


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


class ListBrief(FromRow):
    slug: str
    title: str
    category: str
    source: str
    licence: str


class MatchOut(FromRow):
    """An entry that lists hold for the name or a parent, and which of them the profile blocks or allows."""

    suffix: str
    lists: list[ListBrief]
    blocked: list[str]
    allowed: list[str]


class ExplainedOut(BaseModel):
    """What the filters answer, and everything found on the way; the first opinion is the decision."""

    serial: int
    name: str
    qtype: int
    client: str | None
    profile: str
    decision: DecisionOut
    opinions: list[DecisionOut]
    matches: list[MatchOut]


# --- from filters ------------------------------------------------------------------------------------------------


def on_the_hour(at: datetime) -> datetime:
    if (at.minute, at.second, at.microsecond) != (0, 0, 0):
        raise ValueError("an hour starts at minute 0")
    return at


Hour = Annotated[BodyMoment, AfterValidator(on_the_hour)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
CONTRACT = ConfigDict(strict=True, extra="ignore")
"""Between programs fields are only added: a filter newer than its controller still reports."""
MAX_HEALTH = 16 * 1024


def storable(health: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """What PostgreSQL keeps as JSON, within bounds: no NaN, no NUL, no half of a character."""
    text = json.dumps(health, allow_nan=False, ensure_ascii=False)
    if len(text.encode()) > MAX_HEALTH or "\\u0000" in text:
        raise ValueError("too much, or a NUL")
    return health


class CountIn(BaseModel):
    model_config = CONTRACT

    hour: Hour
    action: Word
    category: Annotated[str, Field(pattern=r"^[a-z0-9_-]{0,64}$")] = ""
    queries: Annotated[int, Field(ge=0, le=2**53)]


class ReportIn(BaseModel):
    """How a filter is, and its counts by hour since its run began."""

    model_config = CONTRACT

    version: Annotated[str, Field(pattern=r"^[ -~]{1,40}$")]
    run: Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{8,64}$")]
    started_at: BodyMoment
    bundle_serial: Annotated[int, Field(ge=0, le=2**62)] | None = None
    bundle_digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    health: Annotated[dict[str, JsonValue], AfterValidator(storable)] = {}
    counts: Annotated[list[CountIn], Field(max_length=20_000)] = []
