"""HTTP shapes of ENT portals."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from fleet.bodies import STRICT
from fleet.ent.models import EntProduct


class EntLinkOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    slug: str
    title: str
    url: str


class EntPortalOut(BaseModel):
    """A portal and its deep links, in the order in which they are shown."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    slug: str
    name: str
    product: EntProduct
    url: str
    links: list[EntLinkOut]


class AssignmentIn(BaseModel):
    """Which portal a school gets; null takes it away."""

    model_config = STRICT

    portal: str | None = Field(max_length=100)
