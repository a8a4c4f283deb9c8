"""Lines of a list file, plain or compressed, within bounds: no line and no file makes a reader hold much in memory."""

import gzip
import lzma
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from filter.lists.source import ListReport

LONGEST_LINE = 1024
"""Bytes, without the end of line."""
MOST_BYTES = 1 << 30
"""Of one file, uncompressed: the largest known list has a tenth of it."""
MOST_LINES = 50_000_000
CHUNK = 1 << 18
HEAD = 4096
"""Bytes at the start of a file that tell what it is."""
XZ, GZIP = b"\xfd7zXZ\x00", b"\x1f\x8b"
"""First bytes of what is read on uncompressed."""
MOST_XZ_MEMORY = 1 << 27
"""Bytes: xz -9 asks for half of it."""
BINARY = re.compile(rb"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
"""What no text holds; 0x1a once ended DOS files."""
HTML = re.compile(rb"\s*<[!?/a-z]", re.IGNORECASE)


class ListRefused(Exception):
    """A whole file cannot be used; the text says, in French, which and why."""


def find_file(directory: Path, name: str) -> Path | None:
    """``name`` or ``name.xz`` in a folder. Raises ListRefused as is_there does."""
    return next((path for path in (directory / name, directory / f"{name}.xz") if is_there(path)), None)


def is_there(path: Path) -> bool:
    """Whether this is a file. Raises ListRefused where that cannot be told: a list that is not seen is no empty one."""
    try:
        return path.is_file()
    except OSError as error:
        raise ListRefused(f"{path} : illisible ({error.strerror})") from error


def read_chunks(path: Path, most_bytes: int = MOST_BYTES) -> Iterator[bytes]:
    """The file's bytes, uncompressed, without a byte order mark.

    Raises ListRefused when the content is no text (HTML and binary bodies are what a captive portal or a broken server
    gives), when the file is damaged, or larger than any list.
    """
    total = 0
    try:
        for chunk in uncompress(path):
            text = chunk if total else check_head(chunk, path)
            total += len(chunk)
            if total > most_bytes:
                raise ListRefused(f"{path} : plus de {most_bytes} octets")
            yield text
    except (lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError) as error:
        kind = "xz" if isinstance(error, lzma.LZMAError) or path.suffix == ".xz" else "gzip"
        raise ListRefused(f"{path} : archive {kind} abîmée ({error})") from error


def uncompress(path: Path) -> Iterator[bytes]:
    """Pieces of a file; of an xz or gzip one, pieces of its content."""
    with path.open("rb") as file:
        start = file.peek(len(XZ))[: len(XZ)]
        if start.startswith(XZ):
            yield from read_xz(file)
        elif start.startswith(GZIP):
            with gzip.open(file) as unpacked:
                yield from iter(lambda: unpacked.read(CHUNK), b"")
        else:
            yield from iter(lambda: file.read(CHUNK), b"")


def read_xz(file: BinaryIO) -> Iterator[bytes]:
    """The content of an xz stream, or of several, one after the other; unlike lzma.open it bounds the memory."""
    engine = lzma.LZMADecompressor(memlimit=MOST_XZ_MEMORY)
    waiting = file.read(CHUNK)
    while True:
        piece = engine.decompress(waiting, CHUNK)
        if piece:
            yield piece
        if engine.eof:
            waiting = engine.unused_data.lstrip(b"\x00") or file.read(CHUNK)
            if not waiting:
                return
            engine = lzma.LZMADecompressor(memlimit=MOST_XZ_MEMORY)
        elif engine.needs_input:
            waiting = file.read(CHUNK)
            if not waiting:
                raise EOFError("fin inattendue")
        else:
            waiting = b""


def check_head(chunk: bytes, path: Path) -> bytes:
    """The first chunk without its byte order mark. Raises ListRefused for HTML and binary content."""
    head = chunk[:HEAD]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ListRefused(f"{path} : texte UTF-16, et non UTF-8")
    chunk = chunk.removeprefix(b"\xef\xbb\xbf")
    if HTML.match(chunk[:HEAD]):
        raise ListRefused(f"{path} : page HTML, et non une liste")
    if found := BINARY.search(head):
        raise ListRefused(f"{path} : contenu binaire, et non une liste (octet {found[0][0]:#04x})")
    return chunk


def read_raw_lines(
    path: Path, most_bytes: int = MOST_BYTES, longest: int = LONGEST_LINE, most_lines: int = MOST_LINES
) -> Iterator[tuple[int, bytes]]:
    """(number from 1, line) of every line, as it stands but for its ``\\n``; one longer than ``longest`` comes cut, at
    ``longest`` + 1 bytes. Raises ListRefused as read_chunks does, and for more lines than any list has."""
    for number, line in enumerate(split_lines(read_chunks(path, most_bytes), longest), start=1):
        if number > most_lines:
            raise ListRefused(f"{path} : plus de {most_lines} lignes")
        yield number, line


def split_lines(chunks: Iterable[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes]:
    """Lines of a stream; of one longer than ``longest`` only the first ``longest`` + 1 bytes."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: longest + 1]
        for line in lines:
            yield line if len(line) <= longest else line[: longest + 1]
    if rest:
        yield rest


def read_lines(
    path: Path,
    report: ListReport,
    most_bytes: int = MOST_BYTES,
    *,
    comments: bytes = b"#",
    longest: int = LONGEST_LINE,
) -> Iterator[tuple[int, bytes]]:
    """(number, line without white space around it) of everything but blank lines and those that start with one of
    ``comments``; over-long lines are reported and left out. Raises ListRefused as read_raw_lines does."""
    for number, line in read_raw_lines(path, most_bytes, longest):
        stripped = line.strip()
        if not stripped or stripped[0] in comments:
            continue
        report.lines += 1
        if len(line) > longest:
            report.skip("too_long", number, stripped[:80].decode("ascii", "replace"))
        else:
            yield number, stripped
