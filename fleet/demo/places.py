"""The Aisne of the demonstration: real communes, EPCI and schools, a few made up (data/aisne.LICENCE.txt)."""

import lzma
from importlib import resources

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.imports import import_communes, import_groups
from fleet.ent import service as ent
from fleet.ent.catalogue import ONE_AISNE
from fleet.importing import ImportReport, Options
from fleet.schools.imports import import_schools
from fleet.schools.models import School
from fleet.table_reader import Table, read_table

DATA = resources.files("fleet.demo") / "data"
STEPS = (
    ("aisne-epci.csv.xz", import_groups),
    ("aisne-communes.csv.xz", import_communes),
    ("aisne-communes-deleguees.csv.xz", import_communes),
    ("aisne-ecoles.csv.xz", import_schools),
)
WITHOUT_ENT = "aisne-ecoles-sans-ent.txt"


def load_aisne(session: Session) -> list[ImportReport]:
    """Bring in 797 communes, 20 EPCI, 483 schools and the ENT of 393 of them. A second time changes nothing.

    The portals are given once, with the catalogue: what a person changes afterwards stays.
    """
    reports = [take(session, packaged_table(name), Options()) for name, take in STEPS]
    if any(portal.slug == ONE_AISNE for portal in ent.add_examples(session)):
        _give_portals(session)
    return reports


def packaged_table(name: str) -> Table:
    """One of the compressed files that ship here."""
    return read_table(lzma.decompress((DATA / name).read_bytes()))


def _give_portals(session: Session) -> None:
    portal = ent.get_portal(session, ONE_AISNE)
    without = set((DATA / WITHOUT_ENT).read_text(encoding="utf-8").split())
    names = {row.cells["uai"] for row in packaged_table("aisne-ecoles.csv.xz").rows}
    for school in session.scalars(select(School).where(School.uai.in_(names - without))):
        ent.assign_portal(session, school, portal)
