"""Finding collectivities, and how they belong together."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from fleet.collectivities.models import Collectivity, CollectivityKind, FormerCommune
from fleet.errors import NotFound
from fleet.paging import Listing, Page, names, paginate, rank_starts
from fleet.scope import Viewer, visible_to
from fleet.table_file import Sheet
from fleet.text import fold

SORTABLE = {
    "id": Collectivity.id,
    "name": Collectivity.search_text,  # begins with the folded name: É sorts with E
    "kind": Collectivity.kind,
    "insee_code": Collectivity.insee_code,
    "population": Collectivity.population,
}
EXPORTED = ("type", "nom", "code_insee", "siren", "forme", "population", "codes_postaux")


def _matching(viewer: Viewer, search: str, kind: CollectivityKind | None) -> Select[Collectivity]:
    query = visible_to(viewer, select(Collectivity), collectivity=Collectivity.id)
    if kind is not None:
        query = query.where(Collectivity.kind == kind)
    for word in fold(search).split():
        query = query.where(names(word, Collectivity.search_text))
    return query


def list_collectivities(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    kind: CollectivityKind | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[Collectivity]:
    """One page of the collectivities that the viewer sees.

    Every word of ``search`` must be found in the name, that of a former commune, the INSEE code or the SIREN; those
    whose name begins with it come first, unless another order is asked for.
    """
    rank = rank_starts(search, Collectivity.search_text)
    return paginate(session, _matching(viewer, search, kind), page, SORTABLE, "name", rank=rank)


def export_collectivities(
    session: Session, viewer: Viewer, *, search: str = "", kind: CollectivityKind | None = None
) -> Sheet:
    """The same list whole, as a table for a spreadsheet."""
    query = _matching(viewer, search, kind).order_by(Collectivity.search_text, Collectivity.id)
    return Sheet(EXPORTED, map(_exported, session.scalars(query.execution_options(yield_per=500))))


def _exported(row: Collectivity) -> tuple[object, ...]:
    codes = ";".join(row.postcodes)
    return (row.kind.value, row.name, row.insee_code, row.siren, row.legal_form, row.population, codes)


def get_collectivity(session: Session, viewer: Viewer, collectivity_id: UUID) -> Collectivity:
    """The collectivity, its groups loaded; raise NotFound when it does not exist or the viewer may not see it."""
    query = select(Collectivity).where(Collectivity.id == collectivity_id).options(joinedload(Collectivity.groups))
    row = session.scalars(visible_to(viewer, query, collectivity=Collectivity.id)).unique().one_or_none()
    if row is None:
        raise NotFound("collectivity.not_found", "Cette collectivité n’existe pas ou ne vous est pas ouverte.")
    return row


def names_by_id(session: Session, viewer: Viewer, ids: Collection[UUID]) -> dict[UUID, str]:
    """Names of these collectivities; those that the viewer may not see are left out."""
    if not ids:
        return {}
    query = select(Collectivity).where(Collectivity.id.in_(ids))
    return {row.id: row.name for row in session.scalars(visible_to(viewer, query, collectivity=Collectivity.id))}


def find_by_insee(session: Session, code: str) -> Collectivity | None:
    """The commune that has this INSEE code, or that took in the one that had it."""
    code = code.strip().upper()
    found = session.scalar(select(Collectivity).where(Collectivity.insee_code == code))
    if found is not None:
        return found
    query = select(Collectivity).join(FormerCommune, FormerCommune.commune_id == Collectivity.id)
    return session.scalar(query.where(FormerCommune.insee_code == code))
