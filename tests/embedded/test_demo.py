"""The demonstration: loaded once however often it is asked for, with accounts that open and machines that enroll."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from fleet.accounts import signing_in
from fleet.accounts.models import User
from fleet.accounts.sessions import Visit
from fleet.collectivities.models import Collectivity
from fleet.config import FleetConfig
from fleet.db import SessionFactory, connect
from fleet.demo.load import load_demo
from fleet.demo.machines import IDENTITY, MACHINES, SETTINGS, answered_since, prepare_root
from fleet.demo.people import LEAD, NEIGHBOUR, OFFICER, PEOPLE, TECHNICIAN, ensure_accounts, viewer_of
from fleet.devices import service as devices
from fleet.devices.models import Device
from fleet.doors import Door, enter
from fleet.embedded.certificates import ensure
from fleet.embedded.postgres import Postgres
from fleet.enrollment.models import EnrollmentToken
from fleet.filtering.exceptions import lessons, name_lists
from fleet.filtering.policy.models import FilterNetwork, FilterRoom, UnblockRequest
from fleet.migrate import migrate
from fleet.schools.models import School
from fleet.tickets.models import Ticket, TicketStatus
from fleet.worker import make_celery

NOW = datetime.now(UTC)
COUNTED = (Collectivity, School, User, Device, Ticket, EnrollmentToken, FilterRoom, FilterNetwork, UnblockRequest)


@pytest.fixture(scope="module")
def demo_config(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> FleetConfig:
    """Settings on a database of its own, where the tables are."""
    made = ensure(tmp_path_factory.mktemp("tls"), [], NOW)
    postgres.ensure_database("demonstration")
    migrate(postgres.url("demonstration"))
    return FleetConfig(
        postgres.url("demonstration"), "memory://", "https://preau.example.test", ca_file=made.ca_file,
        profile_cert_file=made.profile_cert, profile_key_file=made.profile_key,
    )  # fmt: skip


@pytest.fixture(scope="module")
def accounts_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("accounts") / "demo-accounts.json"


@pytest.fixture(scope="module")
def engine(demo_config: FleetConfig, accounts_file: Path) -> Iterator[Engine]:
    """The demonstration, loaded once for all these tests."""
    make_celery(demo_config)
    engine = connect(demo_config.database_url)
    load_demo(demo_config, accounts_file, NOW, lambda _: None)
    yield engine
    engine.dispose()


@pytest.fixture
def loaded(engine: Engine) -> Iterator[Session]:
    """A session whose commits, like the loader's, are savepoints of one transaction that is rolled back."""
    with engine.connect() as connection:
        transaction = connection.begin()
        SessionFactory.configure(bind=connection, join_transaction_mode="create_savepoint")
        with Session(connection, expire_on_commit=False, join_transaction_mode="create_savepoint") as session:
            enter(session, Door.OPERATOR)
            yield session
        transaction.rollback()
        SessionFactory.configure(bind=engine)


def count(session: Session) -> dict[str, int]:
    return {model.__name__: session.scalars(select(func.count()).select_from(model)).one() for model in COUNTED}


def test_a_second_time_doubles_nothing(loaded: Session, demo_config: FleetConfig, accounts_file: Path) -> None:
    before, passwords = count(loaded), accounts_file.read_bytes()
    assert before["School"] == 483
    assert before["Device"] >= 30
    load_demo(demo_config, accounts_file, NOW + timedelta(days=1), lambda _: None)
    assert count(loaded) == before
    assert accounts_file.read_bytes() == passwords


def test_tickets_are_in_several_states(loaded: Session) -> None:
    assert set(loaded.scalars(select(Ticket.status))) == set(TicketStatus)


def test_the_director_can_run_a_lesson_at_once(loaded: Session) -> None:
    lead, room = viewer_of(loaded, LEAD), loaded.scalars(select(FilterRoom)).one()
    saved = name_lists.list_lists(loaded, lead)
    assert [each.name for each in saved] == ["Recherche documentaire"]
    lesson = lessons.start_lesson(loaded, lead, room.id, minutes=30, list_id=saved[0].id, now=NOW)
    assert "wikipedia.org" in lesson.names


def test_every_account_opens_with_its_password_and_passwords_are_this_installations(
    loaded: Session, accounts_file: Path
) -> None:
    assert accounts_file.stat().st_mode & 0o777 == 0o600
    passwords = json.loads(accounts_file.read_text())
    assert len(set(passwords.values())) == len(PEOPLE)
    for email, password in passwords.items():
        assert signing_in.sign_in(loaded, email, password, Visit("192.0.2.1"), NOW).viewer.email == email


def test_a_lost_password_file_means_new_passwords(loaded: Session, accounts_file: Path, tmp_path: Path) -> None:
    before = json.loads(accounts_file.read_text())
    for account in ensure_accounts(loaded, tmp_path / "new.json"):
        assert account.password != before[account.email]
        assert signing_in.sign_in(loaded, account.email, account.password, Visit("192.0.2.1"), NOW).token


def test_officers_see_their_own_side_only(loaded: Session) -> None:
    seen = {
        person.email: {device.id for device in devices.list_devices(loaded, viewer_of(loaded, person)).rows}
        for person in (OFFICER, NEIGHBOUR, LEAD)
    }
    assert seen[OFFICER.email]
    assert seen[NEIGHBOUR.email]
    assert not seen[OFFICER.email] & seen[NEIGHBOUR.email]
    assert seen[LEAD.email] < seen[OFFICER.email]


def enrolled(root: Path, controller: str) -> None:
    (root / IDENTITY).parent.mkdir(parents=True)
    (root / IDENTITY).write_text(json.dumps({"device_id": "x", "credential": "y", "controller": controller}))


def test_a_machine_gets_one_token_until_it_is_enrolled(
    loaded: Session, demo_config: FleetConfig, tmp_path: Path
) -> None:
    machine, now = MACHINES[0], datetime.now(UTC)
    root = prepare_root(loaded, machine, tmp_path, demo_config, now)
    told = (root / SETTINGS).read_text()
    prepare_root(loaded, machine, tmp_path, demo_config, now + timedelta(minutes=20))
    assert (root / SETTINGS).read_text() == told, "an enrolment under way goes on with its own token"
    prepare_root(loaded, machine, tmp_path, demo_config, now + timedelta(minutes=55))
    assert (root / SETTINGS).read_text() != told, "a token about to expire is replaced"
    enrolled(root, demo_config.public_url)
    prepare_root(loaded, machine, tmp_path, demo_config, now)
    assert not (root / SETTINGS).exists()
    assert (root / SETTINGS).parent.exists()


def test_an_enrolled_machine_follows_its_controller_to_another_port(
    loaded: Session, demo_config: FleetConfig, tmp_path: Path
) -> None:
    root = tmp_path / MACHINES[0].name
    enrolled(root, "https://localhost:1")
    prepare_root(loaded, MACHINES[0], tmp_path, demo_config, NOW)
    identity = json.loads((root / IDENTITY).read_text())
    assert identity == {"device_id": "x", "credential": "y", "controller": demo_config.public_url}
    assert (root / IDENTITY).stat().st_mode & 0o777 == 0o600


def test_machines_are_two_displays_two_computers_and_a_gateway_of_their_own() -> None:
    assert sorted(machine.kind for machine in MACHINES) == ["desktop", "display", "display", "gateway", "laptop"]
    assert len({json.dumps(machine.facts()["identity"]) for machine in MACHINES}) == 5


def test_an_agent_that_never_spoke_has_not_answered(tmp_path: Path) -> None:
    assert not answered_since(tmp_path, 0)


def test_the_technician_looks_after_what_was_registered(loaded: Session) -> None:
    listing = devices.list_devices(loaded, viewer_of(loaded, TECHNICIAN), search="DEMO-")
    assert listing.total == 37
