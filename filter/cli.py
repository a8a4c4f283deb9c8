"""The command line of the filter: which command runs, and how it says that it cannot."""

import argparse
import errno
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from filter.bundle import BundleRefused
from filter.options import make_parser

CAUSES = {
    errno.EACCES: "permission refusée",
    errno.EPERM: "permission refusée",
    errno.EISDIR: "c’est un dossier, un fichier est attendu",
    errno.ENOTDIR: "un fichier occupe la place d’un dossier",
    errno.ENOSPC: "disque plein",
    errno.EROFS: "système de fichiers en lecture seule",
}


def run(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run a command; the exit status. What cannot be done is one sentence, not a traceback."""
    args = make_parser(environ).parse_args(arguments)
    merge_variables(args)
    module = args.command.replace("-", "_")
    command = import_module(f"filter.commands.{module}")  # each brings what it needs, so that help is instant
    try:
        status: int = command.run(args)
    except command.PROBLEMS as error:
        return complain(str(error))
    except BundleRefused as error:
        return complain(f"{error} [{error.reason}]")
    except FileNotFoundError as error:
        return complain(f"{error.filename} n’existe pas")
    except OSError as error:
        cause = CAUSES.get(error.errno or 0) or error.strerror or str(error)
        return complain(f"{error.filename or ''} : {cause}".removeprefix(" : "))
    return status


def merge_variables(args: argparse.Namespace) -> None:
    """Repeatable options that were not given take their variable's values."""
    for name in [name for name in vars(args) if name.endswith("_variable")]:
        option = name.removesuffix("_variable")
        setattr(args, option, getattr(args, option) or getattr(args, name))


def complain(text: str) -> int:
    sys.stderr.write(f"preau-filter : {text}\n")
    return 1


def path_option(value: str | None) -> Path | None:
    return None if value is None else Path(value)
