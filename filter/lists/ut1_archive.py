"""The UT1 lists as they are published, one tar file of many folders, unpacked without trusting what it says."""

import gzip
import json
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from tempfile import TemporaryDirectory
from typing import Self

from filter.lists.lines import MOST_BYTES, ListRefused, uncompress
from filter.lists.ut1 import CATEGORY, FILES

ROOT = "blacklists"
TITLES_FILE = "global_usage"
MOST_MEMBERS = 10_000
MOST_UNPACKED = 2 * MOST_BYTES
"""Bytes of a whole archive, uncompressed."""
LONGEST_HEADER = 1 << 16
MAGIC = slice(257, 262)
"""Where a tar file says ``ustar``."""


@contextmanager
def ut1_folder(path: Path) -> Iterator[Path]:
    """A UT1 tree to read: the folder itself, or an archive's content in a folder that lasts as long as the block.

    Raises ListRefused for an archive that is none, or means harm.
    """
    if path.is_dir():
        yield path
        return
    with TemporaryDirectory(prefix="ut1-") as folder:
        unpack_ut1(path, Path(folder))
        yield Path(folder)


def is_archive(path: Path) -> bool:
    """Whether a file, uncompressed, is a tar archive."""
    try:
        return next(uncompress(path), b"")[MAGIC] == b"ustar"
    except (lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError):
        return False


class Stream(RawIOBase):
    """Pieces of a file as tarfile reads them, no more than ``most`` bytes in all."""

    def __init__(self, pieces: Iterator[bytes], most: int) -> None:
        self.pieces = pieces
        self.left = most
        self.waiting = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview[int] | bytearray") -> int:  # type: ignore[override]  # all that is given
        """Raises ListRefused beyond the bound."""
        if not self.waiting:
            self.waiting = next(self.pieces, b"")
            self.left -= len(self.waiting)
        if self.left < 0:
            raise ListRefused("archive trop grande")
        found, self.waiting = self.waiting[: len(buffer)], self.waiting[len(buffer) :]
        buffer[: len(found)] = found
        return len(found)


class Member(tarfile.TarInfo):
    """A member whose header is not held in memory whatever its size: long names have their own, of any length."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        found = super().frombuf(buf, encoding, errors)
        if not found.isreg() and found.size > LONGEST_HEADER:
            raise ListRefused("en-tête trop long")
        return found


def unpack_ut1(archive: Path, folder: Path, most_bytes: int = MOST_UNPACKED) -> None:
    """Write what is read of an archive into an empty folder, links as ``aliases.json``; nothing is held in memory.

    Only the names of categories and files that UT1 has are ever written, so no member leads out of the folder. Raises
    ListRefused for what is no such archive, is damaged, too large, or points outside.
    """
    aliases: dict[str, str] = {}
    stream = BufferedReader(Stream(uncompress(archive), most_bytes))
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=Member) as tar:
            for number, member in enumerate(tar):
                if number >= MOST_MEMBERS:
                    raise ListRefused("trop de fichiers")
                unpack_member(tar, member, folder, aliases)
    except ListRefused as refusal:
        raise ListRefused(f"{archive} : {refusal}") from refusal
    except (tarfile.TarError, lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError, ValueError) as error:
        raise ListRefused(f"{archive} : archive UT1 abîmée ({error})") from error
    (folder / "aliases.json").write_text(json.dumps(aliases, sort_keys=True), "utf-8")


def unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, aliases: dict[str, str]) -> None:
    """Write one file, note one link, or leave a member alone."""
    place = place_of(member.name)
    if place is None:
        return
    if member.issym() or member.islnk():
        target = place_of(member.linkname.removeprefix("../"))
        if target is not None and len(target) == len(place):
            aliases["/".join(place)] = "/".join(target)
        return
    if not member.isfile() or member.issparse() or (len(place) == 1 and place[0] != TITLES_FILE):
        return
    if member.size > MOST_BYTES:
        raise ListRefused(f"{member.name} : plus de {MOST_BYTES} octets")
    path = folder.joinpath(*place)
    path.parent.mkdir(exist_ok=True)
    content = tar.extractfile(member)
    if content is not None:
        with content, path.open("wb") as out:
            copyfileobj(content, out)


def place_of(name: str) -> tuple[str, ...] | None:
    """Where a member belongs: (category,), (category, file) or (``global_usage``,); None for what is not read.

    Raises ListRefused for a path that leads outside.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ListRefused(f"chemin dangereux : {name[:80]!r}")
    parts = path.parts[1:] if path.parts[:1] == (ROOT,) else path.parts
    if parts == (TITLES_FILE,):
        return parts
    if not parts or parts[0] == TITLES_FILE or CATEGORY.fullmatch(parts[0]) is None:
        return None
    if len(parts) == 1 or (len(parts) == 2 and parts[1] in FILES):
        return parts
    return None
