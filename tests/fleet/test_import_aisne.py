"""The Aisne that ships with the project: whole, labelled, loaded once."""

from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.collectivities.imports import import_communes
from fleet.collectivities.models import Membership
from fleet.demo.places import load_aisne, packaged_table
from fleet.ent import service as ent
from fleet.ent.models import SchoolEnt
from fleet.importing import Options
from fleet.schools.models import School
from fleet.table_reader import TableRow
from tests.imports import commune, schools, snapshot


def test_the_packaged_aisne_is_whole_labelled_and_loads_once(session: Session) -> None:
    reports = load_aisne(session)
    assert [len(report.changes) for report in reports] == [20, 797, 26, 483]
    aisne = [s for s in schools(session).values() if s.uai.startswith("002")]
    assert (len(aisne), sum(s.is_synthetic for s in aisne), sum(s.pupils or 0 for s in aisne)) == (483, 133, 49_164)
    assert len(session.scalars(select(Membership)).all()) == 797
    assert commune(session, "02300").name == "Tergnier"  # Fargniers, associated
    before = snapshot(session)
    again = load_aisne(session)
    assert [report.changes for report in again] == [[], [], [], []]
    assert snapshot(session) == before


def test_the_demonstration_has_the_public_coverage_of_the_ent(session: Session) -> None:
    load_aisne(session)
    covered = session.scalars(select(School).join(SchoolEnt, SchoolEnt.school_id == School.id)).all()
    assert (len(covered), sum(school.pupils or 0 for school in covered)) == (393, 42_633)


def test_a_portal_changed_by_a_person_stays(session: Session) -> None:
    load_aisne(session)
    school = schools(session)["0020098W"]
    ent.assign_portal(session, school, None)
    load_aisne(session)
    assert ent.find_portal(session, school.id) is None


def test_progress_sees_every_row(session: Session) -> None:
    seen: list[int] = []

    def watch(rows: Sequence[TableRow]) -> Iterator[TableRow]:
        for row in rows:
            seen.append(row.line)
            yield row

    import_communes(session, packaged_table("aisne-communes.csv.xz"), Options(dry_run=True), watch)
    assert seen == list(range(2, 799))
