"""Which heading of a file holds which column: guessed, chosen by a person, remembered for files of the same shape."""

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from fleet.errors import Invalid
from fleet.importing import Column
from fleet.imports.kinds import KINDS, ImportKind
from fleet.imports.models import ImportMapping
from fleet.text import fold

ALSO: Mapping[str, tuple[str, ...]] = {
    "uai": ("rne", "code uai", "code rne", "code etablissement", "identifiant", "immatriculation"),
    "name": (
        "nom de l ecole",
        "nom de l etablissement",
        "etablissement",
        "ecole",
        "denomination",
        "designation",
        "commune",
    ),
    "type": ("type d etablissement", "categorie", "niveau", "degre"),
    "insee": ("insee", "code insee de la commune", "code commune insee", "cog", "depcom"),
    "commune": ("ville", "nom de la commune", "localisation"),
    "sector": ("public prive", "statut"),
    "state": ("situation", "ouverture"),
    "address": ("rue", "voie", "adresse postale"),
    "postcode": ("cp", "code post"),
    "postcodes": ("cp", "codes post"),
    "locality": ("bureau distributeur", "lieu dit"),
    "pupils": ("effectif", "effectifs", "nb eleves", "nombre eleves", "nombre d eleves"),
    "manager": ("siren du gestionnaire", "siren collectivite"),
    "population": ("habitants", "nombre d habitants", "nb habitants", "pmun", "ptot"),
    "siren": ("numero siren", "n siren"),
    "epci_siren": ("siren de l epci", "code epci"),
    "epci_name": ("nom de l epci", "epci", "intercommunalite"),
    "form": ("forme juridique", "nature"),
    "present": ("commune nouvelle", "code commune actuelle"),
}
"""What people call columns besides the names that an import goes by by itself."""
ALIKE = 0.84
"""How much of two headings must agree for one to be taken for the other."""


def guess(headings: Sequence[str], columns: Mapping[str, Column]) -> dict[str, str]:
    """The heading of each known column, "" when none looks like it. No heading serves two columns."""
    free = {fold(heading): heading for heading in headings if fold(heading)}
    ours = {known: [fold(name) for name in column.names] for known, column in columns.items()}
    theirs = {known: [*names, *ALSO.get(known, ())] for known, names in ours.items()}
    chosen: dict[str, str] = {}
    for names in (ours, theirs):  # what is certain first, so that no likeness takes it away
        for known, wanted in names.items():
            exact = next((name for name in wanted if name in free), None)
            if known not in chosen and exact is not None:
                chosen[known] = free.pop(exact)
    for known, wanted in theirs.items():
        if known not in chosen and (near := _nearest(wanted, free)):
            chosen[known] = free.pop(near)
    return {known: chosen.get(known, "") for known in columns}


def _nearest(wanted: Sequence[str], free: Mapping[str, str]) -> str | None:
    scored = [
        (difflib.SequenceMatcher(None, name, heading).ratio(), heading) for name in wanted for heading in sorted(free)
    ]
    best = max(scored, default=(0.0, ""))
    return best[1] if best[0] >= ALIKE else None


def shape_of(headings: Sequence[str]) -> str:
    """What files of the same making have in common: their headings, in any order and spelling."""
    return hashlib.sha256("\n".join(sorted(map(fold, headings))).encode()).hexdigest()


def propose(session: Session, kind: ImportKind, headings: Sequence[str]) -> dict[str, str]:
    """What a person chose for a file of this shape, else a guess."""
    known = session.get(ImportMapping, (kind, shape_of(headings)))
    columns = KINDS[kind].columns
    return guess(headings, columns) | (_of_this_file(known.mapping, headings, columns) if known else {})


def _of_this_file(mapping: Mapping[str, str], headings: Sequence[str], columns: Mapping[str, Column]) -> dict[str, str]:
    """A remembered choice in the spelling of this file."""
    spelt = {fold(heading): heading for heading in headings}
    return {known: spelt.get(fold(heading), "") for known, heading in mapping.items() if known in columns}


def check(mapping: Mapping[str, str], headings: Sequence[str], columns: Mapping[str, Column]) -> dict[str, str]:
    """A person's choice, complete; raise Invalid for a heading that is not there or serves two columns."""
    for known, heading in mapping.items():
        if known not in columns:
            raise Invalid("import.unknown_column", f"« {known} » n’est pas une colonne connue.")
        if heading and heading not in headings:
            raise Invalid("import.unknown_heading", f"Le fichier n’a pas de colonne « {heading[:60]} ».")
    used = [heading for heading in mapping.values() if heading]
    twice = next((heading for heading in used if used.count(heading) > 1), None)
    if twice is not None:
        raise Invalid("import.heading_twice", f"La colonne « {twice} » ne peut servir deux fois.")
    return {known: mapping.get(known, "") for known in columns}


def remember(
    session: Session, kind: ImportKind, headings: Sequence[str], mapping: Mapping[str, str], now: datetime
) -> None:
    """Keep a choice for the next file of this shape."""
    values = {"mapping": dict(mapping), "saved_at": now}
    row = insert(ImportMapping).values(kind=kind, shape=shape_of(headings), **values)
    session.execute(row.on_conflict_do_update(index_elements=["kind", "shape"], set_=values))
