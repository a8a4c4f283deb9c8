"""The PREAU_* variables: from the environment, or from the file that `preau up` leaves for other commands."""

import os
from collections.abc import Mapping
from pathlib import Path

from fleet.errors import ConfigurationError

DEFAULT_FILE = Path("var/preau.env")


def read_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables of the process over those of the file named by PREAU_ENV_FILE (default ``./var/preau.env``).

    The file holds ``NAME=value`` lines, mode 600; a missing one is no error. Raise ConfigurationError for one that
    somebody else could have written: it says where passwords go.
    """
    path = Path(environ.get("PREAU_ENV_FILE", DEFAULT_FILE))
    values: dict[str, str] = {}
    if path.is_file():
        status = path.stat()
        if status.st_uid not in {0, os.geteuid()} or status.st_mode & 0o022:
            raise ConfigurationError(f"{path} peut être écrit par quelqu’un d’autre : il n’est pas lu (chmod 600).")
        for line in path.read_text(encoding="utf-8").splitlines():
            name, separator, value = line.partition("=")
            if separator and name.startswith("PREAU_"):
                values[name] = value
    return values | dict(environ)
