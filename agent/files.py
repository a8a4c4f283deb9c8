"""Files replaced whole or not at all, whatever the moment the power goes."""

import os
import stat
from pathlib import Path

READABLE = 0o644
"""Everyone on the device may read what browsers and the resolver need."""

SUFFIX = ".preau-new"


def write(path: Path, content: bytes, mode: int = READABLE, staging: Path | None = None) -> None:
    """Replace ``path``: temporary file, fsync, rename, fsync of the folder. ``staging``: another folder for the first.

    The temporary name depends on the path alone, so that what a killed agent leaves is overwritten by the next.
    """
    make_folder(path.parent)
    temporary = temporary_of(path, staging)
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        write_all(descriptor, content)
        os.fchmod(descriptor, mode)  # not the umask's business
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    sync_folder(path.parent)


def write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def temporary_of(path: Path, staging: Path | None = None) -> Path:
    """Where the next content of ``path`` is prepared."""
    return (staging or path.parent) / f".{path.name}{SUFFIX}"


def remove_temporaries(folder: Path) -> None:
    """Take away what an agent killed while writing here left behind."""
    for temporary in folder.glob(f".*{SUFFIX}"):
        temporary.unlink()


def remove(path: Path) -> bool:
    """Remove a file for good; False when there was none."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    sync_folder(path.parent)
    return True


def make_folder(path: Path, mode: int = 0o755) -> None:
    """Create a folder and its parents, whatever the umask, and make them last."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    path.chmod(mode)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the last renames and removals in a folder survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def find_content(path: Path) -> bytes | None:
    """The bytes of a regular file, None when there is nothing of that name."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def is_in_place(path: Path, content: bytes, mode: int = READABLE) -> bool:
    """Whether ``path`` is a plain file with this content and these rights (a link to one is not)."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    same_kind = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == mode
    return same_kind and status.st_size == len(content) and path.read_bytes() == content
