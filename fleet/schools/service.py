"""Finding schools."""

from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from fleet.collectivities.models import Collectivity
from fleet.errors import NotFound
from fleet.paging import Listing, Page, paginate
from fleet.schools.models import School
from fleet.schools.uai import fold_uai
from fleet.schools.uai import is_valid_uai as is_valid_uai
from fleet.scope import Viewer, visible_to
from fleet.text import fold, like

Commune = aliased(Collectivity)
SORTABLE = {
    "id": School.id,
    "uai": School.uai,
    "name": School.search_text,  # begins with the folded name: É sorts with E
    "level": School.level,
    "pupils": School.pupils,
    "commune": Commune.search_text,
}


def visible_schools(viewer: Viewer) -> Select[School]:
    """Every school that the viewer sees, collectivity and commune loaded; conditions may speak of ``Commune``."""
    return visible_to(
        viewer,
        select(School)
        .outerjoin(Commune, School.commune_id == Commune.id)
        .options(joinedload(School.collectivity), joinedload(School.commune)),
        collectivity=School.collectivity_id,
        school=School.id,
    )


def list_schools(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    collectivity_id: UUID | None = None,
    is_open: bool | None = True,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[School]:
    """One page of the schools that the viewer sees, collectivity and commune loaded.

    Every word of ``search`` must be found in the name, the UAI or the commune. ``is_open`` None: closed ones too.
    """
    query = visible_schools(viewer)
    if collectivity_id is not None:
        query = query.where(School.collectivity_id == collectivity_id)
    if is_open is not None:
        query = query.where(School.is_open == is_open)
    for word in fold(search).split():
        query = query.where(or_(School.search_text.like(like(word)), Commune.search_text.like(like(word))))
    return paginate(session, query, page, SORTABLE, "commune")


def get_school(session: Session, viewer: Viewer, school_id: UUID) -> School:
    """The school, collectivity and commune loaded; raise NotFound when it does not exist or may not be seen."""
    return _found(session.scalar(visible_schools(viewer).where(School.id == school_id)))


def get_school_by_uai(session: Session, viewer: Viewer, uai: str) -> School:
    """The same by UAI, in either case."""
    return _found(session.scalar(visible_schools(viewer).where(School.uai == fold_uai(uai))))


def _found(school: School | None) -> School:
    if school is None:
        raise NotFound("school.not_found", "Cette école n’existe pas ou ne vous est pas ouverte.")
    return school
