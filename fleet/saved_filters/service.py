"""Keeping filters: each person's own, by list."""

from datetime import datetime
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from fleet.errors import Invalid, NotFound
from fleet.saved_filters.models import ListName, SavedFilter
from fleet.scope import Viewer

MOST_KEPT = 30
"""Of one person, for one list."""
LONGEST_NAME, LONGEST_QUERY, MOST_VALUES = 60, 1_000, 20
PASSING = frozenset({"all", "page", "size", "done", "csrf", "live", "poll"})
"""What an address carries that is no filter."""


def clean_query(query: str) -> str:
    """The filters of an address, in the order given; raise Invalid when they are none or too long."""
    if len(query) > 4 * LONGEST_QUERY:
        raise Invalid("saved_filter.too_long", "Ces filtres sont trop longs pour être gardés.")
    try:
        pairs = parse_qsl(query.lstrip("?"), max_num_fields=4 * MOST_VALUES)
    except ValueError as error:
        raise Invalid("saved_filter.too_long", "Ces filtres sont trop nombreux pour être gardés.") from error
    kept = [(name, value) for name, value in pairs if name not in PASSING and value]
    cleaned = urlencode(kept)
    if not kept:
        raise Invalid("saved_filter.empty", "Il n’y a rien à garder : cherchez ou filtrez d’abord.")
    if len(kept) > MOST_VALUES or len(cleaned) > LONGEST_QUERY or "%00" in cleaned:
        raise Invalid("saved_filter.too_long", "Ces filtres sont trop longs pour être gardés.")
    return cleaned


def list_saved_filters(session: Session, viewer: Viewer, of: ListName) -> list[SavedFilter]:
    """The viewer's own, by name."""
    query = select(SavedFilter).where(SavedFilter.user_id == viewer.user_id, SavedFilter.list == of)
    return list(session.scalars(query.order_by(func.lower(SavedFilter.name), SavedFilter.id)))


def save_filter(
    session: Session, viewer: Viewer, of: ListName, name: str, query: str, now: datetime, *, is_default: bool = False
) -> SavedFilter:
    """Keep filters under a name, in place of those that had it; raise Invalid for what cannot be kept."""
    name = " ".join(name.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Invalid("saved_filter.name", f"Donnez un nom de 1 à {LONGEST_NAME} caractères.")
    cleaned = clean_query(query)
    known = list_saved_filters(session, viewer, of)
    if len(known) >= MOST_KEPT and name not in {each.name for each in known}:
        raise Invalid("saved_filter.too_many", f"{MOST_KEPT} filtres au plus : supprimez-en un d’abord.")
    if is_default:
        session.execute(
            update(SavedFilter)
            .where(SavedFilter.user_id == viewer.user_id, SavedFilter.list == of)
            .values(is_default=False)
        )
    values = {"query": cleaned, "is_default": is_default, "saved_at": now}
    row = insert(SavedFilter).values(user_id=viewer.user_id, list=of, name=name, **values)
    saved = row.on_conflict_do_update(index_elements=["user_id", "list", "name"], set_=values)
    returned = session.scalars(saved.returning(SavedFilter), execution_options={"populate_existing": True})
    return returned.one()


def remove_filter(session: Session, viewer: Viewer, filter_id: UUID) -> ListName:
    """Forget one of the viewer's own, and tell its list; raise NotFound."""
    own = SavedFilter.id == filter_id, SavedFilter.user_id == viewer.user_id
    of: ListName | None = session.scalar(delete(SavedFilter).where(*own).returning(SavedFilter.list))
    if of is None:
        raise NotFound("saved_filter.not_found", "Ce filtre n’existe pas.")
    return of
