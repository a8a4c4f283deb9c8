"""One agent for each root: a lock that the kernel lets go of when its holder dies, even by kill -9."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import files
from agent.errors import AlreadyRunning, RootNotWritable

STATE = Path("var/lib/preau")
"""Where the agent keeps what is its own, under the root; readable by its account only."""


@contextmanager
def exclusive(root: Path) -> Iterator[None]:
    """Hold the root. Raises RootNotWritable, or AlreadyRunning when another agent holds it."""
    descriptor = open_lock(root)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        files.remove_temporaries(root / STATE)
    except BlockingIOError:
        raise AlreadyRunning(
            f"Un autre agent travaille déjà sous {root} : arrêtez-le d’abord (« systemctl stop preau-agent »)."
        ) from None
    else:
        yield
    finally:
        os.close(descriptor)


def open_lock(root: Path) -> int:
    folder = root / STATE
    try:
        files.make_folder(folder)
        folder.chmod(0o700)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RootNotWritable(
            f"Impossible d’écrire sous {folder} ({error.strerror}) : lancez la commande en root, ou vérifiez --root."
        ) from error
