"""What people decide about filtering: profiles, what each node says of them, who gets which, exceptions, history."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, LargeBinary, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from filter.settings import Verdict
from fleet.db import Base, HasId
from fleet.filtering.policy.layers import LayerSettings


class OnNode:
    """Columns of a row on one node: a room (with its school), a school, a collectivity, else the operator."""

    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id", ondelete="CASCADE"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_rooms.id", ondelete="CASCADE"))


ONE_NODE = "(collectivity_id IS NULL OR school_id IS NULL) AND (room_id IS NULL OR school_id IS NOT NULL)"


class FilterRoom(HasId, Base):
    """A room of a school, as filtering knows it: lessons run in it, networks and devices are in it."""

    __tablename__ = "filter_rooms"
    __table_args__ = (UniqueConstraint("school_id", "name"),)

    school_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))
    name: Mapped[str]


class FilterLayer(HasId, OnNode, Base):
    """What one node says of one profile, or of all of them (no profile)."""

    __tablename__ = "filter_layers"
    __table_args__ = (
        CheckConstraint(ONE_NODE, name="one_node"),
        UniqueConstraint("profile_id", "collectivity_id", "school_id", "room_id", postgresql_nulls_not_distinct=True),
    )

    profile_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_profiles.id", ondelete="CASCADE"))
    content: Mapped[dict[str, Any]]  # LayerSettings
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]

    @property
    def says(self) -> LayerSettings:
        return msgspec.convert(self.content, LayerSettings)


class FilterProfile(HasId, Base):
    """A kind of client: pupils of an age, staff, screens. One is the default. Its layers say what it may reach."""

    __tablename__ = "filter_profiles"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    is_default: Mapped[bool] = mapped_column(default=False)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    layer: Mapped[FilterLayer | None] = relationship(
        lazy="selectin",
        viewonly=True,
        primaryjoin="and_(FilterLayer.profile_id == FilterProfile.id, FilterLayer.collectivity_id.is_(None), "
        "FilterLayer.school_id.is_(None))",
    )
    """The operator's."""

    @property
    def says(self) -> LayerSettings:
        """What the operator says of it."""
        return self.layer.says if self.layer else LayerSettings()

    @property
    def blocked_categories(self) -> list[str]:
        return [line.category for line in self.says.categories if line.verdict is Verdict.BLOCK]

    @property
    def allowed_categories(self) -> list[str]:
        return [line.category for line in self.says.categories if line.verdict is Verdict.ALLOW]

    @property
    def denied_names(self) -> list[str]:
        return [line.name for line in self.says.names if line.verdict is Verdict.BLOCK]

    @property
    def allowed_names(self) -> list[str]:
        return [line.name for line in self.says.names if line.verdict is Verdict.ALLOW]


class FilterNetwork(HasId, Base):
    """Clients of this network get that profile, as its school and room have it; the longest prefix wins.

    Two schools may have the same one: see fleet.filtering.policy.networks.
    """

    __tablename__ = "filter_networks"
    __table_args__ = (UniqueConstraint("cidr", "school_id", postgresql_nulls_not_distinct=True),)

    cidr: Mapped[str]
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_rooms.id", ondelete="SET NULL"))
    profile_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_profiles.id"))

    profile: Mapped[FilterProfile] = relationship(lazy="raise")


class FilterLabel(Base):
    """A device known by its label, wherever it is: its profile, as its school and the room have it."""

    __tablename__ = "filter_labels"

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    profile_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_profiles.id"))
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_rooms.id", ondelete="SET NULL"))


class FilterSchedule(HasId, Base):
    """When lines that name it hold."""

    __tablename__ = "filter_schedules"

    slug: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    zone_b: Mapped[bool] = mapped_column(
        default=True
    )  # the school holidays of the Aisne are added when it is published
    content: Mapped[dict[str, Any]]  # filter.settings.ScheduleSettings, without what is above
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]


class FilterOverride(HasId, OnNode, Base):
    """A *dérogation*: for a reason and until a date. Taken back early, it keeps the row."""

    __tablename__ = "filter_overrides"
    __table_args__ = (
        CheckConstraint(ONE_NODE, name="one_node"),
        CheckConstraint("ends > starts", name="ends_after_start"),
        Index("ix_filter_overrides_ends", "ends"),
    )

    profile_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_profiles.id", ondelete="CASCADE"))
    verdict: Mapped[Verdict]
    names: Mapped[list[str]] = mapped_column(default=list)
    categories: Mapped[list[str]] = mapped_column(default=list)
    reason: Mapped[str]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    created_at: Mapped[datetime]
    by: Mapped[str]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]


class NameList(HasId, Base):
    """Names that lessons start from; of a school, or of the operator for every school."""

    __tablename__ = "filter_name_lists"
    __table_args__ = (UniqueConstraint("school_id", "name", postgresql_nulls_not_distinct=True),)

    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))
    name: Mapped[str]
    names: Mapped[list[str]]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str]


class Lesson(HasId, Base):
    """For a while a room reaches these names only. It ends by itself."""

    __tablename__ = "filter_lessons"
    __table_args__ = (
        CheckConstraint("ends > starts", name="ends_after_start"),
        Index("ix_filter_lessons_ends", "ends"),
    )

    school_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    room_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("filter_rooms.id", ondelete="CASCADE"))
    title: Mapped[str] = mapped_column(default="")
    names: Mapped[list[str]]
    starts: Mapped[datetime]
    ends: Mapped[datetime]
    by: Mapped[str]
    stopped_at: Mapped[datetime | None]
    stopped_by: Mapped[str | None]

    room: Mapped[FilterRoom] = relationship(lazy="raise")

    def runs_at(self, now: datetime) -> bool:
        return self.stopped_at is None and self.starts <= now < self.ends


class RequestStatus(StrEnum):
    """Where a request to unblock is."""

    ASKED = "asked"
    ALLOWED = "allowed"
    DECLINED = "declined"

    @property
    def label(self) -> str:
        return {"asked": "À traiter", "allowed": "Acceptée", "declined": "Refusée"}[self]


class UnblockRequest(HasId, Base):
    """Somebody asks for a name that is blocked. The one who asked is known by what he typed, never by his address."""

    __tablename__ = "filter_requests"
    __table_args__ = (Index("ix_filter_requests_filter_id_received_at", "filter_id", "received_at"),)

    filter_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_nodes.id", ondelete="SET NULL"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    room_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_rooms.id", ondelete="SET NULL"))
    profile_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_profiles.id", ondelete="SET NULL"))
    name: Mapped[str]
    reason: Mapped[str]
    contact: Mapped[str]
    asked_at: Mapped[datetime]
    received_at: Mapped[datetime]
    status: Mapped[RequestStatus] = mapped_column(default=RequestStatus.ASKED)
    answer: Mapped[str] = mapped_column(default="")
    answered_at: Mapped[datetime | None]
    answered_by: Mapped[str | None]
    override_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("filter_overrides.id", ondelete="SET NULL"))


class FilterPolicy(HasId, Base):
    """One policy file. ``serial`` only grows; ``decisions`` is what it was built from, so that one may return to it."""

    __tablename__ = "filter_policies"

    serial: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    digest: Mapped[str]  # of the content, hex: same settings and names, same digest
    settings_digest: Mapped[str]  # of the settings alone
    names_digest: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    decisions: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    decisions_digest: Mapped[str]  # of those: what tells one that people decided from one that a lesson made
    size: Mapped[int]
    made_at: Mapped[datetime]
    by: Mapped[str | None]  # None: the program itself
    why: Mapped[str]

    @property
    def etag(self) -> str:
        return f"{self.digest}.{self.serial}"


class FilterEvent(HasId, Base):
    """Who changed what about filtering, and what it was before: written with the change, never altered."""

    __tablename__ = "filter_events"
    __table_args__ = (Index("ix_filter_events_at", "at"),)

    at: Mapped[datetime]
    by: Mapped[str | None]  # None: the program itself, or a filter
    verb: Mapped[str]  # "lesson.start"
    subject: Mapped[str]  # what people call it
    subject_id: Mapped[uuid.UUID | None]
    collectivity_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("collectivities.id", ondelete="SET NULL"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="SET NULL"), index=True)
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
