"""Lines of a list file, plain or xz, within bounds: no line and no file makes the reader hold much in memory."""

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from filter.lists.source import ListReport

LONGEST_LINE = 1024
MOST_BYTES = 1 << 30
"""Of one file, uncompressed: the largest known list has a tenth of it."""
CHUNK = 1 << 18


class ListRefused(Exception):
    """A whole file cannot be used; the text says, in French, which and why."""


def find_file(directory: Path, name: str) -> Path | None:
    """``name`` or ``name.xz`` in a folder."""
    return next((path for path in (directory / name, directory / f"{name}.xz") if path.is_file()), None)


def read_lines(path: Path, report: ListReport, most_bytes: int = MOST_BYTES) -> Iterator[tuple[int, bytes]]:
    """(number, line) of everything but blank lines and ``#`` comments; over-long lines are reported and left out.

    Raises ListRefused when the file is not what its name says, or is larger than any list.
    """
    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
            for number, line in enumerate(split_lines(file, path, most_bytes), start=1):
                stripped = line.strip()
                if not stripped or stripped[0] == 35:  # '#'
                    continue
                report.lines += 1
                if len(stripped) > LONGEST_LINE:
                    report.skip("too_long", number, stripped[:80].decode("ascii", "replace"))
                else:
                    yield number, stripped
    except (lzma.LZMAError, EOFError) as error:
        raise ListRefused(f"{path} : archive xz abîmée ({error})") from error


def split_lines(file: BinaryIO | lzma.LZMAFile, path: Path, most_bytes: int) -> Iterator[bytes]:
    """Lines of a stream; what comes after the first LONGEST_LINE + 1 bytes of one may be dropped."""
    rest, total = b"", 0
    while chunk := file.read(CHUNK):
        total += len(chunk)
        if total > most_bytes:
            raise ListRefused(f"{path} : plus de {most_bytes} octets")
        first, *others = chunk.split(b"\n")
        if not others:
            rest = (rest + first)[: LONGEST_LINE + 1] if len(rest) <= LONGEST_LINE else rest
            continue
        yield rest + first
        yield from others[:-1]
        rest = others[-1]
    if rest:
        yield rest
