"""GET /metrics: who may read it, what it says of the fleet, and what it must never say."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY, Metric
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.orm import Session
from starlette.types import Message, Receive, Scope, Send

from dashboards.portal.app import create_portal
from fleet.config import FleetConfig
from fleet.devices.models import DeviceKind, DeviceStatus
from fleet.exposition import KEPT_SECONDS, KeptReading
from fleet.filtering.models import FilterNode, Publication, PublicationState
from fleet.gauges import SILENT_FILTER
from fleet.metrics import TimeAnswers, note_held
from fleet.tickets.models import TicketMail
from tests.certificates import Authority
from tests.factories import NOON, make_device, make_school, make_ticket

URL = "https://preau.example.test"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def local(app: FastAPI, session: Session) -> Iterator[TestClient]:
    """A scraper on the controller's own machine."""
    with TestClient(app, base_url=URL, client=("127.0.0.1", 50000)) as client:
        yield client


def read(client: TestClient, **headers: str) -> Samples:
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_devices_are_counted_by_kind_and_status(local: TestClient, session: Session) -> None:
    school = make_school(session)
    for _ in range(2):
        make_device(session, school=school, last_seen_at=NOON)
    make_device(session, school=school, last_seen_at=NOON - timedelta(days=3), silent_since=NOON)
    make_device(session, school=school, kind=DeviceKind.TABLET, status=DeviceStatus.STAGED)
    samples = read(local)
    assert value(samples, "fleet_devices", kind="display", status="active") == 3
    assert value(samples, "fleet_devices", kind="tablet", status="staged") == 1
    assert value(samples, "fleet_devices_reporting") == 3, "a tablet that only got a profile never reports"
    assert value(samples, "fleet_devices_silent") == 1


def test_a_retired_device_is_not_a_silent_one(local: TestClient, session: Session) -> None:
    make_device(session, status=DeviceStatus.RETIRED, last_seen_at=NOON, silent_since=NOON)
    assert value(read(local), "fleet_devices_silent") == 0


def test_tickets_have_a_series_for_every_status(local: TestClient, session: Session) -> None:
    make_ticket(session)
    samples = read(local)
    assert value(samples, "fleet_tickets", status="new") == 1
    assert value(samples, "fleet_tickets", status="closed") == 0


def test_mails_that_wait_are_counted_with_the_age_of_the_oldest(local: TestClient, session: Session) -> None:
    ticket = make_ticket(session)
    for minutes, sent_at, gave_up_at in ((90, None, NOON), (50, NOON, None), (20, None, None), (5, None, None)):
        mail = TicketMail(
            ticket_id=ticket.id,
            occasion="opened",
            recipient=f"mairie{minutes}@example.test",
            queued_at=NOON - timedelta(minutes=minutes),
            next_attempt_at=NOON,
            sent_at=sent_at,
            gave_up_at=gave_up_at,
        )
        session.add(mail)
    session.flush()
    samples = read(local)
    assert value(samples, "fleet_mails_waiting") == 2
    assert value(samples, "fleet_mails_oldest_seconds") == 20 * 60
    assert value(samples, "fleet_mails_given_up") == 1


def publish(session: Session, hours_ago: int, state: PublicationState = PublicationState.PUBLISHED) -> Publication:
    moment = NOON - timedelta(hours=hours_ago)
    done = state == PublicationState.PUBLISHED
    row = Publication(state=state, requested_at=moment, published_at=moment if done else None)
    session.add(row)
    session.flush()
    return row


def test_without_a_bundle_the_serial_is_zero_and_there_is_no_age(local: TestClient) -> None:
    samples = read(local)
    assert value(samples, "fleet_publication_serial") == 0
    assert ("fleet_publication_age_seconds", frozenset()) not in samples


def test_the_newest_published_bundle_counts_and_a_failed_one_is_told(local: TestClient, session: Session) -> None:
    publish(session, 30)
    newest = publish(session, 2)
    publish(session, 1, PublicationState.FAILED)
    samples = read(local)
    assert value(samples, "fleet_publication_serial") == newest.serial
    assert value(samples, "fleet_publication_age_seconds") == 2 * 3600
    assert value(samples, "fleet_publication_failed") == 1


def test_filters_behind_or_silent_are_counted(local: TestClient, session: Session) -> None:
    old, new = publish(session, 30), publish(session, 2)
    late = NOON - SILENT_FILTER - timedelta(seconds=1)
    for name, serial, seen in (("a", new.serial, NOON), ("b", old.serial, NOON), ("c", None, late), ("d", None, None)):
        node = FilterNode(name=name, secret_hash="", registered_at=NOON, bundle_serial=serial, last_seen_at=seen)
        session.add(node)
    session.add(FilterNode(name="e", secret_hash="", registered_at=NOON, revoked_at=NOON))
    session.flush()
    samples = read(local)
    assert value(samples, "fleet_filters") == 4
    assert value(samples, "fleet_filters_behind") == 3
    assert value(samples, "fleet_filters_silent") == 2


def test_no_series_names_a_school_a_device_or_a_collectivity(local: TestClient, session: Session) -> None:
    device = make_device(session, last_seen_at=NOON)
    assert device.school is not None
    make_ticket(session, school=device.school, title="Écran noir")
    local.get(f"/api/v1/schools/{device.school.id}")
    text = local.get("/metrics").text
    secrets = (device.name, device.asset_tag, device.serial, device.label, str(device.id), device.school.name)
    for secret in (*secrets, device.school.uai, device.school.collectivity.name, "Écran noir", str(device.school.id)):
        assert secret is not None
        assert secret not in text


def test_every_answer_is_timed_by_part_and_class_of_status(local: TestClient) -> None:
    def count(part: str, status: str) -> float:
        return read(local).get(("fleet_http_seconds_count", frozenset({("part", part), ("status", status)})), 0.0)

    before = count("agent", "4xx"), count("portal", "2xx")
    local.get("/agent/v1/no-such-thing/at-all")
    local.get("/health/live")
    assert count("agent", "4xx") == before[0] + 1
    assert count("portal", "2xx") >= before[1] + 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_read_without_a_token(app: FastAPI, session: Session, address: str) -> None:
    with TestClient(app, base_url=URL, client=(address, 50000)) as client:
        assert client.get("/metrics").status_code == 200


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "unix"])
def test_another_machine_may_not(app: FastAPI, session: Session, address: str) -> None:
    with TestClient(app, base_url=URL, client=(address, 50000)) as client:
        answer = client.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (401, "metrics.refused")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_a_reverse_proxy_on_this_machine_does_not_open_the_door(local: TestClient, header: str) -> None:
    assert local.get("/metrics", headers={header: "127.0.0.1"}).status_code == 401


def test_with_a_token_only_who_sends_it_may_read(config: FleetConfig, session: Session) -> None:
    app = create_portal(replace(config, metrics_token="jeton-9"))
    from_here, from_afar = ("127.0.0.1", 50000), ("192.0.2.7", 50000)
    with TestClient(app, base_url=URL, client=from_here) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    with TestClient(app, base_url=URL, client=from_afar) as client:
        assert client.get("/metrics", headers={"Authorization": "Bearer jeton-9"}).status_code == 200


def test_each_certificate_says_when_it_ends(config: FleetConfig, session: Session, tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    server = authority.issue("preau.example.test", days=20)
    torn = tmp_path / "torn.pem"
    torn.write_text("-----BEGIN CERTIFICATE-----\n")
    config = replace(config, ca_file=authority.certificate, tls_cert_file=server.certificate, profile_cert_file=torn)
    app = create_portal(config)
    with TestClient(app, base_url=URL, client=("127.0.0.1", 50000)) as client:
        samples = read(client)
    name = "fleet_certificate_expiry_timestamp_seconds"
    assert value(samples, name, use="server") == server.expires_at.timestamp()
    assert value(samples, name, use="ca") == authority.expires_at.timestamp()
    assert (name, frozenset({("use", "profiles")})) not in samples


def test_one_reading_serves_every_scrape_for_a_few_seconds() -> None:
    moments: list[datetime] = []
    monotonic = [100.0]

    def note(now: datetime) -> list[Metric]:
        moments.append(now)
        return []

    kept = KeptReading(read=note, clock=lambda: monotonic[0])
    kept.at(NOON)
    monotonic[0] += KEPT_SECONDS - 0.1
    kept.at(NOON + timedelta(seconds=4))
    monotonic[0] += 0.2
    kept.at(NOON + timedelta(seconds=5))
    assert moments == [NOON, NOON + timedelta(seconds=5)]


def test_the_time_that_a_request_was_held_does_not_count() -> None:
    """A filter's question that waited 25 s for a change took the rest of its time."""
    moments = iter([100.0, 125.25])

    async def held(scope: Scope, _receive: Receive, send: Send) -> None:
        note_held(scope, 25.0)
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def ignore(_message: Message) -> None:
        """Nobody reads it."""

    async def nothing() -> Message:
        return {"type": "http.disconnect"}

    def spent() -> float:
        return REGISTRY.get_sample_value("fleet_http_seconds_sum", {"part": "filter", "status": "2xx"}) or 0.0

    before = spent()
    scope: Scope = {"type": "http", "path": "/filter/v1/policy"}
    asyncio.run(TimeAnswers(held, lambda: next(moments))(scope, nothing, ignore))
    assert spent() - before == pytest.approx(0.25)
