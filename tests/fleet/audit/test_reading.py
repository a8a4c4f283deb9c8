"""Who reads what of the log, and how it is searched."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.actors import ActorKind, Work, note, working
from fleet.audit import service
from fleet.audit.models import AuditEntry
from fleet.audit.service import Wanted
from fleet.errors import NotAllowed, NotFound
from fleet.operator import OPERATOR
from fleet.paging import Page
from fleet.scope import Grant, Role, Viewer
from tests.factories import make_device, make_school, make_ticket, make_user
from tests.sign_in import signed_in


@pytest.mark.parametrize(
    ("role", "on", "sees_own"),
    [
        (Role.OFFICER, "collectivity", True),
        (Role.AUDITOR, "collectivity", True),
        (Role.AUDITOR, "school", True),
        (Role.TECHNICIAN, "collectivity", True),
        (Role.SCHOOL_LEAD, "school", None),
    ],
)
def test_everybody_reads_the_entries_of_their_own_nodes(
    api: TestClient, session: Session, role: Role, on: str, sees_own: bool | None
) -> None:
    school, neighbour = make_school(session), make_school(session)
    own, foreign = make_device(session, school=school), make_device(session, school=neighbour)
    node = {"collectivity": school.collectivity} if on == "collectivity" else {"school": school}
    signed_in(api, make_user(session, role, **node))
    answer = api.get("/api/v1/audit", params={"table": "devices"})
    ids = {
        device.id: session.query(AuditEntry.id).filter_by(table_name="devices", row_id=str(device.id)).scalar()
        for device in (own, foreign)
    }
    if sees_own is None:
        assert answer.status_code == 403
        assert api.get(f"/api/v1/audit/{ids[own.id]}").status_code == 403
        return
    assert [row["row"] for row in answer.json()["rows"]] == [str(own.id)]
    assert api.get(f"/api/v1/audit/{ids[own.id]}").json()["after"]["name"] == own.name
    assert api.get(f"/api/v1/audit/{ids[foreign.id]}").status_code == 404


def test_a_role_that_may_not_read_lends_its_node_to_none_that_may(session: Session) -> None:
    """Lead of one school and officer of another's commune: the journal is that of the commune alone."""
    led, run = make_device(session), make_device(session)
    assert led.school is not None
    assert run.school is not None
    lead, officer = (
        Grant(Role.SCHOOL_LEAD, school_id=led.school_id),
        Grant(Role.OFFICER, run.school.collectivity_id),
    )
    both = Viewer(uuid.uuid4(), "Alix", "", (lead, officer))
    assert [e.row_id for e in service.list_entries(session, both, Wanted(table="devices")).rows] == [str(run.id)]
    with pytest.raises(NotAllowed):
        service.list_entries(session, Viewer(uuid.uuid4(), "Alix", "", (lead,)))


def test_addresses_are_told_to_the_operator_only(api: TestClient, session: Session) -> None:
    school = make_school(session)
    with working(Work(ActorKind.PERSON, "x", "Alix", address="192.0.2.7")):
        note(session, "export", "schools", school.id, "x", collectivity_id=school.collectivity_id)
    for user, address in (
        (make_user(session, Role.AUDITOR), "192.0.2.7"),
        (make_user(session, Role.OFFICER, collectivity=school.collectivity), None),
    ):
        signed_in(api, user)
        [row] = api.get("/api/v1/audit", params={"action": "export"}).json()["rows"]
        assert row["address"] == address


def test_entries_are_searched_and_filtered(api: TestClient, session: Session) -> None:
    device = make_device(session, name="Écran du préau")
    ticket = make_ticket(session, school=device.school, title="Dalle fêlée")
    ticket.title = "Dalle cassée 100 %"
    session.flush()
    signed_in(api, make_user(session, Role.ADMIN))

    def found(**asked: object) -> list[str]:
        rows = api.get("/api/v1/audit", params=asked).json()["rows"]  # type: ignore[arg-type]
        return [f"{row['action']} {row['subject']}" for row in rows]

    assert found(search="dalle 100 %") == ["update Dalle cassée 100 %"]
    assert found(search="dalle", sort="at") == ["insert Dalle fêlée", "update Dalle cassée 100 %"]
    assert found(table="devices", row=str(device.id)) == ["insert Écran du préau"]
    assert found(school=str(device.school_id), table="tickets", action="update") == ["update Dalle cassée 100 %"]
    assert found(kind="device") == []
    assert found(search="%") == ["update Dalle cassée 100 %"]
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert found(since=tomorrow) == []
    assert len(found(until=tomorrow, size=3)) == 3
    assert api.get("/api/v1/audit", params={"sort": "digest"}).status_code == 422
    assert api.get("/api/v1/audit", params={"search": "a\x00b"}).status_code == 200


def test_a_page_is_part_of_all_and_what_is_not_there_is_not_found(session: Session) -> None:
    make_device(session)
    listing = service.list_entries(session, OPERATOR, Wanted(), Page(size=2))
    assert listing.total > len(listing.rows) == 2
    with pytest.raises(NotFound):
        service.get_entry(session, OPERATOR, 2**62)
