"""Finding collectivities, and how they belong together."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.models import Collectivity, CollectivityKind
from fleet.errors import NotFound
from fleet.paging import Listing, Page, paginate
from fleet.scope import Viewer, visible_to
from fleet.text import fold, like

SORTABLE = {
    "id": Collectivity.id,
    "name": Collectivity.search_text,  # begins with the folded name: É sorts with E
    "kind": Collectivity.kind,
    "insee_code": Collectivity.insee_code,
    "population": Collectivity.population,
}


def list_collectivities(
    session: Session,
    viewer: Viewer,
    *,
    search: str = "",
    kind: CollectivityKind | None = None,
    page: Page = Page(),  # noqa: B008 - frozen
) -> Listing[Collectivity]:
    """One page of the collectivities that the viewer sees; every word typed must be found (name, INSEE code, SIREN)."""
    query = visible_to(viewer, select(Collectivity), collectivity=Collectivity.id)
    if kind is not None:
        query = query.where(Collectivity.kind == kind)
    for word in fold(search).split():
        query = query.where(Collectivity.search_text.like(like(word)))
    return paginate(session, query, page, SORTABLE, "name")


def get_collectivity(session: Session, viewer: Viewer, collectivity_id: UUID) -> Collectivity:
    """The collectivity; raise NotFound when it does not exist or the viewer may not see it."""
    query = select(Collectivity).where(Collectivity.id == collectivity_id)
    row = session.scalar(visible_to(viewer, query, collectivity=Collectivity.id))
    if row is None:
        raise NotFound("collectivity.not_found", "Cette collectivité n’existe pas ou ne vous est pas ouverte.")
    return row


def find_by_insee(session: Session, code: str) -> Collectivity | None:
    """The commune that has this INSEE code."""
    return session.scalar(select(Collectivity).where(Collectivity.insee_code == code.strip().upper()))
