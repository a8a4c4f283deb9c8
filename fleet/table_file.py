"""Tables that people keep in spreadsheets: CSV and XLSX, written row by row, never run as formulas."""

import csv
import io
import re
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Literal, NamedTuple
from xml.sax.saxutils import escape

from fastapi.responses import Response, StreamingResponse

from fleet.errors import Invalid

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""A cell that begins so would be run as a formula by a spreadsheet (CSV injection)."""
MOST_ROWS = 300_000
"""Of one file: what a spreadsheet still opens, and more than any list of ours."""
IN_MEMORY = 4 * 1024 * 1024
"""Bytes of a file that is being made; a larger one is on disk until it is sent."""
PIECE = 64 * 1024
Extension = Literal["csv", "xlsx"]
MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


class Sheet(NamedTuple):
    """A table to hand out: its headings, and its rows as they are read."""

    columns: Sequence[str]
    rows: Iterable[Sequence[object]]


def write_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """UTF-8 with BOM, ``;``, CRLF: what a French spreadsheet opens as is. None is an empty cell."""
    out = io.BytesIO()
    write_csv(out, Sheet(columns, rows))
    return out.getvalue()


def write_csv(file: IO[bytes], sheet: Sheet) -> None:
    """The same into a file, row by row."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(sheet.columns)
    writer.writerows([_cell(value) for value in row] for row in sheet.rows)
    text.detach()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    if isinstance(value, str) and text.startswith(FORMULA_STARTS):
        return f"'{text}"
    return text


PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.'
    'spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.'
    'openxmlformats-officedocument.spreadsheetml.worksheet+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
    'Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" '
    'Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://'
    'schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Préau" sheetId="1" '
    'r:id="rId1"/></sheets></workbook>',
}
"""What a workbook of one sheet holds beside it (ECMA-376, part 1)."""
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LONGEST_CELL = 32_767
"""Characters that a cell of a workbook may hold."""


def write_workbook(file: IO[bytes], sheet: Sheet) -> None:
    """An XLSX workbook of one sheet. Text is text and never a formula; numbers are numbers."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
        for name, content in PARTS.items():
            archive.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{content}')
        with archive.open("xl/worksheets/sheet1.xml", "w") as part:
            part.write(b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>')
            part.write(b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>')
            part.write(_row(sheet.columns))
            for row in sheet.rows:
                part.write(_row(row))
            part.write(b"</sheetData></worksheet>")


def _row(values: Sequence[object]) -> bytes:
    return f"<row>{''.join(map(_workbook_cell, values))}</row>".encode()


def _workbook_cell(value: object) -> str:
    if value is None or value == "":
        return "<c/>"  # cells without a name follow each other
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<c><v>{value}</v></c>"
    text = escape(NOT_XML.sub("", str(value)[:LONGEST_CELL]))
    return f'<c t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


WRITERS = {"csv": write_csv, "xlsx": write_workbook}


def download(sheet: Sheet, stem: str, extension: Extension) -> Response:
    """A file that the browser saves under ``stem`` (ASCII) and its extension; raise Invalid when it is too long.

    It is made whole before the answer begins, on disk when it is large: nobody gets half a table that looks whole.
    """
    with ExitStack() as opened:
        file = opened.enter_context(tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))
        WRITERS[extension](file, Sheet(sheet.columns, _bounded(sheet.rows)))
        opened.pop_all()  # closed when it is sent
    headers = {"Content-Disposition": f'attachment; filename="{stem}.{extension}"', "Cache-Control": "no-store"}
    return StreamingResponse(_pieces(file), media_type=MEDIA[extension], headers=headers)


def _bounded(rows: Iterable[Sequence[object]]) -> Iterator[Sequence[object]]:
    for number, row in enumerate(rows):
        if number == MOST_ROWS:
            raise Invalid("list.too_long", f"Plus de {MOST_ROWS} lignes : filtrez la liste, puis exportez-la.")
        yield row


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0)
        while piece := file.read(PIECE):
            yield piece


def as_download(content: bytes, filename: str) -> Response:
    """A CSV that the browser saves under ``filename`` (ASCII)."""
    headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
    return Response(content, media_type=MEDIA["csv"], headers=headers)
