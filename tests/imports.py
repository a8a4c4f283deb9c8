"""Imports, as tests run and judge them."""

from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.models import Collectivity, FormerCommune, Membership
from fleet.collectivities.service import find_by_insee
from fleet.importing import ImportReport, Options
from fleet.schools.models import School
from fleet.table_reader import read_table

Import = Callable[..., ImportReport]


def take(session: Session, what: Import, text: str, **options: object) -> ImportReport:
    return what(session, read_table(text.encode()), Options(**options))  # type: ignore[arg-type] # as the test says


def commune(session: Session, code: str) -> Collectivity:
    found = find_by_insee(session, code)
    assert found is not None
    return found


def schools(session: Session) -> dict[str, School]:
    return {school.uai: school for school in session.scalars(select(School))}


def snapshot(session: Session) -> list[tuple[object, ...]]:
    """Every row that an import may touch, as the database holds it."""
    session.expire_all()
    tables = (School.__table__, Collectivity.__table__, Membership.__table__, FormerCommune.__table__)
    return sorted((tuple(row) for table in tables for row in session.execute(select(table))), key=repr)
