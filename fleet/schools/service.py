"""Finding schools."""

import difflib
from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased, joinedload

from fleet.collectivities.models import Collectivity
from fleet.errors import NotFound
from fleet.paging import Listing, Page, names, paginate, rank_starts
from fleet.schools.models import School, SchoolLevel
from fleet.schools.uai import fold_uai
from fleet.schools.uai import is_valid_uai as is_valid_uai
from fleet.scope import Viewer, visible_to
from fleet.table_file import Sheet
from fleet.text import fold

Commune = aliased(Collectivity)
SORTABLE = {
    "id": School.id,
    "uai": School.uai,
    "name": School.search_text,  # begins with the folded name: É sorts with E
    "level": School.level,
    "pupils": School.pupils,
    "commune": Commune.search_text,
}


LEVEL_NAMES = {SchoolLevel.PRIMARY: "école", SchoolLevel.MIDDLE: "collège", SchoolLevel.HIGH: "lycée"}
EXPORTED = (
    "uai", "nom", "type", "secteur", "etat", "code_insee", "commune", "adresse", "code_postal", "localite",
    "latitude", "longitude", "eleves_total", "siren_gestionnaire", "gestionnaire", "origine",
)  # fmt: skip
"""Columns of the export: `preau import schools` reads them back."""


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


def _matching(viewer: Viewer, search: str, collectivity_id: UUID | None, is_open: bool | None) -> Select[School]:
    query = visible_schools(viewer)
    if collectivity_id is not None:
        query = query.where(School.collectivity_id == collectivity_id)
    if is_open is not None:
        query = query.where(School.is_open == is_open)
    for word in fold(search).split():
        query = query.where(names(word, School.search_text, Commune.search_text))
    return query


def list_by_ids(session: Session, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, School]:
    """These schools by id; those that the viewer may not see are left out."""
    if not ids:
        return {}
    return {school.id: school for school in session.scalars(visible_schools(viewer).where(School.id.in_(ids)))}


def schools_named(word: str) -> Select[UUID]:
    """Ids of the schools, whoever sees them, whose name, UAI, postcode or commune hold what was typed."""
    query = select(School.id).outerjoin(Commune, Commune.id == School.commune_id)
    return query.where(names(word, School.search_text, Commune.search_text)).correlate(None)


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

    Every word of ``search`` must be found in the name, the UAI or the commune; schools whose name or commune begins
    with it come first, unless another order is asked for. ``is_open`` None: closed ones too.
    """
    rank = rank_starts(search, School.search_text, Commune.search_text)
    return paginate(session, _matching(viewer, search, collectivity_id, is_open), page, SORTABLE, "commune", rank=rank)


def export_schools(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    collectivity_id: UUID | None = None,
    is_open: bool | None = True,
) -> Sheet:
    """The same list whole, as a table for a spreadsheet."""
    query = _matching(viewer, search, collectivity_id, is_open)
    rows = session.scalars(query.order_by(School.uai).execution_options(yield_per=500))
    return Sheet(EXPORTED, map(_exported, rows))


def _exported(school: School) -> tuple[object, ...]:
    commune = school.commune
    return (
        school.uai, school.name, LEVEL_NAMES[school.level], "public" if school.is_public else "privé",
        "ouvert" if school.is_open else "fermé", commune and commune.insee_code, commune and commune.name,
        school.address, school.postcode, school.locality, school.latitude, school.longitude, school.pupils,
        school.collectivity.siren, school.collectivity.name, "synthétique" if school.is_synthetic else "réel",
    )  # fmt: skip


def get_school(session: Session, viewer: Viewer, school_id: UUID) -> School:
    """The school, collectivity and commune loaded; raise NotFound when it does not exist or may not be seen."""
    return _found(session.scalar(visible_schools(viewer).where(School.id == school_id)))


def get_school_by_uai(session: Session, viewer: Viewer, uai: str) -> School:
    """The same by UAI, in either case."""
    return _found(session.scalar(visible_schools(viewer).where(School.uai == fold_uai(uai))))


def get_any_school(session: Session, uai: str) -> School:
    """The school of a UAI, whoever asks: for commands, whose caller holds the database. Raise NotFound, which names
    those that it may have been meant for.
    """
    wanted = fold_uai(uai)
    school = session.scalar(select(School).where(School.uai == wanted))
    if school is None:
        known = dict(session.execute(select(School.uai, School.name)).all())
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.7)
        hint = " Vouliez-vous dire : " + ", ".join(f"{u} ({known[u]})" for u in near) + " ?" if near else ""
        raise NotFound("school.not_found", f"Aucune école d’UAI {wanted}.{hint}")
    return school


def _found(school: School | None) -> School:
    if school is None:
        raise NotFound("school.not_found", "Cette école n’existe pas ou ne vous est pas ouverte.")
    return school
