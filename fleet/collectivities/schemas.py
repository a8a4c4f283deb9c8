"""HTTP shapes of collectivities."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from fleet.collectivities.models import CollectivityKind


class CollectivityBrief(BaseModel):
    """Enough to name a collectivity in another row."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: CollectivityKind
    name: str
    insee_code: str | None
    siren: str | None


class CollectivityOut(CollectivityBrief):
    """A collectivity in a list."""

    legal_form: str | None
    population: int | None
    postcodes: list[str]
    updated_at: datetime


class CollectivityDetail(CollectivityOut):
    """One collectivity, and the EPCI and syndicats that it belongs to."""

    groups: list[CollectivityBrief]
