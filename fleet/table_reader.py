"""CSV files and workbooks as they come: any usual encoding and delimiter -> rows with their lines, or why not."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from fleet.errors import Invalid
from fleet.text import fold
from fleet.workbook_reader import WorkbookRefused, read_workbook

MAX_BYTES = 256 * 1024 * 1024
"""The national school directory weighs some 50 MB."""
MAX_LINE = 100_000
"""Characters in one line of the file; under the csv module's own limit for one cell."""
DELIMITERS = {";": "point-virgule", ",": "virgule", "\t": "tabulation", "|": "barre"}
SIGNATURES = {
    b"\xd0\xcf\x11\xe0": "un classeur Excel (XLS) : enregistrez la feuille au format CSV",
    b"%PDF": "un PDF",
    b"\x1f\x8b": "un fichier compressé (gzip) : décompressez-le d’abord",
    b"\xfd7zXZ": "un fichier compressé (xz) : décompressez-le d’abord",
}
WORKBOOK = b"PK\x03\x04"
REFUSALS = {
    "unexpected end of data": "un guillemet s’ouvre ici et ne se referme jamais",
    "field larger than field limit": "une case est démesurée (guillemet jamais refermé ?)",
    "expected after": "un guillemet est mal placé (dans une case entre guillemets, il se double)",
}
"""What the csv module says of a row -> what we say."""


class Encoding(StrEnum):
    """How the bytes of a file spell text; AUTO finds out."""

    AUTO = "auto"
    UTF_8 = "utf-8"
    CP1252 = "cp1252"
    ISO_8859_15 = "iso-8859-15"
    UTF_16 = "utf-16"


class TableRefused(Invalid):
    """The file as a whole cannot be read; ``detail`` says why and what to do."""

    def __init__(self, detail: str) -> None:
        super().__init__("import.unreadable", detail)


@dataclass(frozen=True, slots=True, order=True)
class RowError:
    """Why a row is refused. ``line`` is the line of the file where the row begins, 1 for the first."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: folded column name -> cell as written, blanks around removed."""

    line: int
    cells: dict[str, str]


@dataclass(slots=True)
class Table:
    """A whole file. ``columns`` are the headings as written; ``errors`` the rows that could not be cut into cells."""

    encoding: Encoding
    delimiter: str
    """Empty for a workbook, which has none."""
    columns: list[str]
    rows: list[TableRow] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)


def read_table(content: bytes, encoding: Encoding = Encoding.AUTO) -> Table:
    """Read a CSV file, or the first sheet of an XLSX workbook, whose first filled line holds the headings; raise
    TableRefused when it is none.

    Blank rows are passed over. A row that cannot be cut, or has not as many cells as there are headings, is an error
    of that row only.
    """
    if content.startswith(WORKBOOK):
        return _table_of(read_sheet(content))
    text, found = decode(content, encoding)
    lines = io.StringIO(text, newline="")  # line ends are kept, so that quoted ones stay in their cell
    skipped, heading = _first_filled_line(lines)
    delimiter = _delimiter_of(heading)
    errors: list[RowError] = []
    rows = _cut(heading, lines, delimiter, skipped, errors)
    table = Table(found, delimiter, _columns(next(rows, (0, []))[1]), errors=errors)
    return _filled(table, rows)


def _filled(table: Table, rows: Iterable[tuple[int, list[str]]]) -> Table:
    names = [fold(column) for column in table.columns]
    for line, cells in rows:
        row = _named(line, names, cells)
        if isinstance(row, RowError):
            table.errors.append(row)
        elif any(row.cells.values()):
            table.rows.append(row)
    if not table.rows and not table.errors:
        raise TableRefused("Le fichier n’a aucune ligne sous ses titres de colonnes.")
    return table


def read_sheet(content: bytes) -> list[list[str]]:
    """The rows of a workbook; raise TableRefused when it cannot be read or is too large."""
    if len(content) > MAX_BYTES:
        raise TableRefused(f"Le fichier dépasse {MAX_BYTES // 1024**2} Mo : découpez-le.")
    try:
        return read_workbook(content)
    except WorkbookRefused as error:
        raise TableRefused(str(error)) from error


def _table_of(sheet: list[list[str]]) -> Table:
    """A sheet whose first filled row holds the headings. A row may end before the last of them."""
    heading = next((place for place, row in enumerate(sheet) if any(cell.strip() for cell in row)), None)
    if heading is None:
        raise TableRefused("Le classeur est vide.")
    table = Table(Encoding.UTF_8, "", _columns(sheet[heading]))
    width = len(table.columns)
    rows = (
        (number, [*row, *[""] * (width - len(row))]) for number, row in enumerate(sheet[heading + 1 :], heading + 2)
    )
    return _filled(table, rows)


def decode(content: bytes, encoding: Encoding) -> tuple[str, Encoding]:
    """The text of a file, without its byte order mark, and the encoding that was found or given."""
    _refuse_what_is_no_text(content)
    if encoding is Encoding.AUTO and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = Encoding.UTF_16
    if b"\0" in content and encoding is not Encoding.UTF_16:
        raise TableRefused("Ce fichier n’est pas du texte (il contient des octets nuls) : donnez un fichier CSV.")
    if encoding is not Encoding.AUTO:
        return _decode_as(content, encoding), encoding
    try:
        return content.decode("utf-8-sig"), Encoding.UTF_8
    except UnicodeDecodeError as error:
        if _is_damaged_utf_8(content):
            raise TableRefused(
                f"Ligne {_line_of(content, error.start)} : octet 0x{content[error.start]:02X} illisible dans un fichier"
                " UTF-8. Réenregistrez le fichier en UTF-8, ou dites --encoding."
            ) from None
    return _decode_as(content, Encoding.CP1252), Encoding.CP1252


def _refuse_what_is_no_text(content: bytes) -> None:
    if not content.strip(b" \t\r\n\xef\xbb\xbf"):
        raise TableRefused("Le fichier est vide.")
    if len(content) > MAX_BYTES:
        raise TableRefused(f"Le fichier dépasse {MAX_BYTES // 1024**2} Mo : découpez-le.")
    for start, what in SIGNATURES.items():
        if content.startswith(start):
            raise TableRefused(f"Ce fichier est {what}.")


def _decode_as(content: bytes, encoding: Encoding) -> str:
    codec = "utf-8-sig" if encoding is Encoding.UTF_8 else encoding.value
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        raise TableRefused(
            f"Ligne {_line_of(content, error.start)} : ce n’est pas du {encoding.value}, ou le fichier est abîmé. "
            "Enregistrez-le en CSV UTF-8, ou dites --encoding."
        ) from None
    if "\0" in text:
        raise TableRefused("Ce fichier n’est pas du texte (il contient des caractères nuls) : donnez un fichier CSV.")
    return text


def _is_damaged_utf_8(content: bytes) -> bool:
    """Whether accents are spelt as UTF-8 does: "Ã" before a sign is no French in any one-byte encoding."""
    return re.search(rb"\xc3[\x80-\xbf]", content) is not None


def _line_of(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _first_filled_line(lines: io.StringIO) -> tuple[int, str]:
    """How many lines come before the headings, and their line; ``sep=;``, which Excel writes, is passed over."""
    for number, line in enumerate(lines):
        if line.strip() and not line.lower().startswith("sep="):
            return number, line
    raise TableRefused("Le fichier est vide.")


def _delimiter_of(heading: str) -> str:
    if len(heading) > MAX_LINE:
        raise TableRefused("La première ligne est démesurée : ce n’est pas un fichier CSV.")

    def cells(delimiter: str) -> int:
        try:
            return len(next(csv.reader([heading], delimiter=delimiter), []))
        except csv.Error:
            return 0

    best = max(DELIMITERS, key=cells)  # the first wins a tie: the order above is ours
    if cells(best) < 2:
        wanted = ", ".join(DELIMITERS.values())
        raise TableRefused(f"Aucun séparateur reconnu dans les titres de colonnes ({wanted}).")
    return best


def _columns(cells: list[str]) -> list[str]:
    columns = [" ".join(cell.split()) for cell in cells]
    while columns and not columns[-1]:  # a delimiter at the end of every line
        columns.pop()
    seen: set[str] = set()
    for column in columns:
        name = fold(column)
        if name and name in seen:
            raise TableRefused(f"La colonne {quote(column)} est là deux fois.")
        seen.add(name)
    return columns


def _cut(
    heading: str, lines: io.StringIO, delimiter: str, skipped: int, errors: list[RowError]
) -> Iterator[tuple[int, list[str]]]:
    """Rows as lists of cells with the line where each begins; one that cannot be cut goes to ``errors``."""

    def within_bounds() -> Iterator[str]:
        yield heading
        for number, line in enumerate(lines, skipped + 2):
            if len(line) > MAX_LINE:
                errors.append(RowError(number, f"ligne démesurée ({len(line)} caractères, {MAX_LINE} au plus)"))
                yield "\n"
            else:
                yield line

    reader = csv.reader(within_bounds(), delimiter=delimiter, strict=True)
    while True:
        line = skipped + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = next((ours for theirs, ours in REFUSALS.items() if theirs in str(error)), "ligne illisible")
            errors.append(RowError(line, reason))
            continue
        yield line, cells


def _named(line: int, names: list[str], cells: list[str]) -> TableRow | RowError:
    cells = [cell.strip() for cell in cells]
    if len(cells) > len(names) and not any(cells[len(names) :]):
        cells = cells[: len(names)]
    if any(cells) and len(cells) != len(names):
        return RowError(line, f"{len(cells)} cases au lieu de {len(names)} : un séparateur manque ou est de trop")
    return TableRow(line, {name: cell for name, cell in zip(names, cells, strict=False) if name})


def quote(text: str, longest: int = 60) -> str:
    """``text`` between French quotes, shortened, without what could write on a terminal by itself."""
    shown = "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))
    return f"« {shown if len(shown) <= longest else shown[:longest] + '…'} »"
