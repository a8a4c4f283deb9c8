"""List files on disk, and what a reader makes of them."""

import lzma
from collections.abc import Iterable
from pathlib import Path

from filter.lists.entries import Entry, Match, NameEntry
from filter.lists.source import ListReport, Reader


def write_ut1(directory: Path, **categories: str | bytes | Iterable[str]) -> Path:
    """A UT1 tree: category -> its ``domains`` file (text, bytes) or names. ``_`` in a keyword stays as it is."""
    for slug, content in categories.items():
        folder = directory / slug
        folder.mkdir(parents=True)
        text = content if isinstance(content, str | bytes) else "".join(f"{name}\n" for name in content)
        (folder / "domains").write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / "usage").write_text("black\n")
    return directory


def compress(path: Path) -> None:
    """``domains`` becomes ``domains.xz``."""
    path.with_name(f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()


def read_with(reader: Reader, folder: Path, content: str | bytes) -> tuple[list[Entry], ListReport]:
    """The entries of a file with this content, and the report."""
    path = folder / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    report = ListReport()
    return list(reader(path, report)), report


def exact(name: str) -> NameEntry:
    return NameEntry(name, Match.EXACT)
