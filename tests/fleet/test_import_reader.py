"""Files as they come: encodings, delimiters, real line numbers, and what is refused with which sentence."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fleet.table_file import write_table
from fleet.table_reader import MAX_LINE, Encoding, RowError, TableRefused, read_table

TEXT = 'uai;nom;lieu\r\n0020098W;"École ""Les Œillets""";Bézu-Saint-Germain\r\n'
CELLS = {"uai": "0020098W", "nom": 'École "Les Œillets"', "lieu": "Bézu-Saint-Germain"}


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode(), Encoding.UTF_8),
        (TEXT.encode("utf-8-sig"), Encoding.UTF_8),
        (TEXT.encode("cp1252"), Encoding.CP1252),
        (TEXT.encode("utf-16"), Encoding.UTF_16),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), Encoding.UTF_16),
    ],
)
def test_the_encoding_is_recognised(content: bytes, encoding: Encoding) -> None:
    table = read_table(content)
    assert (table.encoding, table.delimiter) == (encoding, ";")
    assert [row.cells for row in table.rows] == [CELLS]


def test_a_given_encoding_is_obeyed() -> None:
    content = "a;b\nœ;€\n".encode("iso-8859-15")
    assert read_table(content, Encoding.ISO_8859_15).rows[0].cells == {"a": "œ", "b": "€"}
    assert read_table("a;b\né;è\n".encode("utf-8-sig"), Encoding.UTF_8).columns == ["a", "b"]
    with pytest.raises(TableRefused, match="Ligne 2 : ce n’est pas du utf-8"):
        read_table("a;b\né;è\n".encode("cp1252"), Encoding.UTF_8)


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_delimiter_and_the_line_ends_are_recognised(delimiter: str, end: str) -> None:
    lines = (delimiter.join(cells) for cells in (("uai", "nom", "lieu"), ("1", "Été", "Laon")))
    table = read_table(end.join(lines).encode())
    assert (table.delimiter, table.rows[0].line, table.rows[0].cells["lieu"]) == (delimiter, 2, "Laon")


def test_what_spreadsheets_add_is_passed_over() -> None:
    table = read_table(b"\r\nsep=;\r\nUAI ; Nom_Etablissement ;;\r\n1;A;;\r\n;;;\r\n\r\n2;B;;\r\n")
    assert table.columns == ["UAI", "Nom_Etablissement"]
    assert [(row.line, row.cells) for row in table.rows] == [
        (4, {"uai": "1", "nom etablissement": "A"}),
        (7, {"uai": "2", "nom etablissement": "B"}),
    ]


def test_line_numbers_are_those_of_the_file_also_after_quoted_line_ends() -> None:
    table = read_table(b'a;b\n1;"deux\nlignes\r\net trois"\n2;x\n3;un;de trop\n4;y\n')
    assert [row.line for row in table.rows] == [2, 5, 7]
    assert table.rows[0].cells["b"] == "deux\nlignes\r\net trois"
    assert table.errors == [RowError(6, "3 cases au lieu de 2 : un séparateur manque ou est de trop")]


def test_a_quote_never_closed_is_told_where_it_opens() -> None:
    table = read_table(b'a;b\n1;x\n2;"y\n3;z\n4;t\n')
    assert [row.line for row in table.rows] == [2]
    assert table.errors == [RowError(3, "un guillemet s’ouvre ici et ne se referme jamais")]


def test_a_misplaced_quote_costs_its_row_only() -> None:
    table = read_table(b'a;b\n1;"x"y\n2;z\n')
    assert [row.line for row in table.rows] == [3]
    assert [error.line for error in table.errors] == [2]
    assert "guillemet est mal placé" in table.errors[0].message


def test_a_huge_line_costs_itself_only() -> None:
    table = read_table(b"a;b\n1;" + b"x" * MAX_LINE + b"\n2;y\n")
    assert [row.line for row in table.rows] == [3]
    assert table.errors == [RowError(2, f"ligne démesurée ({MAX_LINE + 3} caractères, {MAX_LINE} au plus)")]


def test_a_huge_quoted_cell_on_many_lines_is_told_where_it_begins() -> None:
    table = read_table(b'a;b\n1;x\n2;"' + b"abcdefgh\n" * 20_000 + b'"\n3;y\n')
    assert table.errors[0] == RowError(3, "une case est démesurée (guillemet jamais refermé ?)")


REFUSED = {
    "empty": (b"", "Le fichier est vide"),
    "blank": (b"\xef\xbb\xbf \r\n\n", "Le fichier est vide"),
    "headings only": (b"uai;nom\r\n", "aucune ligne sous ses titres"),
    "one column": (b"uai\n0020098W\n", "Aucun séparateur reconnu"),
    "a heading twice": (b"uai;nom;UAI\n1;2;3\n", "« UAI » est là deux fois"),
    "a workbook": (b"PK\x03\x04" + bytes(100), "Ce classeur ne peut pas être lu"),
    "an old workbook": (b"\xd0\xcf\x11\xe0" + bytes(100), "un classeur Excel"),
    "gzip": (b"\x1f\x8b\x08" + bytes(100), "décompressez-le"),
    "a program": (b"\x7fELF" + bytes(100), "octets nuls"),
    "nulls in UTF-16": ("a;b\n\0;1\n".encode("utf-16"), "caractères nuls"),
    "half a UTF-16 character": ("a;b\n1;2\n".encode("utf-16") + b"\n", "utf-16"),
    "damaged UTF-8": ("uai;nom\n1;École\n".encode() + b"2;\xe9cole\n", "Ligne 3 : octet 0xE9 illisible"),
    "no text": (b"uai;nom\n1;\x81\n", "Ligne 2 : ce n’est pas du cp1252"),
    "a huge heading": (b"uai;nom" * 50_000, "démesurée"),
}


@pytest.mark.parametrize(("content", "sentence"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused_in_french(content: bytes, sentence: str) -> None:
    with pytest.raises(TableRefused) as refusal:
        read_table(content)
    assert sentence in refusal.value.detail
    assert refusal.value.detail.isprintable()


def outcome(content: bytes) -> str:
    """What comes of a file, whatever it is: rows and errors on lines that exist, or a refusal."""
    try:
        table = read_table(content)
    except TableRefused as refusal:
        return refusal.detail
    lines = [row.line for row in table.rows]
    assert lines == sorted(set(lines))
    assert {e.line for e in table.errors}.isdisjoint(lines) or any("démesurée" in e.message for e in table.errors)
    return "table"


@given(st.binary(max_size=400))
@example(b"\xff\xfe")
@example(b'"')
@example(b";\n\x85;\x0c\n")
def test_random_bytes_never_crash_the_reader(content: bytes) -> None:
    assert outcome(content)


@given(st.text('a;,"\n\r\t|é=', max_size=200))
def test_random_csv_never_crashes_the_reader(text: str) -> None:
    assert outcome(text.encode())


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5))
def test_what_we_write_we_read_back(rows: list[tuple[str, str]]) -> None:
    """But for blanks around a cell, blank rows, and the apostrophe that keeps a spreadsheet from running a formula."""
    table = read_table(write_table(["a", "b"], rows) + b"fin;fin\r\n")
    read = [(row.cells["a"], row.cells["b"]) for row in table.rows]

    def plain(cell: str) -> str:
        return (f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell).strip()

    expected = [tuple(map(plain, row)) for row in rows]
    assert read == [row for row in expected if any(row)] + [("fin", "fin")]
    assert table.errors == []


def test_a_large_file_keeps_its_lines() -> None:
    order = list(range(20_000))
    random.Random(1).shuffle(order)
    table = read_table(b"a;b\n" + b"".join(b'%d;"x\ny"\n' % n for n in order))
    assert [row.line for row in table.rows[-2:]] == [39_998, 40_000]
    assert [int(row.cells["a"]) for row in table.rows] == order
