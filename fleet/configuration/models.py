"""What devices should look like, and how that went on each."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, HasId


class Setting(HasId, Base):
    """One resource of one layer: the département (no node), a school, or a device. The most specific wins."""

    __tablename__ = "configuration_settings"
    __table_args__ = (
        CheckConstraint("school_id IS NULL OR device_id IS NULL", name="one_node"),
        UniqueConstraint("school_id", "device_id", "resource", postgresql_nulls_not_distinct=True),
    )

    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"))
    device_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    resource: Mapped[str]  # "shortcuts", "browser", "dns"
    value: Mapped[dict[str, Any]]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str | None]


class ResourceOutcome(Base):
    """How one resource went on one device, as it last reported."""

    __tablename__ = "resource_outcomes"

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    resource: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[str]
    status: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime]
