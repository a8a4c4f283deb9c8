"""Workbooks as spreadsheets write them, and as nobody should: rows of text, or one French sentence."""

import contextlib
import io
import zipfile
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.table_file import PARTS, Sheet, write_workbook
from fleet.table_reader import TableRefused, read_table
from fleet.workbook_reader import MOST_COLUMNS, WorkbookRefused, read_workbook

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
SHARED = f"<sst {MAIN}><si><t>uai</t></si><si><r><t>no</t></r><r><t>m</t></r><rPh><t>ノム</t></rPh></si></sst>"


def packed(rows: str, **parts: str | bytes) -> bytes:
    """A workbook with these rows as XML, and other parts over those of ours."""
    content: Mapping[str, str | bytes] = (
        PARTS
        | {"xl/worksheets/sheet1.xml": f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>"}
        | {name.replace("__", "/").replace("_xml", ".xml"): part for name, part in parts.items()}
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    return file.getvalue()


def test_cells_as_spreadsheets_write_them() -> None:
    rows = """<row r="2"><c r="A2" t="s"><v>0</v></c><c r="C2" t="s"><v>1</v></c></row>
        <row r="4"><c r="A4" t="str"><f>A1&amp;"x"</f><v>calculé</v></c>
        <c r="B4"><v>2361</v></c><c r="C4"><v>49.5</v></c>
        <c r="D4"><v>2.361E3</v></c><c r="E4" t="b"><v>1</v></c><c r="F4" t="e"><v>#N/A</v></c>
        <c t="inlineStr"><is><t>là</t></is></c><c r="AA4"><v>7</v></c></row>"""
    read = read_workbook(packed(rows, xl__sharedStrings_xml=SHARED))
    assert read[:3] == [[], ["uai", "", "nom"], []]
    assert read[3][:7] == ["calculé", "2361", "49.5", "2361", "oui", "#N/A", "là"]
    assert (len(read[3]), read[3][26]) == (27, "7")


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(rows=st.lists(st.tuples(TEXT, st.integers(-(10**12), 10**12)), min_size=1, max_size=5))
def test_what_we_write_we_read_back(rows: list[tuple[str, int]]) -> None:
    file = io.BytesIO()
    write_workbook(file, Sheet(("a", "b"), rows))
    assert read_workbook(file.getvalue()) == [["a", "b"], *([text, str(number)] for text, number in rows)]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
HOSTILE = {
    "nothing": b"PK\x03\x04",
    "cut short": packed("<row/>")[:-30],
    "entities in the sheet": packed("", xl__worksheets__sheet1_xml=f"{BOMB}<worksheet {MAIN}>&b;</worksheet>"),
    "entities in the book": packed("", xl__workbook_xml=f"{BOMB}<workbook {MAIN}/>"),
    "no sheet": packed("", xl__workbook_xml=f"<workbook {MAIN}/>"),
    "a column far away": packed('<row><c r="XFD1"><v>1</v></c></row>'),
    "no number": packed("<row><c><v>un</v></c></row>"),
    "infinite": packed("<row><c><v>1e999</v></c></row>"),
    "half a tag": packed("<row><c"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=list(HOSTILE))
def test_what_is_no_workbook_is_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(TableRefused) as refused:
        read_table(content)
    assert refused.value.code == "import.unreadable"
    assert MOST_COLUMNS == 500


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked() -> None:
    bomb = packed("<row><c><v>1</v></c></row>", xl__other_xml=bytes(1024 * 1024))
    assert len(bomb) < 10_000
    assert read_workbook(bomb) == [["1"]]
    with pytest.raises(WorkbookRefused, match="démesuré"):
        read_workbook(bomb, most_unpacked=1024 * 1024)


GOOD = packed("<row><c><v>1</v></c></row>", xl__sharedStrings_xml=SHARED)


@given(place=st.integers(0, len(GOOD) - 1), byte=st.integers(0, 255))
@example(place=4, byte=255)
def test_a_damaged_byte_never_crashes_the_reader(place: int, byte: int) -> None:
    damaged = GOOD[:place] + bytes([byte]) + GOOD[place + 1 :]
    with contextlib.suppress(WorkbookRefused):
        assert isinstance(read_workbook(damaged), list)


def test_a_sheet_becomes_a_table_with_its_own_line_numbers() -> None:
    file = io.BytesIO()
    write_workbook(
        file, Sheet((), [[None], ["UAI", "Nom", None], ["0020001F"], [None, None], ["0020002G", "B", "de trop"]])
    )
    table = read_table(file.getvalue())
    assert table.columns == ["UAI", "Nom"]
    assert [(row.line, row.cells) for row in table.rows] == [(4, {"uai": "0020001F", "nom": ""})]
    assert [error.line for error in table.errors] == [6]
