"""The nodes that filtering hangs on: the operator, a collectivity, a school, a room; who sees and who changes what."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVarTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity
from fleet.errors import Invalid, NotAllowed, NotFound
from fleet.filtering.policy.models import FilterRoom
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Action, Owner, Viewer, visible_to

Columns = TypeVarTuple("Columns")
OPERATOR_NAME = "Aisne"
"""What the operator's own layer is called where people read who set a line."""


class NodeKind(StrEnum):
    OPERATOR = "operator"
    COLLECTIVITY = "collectivity"
    SCHOOL = "school"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Place:
    """A node. A room comes with its school; nothing at all is the operator."""

    collectivity_id: UUID | None = None
    school_id: UUID | None = None
    room_id: UUID | None = None

    @property
    def kind(self) -> NodeKind:
        if self.room_id is not None:
            return NodeKind.ROOM
        if self.school_id is not None:
            return NodeKind.SCHOOL
        return NodeKind.OPERATOR if self.collectivity_id is None else NodeKind.COLLECTIVITY


OPERATOR = Place()


@dataclass(frozen=True, slots=True)
class Found:
    """A node that the viewer sees: what people call it, and the rows that own it."""

    place: Place
    label: str
    collectivity: Collectivity | None = None
    school: School | None = None

    def must(self, viewer: Viewer, action: Action) -> None:
        """Raise NotAllowed unless one of the viewer's roles that covers the node allows it."""
        owner = self.school.collectivity_id if self.school else self.place.collectivity_id
        viewer.must(action, owner, self.place.school_id)


def find_place(
    session: Session,
    viewer: Viewer,
    collectivity_id: UUID | None = None,
    school_id: UUID | None = None,
    room_id: UUID | None = None,
) -> Found:
    """The node of these ids, of which at most one is needed. Raise NotFound for what the viewer does not see,
    NotAllowed for the operator's node unless the viewer sees all, Invalid for ids that contradict each other.
    """
    if collectivity_id is not None and (school_id is not None or room_id is not None):
        raise Invalid("filtering.two_nodes", "Choisissez une collectivité ou une école, pas les deux.")
    if room_id is not None:
        room = get_room(session, viewer, room_id)
        if school_id not in {None, room.school_id}:
            raise Invalid("filtering.two_nodes", "Cette salle n’est pas dans cette école.")
        school = schools.get_school(session, viewer, room.school_id)
        return Found(Place(None, school.id, room.id), f"{school.name}, {room.name}", school=school)
    if school_id is not None:
        school = schools.get_school(session, viewer, school_id)
        return Found(Place(None, school.id), school.name, school=school)
    if collectivity_id is not None:
        row = collectivities.get_collectivity(session, viewer, collectivity_id)
        return Found(Place(row.id), row.name, collectivity=row)
    if not viewer.sees_all:
        raise NotAllowed("filtering.operator_only", "Le filtrage de tout le département est réglé par l’ADICA.")
    return Found(OPERATOR, OPERATOR_NAME)


def get_room(session: Session, viewer: Viewer, room_id: UUID) -> FilterRoom:
    """The room, if the viewer sees its school; raise NotFound."""
    query = select(FilterRoom).join(School, School.id == FilterRoom.school_id).where(FilterRoom.id == room_id)
    room = session.scalar(visible_to(viewer, query, collectivity=School.collectivity_id, school=School.id))
    if room is None:
        raise NotFound("filtering.room_not_found", "Cette salle n’existe pas ou ne vous est pas ouverte.")
    return room


def on_visible_node(
    viewer: Viewer, rows: Select[*Columns], collectivity: Owner, school: Owner, *, operators_too: bool = False
) -> Select[*Columns]:
    """Keep the rows that hang on a node that the viewer sees: the one door, for rows that name their node by id.

    The operator's own rows are for those who see all, unless ``operators_too`` opens them to everybody.
    """
    if viewer.sees_all:
        return rows
    seen_schools = visible_to(viewer, select(School.id), collectivity=School.collectivity_id, school=School.id)
    seen_collectivities = visible_to(viewer, select(Collectivity.id), collectivity=Collectivity.id)
    doors: list[ColumnElement[bool]] = [school.in_(seen_schools), collectivity.in_(seen_collectivities)]
    if operators_too:
        doors.append(school.is_(None) & collectivity.is_(None))
    return rows.where(or_(*doors))
