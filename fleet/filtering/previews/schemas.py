"""HTTP shapes of previews: what people ask and read, what filters are told and answer."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from filter.names import NameRefused, clean_name
from fleet.bodies import AS_TEXT, STRICT, BodyMoment, BodyUuid
from fleet.filtering.gateways.schemas import CONTRACT
from fleet.filtering.policy.schemas import FromRow, LayerIn
from fleet.filtering.previews.models import PreviewKind, PreviewOutcome, PreviewState


class LayerPreviewIn(LayerIn):
    """An edit of a layer, as `PUT /layers` takes it."""

    kind: Literal["layer"]
    judged_at: BodyMoment | None = None


class ContentPreviewIn(BaseModel):
    """Accepting a held content; or publishing the controller's folder, by the id of its source."""

    model_config = STRICT

    kind: Literal["content"]
    content_id: BodyUuid
    judged_at: BodyMoment | None = None


class ReturnPreviewIn(BaseModel):
    """Going back to an earlier publication."""

    model_config = STRICT

    kind: Literal["return"]
    publication_id: BodyUuid
    judged_at: BodyMoment | None = None


PreviewIn = Annotated[LayerPreviewIn | ContentPreviewIn | ReturnPreviewIn, Field(discriminator="kind")]


class PreviewOut(FromRow):
    """A question, as it was asked."""

    id: UUID
    kind: PreviewKind
    subject: str
    profile_id: UUID | None
    collectivity_id: UUID | None
    school_id: UUID | None
    room_id: UUID | None
    source_id: UUID | None
    content_id: UUID | None
    publication_id: UUID | None
    asked_by: str
    asked_at: datetime
    judged_at: datetime
    ends_at: datetime | None
    threshold: int
    days: int
    state: PreviewState
    reason: str


class FilterSaidOut(FromRow):
    name: str
    outcome: PreviewOutcome
    judged: int
    withheld: int
    truncated: bool
    answered_at: datetime


class ChangedNameOut(FromRow):
    name: str
    blocked: bool
    queries: int
    devices: int
    filters: list[str]
    profiles: list[str]
    rule: str
    category: str | None
    lists: list[str]
    suffix: str | None
    layer: str


class PreviewResultOut(FromRow):
    """What is known of a preview by now."""

    preview: PreviewOut
    state: PreviewState
    reason: str
    awaited: list[str]
    answered: list[FilterSaidOut]
    silent: list[str]
    outcomes: dict[PreviewOutcome, int]
    changes: list[ChangedNameOut]
    judged: int
    withheld: int
    truncated: bool
    lists_changed: bool
    settings_changed: bool


class NamesToJudge(BaseModel):
    """Names that are a delta away from those in force."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    from_: Annotated[str, Field(alias="from")]
    to: str


class QuestionOut(BaseModel):
    """What a filter is told of a question. Tags are ``<digest>.<serial>``; None: that file stays as it is."""

    id: UUID
    judged_at: datetime
    ends_at: datetime | None
    threshold: int
    days: int
    policy: str | None
    names: NamesToJudge | None


def as_compared(name: str) -> str:
    """A domain name in the form that filters count."""
    try:
        cleaned = clean_name(name)
    except NameRefused as error:
        raise ValueError("no domain name") from error
    if cleaned != name:
        raise ValueError("not as names are compared")
    return name


Name = Annotated[str, Field(max_length=253), AfterValidator(as_compared)]
Slug = Annotated[str, Field(pattern=r"^[0-9A-Za-z@/_-]{1,120}$")]
Amount = Annotated[int, Field(ge=0, le=2**53)]
Suffix = Annotated[str, Field(max_length=255, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A name, or its pattern ``*.name``."""
Text = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ChangeIn(BaseModel):
    """A name whose verdict changes, as one filter tells it."""

    model_config = CONTRACT

    name: Name
    blocked: bool
    queries: Amount
    clients: Amount
    profiles: Annotated[list[Slug], Field(min_length=1, max_length=50)]
    rule: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    category: Annotated[str, Field(pattern=r"^[a-z0-9_:-]{1,80}$")] | None = None
    lists: Annotated[list[Text], Field(max_length=20)] = []
    suffix: Suffix | None = None
    layer: Text = ""


class AnswerIn(BaseModel):
    """What a filter found."""

    model_config = CONTRACT

    outcome: Annotated[PreviewOutcome, AS_TEXT]
    judged: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    withheld: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    truncated: bool = False
    changes: Annotated[list[ChangeIn], Field(max_length=500)] = []
