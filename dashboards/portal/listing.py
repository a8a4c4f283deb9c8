"""Lists: page, sort and filters live in the address, so that every list can be bookmarked; CSV of the whole of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from fastapi.responses import Response
from pydantic import BeforeValidator

from fleet.db import DbSession
from fleet.paging import MAX_SIZE, Listing, Page, WantedPage
from fleet.schools import spelling
from fleet.scope import Viewer
from fleet.table_file import as_download, write_table

Row = TypeVar("Row")


def none_if_blank(value: object) -> object:
    """A form's "all of them" choice is the empty string."""
    return None if value == "" else value


Blank = BeforeValidator(none_if_blank)
Search = Annotated[str, Query(alias="q", max_length=120)]
SIZE = 25
"""Rows of a page: what a phone scrolls through."""


def asked_page(page: WantedPage) -> Page:
    """The page that an address asks for, of the portal's own size."""
    return Page(page.number, SIZE, page.sort)


AskedPage = Annotated[Page, Depends(asked_page)]
Flag = Annotated[bool | None, Blank, Query()]


def within(read: Callable[[Page], Listing[Row]], page: Page) -> Listing[Row]:
    """The page that is asked for, or the last one: an empty page would say that nothing matches."""
    listing = read(page)
    if listing.rows or page.number <= listing.pages:
        return listing
    return read(Page(listing.pages, page.size, page.sort))


@dataclass(frozen=True, slots=True)
class Found(Generic[Row]):
    """A list that was searched. ``corrected``: the words that were taken instead of those typed; "" when those were."""

    listing: Listing[Row]
    corrected: str = ""


def forgiving(
    session: DbSession, viewer: Viewer, typed: str, read: Callable[[str, Page], Listing[Row]], page: Page
) -> Found[Row]:
    """The page of a search; when nothing answers as typed, of what was probably meant."""
    listing = within(lambda wanted: read(typed, wanted), page)
    meant = spelling.correct(session, viewer, typed) if typed and not listing.rows else ""
    if not meant:
        return Found(listing)
    corrected = within(lambda wanted: read(meant, wanted), page)
    return Found(corrected, meant) if corrected.rows else Found(listing)


def every_row(read: Callable[[Page], Listing[Row]], sort: str) -> Iterator[Row]:
    """All rows of a list, page after page."""
    number = 1
    while True:
        listing = read(Page(number=number, size=MAX_SIZE, sort=sort))
        yield from listing.rows
        if number >= listing.pages:
            return
        number += 1


def csv_download(name: str, columns: Mapping[str, Callable[[Row], object]], rows: Iterator[Row]) -> Response:
    """Every row under French column names, as a file that French spreadsheets open as it is."""
    cells = ([read(row) for read in columns.values()] for row in rows)
    return as_download(write_table(list(columns), cells), f"{name}.csv")
