"""Tokens that let a device in, what they were used for, and wrong guesses."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.db import Base, HasId
from fleet.devices.models import Device, DeviceKind, Platform
from fleet.schools.models import School


class EnrollmentToken(HasId, Base):
    """The right to enroll some devices of one kind in one school. The secret is shown once and kept hashed."""

    __tablename__ = "enrollment_tokens"

    secret_hash: Mapped[str] = mapped_column(unique=True)
    hint: Mapped[str]  # the first four characters, to tell tokens apart in a list
    school_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("schools.id", ondelete="CASCADE"), index=True)
    kind: Mapped[DeviceKind]
    platform: Mapped[Platform]
    max_uses: Mapped[int]
    uses: Mapped[int] = mapped_column(default=0)
    issued_at: Mapped[datetime]
    issued_by: Mapped[str | None]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    request_key: Mapped[str | None] = mapped_column(unique=True)  # from the form, hashed: sent twice, issued once

    school: Mapped[School] = relationship(lazy="raise")


class Enrollment(HasId, Base):
    """One use of a token. The attempt's hash makes a repeated request the same enrolment."""

    __tablename__ = "enrollments"

    token_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("enrollment_tokens.id", ondelete="CASCADE"), index=True)
    attempt_hash: Mapped[str] = mapped_column(unique=True)
    device_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    address: Mapped[str | None]
    adopted: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]

    device: Mapped[Device] = relationship(lazy="raise")


class EnrollmentFailure(HasId, Base):
    """A token that no row knows, kept while it counts towards a limit."""

    __tablename__ = "enrollment_failures"
    __table_args__ = (Index("ix_enrollment_failures_address_at", "address", "at"),)

    address: Mapped[str]
    at: Mapped[datetime] = mapped_column(index=True)
