"""Schools from files: the national directory, or lists with a UAI, a name, a type and a commune (docs/import.md)."""

import re
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from fleet.collectivities.models import Collectivity, FormerCommune
from fleet.collectivities.register import read_insee, read_siren
from fleet.importing import (
    Cells,
    Column,
    Ignored,
    ImportReport,
    Options,
    RowRefused,
    Track,
    Verb,
    all_or_nothing,
    assign,
    bind,
    each_row,
)
from fleet.schools.models import School, SchoolLevel
from fleet.schools.uai import SHAPE, check_letter, fold_uai, is_valid_uai
from fleet.table_reader import Table, TableRow, quote
from fleet.text import fold

COLUMNS = {
    "uai": Column(("uai", "Identifiant_de_l_etablissement", "numero_uai"), required=True),
    "name": Column(("nom", "Nom_etablissement", "appellation_officielle"), required=True),
    "type": Column(("type", "Type_etablissement"), required=True),
    "insee": Column(("code_insee", "Code_commune"), required=True),
    "commune": Column(("commune", "Nom_commune")),
    "nature": Column(("libelle_nature",)),
    "sector": Column(("secteur", "Statut_public_prive")),
    "state": Column(("etat",)),
    "address": Column(("adresse", "Adresse_1")),
    "postcode": Column(("code_postal",)),
    "locality": Column(("localite", "Adresse_3")),
    "latitude": Column(("latitude",)),
    "longitude": Column(("longitude",)),
    "pupils": Column(("eleves_total", "eleves", "nombre_d_eleves")),
    "manager": Column(("siren_gestionnaire",)),
    "origin": Column(("origine",)),
}
"""What is read of a file. Of the 71 columns of the directory, telephone, e-mail and the rest stay out."""
NAMES = {
    "name": "nom",
    "level": "degré",
    "nature": "nature",
    "is_public": "public",
    "is_open": "ouverte",
    "is_synthetic": "inventée pour la démonstration",
    "address": "adresse",
    "postcode": "code postal",
    "locality": "localité",
    "latitude": "latitude",
    "longitude": "longitude",
    "pupils": "élèves",
    "commune": "commune",
    "collectivity": "collectivité gestionnaire",
}
LEVELS = {
    "ecole": SchoolLevel.PRIMARY,
    "maternelle": SchoolLevel.PRIMARY,
    "elementaire": SchoolLevel.PRIMARY,
    "primaire": SchoolLevel.PRIMARY,
    "college": SchoolLevel.MIDDLE,
    "lycee": SchoolLevel.HIGH,
    "erea": SchoolLevel.HIGH,  # établissement régional d'enseignement adapté: run by the region, as a lycée is
}
"""First word of the type -> level."""
NO_SCHOOLS = {"service administratif", "medico social", "information et orientation", "autre"}
"""Types of the directory that are no école, collège or lycée."""
STATES = {
    "ouvert": True,
    "ouverte": True,
    "a fermer": True,  # until it has closed
    "a ouvrir": True,  # it is equipped before the first day
    "ferme": False,
    "fermee": False,
}
SECTORS = {"public": True, "prive": False}
ORIGINS = {"reel": False, "synthetique": True}
MOST_PUPILS = 20_000
AT_ONCE = 5_000
"""Keys in one query."""


def read_uai(cells: Cells) -> str:
    """The UAI, upper case; refuse the row when it is malformed or its letter wrong, and say what was expected."""
    uai = fold_uai(cells.required("uai"))
    if SHAPE.fullmatch(uai) is None:
        padded = uai.zfill(8)
        hint = f" (zéros de tête perdus ? {padded})" if len(uai) < 8 and is_valid_uai(padded) else ""
        raise RowRefused(f"UAI {quote(uai)} mal formée : sept chiffres et une lettre{hint}")
    if uai[7] != check_letter(uai[:7]):
        raise RowRefused(f"UAI {uai} : la lettre de contrôle attendue est {check_letter(uai[:7])}")
    return uai


def _read_level(cells: Cells) -> SchoolLevel:
    folded = fold(cells.required("type"))
    if folded in NO_SCHOOLS:
        raise Ignored(f"ni école, ni collège, ni lycée ({folded})")
    level = LEVELS.get(folded.split(" ")[0])
    if level is None:
        raise RowRefused(
            f"type {quote(cells.raw('type'))} inconnu : école, maternelle, élémentaire, primaire, collège…"
        )
    return level


def _read_nature(cells: Cells) -> str | None:
    """The nature as the directory words it, from the type when that says more than the level."""
    words = fold(cells.required("type"))
    if words in {"maternelle", "elementaire", "primaire"}:
        words = f"ecole {words}"
    return cells.text("nature") or (words.upper() if words not in {"ecole", "lycee"} else None)


def _read_word(cells: Cells, name: str, meanings: dict[str, bool], *, first_only: bool = False) -> bool | None:
    """What a word means; None for an empty cell or a dash. Refuse the row for another word, listing those known."""
    folded = fold(cells.text(name))
    word = folded.split(" ")[0] if first_only else folded
    if word and word not in meanings:
        raise RowRefused(f"{name_of(name)} {quote(cells.raw(name))} inconnu : {', '.join(meanings)}")
    return meanings.get(word)


def name_of(column: str) -> str:
    """Our own heading of a column."""
    return COLUMNS[column].names[0]


def _read_postcode(cells: Cells) -> str | None:
    code = cells.text("postcode")
    if code is not None and re.fullmatch("[0-9]{5}", code) is None:
        raise RowRefused(f"code postal {quote(code)} mal formé : cinq chiffres")
    return code


class Places:
    """The communes and other collectivities that the rows of a file name, looked up once."""

    def __init__(self, session: Session, rows: Sequence[TableRow], bound: dict[str, str]) -> None:
        def cells_of(name: str) -> set[str]:
            return {row.cells[bound[name]].upper() for row in rows} if name in bound else set()

        self.communes: dict[str, Collectivity] = {}
        self.managers: dict[str, Collectivity] = {}
        for codes in batched_keys(cells_of("insee")):
            former = select(FormerCommune.insee_code, Collectivity).join(
                Collectivity, Collectivity.id == FormerCommune.commune_id
            )
            self.communes |= dict(session.execute(former.where(FormerCommune.insee_code.in_(codes))).all())
            present = select(Collectivity).where(Collectivity.insee_code.in_(codes))
            self.communes |= {row.insee_code: row for row in session.scalars(present) if row.insee_code is not None}
        for sirens in batched_keys("".join(cell.split()) for cell in cells_of("manager")):
            found = session.scalars(select(Collectivity).where(Collectivity.siren.in_(sirens)))
            self.managers |= {row.siren: row for row in found if row.siren is not None}

    def commune(self, cells: Cells) -> Collectivity:
        """Where the school stands, through the code of a former commune if need be; refuse the row when unknown."""
        code = read_insee(cells, "insee")
        if code not in self.communes:
            named = f"{code} ({cells.text('commune')})" if cells.text("commune") else code
            raise RowRefused(
                f"commune {named} inconnue : importez d’abord les communes, ou limitez-vous à un département"
            )
        return self.communes[code]

    def manager(self, cells: Cells) -> Collectivity | None:
        """Who runs the school, when the file says so."""
        siren = read_siren(cells, "manager")
        if siren is not None and siren not in self.managers:
            raise RowRefused(f"gestionnaire de SIREN {siren} inconnu : importez d’abord les communes et les EPCI")
        return self.managers.get(siren or "")


def batched_keys(keys: Iterable[str]) -> Iterable[tuple[str, ...]]:
    """Distinct keys, so many that one query takes them."""
    ordered = sorted(set(keys))
    return (tuple(ordered[start : start + AT_ONCE]) for start in range(0, len(ordered), AT_ONCE))


def _known_schools(session: Session, rows: Sequence[TableRow], bound: dict[str, str]) -> dict[str, School]:
    known: dict[str, School] = {}
    for codes in batched_keys(fold_uai(row.cells[bound["uai"]]) for row in rows):
        query = select(School).where(School.uai.in_(codes))
        loaded = query.options(joinedload(School.collectivity), joinedload(School.commune))
        known |= {school.uai: school for school in session.scalars(loaded)}
    return known


def import_schools(session: Session, table: Table, options: Options, track: Track = iter) -> ImportReport:
    """Create, update, close and reopen schools. Who runs a school is its commune, until somebody says otherwise."""
    bound = bind(table, COLUMNS, options.mapping)
    with all_or_nothing(session, table, options) as report:
        places = Places(session, table.rows, bound)
        known = _known_schools(session, table.rows, bound)
        seen: dict[str, int] = {}

        def take(cells: Cells) -> None:
            if not cells.raw("insee").upper().startswith(options.department):
                raise Ignored(f"hors du département {options.department}")
            level = _read_level(cells)
            uai = read_uai(cells)
            values = {"level": level} | _read_values(cells, places)
            first = seen.setdefault(uai, cells.line)
            if first != cells.line:
                raise RowRefused(f"UAI {uai} : déjà vue ligne {first}")
            if uai in known:
                _update(known[uai], values, cells.line, report)
            else:
                _create(session, uai, values, cells.line, report)

        each_row(table, bound, report, track, take)
    return report


def _read_values(cells: Cells, places: Places) -> dict[str, object]:
    """Attributes of the school that the row speaks of; None where it is silent."""
    return {
        "name": cells.required("name"),
        "nature": _read_nature(cells),
        "is_public": _read_word(cells, "sector", SECTORS, first_only=True),
        "is_open": _read_word(cells, "state", STATES),
        "is_synthetic": _read_word(cells, "origin", ORIGINS),
        "address": cells.text("address"),
        "postcode": _read_postcode(cells),
        "locality": re.sub("^[0-9]{5} ", "", cells.text("locality") or "") or None,
        "latitude": cells.degrees("latitude", 90),
        "longitude": cells.degrees("longitude", 180),
        "pupils": cells.integer("pupils", MOST_PUPILS),
        "commune": places.commune(cells),
        "collectivity": places.manager(cells),
    }


def _create(session: Session, uai: str, values: dict[str, object], line: int, report: ImportReport) -> None:
    if values["is_open"] is False:
        raise Ignored("fermée, et inconnue ici")
    school = School(uai=uai)
    assign(school, {"collectivity": values["commune"]} | {k: v for k, v in values.items() if v is not None}, NAMES)
    school.search_text = search_text(school)
    session.add(school)
    report.note(line, Verb.CREATED, _label(school))


def _update(school: School, values: dict[str, object], line: int, report: ImportReport) -> None:
    was_open = school.is_open
    if values["collectivity"] is None and school.collectivity is school.commune:
        values = values | {"collectivity": values["commune"]}  # run by its commune: it follows when that changes
    changes = assign(school, values, NAMES)
    assign(school, {"search_text": search_text(school)}, NAMES)
    verb = Verb.UPDATED if school.is_open is was_open else (Verb.REOPENED if school.is_open else Verb.CLOSED)
    report.note(line, verb, _label(school), changes)


def _label(school: School) -> str:
    return f"{school.uai} {school.name}" + (f" ({school.commune.name})" if school.commune else "")


def search_text(school: School) -> str:
    """What a search looks through besides the commune; begins with the name, by which lists are sorted."""
    return fold(school.name, school.uai, school.postcode, school.locality)
