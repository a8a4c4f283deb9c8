"""XLSX workbooks (ECMA-376) as rows of text: the first sheet, within bounds that no honest file meets."""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from posixpath import join, normpath
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

MOST_UNPACKED = 256 * 1024 * 1024
"""Bytes of all that is read, once unpacked."""
MOST_COLUMNS = 500
MOST_ROWS = 300_000
LONGEST_CELL = 32_767
LINK = re.compile(r"\{http://(?:schemas\.openxmlformats\.org|purl\.oclc\.org)/\S+/relationships\}id")
PLACE = re.compile("([A-Z]{1,3})[0-9]{1,7}")
BROKEN = (
    zipfile.BadZipFile, zlib.error, ParseError, LookupError, ValueError, ArithmeticError, EOFError, NotImplementedError,
    RuntimeError, OSError,
)  # fmt: skip
"""What the standard library says of a file that is damaged, encrypted, or no workbook."""


class WorkbookRefused(Exception):
    """It cannot be read; the message is French."""


def read_workbook(content: bytes, most_unpacked: int = MOST_UNPACKED) -> list[list[str]]:
    """The rows of the first sheet, from its first to its last filled one; raise WorkbookRefused.

    Numbers are written without a superfluous decimal; formulas by the value that was last computed; the rest as text.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(part.file_size for part in archive.infolist()) > most_unpacked:
                raise WorkbookRefused("Ce classeur est démesuré une fois déplié : enregistrez la feuille en CSV.")
            strings = list(_strings(archive))
            with archive.open(_first_sheet(archive)) as part:
                return list(_rows(part, strings))
    except BROKEN as error:
        raise WorkbookRefused(
            "Ce classeur ne peut pas être lu (abîmé, protégé, ou d’un autre format) : enregistrez la feuille en CSV."
        ) from error


def _first_sheet(archive: zipfile.ZipFile) -> str:
    """The part that holds the first sheet of the workbook's own order."""
    book = _parse(archive, "xl/workbook.xml")
    sheets = [each for each in book.iter() if _name(each) == "sheet"]
    wanted = _link(sheets[0])
    for link in _parse(archive, "xl/_rels/workbook.xml.rels"):
        if link.get("Id") == wanted:
            target = link.attrib["Target"]
            return target.lstrip("/") if target.startswith("/") else normpath(join("xl", target))
    raise KeyError(wanted)


def _link(sheet: Element) -> str:
    """Under which id the workbook knows where a sheet is."""
    found = (value for name, value in sheet.attrib.items() if LINK.fullmatch(name))
    return next(found, "")


def _parse(archive: zipfile.ZipFile, name: str) -> Element:
    content = archive.read(name)
    _refuse_entities(content)
    return ElementTree.fromstring(content)  # noqa: S314 - no document type, so no entities: looked at above


def _refuse_entities(start: bytes) -> None:
    if b"<!" in start[:1024].replace(b"<!--", b""):
        raise ValueError("a document type has no place in a workbook")


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _events(part: IO[bytes], wanted: str) -> Iterator[Element]:
    """Each whole element of that name, forgotten once it was looked at."""
    _refuse_entities(part.read(1024))
    part.seek(0)
    for _, element in ElementTree.iterparse(part, ["end"]):  # noqa: S314 - no document type, so no entities
        if _name(element) == wanted:
            yield element
            element.clear()


def _strings(archive: zipfile.ZipFile) -> Iterator[str]:
    """The texts that cells refer to by number."""
    if "xl/sharedStrings.xml" not in archive.namelist():
        return
    with archive.open("xl/sharedStrings.xml") as part:
        for element in _events(part, "si"):
            yield _text(element)


def _text(element: Element) -> str:
    """The text of a cell, its runs joined; what tells how it is pronounced left out."""
    runs = [each for each in element if _name(each) in {"t", "r"}]
    parts = [each if _name(each) == "t" else next((t for t in each if _name(t) == "t"), None) for each in runs]
    return "".join(part.text or "" for part in parts if part is not None)[:LONGEST_CELL]


def _rows(part: IO[bytes], strings: list[str]) -> Iterator[list[str]]:
    """Every row in its place: those that the file leaves out are empty."""
    written = 0
    for row in _events(part, "row"):
        number = int(row.get("r", written + 1))
        if number > MOST_ROWS:
            raise WorkbookRefused(f"Ce classeur a plus de {MOST_ROWS} lignes : découpez-le.")
        for _ in range(number - written - 1):
            yield []
        yield _cells(row, strings)
        written = max(written + 1, number)


def _cells(row: Element, strings: list[str]) -> list[str]:
    cells: list[str] = []
    for cell in row:
        place = PLACE.fullmatch(cell.get("r", ""))
        column = _column(place[1]) if place else len(cells)
        if column >= MOST_COLUMNS:
            raise WorkbookRefused(f"Ce classeur a plus de {MOST_COLUMNS} colonnes.")
        cells.extend([""] * (column - len(cells)))
        cells.append(_value(cell, strings))
    return cells


def _column(letters: str) -> int:
    """0 for A, 26 for AA."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _value(cell: Element, strings: list[str]) -> str:
    kind = cell.get("t", "n")
    if kind == "inlineStr":
        return next((_text(each) for each in cell if _name(each) == "is"), "")
    raw = next((each.text or "" for each in cell if _name(each) == "v"), "")
    if kind == "s" and raw:
        return strings[int(raw)] if int(raw) < len(strings) else ""
    if kind == "b":
        return {"1": "oui", "0": "non"}.get(raw, raw)
    if kind == "n" and raw:
        return _plain_number(raw)
    return raw[:LONGEST_CELL]


def _plain_number(raw: str) -> str:
    """``2361`` for 2361.0 and 2.361E3."""
    value = float(raw)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
