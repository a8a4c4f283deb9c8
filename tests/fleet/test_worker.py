"""The worker as a real process, with a real broker and database: what is lost is found, what dies is done once."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
import pytest
import redis
from fastapi.testclient import TestClient
from kombu.exceptions import OperationalError
from sqlalchemy import Engine, create_engine, select

from dashboards.portal.app import create_portal
from fleet.clock import utc_now
from fleet.config import FleetConfig
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.filtering import service as filtering
from fleet.filtering import tasks as filtering_tasks
from fleet.filtering.models import Publication, PublicationChunk, PublicationState
from fleet.tickets import tasks
from fleet.tickets.models import Ticket, TicketMail
from fleet.worker import make_celery
from tests.embedded.waiting import until
from tests.factories import make_school, make_user
from tests.fleet.publishing import in_catalogue
from tests.fleet.smtp import Postman, serving
from tests.fleet.stores import Broker, own_broker
from tests.sign_in import signed_in


class Site:
    """An installation of a test's own: database, broker, mail server, lists; the worker is started by the test."""

    def __init__(self, database_url: str, broker: Broker, directory: Path) -> None:
        self.broker, self.directory = broker, directory
        self.postman = Postman()
        self.lists = directory / "ut1"
        self.write_lists(3)
        self.config = FleetConfig(
            database_url=database_url,
            broker_url=broker.url,
            second_factor_required=False,
            public_url="https://preau.example.test",
            smtp_url=f"smtp://127.0.0.1:{self.postman.port}",
            ut1_dir=self.lists,
        )
        self.app = create_portal(self.config)
        self.engine: Engine = create_engine(database_url)
        SessionFactory.configure(bind=self.engine)
        with transaction(Door.OPERATOR) as session:
            self.technician = make_user(session, email="technicien@example.test")
            self.school = make_school(session)

    def write_lists(self, names: int) -> None:
        (self.lists / "gambling").mkdir(parents=True, exist_ok=True)
        numbers = random.Random(3).sample(range(10**9), names)
        (self.lists / "gambling" / "domains").write_text("".join(f"casino{n}.example\n" for n in numbers))

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PREAU_DATABASE_URL": self.config.database_url,
            "PREAU_BROKER_URL": self.config.broker_url,
            "PREAU_PUBLIC_URL": self.config.public_url,
            "PREAU_SMTP_URL": self.config.smtp_url or "",
            "PREAU_UT1_DIR": str(self.lists),
            "PREAU_ENV_FILE": str(self.directory / "none.env"),
        }

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """`preau worker` with its children in a group of their own; killed whole at the end, log kept for a failure."""
        with (self.directory / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "fleet", "worker", "--concurrency", "2"],
                env=self.environment(), stderr=log, stdout=log, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            kill_group(process)

    def log(self) -> str:
        return (self.directory / "worker.log").read_text()

    def open_ticket(self) -> Ticket:
        """Over HTTP, as a technician, who is owed a confirmation; the sign-in is not what is tested."""
        with TestClient(self.app, base_url="https://preau.example.test") as client:
            SessionFactory.configure(bind=self.engine)
            answer = signed_in(client, self.technician).post(
                "/api/v1/tickets",
                json={
                    "kind": "incident", "subject": "school", "title": "Écran noir", "description": "Plus rien.",
                    "school_id": str(self.school.id),
                },
            )  # fmt: skip
            assert answer.status_code == 201, answer.text
        with transaction(Door.OPERATOR) as session:
            return session.get_one(Ticket, UUID(answer.json()["id"]))

    def all_sent(self) -> bool:
        with transaction(Door.OPERATOR) as session:
            return all(mail.sent_at for mail in session.scalars(select(TicketMail)))

    def request_publication(self) -> UUID:
        with transaction(Door.OPERATOR) as session:
            return filtering.request_publication(session, "test", utc_now()).id

    def publication(self, publication_id: UUID) -> Publication:
        with transaction(Door.OPERATOR) as session:
            return filtering.get_publication(session, publication_id)

    def is_in(self, publication_id: UUID, state: PublicationState) -> Callable[[], bool]:
        return lambda: self.publication(publication_id).state is state


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the worker and its children: as a power cut would."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture
def site(own_database_url: str, tmp_path: Path) -> Iterator[Site]:
    bound = SessionFactory.kw.get("bind")
    with own_broker(tmp_path / "valkey") as broker:
        site = Site(own_database_url, broker, tmp_path)
        yield site
        site.engine.dispose()
    SessionFactory.configure(bind=bound)


def test_a_ticket_opened_is_a_mail_that_arrives_once(site: Site) -> None:
    with serving(site.postman), site.worker():
        ticket = site.open_ticket()
        until(site.all_sent, "the mail is sent")
        tasks.sweep_mails.delay()
        tasks.send_mail.delay("00000000-0000-0000-0000-000000000000")  # of a row that is gone: no matter
        until(lambda: site.log().count("mail sent") == 1, "the worker logged it")
        filtering_tasks.publish_nightly.delay()
        until(lambda: "compile done" in site.log(), "the queue is worked off")
    [letter] = site.postman.letters
    assert f"[Préau #{ticket.number}]" in letter["Subject"]
    assert '"id": "' in site.log()  # every line of a task carries its id


def test_without_a_broker_a_request_goes_through_and_the_sweep_sends_later(site: Site) -> None:
    site.broker.stop()
    site.open_ticket()
    assert not site.all_sent()
    site.broker.start()
    with serving(site.postman), site.worker():
        hand_over(tasks.sweep_mails.delay)
        until(site.all_sent, "the sweep sent it")
    assert len(site.postman.letters) == 1


def test_a_broker_that_accepts_and_says_nothing_holds_no_request(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        make_celery(FleetConfig(
            database_url=site.config.database_url, broker_url=f"redis://:x@127.0.0.1:{mute.getsockname()[1]}/0",
            public_url=site.config.public_url,
        ))  # fmt: skip
        site.open_ticket()  # the test's own time limit is what fails if this hangs
    assert not site.all_sent()


def test_flushall_loses_nothing(site: Site) -> None:
    site.open_ticket()
    publication_id = site.request_publication()
    client = redis.Redis.from_url(site.broker.url)
    assert client.llen("celery") >= 2
    client.flushall()
    with serving(site.postman), site.worker():
        tasks.sweep_mails.delay()
        filtering_tasks.sweep_publications.delay()
        until(site.all_sent, "the mail is sent")
        until(site.is_in(publication_id, PublicationState.PUBLISHED), "the bundle is published")
        client.flushall()  # also under a worker that is there
        site.open_ticket()
        until(site.all_sent, "the second mail is sent")
    assert len(site.postman.letters) == 2


def test_a_broker_that_dies_under_a_task_finds_its_worker_again(site: Site) -> None:
    site.write_lists(500_000)
    with serving(site.postman), site.worker() as worker:
        publication_id = site.request_publication()
        until(site.is_in(publication_id, PublicationState.COMPILING), "the compile began")
        site.broker.stop()
        until(lambda: "Connection to broker lost" in site.log(), "the worker noticed")
        site.open_ticket()
        site.broker.start()
        hand_over(tasks.sweep_mails.delay)
        until(site.all_sent, "the worker is back")
        until(site.is_in(publication_id, PublicationState.PUBLISHED), "what it was doing got done")
        assert worker.poll() is None  # and it is the same one
    assert site.publication(publication_id).attempts == 1


def hand_over(publish: Callable[[], object]) -> None:
    """As beat does: again and again, until the broker takes it."""

    def taken() -> bool:
        try:
            publish()
        except OperationalError:
            return False
        return True

    until(taken, "the broker takes the sweep")


@pytest.mark.parametrize("whole", [True, False], ids=["the whole worker", "the processes under it"])
def test_killed_while_it_compiles_it_publishes_once(site: Site, whole: bool) -> None:
    site.write_lists(500_000)
    with site.worker() as worker:
        publication_id = site.request_publication()
        until(site.is_in(publication_id, PublicationState.COMPILING), "the compile began")
        if whole:
            kill_group(worker)
        else:
            for child in psutil.Process(worker.pid).children():
                child.kill()
        assert site.publication(publication_id).state is PublicationState.COMPILING
        with site.worker():
            filtering_tasks.sweep_publications.delay()
            until(site.is_in(publication_id, PublicationState.PUBLISHED), "it was compiled again")
    publication = site.publication(publication_id)
    assert publication.attempts == 2
    assert publication.report["names"] == 500_000 + in_catalogue()
    with transaction(Door.OPERATOR) as session:
        pieces = session.scalars(
            select(PublicationChunk.content)
            .where(PublicationChunk.publication_id == publication_id)
            .order_by(PublicationChunk.position)
        ).all()
        assert sum(map(len, pieces)) == publication.size
        assert session.scalars(select(Publication.id)).all() == [publication_id]
