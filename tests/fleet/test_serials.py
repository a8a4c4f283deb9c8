"""A restored database: filters hold newer files than it knows of, and have to be able to take ours all the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.filtering import service, tasks
from fleet.filtering.gateways import nodes
from fleet.filtering.gateways.serials import FARTHEST
from fleet.filtering.models import FilterNode, Publication, PublicationState
from fleet.filtering.policy import policies
from fleet.filtering.policy.models import FilterEvent
from fleet.filtering.publishing import publications
from fleet.worker import make_celery
from tests.factories import NOON
from tests.fleet.publishing import publish, write_lists


class Gateway:
    """A registered filter that reports what it holds."""

    def __init__(self, api: TestClient, session: Session) -> None:
        self.api, (self.node, credential) = api, nodes.register_filter(session, "passerelle", None, NOON)
        self.headers = {"Authorization": f"Bearer {credential}"}

    def report(self, **held: Any) -> None:
        body = {
            "version": "0.1.0", "run": "0123456789abcdef", "started_at": "2026-11-24T09:12:00+00:00",
            "bundle_serial": None, "policy_serial": None,
        }  # fmt: skip
        answer = self.api.post("/filter/v1/reports", json=body | held, headers=self.headers)
        assert answer.status_code == 204, answer.text


@pytest.fixture
def gateway(api: TestClient, session: Session) -> Gateway:
    return Gateway(api, session)


@pytest.fixture
def names(session: Session, tmp_path: Path, config: FleetConfig) -> Publication:
    """The current names file, of lists that do not change."""
    make_celery(replace(config, ut1_dir=write_lists(tmp_path)))
    return publish(session)


def current(session: Session) -> int:
    policy = policies.find_current(session)
    assert policy is not None
    return policy.serial


def raised(session: Session) -> list[str]:
    return list(session.scalars(select(FilterEvent.verb).where(FilterEvent.verb.endswith(".overtake"))))


def test_the_policy_goes_above_what_a_filter_holds(session: Session, gateway: Gateway) -> None:
    held = policies.publish(session, None, "essai", NOON).serial + 40
    gateway.report(policy_serial=held, policy_digest="1" * 64)
    first = current(session)
    assert first > held
    gateway.report(policy_serial=held, policy_digest="1" * 64)
    assert (current(session), raised(session)) == (first, ["policy.overtake"])


def test_the_same_serial_for_other_content_is_behind_too(session: Session, gateway: Gateway) -> None:
    ours = policies.publish(session, None, "essai", NOON)
    gateway.report(policy_serial=ours.serial, policy_digest=ours.digest)
    gateway.report(policy_serial=ours.serial - 1, policy_digest="1" * 64)
    assert current(session) == ours.serial
    gateway.report(policy_serial=ours.serial, policy_digest="1" * 64)
    assert current(session) > ours.serial


def test_what_cannot_be_ours_raises_nothing(session: Session, gateway: Gateway, names: Publication) -> None:
    ours = current(session)
    gateway.report(policy_serial=ours + FARTHEST + 1, bundle_serial=names.serial + FARTHEST + 1)
    assert (current(session), raised(session), waiting(session)) == (ours, [], [])


def waiting(session: Session) -> list[int]:
    query = select(Publication.serial).where(Publication.state.in_(publications.WAITING))
    return list(session.scalars(query))


def test_names_go_above_though_the_lists_are_the_same(session: Session, gateway: Gateway, names: Publication) -> None:
    held = names.serial + 40
    before = service.request_publication(session, "Personne", NOON)  # asked for, with a serial that is too low
    for _ in range(2):
        gateway.report(bundle_serial=held, bundle_digest="1" * 64)
    assert raised(session) == ["publication.overtake"]
    session.refresh(before)
    assert ([before.serial], before.requested_by) == (waiting(session), "Personne")
    assert before.serial > held
    tasks.sweep_publications()
    tasks.compile_publication(str(before.id))
    session.expire_all()
    latest = service.find_latest(session)
    assert latest is not None
    assert (latest.serial, latest.digest) == (before.serial, names.digest)
    assert publish(session).state is PublicationState.UNCHANGED
    gateway.report(bundle_serial=latest.serial, bundle_digest=latest.digest)
    assert session.scalars(select(FilterNode.bundle_serial)).one() == latest.serial
    assert (raised(session), waiting(session)) == (["publication.overtake"], [])
