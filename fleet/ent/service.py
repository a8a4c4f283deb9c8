"""Which ENT portal a school uses."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, selectinload

from fleet.ent.catalogue import example_portals
from fleet.ent.models import EntPortal, SchoolEnt
from fleet.errors import NotFound
from fleet.schools.models import School


def list_portals(session: Session) -> Sequence[EntPortal]:
    """The catalogue by name, links loaded."""
    return session.scalars(select(EntPortal).options(selectinload(EntPortal.links)).order_by(EntPortal.name)).all()


def get_portal(session: Session, slug: str) -> EntPortal:
    """The portal of that short name, links loaded; raise NotFound that lists the known ones."""
    portals = {portal.slug: portal for portal in list_portals(session)}
    if slug not in portals:
        known = ", ".join(sorted(portals)) or "aucun"
        raise NotFound("ent.not_found", f"Portail ENT inconnu : « {slug} ». Portails connus : {known}.")
    return portals[slug]


def add_examples(session: Session) -> list[EntPortal]:
    """Add the example portals whose short name is free; return those added."""
    taken = {portal.slug for portal in list_portals(session)}
    added = [portal for portal in example_portals() if portal.slug not in taken]
    session.add_all(added)
    session.flush()
    return added


def count_schools(session: Session) -> dict[UUID, int]:
    """How many schools use each portal; a portal without any is absent."""
    query = select(SchoolEnt.portal_id, func.count()).group_by(SchoolEnt.portal_id)
    return dict(session.execute(query).all())


def find_portal(session: Session, school_id: UUID) -> EntPortal | None:
    """The portal of a school, links loaded; None while it has none."""
    return session.scalar(
        select(EntPortal)
        .join(SchoolEnt, SchoolEnt.portal_id == EntPortal.id)
        .where(SchoolEnt.school_id == school_id)
        .options(selectinload(EntPortal.links))
    )


def portals_of(session: Session, collectivity_id: UUID) -> dict[UUID, EntPortal]:
    """The portals of the open schools that a collectivity runs, links not loaded; a school without one is left out."""
    query = select(SchoolEnt.school_id, EntPortal).join(EntPortal, EntPortal.id == SchoolEnt.portal_id)
    query = query.join(School, School.id == SchoolEnt.school_id)
    return dict(session.execute(query.where(School.collectivity_id == collectivity_id, School.is_open)).all())


def assign_portal(session: Session, school: School, portal: EntPortal | None) -> None:
    """Give a school its portal in place of any other; None takes it away."""
    if portal is None:
        session.execute(delete(SchoolEnt).where(SchoolEnt.school_id == school.id))
        return
    row = insert(SchoolEnt).values(school_id=school.id, portal_id=portal.id)
    session.execute(row.on_conflict_do_update(index_elements=["school_id"], set_={"portal_id": portal.id}))
