"""What people call the nodes that rows hang on, for a whole page of rows at once. Callers pass ids of rows they see."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from fleet.collectivities.models import Collectivity
from fleet.filtering.policy.models import FilterRoom
from fleet.schools.models import School
from fleet.schools.names import labelled

EVERYWHERE = "Toutes les écoles"


class OnNode(Protocol):
    """A row on one node."""

    id: UUID
    collectivity_id: UUID | None
    school_id: UUID | None
    room_id: UUID | None


def school_names(session: Session, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """School -> its name as pages write it."""
    wanted = {id for id in ids if id is not None}
    query = select(School).options(joinedload(School.collectivity)).where(School.id.in_(wanted))
    return {school.id: labelled(school) for school in session.scalars(query)} if wanted else {}


def room_names(session: Session, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Room -> its name, without its school's."""
    wanted = {id for id in ids if id is not None}
    query = select(FilterRoom).where(FilterRoom.id.in_(wanted))
    return {room.id: room.name for room in session.scalars(query)} if wanted else {}


def collectivity_names(session: Session, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    wanted = {id for id in ids if id is not None}
    query = select(Collectivity).where(Collectivity.id.in_(wanted))
    return {row.id: row.name for row in session.scalars(query)} if wanted else {}


def node_names(session: Session, rows: Iterable[OnNode]) -> dict[UUID, str]:
    """Row -> what its node is called: « École du Centre, Salle 2 », « Guise », or EVERYWHERE."""
    listed = list(rows)
    schools = school_names(session, (row.school_id for row in listed))
    rooms = room_names(session, (row.room_id for row in listed))
    collectivities = collectivity_names(session, (row.collectivity_id for row in listed))
    return {row.id: _node_name(row, schools, rooms, collectivities) for row in listed}


def _node_name(
    row: OnNode, schools: Mapping[UUID, str], rooms: Mapping[UUID, str], collectivities: Mapping[UUID, str]
) -> str:
    if row.collectivity_id is not None:
        return collectivities[row.collectivity_id]
    if row.school_id is None:
        return EVERYWHERE
    school = schools[row.school_id]
    return school if row.room_id is None else f"{school}, {rooms[row.room_id]}"
