"""Kill -9 of each part, and FLUSHALL, at random moments under many changes and a large import: all is there, once."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import selectinload

from fleet.audit import chain
from fleet.audit.models import AuditEntry
from fleet.collectivities.models import Collectivity
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.imports.models import Import
from fleet.jobs.models import Job, JobState
from fleet.tickets.models import Ticket
from tests.conftest import state_directory
from tests.embedded.waiting import until
from tests.factories import make_school
from tests.fleet.jobs.plant import Plant

ROWS = 5_000
HANDS = 4
"""People who change things at the same time."""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    bound = SessionFactory.kw.get("bind")
    state = state_directory("faults-")
    plant = Plant(tmp_path, state)
    try:
        plant.start()
        yield plant
    finally:
        sys.stdout.write(plant.output.getvalue()[-20_000:])
        plant.stop()
        SessionFactory.configure(bind=bound)
        shutil.rmtree(state)


def communes() -> bytes:
    codes = [f"{number // 999 + 10:02}{number % 999 + 1:03}" for number in range(ROWS)]
    return "\n".join(["code_insee;nom", *(f"{code};Commune {code}" for code in codes)]).encode()


def send(client: httpx2.Client, url: str, **body: Any) -> httpx2.Response:
    """As a person or a program does: again and again, until it is accepted or refused for good."""
    answers: list[httpx2.Response] = []

    def is_taken() -> bool:
        try:
            answer = client.post(url, **body)
        except httpx2.TransportError:
            return False
        answers.append(answer)
        return answer.status_code < 500

    until(is_taken, f"{url} is taken", patience=90)
    return answers[-1]


def open_tickets(client: httpx2.Client, school: UUID, numbers: range) -> None:
    for number in numbers:
        form = {
            "kind": "incident", "subject": "school", "school_id": str(school), "title": f"Panne {number}",
            "description": "L’écran reste noir.", "request_key": f"formulaire {number:04}",
        }  # fmt: skip
        answer = send(client, "/api/v1/tickets", json=form)
        assert answer.status_code == 201, answer.text


def is_import_done() -> bool:
    try:
        with transaction(Door.OPERATOR) as session:
            return session.scalars(select(Job.state)).one() in {JobState.DONE, JobState.FAILED}
    except (OperationalError, InterfaceError):
        return False


@pytest.mark.parametrize(
    ("changes", "rounds"), [(80, 1), pytest.param(200, 4, marks=[pytest.mark.long, pytest.mark.timeout(400)])]
)
def test_every_row_and_job_is_there_once(plant: Plant, changes: int, rounds: int) -> None:
    seed = int.from_bytes(os.urandom(4))
    sys.stdout.write(f"seed {seed}\n")
    with transaction(Door.OPERATOR) as session:
        school = make_school(session).id
    clients, client = [plant.client() for _ in range(HANDS)], plant.client()
    files = {"file": ("communes.csv", communes(), "text/csv")}
    row = send(client, "/api/v1/imports", data={"kind": "communes"}, files=files).json()
    with plant.sweeping(), ThreadPoolExecutor(HANDS) as people:
        with plant.striking(Random(seed), rounds):
            opening = [
                people.submit(open_tickets, each, school, range(hand, changes, HANDS))
                for hand, each in enumerate(clients)
            ]
            asked = send(client, f"/api/v1/imports/{row['id']}/apply")
            assert asked.status_code in (202, 409), asked.text  # refused: it was taken, and the answer was lost
        until(is_import_done, "the import is done", patience=120)
        for each in opening:
            each.result()
    judge(changes)


def judge(changes: int) -> None:
    with transaction(Door.OPERATOR) as session:
        job, row = session.scalars(select(Job)).one(), session.scalars(select(Import)).one()
        assert (job.state, job.reason) == (JobState.DONE, "")
        assert (row.job_id, row.applied_at is not None) == (job.id, True)
        assert session.scalar(select(func.count()).where(Collectivity.name.like("Commune _____"))) == ROWS
        tickets = session.scalars(select(Ticket).options(selectinload(Ticket.events))).all()
        assert sorted(ticket.title for ticket in tickets) == sorted(f"Panne {n}" for n in range(changes))
        assert {len(ticket.events) for ticket in tickets} == {1}
        entries = Counter(session.scalars(select(AuditEntry.table_name).where(AuditEntry.action == "insert")))
        assert {name: entries[name] for name in ("tickets", "collectivities", "imports", "jobs")} == {
            "tickets": changes, "collectivities": ROWS + 1, "imports": 1, "jobs": 1
        }  # fmt: skip
        told = session.scalars(select(AuditEntry).where(AuditEntry.table_name == "jobs").order_by(AuditEntry.id))
        assert [entry.after["state"] for entry in told if entry.after and "state" in entry.after][-1] == JobState.DONE
        assert chain.verify(session.connection()).problems == []
