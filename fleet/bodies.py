"""Request bodies: strict, but for what JSON can only write as text.

FastAPI validates what the JSON parser gave: pydantic's strict mode would then want a UUID object where JSON has text.
These types take the text, and nothing else: no number is a moment, no truth value a number.
"""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, ConfigDict, Field

STRICT = ConfigDict(strict=True, extra="forbid")
"""For every request model."""

AS_TEXT = Field(strict=False)
"""For an enumeration: ``Annotated[TicketKind, AS_TEXT]`` takes its value."""

BodyUuid = Annotated[UUID, AS_TEXT]


def read_moment(value: object) -> object:
    """ISO 8601 text as a datetime; anything else is left for the strict type to refuse."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def to_utc(moment: datetime) -> datetime:
    """The same moment in UTC; raise ValueError for one that UTC has no year for."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("moment beyond the calendar") from error


BodyMoment = Annotated[AwareDatetime, BeforeValidator(read_moment), AfterValidator(to_utc)]
"""ISO 8601 with an offset, as UTC."""
