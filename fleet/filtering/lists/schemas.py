"""HTTP shapes of sources and of what they sent."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import STRICT
from fleet.filtering.lists.holds import reasons
from fleet.filtering.lists.terms import Changes
from fleet.filtering.models import ContentState, FetchOutcome, FilterSource, SourceContent

Title = Annotated[str, Field(min_length=1, max_length=120)]
Address = Annotated[str, Field(min_length=1, max_length=2000)]
Word = Annotated[str, Field(max_length=64)]
Hour = Annotated[int, Field(ge=0, le=24)]
Categories = Annotated[dict[Word, Word], Field(max_length=500)]


class SourceChangesIn(BaseModel):
    """What changes; what is not given stays."""

    model_config = STRICT

    title: Title | None = None
    url: Address | None = None
    format: Word | None = None
    category: Word | None = None
    categories: Categories | None = None
    licence: Annotated[str, Field(max_length=200)] | None = None
    is_internal: bool | None = None
    checksum_url: Address | None = None
    quiet_from: Hour | None = None
    quiet_until: Hour | None = None
    every_hours: int | None = None
    shrink_percent: int | None = None
    growth_percent: int | None = None
    popular_limit: int | None = None
    is_enabled: bool | None = None

    def given(self) -> Changes:
        """The fields that were sent. ``null`` empties what may be empty."""
        empty = {"checksum_url", "quiet_from", "quiet_until"}
        sent = self.model_dump(exclude_unset=True)
        told = {name: value for name, value in sent.items() if value is not None or name in empty}
        return msgspec.convert(told, Changes)


class SourceIn(SourceChangesIn):
    """A new source."""

    slug: Word
    title: Title
    url: Address


class SourceOut(BaseModel):
    """A source and how its last fetch went."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    title: str
    url: str | None
    format: str
    category: str
    categories: dict[str, str]
    licence: str
    is_internal: bool
    checksum_url: str | None
    quiet_from: int | None
    quiet_until: int | None
    every_hours: int
    shrink_percent: int
    growth_percent: int
    popular_limit: int
    is_enabled: bool
    added_at: datetime
    due_at: datetime | None
    checked_at: datetime | None
    outcome: FetchOutcome | None
    reason: str
    failures: int


class ContentOut(BaseModel):
    """What a source sent: its lists, and why it is held."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    source_id: UUID
    state: ContentState
    fetched_at: datetime
    size: int
    digest: str | None
    format: str
    names: int
    report: dict[str, object]
    doubts: list[dict[str, object]]
    decided_at: datetime | None
    decided_by: str | None


class HeldOut(BaseModel):
    """What waits for a person, and why, in French."""

    source: SourceOut
    content: ContentOut
    reasons: list[str]

    @classmethod
    def of(cls, source: FilterSource, content: SourceContent) -> Self:
        """The rows as they are shown."""
        return cls(
            source=SourceOut.model_validate(source),
            content=ContentOut.model_validate(content),
            reasons=reasons(content.doubts),
        )
