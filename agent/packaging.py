"""Builds `preau-agent.pyz`, the one file that a device needs. Itself left out: devices build no agents."""

import io
import zipfile
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

LAUNCHER = """\
# Any Python 3 can read this page, to say which one is needed.
import sys

if sys.version_info < (3, 11):
    sys.exit("preau-agent demande Python 3.11 ou plus recent ; celui-ci est Python %d.%d." % sys.version_info[:2])

if sys.platform == "win32":
    sys.exit("preau-agent ne gere pas encore Windows : seuls les appareils sous Linux s'enrolent avec lui.")

from agent.__main__ import main

main()
"""
SHEBANG = b"#!/usr/bin/env python3\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
LEFT_OUT = {"packaging.py"}


def build_archive() -> bytes:
    """The agent as a zipapp. The same sources give the same bytes: stored, sorted, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        add(archive, "__main__.py", LAUNCHER.encode())
        for name, source in sorted(sources(files("agent"), "agent")):
            add(archive, name, source.read_bytes())
    return SHEBANG + buffer.getvalue()


def sources(folder: Traversable, name: str) -> Iterator[tuple[str, Traversable]]:
    """Every Python file of the package that devices need."""
    for entry in folder.iterdir():
        path = f"{name}/{entry.name}"
        if entry.is_dir() and entry.name != "__pycache__":
            yield from sources(entry, path)
        elif entry.name.endswith(".py") and entry.name not in LEFT_OUT:
            yield path, entry


def add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3
    archive.writestr(entry, content)
