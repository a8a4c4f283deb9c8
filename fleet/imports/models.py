"""Files that people brought in: what they hold, how they are to be read, what they did or would do."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from fleet.db import Base, HasId
from fleet.imports.kinds import ImportKind


class Import(HasId, Base):
    """One file. It belongs to the operator; its content stays until it is applied, for a retry."""

    __tablename__ = "imports"
    __table_args__ = (Index("ix_imports_uploaded_at", "uploaded_at"),)

    kind: Mapped[ImportKind]
    name: Mapped[str]
    """Of the file, as the person's machine calls it."""
    size: Mapped[int]
    digest: Mapped[str]
    """SHA-256 of the content, in hexadecimal."""
    content: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    columns: Mapped[list[str]]
    """The headings as written."""
    mapping: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Known column -> heading that a person chose; see importing.Options."""
    skip_errors: Mapped[bool] = mapped_column(default=False)
    department: Mapped[str] = mapped_column(default="")
    uploaded_by_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    uploaded_by: Mapped[str]
    uploaded_at: Mapped[datetime]
    job_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"), index=True)
    """The last try: a check or the real one."""
    report: Mapped[dict[str, Any] | None] = mapped_column(deferred=True)
    """What the last try that came to its end did or would do: see reports."""
    checked_at: Mapped[datetime | None]
    """When a dry run of the file as it is set now came to its end."""
    applied_at: Mapped[datetime | None]


class ImportMapping(Base):
    """What a person chose for files of one shape: known column -> heading. It is the operator's."""

    __tablename__ = "import_mappings"

    kind: Mapped[ImportKind] = mapped_column(primary_key=True)
    shape: Mapped[str] = mapped_column(primary_key=True)
    """Digest of the headings: see mapping.shape_of."""
    mapping: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]
