"""HTTP shapes of schools."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from fleet.collectivities.schemas import CollectivityBrief
from fleet.schools.models import SchoolLevel


class SchoolOut(BaseModel):
    """A school, with the collectivity that runs it and the commune where it stands."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    uai: str
    name: str
    level: SchoolLevel
    nature: str | None
    is_public: bool
    is_open: bool
    is_synthetic: bool
    collectivity: CollectivityBrief
    commune: CollectivityBrief | None
    address: str | None
    postcode: str | None
    locality: str | None
    latitude: float | None
    longitude: float | None
    pupils: int | None
    updated_at: datetime
