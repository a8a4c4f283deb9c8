"""`preau-filter keygen`: a private key that signs files, kept in one file, and the public one that filters trust."""

import argparse
import os
import sys
from pathlib import Path

from filter.commands.compile import OptionMissing
from filter.signing import SigningKey


class KeyExists(ValueError):
    """The file is there; the text says so in French."""


PROBLEMS = (OptionMissing, KeyExists)
ONLY_ITS_OWNER = 0o600


def run(args: argparse.Namespace) -> int:
    if args.out is None:
        raise OptionMissing("il faut --out FICHIER")
    key = SigningKey.generate()
    write_once(Path(args.out), key.to_pem())
    sys.stdout.write(f"{key.public_hex}\n")
    return 0


def write_once(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads; raise KeyExists rather than write over a key."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ONLY_ITS_OWNER)
    except FileExistsError as error:
        raise KeyExists(f"{path} existe déjà : une clé ne s’écrase pas") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
