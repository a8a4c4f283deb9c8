"""Who did it reaches the log from every edge: a signed-in person, a device, a filter, a token, a task, a command."""

import json
import uuid

import pytest
from celery import signals
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from fleet import actors
from fleet.actors import ActorKind, Work, operation_of, working
from fleet.audit.models import AuditEntry
from fleet.filtering import service as filtering
from fleet.scope import Role
from tests.conftest import Clock
from tests.factories import PASSWORD, make_collectivity, make_device, make_school, make_user
from tests.sign_in import signed_in


def last_entry(session: Session, table: str) -> AuditEntry:
    session.expire_all()
    entry = session.query(AuditEntry).filter_by(table_name=table).order_by(AuditEntry.id.desc()).first()
    assert entry is not None
    return entry


def test_a_person_through_the_api_and_the_portal(api: TestClient, session: Session) -> None:
    user = make_user(session, Role.TECHNICIAN)
    device = make_device(session)
    signed_in(api, user)
    answer = api.patch(f"/api/v1/devices/{device.id}", json={"name": "Tableau"})
    assert answer.status_code == 200, answer.text
    entry = last_entry(session, "devices")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("person", str(user.id), user.name)
    assert (entry.operation, entry.address) == ("devices.edit_device", "testclient")
    assert entry.request_id == answer.headers["X-Request-Id"]
    assert entry.after == {"name": "Tableau"}
    csrf = api.get("/api/v1/accounts/me").json()["csrf_token"]
    form = {"csrf": csrf, "name": "Écran", "room": "", "manufacturer": "", "model": ""}
    assert api.post(f"/devices/{device.id}/edit", data=form, follow_redirects=False).status_code == 303
    assert last_entry(session, "devices").operation == "portal.devices.edit_device"


def test_signing_in_and_out(api: TestClient, session: Session) -> None:
    user = make_user(session)
    body = {"email": user.email, "password": PASSWORD}
    assert api.post("/api/v1/accounts/sign-in", json=body | {"password": "x" * 20}).status_code == 401
    assert session.query(AuditEntry).filter_by(action="sign_in").count() == 0, "a stranger writes nothing here"
    csrf = api.post("/api/v1/accounts/sign-in", json=body).json()["csrf_token"]
    entry = last_entry(session, "users")
    assert (entry.action, entry.row_id, entry.actor_name) == ("sign_in", str(user.id), user.name)
    assert api.post("/api/v1/accounts/sign-out", headers={"X-CSRF-Token": csrf}).status_code == 204
    entry = last_entry(session, "users")
    assert (entry.action, entry.actor_id, entry.address) == ("sign_out", str(user.id), "testclient")


def test_a_filter_that_passes_a_request_on(api: TestClient, session: Session, clock: Clock) -> None:
    node, credential = filtering.register_filter(session, "passerelle", make_school(session), clock.now)
    body = {
        "name": "jeu.example",
        "reason": "exposé",
        "contact": "CM2",
        "id": str(uuid.uuid4()),
        "asked_at": clock.now.isoformat(),
    }
    answer = api.post("/filter/v1/requests", json=body, headers={"Authorization": f"Bearer {credential}"})
    assert answer.status_code in {200, 201, 204}, answer.text
    entry = last_entry(session, "filter_requests")
    assert (entry.actor_kind, entry.actor_id, entry.actor_name) == ("filter", str(node.id), "passerelle")
    assert "exposé" not in json.dumps(entry.after)


def test_a_task_is_the_actor_of_what_it_changes() -> None:
    class Named:
        name = "fleet.tickets.tasks.sweep_mails"

    signals.task_prerun.send(sender=Named(), task_id="t1")
    work = actors.current.get()
    signals.task_postrun.send(sender=Named(), task_id="t1")
    assert work is not None
    assert (work.kind, work.id, work.operation) == (ActorKind.JOB, "t1", "fleet.tickets.tasks.sweep_mails")
    assert actors.current.get() is None


def test_an_operation_is_named_by_its_place_and_verb() -> None:
    def endpoint() -> None: ...

    endpoint.__module__ = "dashboards.portal.tickets"
    assert operation_of({"type": "http", "endpoint": endpoint}) == "portal.tickets.endpoint"
    endpoint.__module__ = "fleet.tickets.routes"
    assert operation_of({"type": "http", "endpoint": endpoint}) == "tickets.endpoint"
    endpoint.__module__ = "fleet.filtering.previews.routes"
    assert operation_of({"type": "http", "endpoint": endpoint}) == "filtering.previews.endpoint"
    assert operation_of({"type": "http"}) is None
    assert operation_of(None) is None


def test_a_connection_that_is_lost_hides_no_error(own_database_url: str) -> None:
    """A savepoint of it is rolled back all the same, and the next connection is told anew."""
    engine = create_engine(own_database_url)
    with working(Work(ActorKind.COMMAND, name="alix")):
        with Session(engine) as session:
            make_collectivity(session)
            session.begin_nested()
            make_collectivity(session)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as other:
                other.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                   " WHERE datname = current_database() AND pid <> pg_backend_pid()"))  # fmt: skip
            with pytest.raises(OperationalError):
                session.execute(text("UPDATE collectivities SET name = 'x'"))
        with Session(engine) as session, session.begin():
            make_collectivity(session)
        with Session(engine) as session:
            assert [entry.actor_name for entry in session.query(AuditEntry)] == ["alix"]
    engine.dispose()
