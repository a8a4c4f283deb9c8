"""Devices: what they are, where, since when, and the credential each one holds."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, Sequence, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId, search_index
from fleet.schools.models import School


class DeviceKind(StrEnum):
    DISPLAY = "display"
    TABLET = "tablet"
    LAPTOP = "laptop"
    DESKTOP = "desktop"
    GATEWAY = "gateway"
    VIDEO_KIT = "video_kit"
    ROBOT_KIT = "robot_kit"
    ACCESSORY = "accessory"


TRACKED_KINDS = frozenset({DeviceKind.VIDEO_KIT, DeviceKind.ROBOT_KIT, DeviceKind.ACCESSORY})
"""Kinds that no software runs on: counted and repaired, never configured."""


class Platform(StrEnum):
    LINUX = "linux"
    WINDOWS = "windows"
    IPADOS = "ipados"
    ANDROID = "android"
    NONE = "none"  # a tracked kit


class DeviceStatus(StrEnum):
    """Where a device is in its life. Offline is no status: it is derived from ``last_seen_at``."""

    IN_STOCK = "in_stock"
    STAGED = "staged"  # enrolled or its profile issued; not yet seen to hold its state
    ACTIVE = "active"
    FAILED = "failed"
    LOST = "lost"
    RETIRED = "retired"


MOVES: dict[DeviceStatus, frozenset[DeviceStatus]] = {
    DeviceStatus.IN_STOCK: frozenset(
        {DeviceStatus.STAGED, DeviceStatus.ACTIVE, DeviceStatus.LOST, DeviceStatus.RETIRED}
    ),
    DeviceStatus.STAGED: frozenset(
        {DeviceStatus.IN_STOCK, DeviceStatus.ACTIVE, DeviceStatus.FAILED, DeviceStatus.LOST, DeviceStatus.RETIRED}
    ),
    DeviceStatus.ACTIVE: frozenset(
        {DeviceStatus.STAGED, DeviceStatus.IN_STOCK, DeviceStatus.FAILED, DeviceStatus.LOST, DeviceStatus.RETIRED}
    ),
    DeviceStatus.FAILED: frozenset(
        {DeviceStatus.STAGED, DeviceStatus.ACTIVE, DeviceStatus.IN_STOCK, DeviceStatus.LOST, DeviceStatus.RETIRED}
    ),
    DeviceStatus.LOST: frozenset({DeviceStatus.STAGED, DeviceStatus.IN_STOCK, DeviceStatus.RETIRED}),
    DeviceStatus.RETIRED: frozenset({DeviceStatus.IN_STOCK}),
}

NAME_FOLDED = "translate(lower(name), 'àâäçéèêëîïôöùûü', 'aaaceeeeiioouuu')"
"""A name as lists sort it: É with E."""
LAST_SEEN_KNOWN = "COALESCE(last_seen_at, '1970-01-01 00:00:00+00'::timestamp with time zone)"
"""When a device was last seen; one that never was comes before all others."""
asset_numbers = Sequence("asset_numbers", metadata=Base.metadata)


class Device(HasId, Base):
    """One asset. A factory reset changes neither its row nor its history."""

    __tablename__ = "devices"
    __table_args__ = (
        Index("ix_devices_macs", "macs", postgresql_using="gin"),
        search_index("devices"),
        # What lists are sorted by, with the id that settles ties: a far page is counted off in the index alone.
        Index("ix_devices_asset_tag_id", "asset_tag", "id"),
        Index("ix_devices_silent", "school_id", postgresql_where=text("silent_since IS NOT NULL")),
        Index("ix_devices_name_folded", text(NAME_FOLDED), "id"),
        Index("ix_devices_last_seen_at_known", text(LAST_SEEN_KNOWN), "id"),
    )

    asset_tag: Mapped[str] = mapped_column(unique=True)  # PRE-000042, printed on the label
    kind: Mapped[DeviceKind]
    platform: Mapped[Platform]
    status: Mapped[DeviceStatus] = mapped_column(default=DeviceStatus.IN_STOCK)
    name: Mapped[str]  # what people call it: "Écran salle 2"
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id"), index=True)
    room: Mapped[str | None]
    manufacturer: Mapped[str | None]
    model: Mapped[str | None]
    serial: Mapped[str | None] = mapped_column(index=True)  # as identity, placeholders already dropped
    smbios_uuid: Mapped[str | None] = mapped_column(index=True)
    macs: Mapped[list[str]] = mapped_column(default=list)
    label: Mapped[str] = mapped_column(unique=True)  # random, DNS-safe: its own DoH path and DoT name
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    facts_hash: Mapped[str] = mapped_column(default="")
    agent_version: Mapped[str | None]
    enrolled_at: Mapped[datetime | None]
    profile_issued_at: Mapped[datetime | None]  # a tablet was handed a profile; nothing says it was installed
    last_seen_at: Mapped[datetime | None] = mapped_column(index=True)
    silent_since: Mapped[datetime | None]  # set by the sweep, cleared by the next check-in
    desired_revision: Mapped[str] = mapped_column(default="")  # last sent
    applied_revision: Mapped[str] = mapped_column(default="")  # last reported
    search_text: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    school: Mapped[School | None] = relationship(lazy="raise")


class DeviceCredential(HasId, Base):
    """A secret a device may present. A new one is confirmed by its first use, which retires the one before."""

    __tablename__ = "device_credentials"

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    secret_hash: Mapped[str]  # SHA-256, hex: the secret has 256 random bits
    issued_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class DeviceEvent(HasId, Base):
    """What happened to a device, in order, for the people who look after it."""

    __tablename__ = "device_events"
    __table_args__ = (Index("ix_device_events_device_id_at", "device_id", "at"),)

    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    school_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("schools.id", ondelete="SET NULL"))  # where it stood
    at: Mapped[datetime]
    kind: Mapped[str]  # "enrolled", "adopted", "moved", "repaired", "silent", "back", "profile_issued"…
    detail: Mapped[str] = mapped_column(default="")
    by: Mapped[str | None]  # a person's name; None: the device or the system
