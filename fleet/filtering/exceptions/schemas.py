"""HTTP shapes of exceptions: overrides, lessons and their lists of names, requests to unblock."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field

from filter.settings import Verdict
from fleet.bodies import STRICT, BodyMoment, BodyUuid
from fleet.filtering.policy.models import RequestStatus
from fleet.filtering.policy.schemas import BodyVerdict, Categories, FromRow, Name, Names, PlaceIn, Title

Reason = Annotated[str, Field(min_length=1, max_length=400)]
Minutes = Annotated[int, Field(ge=1, le=100_000)]


class OverrideIn(PlaceIn):
    """``starts`` left out: now. ``profile_id`` left out: every profile."""

    profile_id: BodyUuid | None = None
    verdict: BodyVerdict
    names: Names = Field(default_factory=list)
    categories: Categories = Field(default_factory=list)
    reason: Reason
    starts: BodyMoment | None = None
    ends: BodyMoment


class OverrideOut(FromRow):
    id: UUID
    profile_id: UUID | None
    collectivity_id: UUID | None
    school_id: UUID | None
    room_id: UUID | None
    verdict: Verdict
    names: list[str]
    categories: list[str]
    reason: str
    starts: datetime
    ends: datetime
    created_at: datetime
    by: str
    revoked_at: datetime | None
    revoked_by: str | None


class LessonIn(BaseModel):
    model_config = STRICT

    room_id: BodyUuid
    minutes: Minutes
    names: Annotated[list[Name], Field(max_length=200)] = []
    list_id: BodyUuid | None = None
    title: Annotated[str, Field(max_length=80)] = ""


class ProlongIn(BaseModel):
    model_config = STRICT

    minutes: Minutes


class LessonOut(FromRow):
    id: UUID
    school_id: UUID
    room_id: UUID
    title: str
    names: list[str]
    starts: datetime
    ends: datetime
    by: str
    stopped_at: datetime | None
    stopped_by: str | None


class NameListIn(BaseModel):
    """Of a school, or (none) of the operator for every school. A list of the same name there is replaced."""

    model_config = STRICT

    school_id: BodyUuid | None = None
    name: Title
    names: Annotated[list[Name], Field(min_length=1, max_length=200)]


class NameListOut(FromRow):
    id: UUID
    school_id: UUID | None
    name: str
    names: list[str]
    updated_at: datetime
    updated_by: str


class AskingIn(BaseModel):
    model_config = STRICT

    school_id: BodyUuid
    name: Name
    reason: Reason
    profile_id: BodyUuid | None = None


class AllowingIn(BaseModel):
    """Until when and for whom: the school of the request, or everywhere; one profile, or all."""

    model_config = STRICT

    ends: BodyMoment
    profile_id: BodyUuid | None = None
    everywhere: bool = False
    answer: Annotated[str, Field(max_length=400)] = ""


class DecliningIn(BaseModel):
    model_config = STRICT

    answer: Reason


class RequestOut(FromRow):
    id: UUID
    school_id: UUID | None
    room_id: UUID | None
    profile_id: UUID | None
    name: str
    reason: str
    contact: str
    asked_at: datetime
    received_at: datetime
    status: RequestStatus
    answer: str
    answered_at: datetime | None
    answered_by: str | None
    override_id: UUID | None
