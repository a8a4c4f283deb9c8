"""The pair that a filter judges by: names and policy, two files of which each is replaced without the other."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filter.bundle import BundleRefused, NamesFile, PolicyFile, Verify
from filter.policy import Policy

Opened = NamesFile | PolicyFile
CANDIDATE = 0
"""The serial of files that a preview judges by: signed as others are, and installed by no filter."""
File = TypeVar("File", NamesFile, PolicyFile)


@dataclass(frozen=True, slots=True, eq=False)  # one is not the other, however alike they are
class Pair:
    """Two open files and what they make together."""

    names: NamesFile
    settings: PolicyFile
    policy: Policy
    """Profiles with their verdict tables: what queries are judged by."""


def make_pair(
    names: NamesFile,
    settings: PolicyFile,
    filter_id: str = "",
    zones: Iterable[str] = (),
    *,
    before: Pair | None = None,
) -> Pair:
    """Turn what the policy says of categories into verdicts on these names; raise BundleRefused.

    ``zones``: names that this gateway's own resolvers answer for. ``before``: the pair in use, whose look-ups go on
    serving when the names are the same.
    """
    index = before.policy.index if before is not None and before.names is names else None
    return Pair(names, settings, Policy(names, settings, filter_id, index, zones))


def policy_beside(names: Path) -> Path:
    """Where the policy of a local names file is when nobody says otherwise: ``ecole.preau.policy``."""
    return names.with_name(f"{names.name}.policy")


def open_pair(names: Path, policy: Path | None = None, verify: Verify | None = None, zones: Iterable[str] = ()) -> Pair:
    """Open two local files; raise BundleRefused or OSError. ``verify`` asks for the signatures of trusted keys."""
    opened = NamesFile.open(names, verify)
    return make_pair(opened, PolicyFile.open(policy or policy_beside(names), verify), zones=zones)


def open_newer(kind: type[File], path: Path, etag: str, verify: Verify, current: Opened | None) -> File:
    """Open what came if it is whole, signed, what was announced and newer than the current one; raise BundleRefused."""
    opened = kind.open(path, verify)
    if opened.etag != etag:
        raise BundleRefused("wrong_digest", "le fichier reçu n’est pas celui que le contrôleur a annoncé")
    check_serial(opened.serial, current)
    return opened


def open_kept(kind: type[File], path: Path, verify: Verify | None) -> File:
    """Open the file of an earlier run; raise BundleRefused, for a candidate too, or OSError."""
    opened = kind.open(path, verify)
    check_serial(opened.serial, None)
    return opened


def open_candidate(kind: type[File], path: Path, etag: str, verify: Verify) -> File:
    """Open a file that is only compared with, if it is the one announced and can never serve; raise BundleRefused."""
    opened = kind.open(path, verify)
    if opened.etag != etag or opened.serial != CANDIDATE:
        raise BundleRefused("wrong_digest", "le fichier reçu n’est pas le fichier d’essai annoncé")
    return opened


def check_serial(serial: int, current: Opened | None) -> None:
    """Raise BundleRefused for a serial that is not newer than the current file's, and for that of candidates."""
    if serial == CANDIDATE:
        raise BundleRefused("candidate", "fichier d’essai (numéro 0) : il sert à comparer, jamais à filtrer")
    if current is not None and serial <= current.serial:
        detail = f"numéro {serial}, pas plus récent que {current.serial} : retour en arrière refusé"
        raise BundleRefused("older_serial", detail)
