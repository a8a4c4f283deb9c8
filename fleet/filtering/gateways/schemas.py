"""HTTP shapes of the conversation with filters: their reports, and what people ask of them on the block page."""

import json
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from fleet.bodies import BodyMoment, BodyUuid


def on_the_hour(at: datetime) -> datetime:
    if (at.minute, at.second, at.microsecond) != (0, 0, 0):
        raise ValueError("an hour starts at minute 0")
    return at


Hour = Annotated[BodyMoment, AfterValidator(on_the_hour)]
Word = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
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
    category: Annotated[str, Field(pattern=r"^[a-z0-9_:-]{0,80}$")] = ""
    queries: Annotated[int, Field(ge=0, le=2**53)]


class SchoolCountIn(CountIn):
    """The same of one school's queries: a filter may serve several."""

    school: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,20}$")]


class ReportIn(BaseModel):
    """How a filter is, and its counts by hour since its run began."""

    model_config = CONTRACT

    version: Annotated[str, Field(pattern=r"^[ -~]{1,40}$")]
    run: Annotated[str, Field(pattern=r"^[0-9a-zA-Z-]{8,64}$")]
    started_at: BodyMoment
    bundle_serial: Annotated[int, Field(ge=0, le=2**62)] | None = None
    bundle_digest: Digest | None = None
    policy_serial: Annotated[int, Field(ge=0, le=2**62)] | None = None
    policy_digest: Digest | None = None
    health: Annotated[dict[str, JsonValue], AfterValidator(storable)] = {}
    counts: Annotated[list[CountIn], Field(max_length=20_000)] = []
    school_counts: Annotated[list[SchoolCountIn], Field(max_length=20_000)] = []


class RequestIn(BaseModel):
    """Somebody who met the block page asks for a name. The filter made the id, and sends it until it is taken."""

    model_config = CONTRACT

    id: BodyUuid
    name: Annotated[str, Field(min_length=1, max_length=255)]
    reason: Annotated[str, Field(max_length=1000)] = ""
    contact: Annotated[str, Field(max_length=200)] = ""
    client_school: Annotated[str, Field(max_length=20)] = ""
    """UAI of the school whose profile blocked, "" when several share it."""
    client_room: Annotated[str, Field(max_length=200)] = ""
    client_profile: Annotated[str, Field(max_length=200)] = ""
    asked_at: BodyMoment
