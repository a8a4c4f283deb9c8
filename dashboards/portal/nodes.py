"""The places that roles stand on, by the names that people know them by."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fleet.accounts.models import ApiToken, RoleGrant
from fleet.collectivities import service as collectivities
from fleet.db import DbSession
from fleet.schools import names
from fleet.schools import service as schools
from fleet.scope import Grant, Role, Viewer

OPERATOR = "Toutes les collectivités"


@dataclass(frozen=True, slots=True)
class NamedGrant:
    """A role with its place's name. ``id`` is the row's, where it has one."""

    role: Role
    place: str
    id: UUID | None = None
    ends_at: datetime | None = None
    """When the role is over, where that is known."""


def name_grants(session: DbSession, viewer: Viewer, grants: Iterable[Grant | RoleGrant | ApiToken]) -> list[NamedGrant]:
    """Roles with their places: two questions to the database, however many there are."""
    grants = list(grants)
    communes = collectivities.names_by_id(session, viewer, {g.collectivity_id for g in grants if g.collectivity_id})
    places = schools.list_by_ids(session, viewer, {g.school_id for g in grants if g.school_id})

    def place_of(grant: Grant | RoleGrant | ApiToken) -> str:
        if grant.collectivity_id is not None:
            return communes.get(grant.collectivity_id, "Collectivité d’un autre périmètre")
        if grant.school_id is not None:
            school = places.get(grant.school_id)
            return names.labelled(school) if school else "École d’un autre périmètre"
        return OPERATOR

    return [
        NamedGrant(
            g.role,
            place_of(g),
            None if isinstance(g, Grant) else g.id,
            g.ends_at if isinstance(g, RoleGrant) else None,
        )
        for g in grants
    ]
