"""HTTP shapes of what people decide: layers, rooms, networks, labels, schedules, policies, history."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from filter.settings import BlockMode, Verdict, YouTube
from fleet.bodies import AS_TEXT, STRICT, BodyUuid
from fleet.filtering.policy.layers import (
    BlockModeLine,
    BypassLine,
    CategoryLine,
    EngineLine,
    LayerSettings,
    Mark,
    NameLine,
    RewriteLine,
    YouTubeLine,
)

Name = Annotated[str, Field(min_length=1, max_length=400)]
Category = Annotated[str, Field(min_length=1, max_length=80)]
Names = Annotated[list[Name], Field(max_length=5000)]
Categories = Annotated[list[Category], Field(max_length=300)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$")]
Title = Annotated[str, Field(min_length=1, max_length=80)]
BodyVerdict = Annotated[Verdict, AS_TEXT]


class FromRow(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class PlaceIn(BaseModel):
    """At most one node; none is the operator's."""

    model_config = STRICT

    collectivity_id: BodyUuid | None = None
    school_id: BodyUuid | None = None
    room_id: BodyUuid | None = None


class LineIn(BaseModel):
    model_config = STRICT

    locked: bool = False

    @property
    def mark(self) -> Mark:
        return Mark(self.locked)


class CategoryIn(LineIn):
    category: Category
    verdict: BodyVerdict
    schedule: Slug | None = None
    otherwise: BodyVerdict = Verdict.NEUTRAL


class NameIn(LineIn):
    name: Name
    verdict: BodyVerdict
    reason: Annotated[str, Field(max_length=400)] = ""


class EngineIn(LineIn):
    engine: Annotated[str, Field(min_length=1, max_length=40)]
    on: bool = True


class RewriteIn(LineIn):
    name: Name
    answers: Annotated[list[Name], Field(min_length=1, max_length=20)]


class YouTubeIn(LineIn):
    level: Annotated[YouTube, AS_TEXT]


class BlockModeIn(LineIn):
    mode: Annotated[BlockMode, AS_TEXT]


class BypassIn(LineIn):
    closed: bool


class LayerIn(PlaceIn):
    """All that a node says of a profile, or of all profiles; what is left out it does not say."""

    profile_id: BodyUuid | None = None
    categories: Annotated[list[CategoryIn], Field(max_length=300)] = []
    names: Annotated[list[NameIn], Field(max_length=5000)] = []
    engines: Annotated[list[EngineIn], Field(max_length=50)] = []
    rewrites: Annotated[list[RewriteIn], Field(max_length=500)] = []
    youtube: YouTubeIn | None = None
    block_mode: BlockModeIn | None = None
    bypass: BypassIn | None = None

    def says(self) -> LayerSettings:
        return LayerSettings(
            categories=tuple(
                CategoryLine(i.category, i.verdict, i.schedule, i.otherwise, i.mark) for i in self.categories
            ),
            names=tuple(NameLine(i.name, i.verdict, " ".join(i.reason.split()), i.mark) for i in self.names),
            engines=tuple(EngineLine(i.engine, i.on, i.mark) for i in self.engines),
            rewrites=tuple(RewriteLine(i.name, tuple(i.answers), i.mark) for i in self.rewrites),
            youtube=YouTubeLine(self.youtube.level, self.youtube.mark) if self.youtube else None,
            block_mode=BlockModeLine(self.block_mode.mode, self.block_mode.mark) if self.block_mode else None,
            bypass=BypassLine(self.bypass.closed, self.bypass.mark) if self.bypass else None,
        )


class LayerOut(FromRow):
    id: UUID
    profile_id: UUID | None
    collectivity_id: UUID | None
    school_id: UUID | None
    room_id: UUID | None
    content: dict[str, object]
    updated_at: datetime
    updated_by: str


class SaysOut(BaseModel):
    """What a node says now; who said it last, and when: nobody while it is silent."""

    content: dict[str, object]
    updated_at: datetime | None
    updated_by: str


class SaidOut(BaseModel):
    """One line that stands: what it says, which layer said it, and who wrote it."""

    part: str
    key: str
    says: dict[str, object]
    layer: str
    locked: bool
    by: str
    at: datetime | None


class OverrideBrief(BaseModel):
    id: UUID
    verdict: Verdict
    names: list[str]
    categories: list[str]
    reason: str
    by: str
    starts: datetime
    ends: datetime
    layer: str


class EffectiveOut(BaseModel):
    """What stands for the clients of a profile on a node, once every layer has spoken."""

    slug: str
    lines: list[SaidOut]
    overrides: list[OverrideBrief]


class ProfileBrief(FromRow):
    id: UUID
    slug: str
    name: str


class ProfileUse(BaseModel):
    """A profile that clients of a school have, and where."""

    profile: ProfileBrief
    room_id: UUID | None
    networks: list[str]
    devices: int


class RoomIn(BaseModel):
    model_config = STRICT

    school_id: BodyUuid
    name: Title


class RoomNameIn(BaseModel):
    model_config = STRICT

    name: Title


class RoomOut(FromRow):
    id: UUID
    school_id: UUID
    name: str


class LabelIn(BaseModel):
    model_config = STRICT

    profile_id: BodyUuid
    room_id: BodyUuid | None = None


class LabelOut(BaseModel):
    device_id: UUID
    asset_tag: str
    device: str
    profile_id: UUID
    room_id: UUID | None


class PolicyOut(FromRow):
    id: UUID
    serial: int
    digest: str
    size: int
    made_at: datetime
    by: str | None
    why: str


class EventOut(FromRow):
    id: UUID
    at: datetime
    by: str | None
    verb: str
    subject: str
    subject_id: UUID | None
    school_id: UUID | None
    collectivity_id: UUID | None
    before: dict[str, object] | None
    after: dict[str, object] | None
