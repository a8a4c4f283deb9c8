"""Lists in pages: one shape for the portal and the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Select, any_, case, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

from fleet.errors import Invalid
from fleet.text import fold, like, starts

Row = TypeVar("Row")
MAX_SIZE = 500


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted. ``sort`` is a column's public name, ``-name`` for descending, "" the default."""

    number: int = 1
    size: int = 50
    sort: str = ""
    is_counted: bool = True
    """Whether all rows are to be counted; else the total only says whether there are more than those of the page."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One page of rows, and how many there are in all."""

    rows: Sequence[Row]
    total: int
    page: Page

    @property
    def pages(self) -> int:
        """How many pages there are; at least one."""
        return max(1, -(-self.total // self.page.size))


def wanted_page(
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    size: Annotated[int, Query(ge=1, le=MAX_SIZE)] = 50,
    sort: Annotated[str, Query(max_length=40)] = "",
) -> Page:
    """The page that a URL asks for: ``?page=2&size=50&sort=-name``."""
    return Page(page, size, sort)


WantedPage = Annotated[Page, Depends(wanted_page)]
Shown = TypeVar("Shown")


class ListingOut(BaseModel, Generic[Shown]):
    """One page as JSON: ``{"rows", "total", "page", "size", "pages"}``. Made by `listing_out`."""

    model_config = ConfigDict(from_attributes=True)

    rows: list[Shown]
    total: int
    page: int
    size: int
    pages: int


def listing_out(listing: Listing[Row]) -> dict[str, object]:
    """What a route with ``response_model=ListingOut[ThingOut]`` returns; rows are read by their attributes."""
    return {
        "rows": listing.rows,
        "total": listing.total,
        "page": listing.page.number,
        "size": listing.page.size,
        "pages": listing.pages,
    }


def names(word: str, *columns: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Whether one of the folded columns holds what was typed; digits must begin a word: they are a code's first ones,
    of a UAI or a postcode.
    """
    patterns = starts(word) if word.isdecimal() else (like(word),)
    return or_(*(column.like(pattern) for column in columns for pattern in patterns))


def holds(word: str, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """Whether the folded column holds what was typed; one or two letters must begin a word: an index finds no less."""
    return or_(*(column.like(pattern) for pattern in (starts(word) if len(word) < 3 else (like(word),))))


def rank_starts(search: str, *columns: InstrumentedAttribute[str]) -> ColumnElement[int] | None:
    """What puts first the rows that begin with what is typed: as whole words, then as part of one; then the others.

    ``columns`` hold folded text. None when nothing is typed: there is nothing to begin with.
    """
    typed = fold(search)
    if not typed:
        return None
    whole = or_(*(column.like(f"{typed} %") | (column == typed) for column in columns))
    part = or_(*(column.like(f"{typed}%") for column in columns))
    return case((whole, 0), (part, 1), else_=2)


def paginate(
    session: Session,
    query: Select[Row],
    page: Page,
    sortable: Mapping[str, ColumnElement[Any] | InstrumentedAttribute[Any]],
    default: str,
    *,
    rank: ColumnElement[int] | None = None,
) -> Listing[Row]:
    """Run one page of a query on one entity. Ties are broken by id, so that no row is shown twice or skipped.

    ``sortable`` maps public names to columns and must hold "id"; raise Invalid for another name or a page below 1.
    ``rank`` (see rank_starts) goes before the default order, and gives way to any other that is asked for.
    """
    sort = page.sort or default
    column = sortable.get(sort.removeprefix("-"))
    if column is None:
        raise Invalid("list.unknown_sort", f"Tri inconnu : {sort}. Tris possibles : {', '.join(sortable)}.")
    if page.number < 1 or not 1 <= page.size <= MAX_SIZE:
        raise Invalid("list.bad_page", f"La page commence à 1 et compte de 1 à {MAX_SIZE} lignes.")
    key = sortable["id"]
    order = [column.desc() if sort.startswith("-") else column.asc(), key]
    if rank is not None and sort == default:
        order.insert(0, rank)
    before = (page.number - 1) * page.size
    # The ids of the page first, as an array that is made once: whole rows, with all that is joined to them, are not
    # sorted only to be passed over.
    ids = (
        query.with_only_columns(key, maintain_column_froms=True)
        .order_by(*order)
        .limit(page.size + 1)
        .offset(before)
        .correlate(None)
    )
    chosen = any_(func.array(ids.scalar_subquery(), type_=ARRAY(key.type)))
    rows = session.scalars(query.where(key == chosen).order_by(*order)).unique().all()
    total = before + len(rows)
    if page.is_counted and (len(rows) > page.size or (before and not rows)):  # else this is the last page
        found = query.order_by(None).with_only_columns(key, maintain_column_froms=True)
        total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    return Listing(rows[: page.size], total, page)
