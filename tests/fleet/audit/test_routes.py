"""Changes that no other test makes through the API or the portal: each leaves an entry of its own operation."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from fleet.audit.models import AuditEntry
from fleet.config import FleetConfig
from fleet.devices.models import DeviceKind
from fleet.filtering import service as filtering
from fleet.filtering.exceptions import lessons, requests
from fleet.filtering.exceptions.requests import Asker
from fleet.filtering.models import PublicationChunk, PublicationState
from fleet.filtering.policy import policies
from fleet.filtering.publishing import publications
from fleet.scope import Viewer
from fleet.tickets.models import TicketStatus
from tests.conftest import Clock
from tests.factories import NOON, make_school, make_ticket, make_user
from tests.fleet.conftest import Signing
from tests.fleet.deciding import make_room
from tests.fleet.talking import issue, new_attempt
from tests.portal.list_data import add_held_source, add_unreachable_source
from tests.portal.test_forms import send
from tests.sign_in import signed_in

LeavesEntry = Callable[[str], None]


@pytest.fixture
def leaves_entry(session: Session) -> LeavesEntry:
    """Fail unless the log knows this operation, and who did it."""

    def check(operation: str) -> None:
        entries = session.query(AuditEntry).filter_by(operation=operation).all()
        assert entries, f"{operation} left no entry"
        assert all(entry.actor_id and entry.actor_kind != "unknown" for entry in entries)

    return check


@pytest.fixture
def signed(api: TestClient, session: Session) -> TestClient:
    signed_in(api, make_user(session))
    return api


def test_a_profile_is_added(signed: TestClient, leaves_entry: LeavesEntry) -> None:
    body = {"slug": "internat", "name": "Internat"}
    assert signed.post("/api/v1/filtering/profiles", json=body).status_code == 201
    leaves_entry("filtering.add_profile")


def test_a_request_is_declined(signed: TestClient, session: Session, leaves_entry: LeavesEntry) -> None:
    node, _ = filtering.register_filter(session, "passerelle", make_school(session), NOON)
    asked = requests.receive_request(
        session, node, id=node.id, name="jeu.example", reason="", contact="", asker=Asker("", "", ""), asked_at=NOON,
        now=NOON,
    )  # fmt: skip
    answer = signed.post(f"/api/v1/filtering/requests/{asked.id}/decline", json={"answer": "C’est un jeu."})
    assert answer.status_code == 200, answer.text
    leaves_entry("filtering.exceptions.decline_request")


def test_a_list_of_lessons_is_saved_and_removed(signed: TestClient, leaves_entry: LeavesEntry) -> None:
    saved = signed.put("/api/v1/filtering/name-lists", json={"name": "Musées", "names": ["louvre.fr"]})
    assert saved.status_code == 200, saved.text
    assert signed.delete(f"/api/v1/filtering/name-lists/{saved.json()['id']}").status_code == 204
    leaves_entry("filtering.exceptions.save_list")
    leaves_entry("filtering.exceptions.remove_list")


def test_a_held_content_is_approved(
    signed: TestClient, session: Session, staff: Viewer, clock: Clock, leaves_entry: LeavesEntry
) -> None:
    _, held = add_held_source(session, staff, clock.now)
    answer = signed.post(f"/api/v1/filtering/contents/{held.id}/approve")
    assert answer.status_code == 200, answer.text
    leaves_entry("filtering.lists.approve")


def test_one_returns_to_a_policy(
    signed: TestClient, session: Session, staff: Viewer, clock: Clock, leaves_entry: LeavesEntry
) -> None:
    profile = filtering.ensure_default_profile(session)
    first = filtering.publish_policy(session, None, "essai", clock.now)
    filtering.update_profile(session, staff, profile.id, blocked_categories=["games"], now=clock.now)
    assert policies.list_policies(session).total == 2
    assert first is not None
    answer = signed.post(f"/api/v1/filtering/policies/{first.id}/return")
    assert answer.status_code == 200, answer.text
    leaves_entry("filtering.policy.return_to_policy")


def test_a_ticket_is_closed(signed: TestClient, session: Session, leaves_entry: LeavesEntry) -> None:
    ticket = make_ticket(session, status=TicketStatus.SOLVED)
    answer = signed.post(f"/api/v1/tickets/{ticket.id}/close", json={})
    assert answer.status_code == 200, answer.text
    leaves_entry("tickets.close_ticket")


def test_publications_are_asked_for_and_returned_to(
    signed: TestClient, session: Session, clock: Clock, leaves_entry: LeavesEntry
) -> None:
    send(signed, "/filtering/publications")
    leaves_entry("portal.filtering_publications.request_publication")
    for digest in ("a", "b"):  # two files that were published, the second in force
        row = publications.add_request(session, None, clock.now)
        row.state, row.published_at, row.digest, row.size = PublicationState.PUBLISHED, clock.now, digest * 64, 1
        session.flush()
        session.add(PublicationChunk(publication_id=row.id, position=0, content=digest.encode()))
        session.flush()
    first = publications.list_publications(session).rows[1]
    send(signed, f"/filtering/publications/{first.id}/return")
    leaves_entry("portal.filtering_publications.return_to_publication")


def test_a_source_is_fetched_now(
    signed: TestClient, session: Session, staff: Viewer, clock: Clock, leaves_entry: LeavesEntry
) -> None:
    source = add_unreachable_source(session, staff, clock.now)
    source.is_wanted = False
    session.flush()
    send(signed, f"/filtering/sources/{source.id}/fetch")
    leaves_entry("portal.filtering_sources.fetch_source")


def test_a_lesson_is_prolonged(
    signed: TestClient, session: Session, staff: Viewer, clock: Clock, leaves_entry: LeavesEntry
) -> None:
    room = make_room(session, staff, make_school(session))
    lesson = lessons.start_lesson(session, staff, room.id, minutes=30, names=["louvre.fr"], now=clock.now)
    clock.now += timedelta(minutes=1)
    send(signed, f"/filtering/lessons/{lesson.id}/prolong", longer=10)
    leaves_entry("portal.lessons.prolong_lesson")


def test_an_ipad_takes_its_profile(
    app: FastAPI, api: TestClient, session: Session, config: FleetConfig, signing: Signing, leaves_entry: LeavesEntry
) -> None:
    app.state.config = replace(
        config, profile_cert_file=signing.cert_file, profile_key_file=signing.key_file,
        doh_template="https://dns.example.fr/dns-query/{label}{?dns}",
    )  # fmt: skip
    token = issue(session, app.state.config, make_school(session), kind=DeviceKind.TABLET)
    session.commit()
    answer = api.post("/enroll", data={"token": token.text, "attempt": new_attempt()})
    assert answer.headers["content-type"] == "application/x-apple-aspen-config", answer.text
    leaves_entry("portal.enroll.download_profile")
