"""Communes, former communes, EPCI and syndicats from files (docs/import.md)."""

import re
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.models import Collectivity, CollectivityKind, FormerCommune
from fleet.collectivities.register import NAMES, Register, read_insee, read_siren, search_text
from fleet.importing import (
    Cells,
    Column,
    FieldChange,
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
from fleet.table_reader import Table, quote
from fleet.text import fold

COMMUNE = {
    "insee": Column(("code_insee", "code_commune", "com"), required=True),
    "name": Column(("nom", "nom_commune", "libelle"), required=True),
    "population": Column(("population", "population_totale")),
    "postcodes": Column(("codes_postaux", "code_postal")),
    "siren": Column(("siren", "siren_commune")),
    "epci_siren": Column(("epci_siren", "siren_epci")),
    "epci_name": Column(("epci_nom", "nom_epci")),
}
FORMER = {
    "insee": COMMUNE["insee"],
    "name": COMMUNE["name"],
    "present": Column(("commune_actuelle",), required=True),
}
GROUP = {
    "siren": Column(("epci_siren", "siren", "siren_epci"), required=True),
    "name": Column(("nom", "epci_nom", "nom_epci"), required=True),
    "form": Column(("type", "nature_juridique", "forme"), required=True),
    "population": Column(("population_totale", "population")),
}
FORMS = dict.fromkeys(("CC", "CA", "CU", "METRO", "EPT"), CollectivityKind.EPCI) | dict.fromkeys(
    ("SIVU", "SIVOM", "SIVOS", "SIRP", "SMF", "SMO", "PETR"), CollectivityKind.SYNDICAT
)
"""Legal form -> what it is. SIVOS and SIRP run schools: syndicats scolaires and those of pedagogical groupings."""
LARGEST_POPULATION = 100_000_000


def _read_postcodes(cells: Cells) -> list[str] | None:
    codes = re.split(r"[;,/ ]+", cells.text("postcodes") or "")
    wrong = [code for code in codes if code and re.fullmatch("[0-9]{5}", code) is None]
    if wrong:
        raise RowRefused(f"code postal {quote(wrong[0])} mal formé : cinq chiffres")
    return sorted({code for code in codes if code}) or None


def import_communes(session: Session, table: Table, options: Options, track: Track = iter) -> ImportReport:
    """Create and update communes and their EPCI; a file with ``commune_actuelle`` brings former communes instead."""
    if fold("commune_actuelle") in map(fold, table.columns):
        return import_former_communes(session, table, options, track)
    bound = bind(table, COMMUNE, options.mapping)
    with all_or_nothing(session, table, options) as report:
        register = Register(session)
        each_row(table, bound, report, track, lambda cells: _take_commune(cells, register, report, options))
        register.write_memberships()
    return report


def _in_scope(cells: Cells, options: Options) -> None:
    if not cells.raw("insee").upper().startswith(options.department):
        raise Ignored(f"hors du département {options.department}")


def _take_commune(cells: Cells, register: Register, report: ImportReport, options: Options) -> None:
    _in_scope(cells, options)
    insee = read_insee(cells, "insee")
    row = register.by_insee.get(insee)
    values = {
        "name": cells.required("name"),
        "siren": read_siren(cells, "siren"),
        "population": cells.integer("population", LARGEST_POPULATION),
        "postcodes": _read_postcodes(cells),
    }
    register.check_siren(read_siren(cells, "siren"), row)
    epci = _find_epci(cells, register)
    register.claim("commune", insee, cells.line)
    if epci is None:
        epci = _create_epci(cells, register, report)
    commune, changes = register.save(row, values, kind=CollectivityKind.COMMUNE, insee_code=insee)
    changes += register.join(commune, epci)
    label = f"{insee} {commune.name}"
    report.note(cells.line, *((Verb.CREATED, label) if row is None else (Verb.UPDATED, label, changes)))


def _find_epci(cells: Cells, register: Register) -> Collectivity | None:
    """The EPCI that the row names, None when it must be made or the row names none."""
    siren = read_siren(cells, "epci_siren")
    found = register.by_siren.get(siren or "")
    if found is not None and found.kind is not CollectivityKind.EPCI:
        raise RowRefused(f"SIREN {siren} : {found.name} n’est pas un EPCI")
    if siren is not None and siren == read_siren(cells, "siren"):
        raise RowRefused(f"SIREN {siren} : c’est celui de la commune, pas d’un EPCI")
    if siren and found is None and cells.text("epci_name") is None:
        raise RowRefused(f"EPCI {siren} inconnu : importez d’abord les EPCI, ou ajoutez la colonne epci_nom")
    return found


def _create_epci(cells: Cells, register: Register, report: ImportReport) -> Collectivity | None:
    """The EPCI that a commune's row is the first to name; `preau import epci` completes it later."""
    siren, name = read_siren(cells, "epci_siren"), cells.text("epci_name")
    if siren is None or name is None:
        return None
    form = name.split()[0].upper()
    values = {"name": name, "siren": siren, "legal_form": form if form in FORMS else None}
    epci, _ = register.save(None, values, kind=CollectivityKind.EPCI)
    report.note(cells.line, Verb.CREATED, f"{siren} {name}")
    return epci


def import_groups(session: Session, table: Table, options: Options, track: Track = iter) -> ImportReport:
    """Create and update EPCI and syndicats. ``options.department`` says nothing here: they cross its borders."""
    bound = bind(table, GROUP, options.mapping)
    with all_or_nothing(session, table, options) as report:
        register = Register(session)
        each_row(table, bound, report, track, lambda cells: _take_group(cells, register, report))
    return report


def _take_group(cells: Cells, register: Register, report: ImportReport) -> None:
    siren = read_siren(cells, "siren")
    if siren is None:
        raise RowRefused("SIREN : case vide")
    form = cells.required("form").upper()
    if form not in FORMS:
        raise RowRefused(f"forme {quote(form)} inconnue : {', '.join(FORMS)}")
    row = register.by_siren.get(siren)
    if row is not None and row.kind is not FORMS[form]:
        raise RowRefused(f"SIREN {siren} : c’est celui de {row.name}")
    values = {
        "name": cells.required("name"),
        "siren": siren,
        "legal_form": form,
        "population": cells.integer("population", LARGEST_POPULATION),
    }
    register.claim("SIREN", siren, cells.line)
    group, changes = register.save(row, values, kind=FORMS[form])
    label = f"{siren} {group.name}"
    report.note(cells.line, *((Verb.CREATED, label) if row is None else (Verb.UPDATED, label, changes)))


def import_former_communes(session: Session, table: Table, options: Options, track: Track = iter) -> ImportReport:
    """Create and update communes déléguées and associées: old codes and names that lead to a present commune."""
    bound = bind(table, FORMER, options.mapping)
    with all_or_nothing(session, table, options) as report:
        register = Register(session)
        known = {row.insee_code: row for row in session.scalars(select(FormerCommune))}
        each_row(table, bound, report, track, lambda cells: _take_former(cells, register, known, report, options))
    return report


def _take_former(
    cells: Cells, register: Register, known: Mapping[str, FormerCommune], report: ImportReport, options: Options
) -> None:
    _in_scope(cells, options)
    insee, name, present = read_insee(cells, "insee"), cells.required("name"), read_insee(cells, "present")
    commune = register.by_insee.get(present)
    if commune is None:
        raise RowRefused(f"commune actuelle {present} inconnue : importez d’abord les communes")
    register.claim("commune", insee, cells.line)
    row = known.get(insee)
    changes: tuple[FieldChange, ...] = ()
    if row is None:
        register.session.add(FormerCommune(insee_code=insee, name=name, commune_id=commune.id))
        register.former.setdefault(commune.id, []).append(name)
    else:
        changes = _change_former(row, name, commune, register)
    commune.search_text = search_text(commune, *register.former[commune.id])
    label = f"{insee} {name} ({commune.name})"
    report.note(cells.line, *((Verb.CREATED, label) if row is None else (Verb.UPDATED, label, changes)))


def _change_former(row: FormerCommune, name: str, commune: Collectivity, register: Register) -> tuple[FieldChange, ...]:
    before = register.by_id[row.commune_id]
    register.former[before.id].remove(row.name)
    register.former.setdefault(commune.id, []).append(name)
    register.former[commune.id].sort()
    before.search_text = search_text(before, *register.former[before.id])
    moved = (FieldChange("commune actuelle", before.name, commune.name),) if before is not commune else ()
    return assign(row, {"name": name, "commune_id": commune.id}, NAMES) + moved
