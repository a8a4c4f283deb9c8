"""What can be imported: the columns that each kind of file is read for, and the function that takes its rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from fleet.collectivities.imports import (
    COMMUNE,
    FORMER,
    GROUP,
    import_communes,
    import_former_communes,
    import_groups,
)
from fleet.importing import Column, ImportReport, Options, Track
from fleet.schools.imports import COLUMNS as SCHOOL
from fleet.schools.imports import import_schools
from fleet.table_reader import Table

Take = Callable[[Session, Table, Options, Track], ImportReport]


class ImportKind(StrEnum):
    """What the rows of a file are."""

    SCHOOLS = "schools"
    COMMUNES = "communes"
    FORMER_COMMUNES = "former_communes"
    GROUPS = "groups"

    @property
    def label(self) -> str:
        return {
            "schools": "Écoles, collèges et lycées",
            "communes": "Communes",
            "former_communes": "Communes déléguées et associées",
            "groups": "EPCI et syndicats",
        }[self]


@dataclass(frozen=True, slots=True)
class Known:
    """How files of one kind are read."""

    columns: Mapping[str, Column]
    take: Take


KINDS: Mapping[ImportKind, Known] = {
    ImportKind.SCHOOLS: Known(SCHOOL, import_schools),
    ImportKind.COMMUNES: Known(COMMUNE, import_communes),
    ImportKind.FORMER_COMMUNES: Known(FORMER, import_former_communes),
    ImportKind.GROUPS: Known(GROUP, import_groups),
}
