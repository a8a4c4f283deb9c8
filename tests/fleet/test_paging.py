"""Lists in pages: no row twice, none skipped, a clear word for a wrong sort."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.models import Collectivity
from fleet.errors import Invalid
from fleet.paging import Page, paginate
from tests.factories import make_collectivity

SORTABLE = {"id": Collectivity.id, "name": Collectivity.name}


def test_pages_cover_the_list_once_even_among_equals(session: Session) -> None:
    rows = [make_collectivity(session, name="Même nom") for _ in range(7)]
    seen = []
    for number in (1, 2, 3, 4):
        listing = paginate(session, select(Collectivity), Page(number, 2, "name"), SORTABLE, "name")
        assert (listing.total, listing.pages) == (7, 4)
        seen += [row.id for row in listing.rows]
    assert sorted(seen) == sorted(row.id for row in rows)


def test_descending(session: Session) -> None:
    for name in ("a", "c", "b"):
        make_collectivity(session, name=name)
    listing = paginate(session, select(Collectivity), Page(sort="-name"), SORTABLE, "name")
    assert [row.name for row in listing.rows] == ["c", "b", "a"]


def test_an_empty_list_has_one_page(session: Session) -> None:
    assert paginate(session, select(Collectivity), Page(), SORTABLE, "name").pages == 1


@pytest.mark.parametrize("page", [Page(0), Page(size=0), Page(size=501), Page(sort="password_hash")])
def test_what_cannot_be_listed_is_said(session: Session, page: Page) -> None:
    with pytest.raises(Invalid):
        paginate(session, select(Collectivity), page, SORTABLE, "name")
