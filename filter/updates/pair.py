"""The pair that a filter judges by: names and policy, two files of which each is replaced without the other."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from filter.bundle import BundleRefused, NamesFile, PolicyFile, Verify
from filter.policy import Policy

Opened = NamesFile | PolicyFile
File = TypeVar("File", NamesFile, PolicyFile)


@dataclass(frozen=True, slots=True, eq=False)  # one is not the other, however alike they are
class Pair:
    """Two open files and what they make together."""

    names: NamesFile
    settings: PolicyFile
    policy: Policy
    """Profiles with their verdict tables: what queries are judged by."""


def make_pair(names: NamesFile, settings: PolicyFile, filter_id: str = "", *, before: Pair | None = None) -> Pair:
    """Turn what the policy says of categories into verdicts on these names; raise BundleRefused.

    ``before``: the pair in use, whose look-ups go on serving when the names are the same.
    """
    index = before.policy.index if before is not None and before.names is names else None
    return Pair(names, settings, Policy(names, settings, filter_id, index))


def policy_beside(names: Path) -> Path:
    """Where the policy of a local names file is when nobody says otherwise: ``ecole.preau.policy``."""
    return names.with_name(f"{names.name}.policy")


def open_pair(names: Path, policy: Path | None = None, verify: Verify | None = None) -> Pair:
    """Open two local files; raise BundleRefused or OSError. ``verify`` asks for the signatures of trusted keys."""
    return make_pair(NamesFile.open(names, verify), PolicyFile.open(policy or policy_beside(names), verify))


def open_newer(kind: type[File], path: Path, etag: str, verify: Verify, current: Opened | None) -> File:
    """Open what came if it is whole, signed, what was announced and newer than the current one; raise BundleRefused."""
    opened = kind.open(path, verify)
    if opened.etag != etag:
        raise BundleRefused("wrong_digest", "le fichier reçu n’est pas celui que le contrôleur a annoncé")
    check_serial(opened.serial, current)
    return opened


def check_serial(serial: int, current: Opened | None) -> None:
    """Raise BundleRefused for a serial that is not newer than the current file's."""
    if current is not None and serial <= current.serial:
        detail = f"numéro {serial}, pas plus récent que {current.serial} : retour en arrière refusé"
        raise BundleRefused("older_serial", detail)
