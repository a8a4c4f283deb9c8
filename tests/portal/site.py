"""A portal to look at: a real server over TLS, on a database of its own that holds the demonstration's Aisne."""

import base64
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from agent.protocol import CheckIn, EnrollmentRequest, Facts, Identity, Outcome
from fleet.audit import service as audit
from fleet.audit.service import Wanted
from fleet.checkins import service as checkins
from fleet.config import FleetConfig
from fleet.configuration import service as configuration
from fleet.db import SessionFactory
from fleet.demo.kit import ensure_kit
from fleet.demo.people import ADMIN, LEAD, NEIGHBOUR, OFFICER, TECHNICIAN, ensure_accounts, viewer_of
from fleet.demo.places import load_aisne
from fleet.demo.tickets import ensure_tickets
from fleet.devices import service as devices
from fleet.devices.models import Device, DeviceKind
from fleet.embedded.certificates import Certificates, ensure
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.enrollment import service as enrollment
from fleet.filtering import service as filtering
from fleet.filtering.gateways.reports import Count, record_report
from fleet.filtering.lists.listing import ensure_local_source, find_folder
from fleet.filtering.policy import schedules
from fleet.filtering.publishing import publications
from fleet.filtering.publishing.compiling import compile_order, summary
from fleet.grants import service as grants
from fleet.grants.nodes import Node
from fleet.migrate import migrate
from fleet.paging import Page
from fleet.schools import service as schools
from fleet.schools.models import School
from fleet.tickets import service as tickets
from fleet.worker import make_celery
from tests.conftest import SECRET_KEY
from tests.portal.job_data import add_jobs
from tests.portal.lesson_data import add_filtering_of_schools
from tests.portal.list_data import add_held_source, add_unreachable_source
from tests.portal.preview_data import add_previews

SCHOOL = "0021089Y"
"""A school of Guise, which the officer's commune runs."""
NEIGHBOURS_SCHOOL = "0021997K"
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Site:
    """Where the portal answers, and who may sign in."""

    url: str
    ca_file: Path
    passwords: dict[str, str]
    ids: dict[str, str]
    """What pages are about: "school", "device", "tablet", "ticket", "collectivity", "neighbour_school"…"""

    config: FleetConfig | None = None
    """What a portal of `running_site` was told; its database is for tests that play the worker."""

    admin: str = ADMIN.email
    technician: str = TECHNICIAN.email
    officer: str = OFFICER.email
    neighbour: str = NEIGHBOUR.email
    lead: str = LEAD.email


@contextmanager
def running_site(postgres: Postgres, directory: Path) -> Iterator[Site]:
    """Fill a new database, start one controller on it, and stop it at the end."""
    name = f"portal_{os.getpid()}"
    admin = create_engine(postgres.url(), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    migrate(postgres.url(name))
    certificates = ensure(directory / "tls", ["localhost"], datetime.now(UTC))
    port = free_port()
    config = make_config(postgres.url(name), certificates)
    engine = create_engine(config.database_url)
    SessionFactory.configure(bind=engine)
    with Session(engine, expire_on_commit=False) as session:
        passwords, ids = fill(session, config, directory)
        session.commit()
    engine.dispose()
    with serving(config, certificates, port, directory):
        yield Site(f"https://localhost:{port}", certificates.ca_file, passwords, ids, config)


def make_config(database_url: str, certificates: Certificates) -> FleetConfig:
    return FleetConfig(
        database_url=database_url,
        broker_url="memory://",
        public_url="https://preau.aisne.example",  # what tokens say; the browser goes to the loopback
        ca_file=certificates.ca_file,
        profile_cert_file=certificates.profile_cert,
        profile_key_file=certificates.profile_key,
        doh_template="https://dns.aisne.example/dns-query/{label}{?dns}",
        second_factor_required=False,
        secret_keys=(SECRET_KEY,),
        android_dpc_component="fr.example.dpc/.AdminReceiver",
        android_dpc_url="https://dpc.aisne.example/dpc.apk",
        android_dpc_checksum="c2lnbmF0dXJlLWNoZWNrc3VtLWZvci10aGUtdGVzdHM",
    )


@contextmanager
def serving(config: FleetConfig, certificates: Certificates, port: int, directory: Path) -> Iterator[None]:
    """A real uvicorn in a process of its own, until the block ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREAU_")}
    environment |= {
        "PREAU_ENV_FILE": str(directory / "none.env"),
        "PREAU_DATABASE_URL": config.database_url,
        "PREAU_BROKER_URL": config.broker_url,
        "PREAU_PUBLIC_URL": config.public_url,
        "PREAU_CA_FILE": str(config.ca_file),
        "PREAU_SECOND_FACTOR": "optional",
        "PREAU_SECRET_KEY": base64.b64encode(SECRET_KEY).decode(),
        "PREAU_PROFILE_CERT_FILE": str(config.profile_cert_file),
        "PREAU_PROFILE_KEY_FILE": str(config.profile_key_file),
        "PREAU_DOH_TEMPLATE": config.doh_template or "",
        "PREAU_ANDROID_DPC_COMPONENT": config.android_dpc_component or "",
        "PREAU_ANDROID_DPC_URL": config.android_dpc_url or "",
        "PREAU_ANDROID_DPC_CHECKSUM": config.android_dpc_checksum or "",
    }
    command = [
        sys.executable, "-m", "uvicorn", "dashboards.portal.app:create_portal", "--factory", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "warning", "--no-server-header",
        "--ssl-certfile", str(certificates.server_cert), "--ssl-keyfile", str(certificates.server_key),
    ]  # fmt: skip
    log = directory / "portal.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until_live(f"https://localhost:{port}/health/live", certificates.ca_file, process, log)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_until_live(url: str, ca_file: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once the server answers; raise with its log when it does not."""
    context = ssl.create_default_context(cafile=str(ca_file))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5, context=context).close()
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the portal did not start:\n{log.read_text()[-3000:]}") from None
            time.sleep(0.1)
        else:
            return


def fill(session: Session, config: FleetConfig, directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The demonstration, and what only days of running would bring: check-ins, drift, silence, a publication."""
    make_celery(config)
    now = datetime.now(UTC)
    load_aisne(session)
    accounts = ensure_accounts(session, directory / "accounts.json")
    ensure_kit(session, config, now - timedelta(days=12))
    ensure_tickets(session, now)
    technician = viewer_of(session, TECHNICIAN)
    school = schools.get_school_by_uai(session, technician, SCHOOL)
    neighbours = schools.get_school_by_uai(session, technician, NEIGHBOURS_SCHOOL)
    guise = Fleet(session, config, school, now)
    guise.enroll(DeviceKind.DISPLAY, "Écran salle 1", "Salle 1", ("shortcuts", "unchanged", ""))
    repaired = guise.enroll(
        DeviceKind.DISPLAY, "Écran salle 2", "Salle 2", ("shortcuts", "repaired", "1 raccourci avait disparu")
    )
    failing = guise.enroll(
        DeviceKind.DESKTOP, "PC bibliothèque", "BCD", ("browser", "failed", "écriture refusée : disque plein")
    )
    guise.enroll(DeviceKind.GATEWAY, "Passerelle", "Local technique")
    guise.enroll(DeviceKind.LAPTOP, "Portable direction", "Bureau", days=3).silent_since = now - timedelta(days=3)
    far = Fleet(session, config, neighbours, now).enroll(DeviceKind.DISPLAY, "Écran du fond", "Classe du fond", days=1)
    far.silent_since = now - timedelta(days=1)
    publish(session, config, directory, now)
    in_schools = add_filtering_of_schools(session, school, neighbours, now)
    nodes = [node for node in filtering.list_filters(session) if node.school_id is None or node.last_seen_at]
    previewed = add_previews(session, technician, filtering.ensure_default_profile(session), school, nodes, now)
    source, _ = add_held_source(session, technician, now)
    failing_source = add_unreachable_source(session, technician, now)
    add_grants(session, school, now)
    jobs = add_jobs(session, technician, now)
    session.flush()
    tablet = devices.list_devices(session, technician, kind=DeviceKind.TABLET, school_id=school.id).rows[0]
    ipad = devices.list_devices(session, technician, kind=DeviceKind.TABLET, school_id=neighbours.id).rows[0]
    ticket = tickets.list_tickets(session, technician, search="Accès à l’ENT", page=Page(size=1)).rows[0]
    ids = {
        "school": school.id,
        "collectivity": school.collectivity_id,
        "neighbour_school": neighbours.id,
        "neighbour_collectivity": neighbours.collectivity_id,
        "device": repaired.id,
        "failing": failing.id,
        "neighbour_device": far.id,
        "android": tablet.id,
        "ipad": ipad.id,
        "ticket": ticket.id,
        "blocked_name": "arenalasvegas.com",
        "profile": filtering.ensure_default_profile(session).id,
        "held_source": source.id,
        "failing_source": failing_source.id,
        "entry": audit.list_entries(session, technician, Wanted(table="tickets", action="update")).rows[0].id,
        "schedule": schedules.list_schedules(session)[0].id,
        "account": viewer_of(session, OFFICER).user_id,
        **in_schools,
        **previewed,
        **jobs,
    }
    return {account.email: account.password for account in accounts}, {name: str(row) for name, row in ids.items()}


@dataclass
class Fleet:
    """Enrolls devices in one school by the same verbs as real ones use."""

    session: Session
    config: FleetConfig
    school: School
    now: datetime

    def enroll(
        self, kind: DeviceKind, name: str, room: str, *outcomes: tuple[str, str, str], days: float = 0
    ) -> Device:
        """A Linux device that enrolled and last reported these outcomes, ``days`` ago."""
        technician = viewer_of(self.session, TECHNICIAN)
        at = self.now - timedelta(days=days, minutes=2)
        issued = enrollment.issue_token(
            self.session, technician, school=self.school, kind=kind, now=at - timedelta(hours=1), config=self.config,
            expires_in=timedelta(days=1),
        )  # fmt: skip
        number = uuid4().hex
        facts = Facts(
            hostname=name.lower().replace(" ", "-"), manufacturer="Dell", model="OptiPlex 3000", os_name="Debian",
            os_version="12", architecture="x86_64", memory_bytes=8_000_000_000, disk_bytes=256_000_000_000,
            disk_free_bytes=181_000_000_000, browsers=("chromium 156.0", "firefox-esr 153.7"),
        )  # fmt: skip
        identity = Identity(serial=f"TEST{number[:6].upper()}", macs=(f"02:00:00:{number[6:8]}:{number[8:10]}:01",))
        request = EnrollmentRequest(token=issued.text, attempt=number, identity=identity, facts=facts)
        reply = enrollment.enroll_device(self.session, request, "127.0.0.1", at - timedelta(minutes=50), self.config)
        device = devices.get_device(self.session, technician, UUID(reply.device_id))
        devices.edit_device(self.session, technician, device, name=name, room=room, now=at)
        self.check_in(device, outcomes, at)
        return device

    def check_in(self, device: Device, outcomes: tuple[tuple[str, str, str], ...], at: datetime) -> None:
        """Once to be told the state, once to say how that went."""
        told = {resource: Outcome(resource, status, detail) for resource, status, detail in outcomes}
        told = {name: Outcome(name, "unchanged") for name in ("browser", "dns", "shortcuts")} | told
        wanted = configuration.desired_state_for(self.session, device, self.config).revision
        for applied in ("", wanted):
            message = CheckIn(
                facts_hash="", applied_revision=applied, outcomes=tuple(told.values()) if applied else (),
                agent_version="0.1.0",
            )  # fmt: skip
            checkins.receive(self.session, device, message, at, self.config)


def add_grants(session: Session, school: School, now: datetime) -> None:
    """One that holds and one that is to come, for towns where nobody of ours has an account."""
    admin = viewer_of(session, ADMIN)
    others = [each for each in schools.list_schools(session, admin, search="laon").rows if each.is_public]
    for number, other in enumerate(others[:2]):
        grants.give_grant(
            session, admin, to=Node(other.collectivity) if number else Node(school=other), node=Node(school=school),
            starts=now + timedelta(days=number), ends=now + timedelta(days=300), reason="Convention de mutualisation",
            now=now,
        )  # fmt: skip


def publish_names(session: Session, config: FleetConfig, directory: Path, at: datetime) -> int:
    """Compile what the lists hold, as the worker does; the serial."""
    asked = publications.add_request(session, "Hugo Lemaire", at, accepts_folder=True)
    order = publications.start(session, asked.id, at)
    assert order is not None
    session.commit()  # compiling reads in transactions of its own
    report = compile_order(order, config, directory, directory / "bundle")
    publications.publish(session, order, directory / "bundle", report.digest, summary(report), at)
    return order.serial


def publish(session: Session, config: FleetConfig, directory: Path, now: datetime) -> None:
    """Two real publications of the small UT1 set, the first without one of its lists, and two filters: one up to date,
    one that kept quiet.
    """
    filtering.ensure_default_profile(session)
    ensure_local_source(session, now - timedelta(days=1))
    source = find_folder(session)
    assert source is not None
    source.categories = {"dating": ""}
    publish_names(session, config, directory, now - timedelta(days=1))
    source.categories = {}
    serial = publish_names(session, config, directory, now - timedelta(hours=5))
    filtering.publish_policy(session, "Hugo Lemaire", "Première politique", now - timedelta(hours=5))
    technician = viewer_of(session, TECHNICIAN)
    school = schools.get_school_by_uai(session, technician, SCHOOL)
    node, _ = filtering.register_filter(session, "Guise, école Schweitzer", school, now - timedelta(days=20))
    counts = [
        Count(now, "allowed", "", 48_210),
        Count(now, "blocked", "gambling", 37),
        Count(now, "blocked", "vpn", 12),
    ]
    record_report(session, node, version="0.1.0", run="run-1", bundle_serial=serial, health={}, counts=counts, now=now)
    filtering.register_filter(session, "Vervins, passerelle", None, now - timedelta(days=2))
