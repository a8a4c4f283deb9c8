"""Filters that people keep: their own only, above their lists, and one of them opens a list."""

import io
import re
import zipfile
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from fleet.errors import Invalid
from fleet.saved_filters.service import LONGEST_QUERY, MOST_KEPT, clean_query
from fleet.scope import Viewer
from fleet.table_file import MOST_ROWS, Sheet, download, write_workbook
from tests.factories import make_school, make_ticket, make_user
from tests.sign_in import signed_in

LISTS = ("schools", "collectivities", "devices", "tickets")


def keep(api: TestClient, of: str, name: str, query: str, **more: str) -> tuple[int, str]:
    form = {"csrf": api.headers["X-CSRF-Token"], "list": of, "name": name, "query": query} | more
    answer = api.post("/saved-filters", data=form, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", answer.text)


@pytest.mark.parametrize("of", LISTS)
def test_a_filter_is_kept_opens_its_list_and_is_forgotten(
    api: TestClient, session: Session, staff: Viewer, of: str
) -> None:
    assert "Garder ces filtres" not in api.get(f"/{of}").text
    assert "Garder ces filtres" in api.get(f"/{of}?q=guise").text
    assert keep(api, of, "À Guise", "q=guise&page=3&done=x") == (303, f"/{of}?q=guise&done=filter-saved")
    assert f'href="/{of}?q=guise"' in api.get(f"/{of}").text
    assert api.get(f"/{of}", follow_redirects=False).status_code == 200
    keep(api, of, "À Guise", "q=guise", is_default="yes")
    assert api.get(f"/{of}", follow_redirects=False).headers["location"] == f"/{of}?q=guise"
    page = api.get(f"/{of}?all=yes", follow_redirects=False)
    assert page.status_code == 200
    [remove] = re.findall(r'action="(/saved-filters/[^"]+)"', page.text)
    assert api.post(remove, data={"csrf": api.headers["X-CSRF-Token"]}).status_code == 200
    assert "À Guise" not in api.get(f"/{of}").text


def test_one_default_at_most(api: TestClient, staff: Viewer) -> None:
    keep(api, "schools", "Un", "q=un", is_default="yes")
    keep(api, "schools", "Deux", "q=deux", is_default="yes")
    assert api.get("/schools", follow_redirects=False).headers["location"] == "/schools?q=deux"


def test_what_others_keep_is_not_seen_nor_removed(api: TestClient, session: Session, staff: Viewer) -> None:
    keep(api, "schools", "Le mien", "q=guise")
    path = api.get("/schools").text.partition('action="/saved-filters/')[2].partition('"')[0]
    signed_in(api, make_user(session))
    assert "Le mien" not in api.get("/schools").text
    assert api.post(f"/saved-filters/{path}", data={"csrf": api.headers["X-CSRF-Token"]}).status_code == 404


@pytest.mark.parametrize(
    ("of", "name", "query"),
    [
        ("schools", "", "q=a"),
        ("schools", "x" * 61, "q=a"),
        ("schools", "a\x07b", "q=a"),
        ("schools", "Rien", ""),
        ("schools", "Rien", "page=2"),
        ("schools", "Long", "q=" + "x" * 1000),
        ("schools", "Long", "q=" + "x" * 100_000),
        ("schools", "Trop", "&".join(f"a{n}=1" for n in range(30))),
        ("schools", "Nul", "q=a%00"),
        ("toasters", "Un", "q=a"),
    ],
)
def test_what_cannot_be_kept_is_told(api: TestClient, staff: Viewer, of: str, name: str, query: str) -> None:
    assert keep(api, of, name, query)[0] == 422


def test_no_more_than_so_many(api: TestClient, staff: Viewer) -> None:
    for number in range(MOST_KEPT):
        assert keep(api, "schools", f"F{number}", "q=a")[0] == 303
    assert keep(api, "schools", "F0", "q=b")[0] == 303
    assert keep(api, "schools", "Un de trop", "q=b")[0] == 422


@given(query=st.text(max_size=200))
def test_a_query_is_kept_the_same_when_kept_again(query: str) -> None:
    try:
        kept = clean_query(query)
    except Invalid:
        return
    assert len(kept) <= LONGEST_QUERY
    assert clean_query(kept) == kept


def cells(content: bytes) -> list[list[str | float | None]]:
    """A workbook of ours as Python values."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            ElementTree.fromstring(archive.read(name))
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    rows: list[list[str | float | None]] = []
    for row in sheet.iter(f"{space}row"):
        values: list[str | float | None] = []
        for cell in row:
            number, text = cell.find(f"{space}v"), cell.find(f"{space}is/{space}t")
            assert cell.find(f"{space}f") is None
            values.append(float(number.text or 0) if number is not None else text.text if text is not None else None)
        rows.append(values)
    return rows


@given(texts=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1), max_size=4))
def test_a_workbook_holds_the_text_that_was_given(texts: list[str]) -> None:
    file = io.BytesIO()
    write_workbook(file, Sheet(("a", "b"), [[each, 3, None, 2.5] for each in texts]))
    read = cells(file.getvalue())
    assert read[0] == ["a", "b"]
    assert [row[1:] for row in read[1:]] == [[3.0, None, 2.5]] * len(texts)
    kept = [each.replace("\ufffe", "").replace("\uffff", "") for each in texts]
    assert [row[0] or "" for row in read[1:]] == kept


@pytest.mark.parametrize("of", LISTS)
def test_a_list_is_handed_out_whole_as_a_workbook(api: TestClient, session: Session, staff: Viewer, of: str) -> None:
    school = make_school(session, name="=1+1 et \x0b des <signes> & d’autres")
    make_ticket(session, school=school, title="=cmd|' /C calc'!A0")
    answer = api.get(f"/{of}.xlsx?status=all" if of == "tickets" else f"/{of}.xlsx")
    assert answer.headers["content-type"].endswith("spreadsheetml.sheet")
    assert answer.headers["content-disposition"].endswith('.xlsx"')
    read = cells(answer.content)
    wide = api.get(f"/{of}.csv").content.decode("utf-8-sig").removesuffix("\r\n").split("\r\n")
    assert read[0] == wide[0].split(";")
    assert len(read) == len(wide)
    if of == "tickets":
        assert "=cmd|' /C calc'!A0" in read[1]
    assert api.get(f"/api/v1/{of}/export.xlsx").status_code == 200
    assert api.get(f"/api/v1/{of}/export.pdf").status_code == 422


def test_a_list_without_end_is_refused_and_not_cut() -> None:
    with pytest.raises(Invalid, match="filtrez la liste"):
        download(Sheet(("a",), ([n] for n in range(MOST_ROWS + 1))), "x", "csv")
