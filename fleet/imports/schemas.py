"""HTTP shapes of imports."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import STRICT
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


class MappingIn(BaseModel):
    """Known column -> heading of the file, "" for none; those left out have none."""

    model_config = STRICT

    mapping: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=500)]] = Field(max_length=40)
    skip_errors: bool = False
