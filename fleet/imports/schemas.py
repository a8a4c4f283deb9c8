"""HTTP shapes of imports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from fleet.imports.kinds import ImportKind


class ImportOut(BaseModel):
    """A file that was brought in. ``report`` tells what the last try did or would do, line by line."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: ImportKind
    name: str
    size: int
    columns: list[str]
    mapping: dict[str, str]
    skip_errors: bool
    department: str
    uploaded_by: str
    uploaded_at: datetime
    job_id: UUID | None
    checked_at: datetime | None
    applied_at: datetime | None
    report: dict[str, Any] | None
