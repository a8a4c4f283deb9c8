"""The journal's pages."""

import csv
import io
import re

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from dashboards.portal.audit_words import ACTORS, FAMILIES, FIELDS, TABLES, said
from dashboards.portal.words import WORDS
from fleet.actors import ActorKind
from fleet.audit.models import AuditEntry
from fleet.audit.tables import AUDITED
from fleet.devices.models import DeviceStatus
from fleet.models import Base
from fleet.scope import Role, Viewer
from tests.factories import make_device, make_ticket, make_user
from tests.portal.filtering_pages import read
from tests.sign_in import signed_in


def test_every_table_column_and_kind_of_actor_has_a_french_name() -> None:
    assert set(AUDITED) <= set(TABLES)
    assert {kind.value for kind in ActorKind} == set(ACTORS)
    told = {
        column.name
        for table, audited in AUDITED.items()
        for column in Base.metadata.tables[table].columns
        if column.name not in audited.ignored
    }
    assert told - set(FIELDS) == set()
    assert all(
        column in Base.metadata.tables[table].columns and family in WORDS
        for (table, column), family in FAMILIES.items()
    )


def test_values_read_as_people_say_them() -> None:
    assert said("devices", "status", "lost") == WORDS["device_status"]["lost"].text
    assert said("tickets", "planned_for", "2026-11-24T11:00:00+00:00") == "24\u00a0nov.\u00a02026 à 12\u00a0h\u00a000"
    assert said("users", "password_hash", "***") == "valeur non consignée"
    assert said("users", "is_active", True) == "oui"
    assert said("users", "name", None) == "rien"
    assert said("tickets", "title", "2026-11-24T25:00:00+00:00") == "2026-11-24T25:00:00+00:00"


def test_a_change_is_found_from_the_devices_page_and_told(api: TestClient, session: Session, staff: Viewer) -> None:
    device = make_device(session, name="Écran du préau", status=DeviceStatus.ACTIVE)
    device.status = DeviceStatus.LOST
    session.flush()
    assert f"/journal?table=devices&amp;row={device.id}" in read(api, f"/devices/{device.id}")
    page = read(api, f"/journal?table=devices&row={device.id}")
    assert "2 entrées" in page
    entry = session.query(AuditEntry).filter_by(row_id=str(device.id), action="update").one()
    told = read(api, f"/journal/{entry.id}")
    assert "Statut" in told or "État" in told
    assert WORDS["device_status"]["lost"].text in told
    assert WORDS["device_status"]["active"].text in told
    assert f'href="/devices/{device.id}"' in told


def test_a_tickets_history_is_one_click_away(api: TestClient, session: Session, staff: Viewer) -> None:
    ticket = make_ticket(session)
    assert f"/journal?table=tickets&amp;row={ticket.id}" in read(api, f"/tickets/{ticket.id}")


def test_an_empty_journal_says_what_to_do(api: TestClient, session: Session, staff: Viewer) -> None:
    page = read(api, "/journal?q=rien-de-tel&since=2026-01-01&until=9999-12-31")
    assert "Aucune entrée ici" in page
    assert 'value="2026-01-01"' in page
    assert api.get("/journal?since=0001-01-01").status_code == 200


def test_the_journal_as_a_file(api: TestClient, session: Session, staff: Viewer) -> None:
    device = make_device(session, name="=1+1")
    answer = api.get(f"/journal.csv?table=devices&row={device.id}")
    [head, line] = csv.reader(io.StringIO(answer.content.decode("utf-8-sig")), delimiter=";")
    assert dict(zip(head, line, strict=True))["objet"] == "'=1+1"
    assert "attachment" in answer.headers["content-disposition"]


def test_a_neighbours_entries_do_not_exist(api: TestClient, session: Session) -> None:
    own, foreign = make_device(session), make_device(session)
    assert own.school is not None
    signed_in(api, make_user(session, Role.OFFICER, collectivity=own.school.collectivity))
    page = read(api, "/journal")
    assert own.name in page
    assert not re.search(rf"\b{foreign.name}\b", page)
    theirs = session.query(AuditEntry).filter_by(row_id=str(foreign.id)).one()
    assert api.get(f"/journal/{theirs.id}").status_code == 404
    mine = session.query(AuditEntry).filter_by(row_id=str(own.id)).one()
    assert "Compte de la base" not in read(api, f"/journal/{mine.id}")


def test_a_school_lead_has_no_journal(api: TestClient, session: Session) -> None:
    device = make_device(session)
    signed_in(api, make_user(session, Role.SCHOOL_LEAD, school=device.school))
    assert api.get("/journal").status_code == 403
    assert "Historique</a>" not in read(api, f"/devices/{device.id}")
    assert 'href="/journal"' not in read(api, f"/devices/{device.id}")
