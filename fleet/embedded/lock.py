"""One `preau up` a state folder: a lock that the kernel drops when its holder dies, however it dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from fleet.errors import ConfigurationError


class AlreadyRunning(ConfigurationError):
    """Another `preau up` holds the folder."""


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file for the length of the block; raise AlreadyRunning, naming the holder, when it is taken.

    The descriptor is not inherited: a child that outlives us does not keep the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip() or "inconnu"
            raise AlreadyRunning(
                f"preau up tourne déjà sur {path.parent} (processus {holder}). "
                f"Arrêtez-le (kill {holder}) ou choisissez un autre dossier avec --var."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
