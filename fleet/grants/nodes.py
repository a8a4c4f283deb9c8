"""The nodes that grants are about: a collectivity or a school, found by id or by the code that people know."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from fleet.collectivities import service as collectivities
from fleet.collectivities.models import Collectivity
from fleet.errors import Invalid, NotFound
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.scope import Viewer

MOST_SIGNS = 20


@dataclass(frozen=True, slots=True)
class Node:
    """A collectivity or a school that the viewer sees."""

    collectivity: Collectivity | None = None
    school: School | None = None

    @property
    def collectivity_id(self) -> UUID | None:
        return self.collectivity.id if self.collectivity else None

    @property
    def school_id(self) -> UUID | None:
        return self.school.id if self.school else None

    @property
    def label(self) -> str:
        """What people call it."""
        if self.school is not None:
            return f"{self.school.name} ({self.school.uai})"
        return self.collectivity.name if self.collectivity else ""


def find_node(session: Session, viewer: Viewer, collectivity_id: UUID | None, school_id: UUID | None) -> Node:
    """The node of one of these ids. Raise Invalid for both or none, NotFound for one that the viewer does not see."""
    if (collectivity_id is None) == (school_id is None):
        raise Invalid("grant.one_node", "Nommez une collectivité ou une école : l’une des deux, pas les deux.")
    if school_id is not None:
        return Node(school=schools.get_school(session, viewer, school_id))
    assert collectivity_id is not None  # noqa: S101 - one of them is there
    return Node(collectivity=collectivities.get_collectivity(session, viewer, collectivity_id))


def find_node_by_code(session: Session, viewer: Viewer, typed: str) -> Node:
    """The node of a UAI, an INSEE code or a SIREN. Raise NotFound, which says what was looked for."""
    code = "".join(c for c in typed.upper() if c.isalnum())[:MOST_SIGNS]
    school_id = session.scalar(select(School.id).where(School.uai == code))
    named = or_(Collectivity.insee_code == code, Collectivity.siren == code)
    collectivity_id = session.scalar(select(Collectivity.id).where(named)) if school_id is None else None
    if school_id is None and collectivity_id is None:
        raise NotFound(
            "grant.unknown_node",
            f"Rien n’a le code « {code} » : donnez l’UAI d’une école, le code INSEE d’une commune ou un SIREN.",
        )
    return find_node(session, viewer, collectivity_id, school_id)


def clean_reason(typed: str) -> str:
    """Why, in one line; raise Invalid for none."""
    reason = " ".join("".join(c if c.isprintable() else " " for c in typed).split())
    if not 1 <= len(reason) <= 400:
        raise Invalid("grant.no_reason", "Dites pourquoi, en 400 signes au plus : une délibération, une convention…")
    return reason
