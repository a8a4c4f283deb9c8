"""`preau up`: everything at once, in order, under one supervisor."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from fleet.config import FleetConfig
from fleet.db import SessionFactory, connect
from fleet.demo.load import load_demo
from fleet.demo.machines import MACHINES, prepare_root
from fleet.embedded import leftovers, ports, programs
from fleet.embedded.banner import Account, ReadyBlock
from fleet.embedded.certificates import Certificates, ensure
from fleet.embedded.console import Console, wants_colour
from fleet.embedded.files import write_private
from fleet.embedded.layout import Layout
from fleet.embedded.lock import hold
from fleet.embedded.ports import Wanted
from fleet.embedded.postgres import Postgres
from fleet.embedded.reset import reset
from fleet.embedded.settings import (
    UpOptions,
    bracketed,
    child_environment,
    make_settings,
    public_host,
    write_environment,
)
from fleet.embedded.supervisor import Supervisor, wait_until
from fleet.embedded.valkey import Valkey
from fleet.errors import Unauthenticated
from fleet.filtering import service as filtering
from fleet.migrate import migrate
from fleet.worker import make_celery

DATABASE = "preau"
STOP_SECONDS = 4.8
LISTS_SECONDS = 30.0
FILTER_NAME = "filtre de cette machine"
BLOCKED_EXAMPLE = "0-casino.info"
"""In the category gambling of the lists that ship here, and of UT1's own."""


class Stop(BaseException):
    """Somebody asked to stop: Ctrl-C, kill, or the terminal that closed. Not an error, so not an Exception."""


@dataclass(slots=True)
class Installation:
    """One start of everything: what was asked, where it lives, what it is told."""

    options: UpOptions
    layout: Layout
    environ: Mapping[str, str]
    console: Console
    supervisor: Supervisor
    certificates: Certificates
    postgres: Postgres | None
    valkey: Valkey | None
    settings: dict[str, str]
    started: float
    accounts: list[Account] = field(default_factory=list)
    lists_are_ready: bool = False

    @property
    def config(self) -> FleetConfig:
        return FleetConfig.from_environ(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        """Of the controller, the worker and beat: they read the settings from the file."""
        return child_environment(self.layout, self.environ, PREAU_ENV_FILE=str(self.layout.environment))

    @property
    def local_url(self) -> str:
        """The controller as this machine reaches it."""
        return f"https://{bracketed(public_host(self.options.address))}:{self.options.port}"


def up(options: UpOptions, environ: Mapping[str, str], *, ask_reset: Callable[[str], str] | None, fresh: bool) -> None:
    """Start everything, keep it running, and stop it when asked. Returns after the stop.

    ``fresh``: forget the previous state first. Raises ConfigurationError, PostgresError or NotReady with a sentence.
    """
    started = time.monotonic()
    os.umask(0o077)  # what we and our children write is for this account
    layout = Layout(options.var)
    layout.make()
    with hold(layout.lock), stopping_on_signals():
        postgres = None if environ.get("PREAU_DATABASE_URL") else Postgres(layout.postgres, 0)
        end_leftovers(layout, postgres)
        if fresh:
            for path in reset(layout, ask=ask_reset):
                sys.stdout.write(f"Effacé : {path}\n")
            layout.make()
        ports.check(wanted_ports(options))
        installation = prepare(options, layout, environ, postgres, started)
        run(installation)


def end_leftovers(layout: Layout, postgres: Postgres | None) -> None:
    """End what a killed `preau up` of this folder left running: nothing may hold our ports or our database."""
    leftovers.end(leftovers.find_leftovers(layout.var))
    if postgres is not None:
        postgres.end_leftover()


def wanted_ports(options: UpOptions) -> list[Wanted]:
    """Every port that people or devices are told; the others are chosen free."""
    return [
        Wanted("le portail", "--port", options.host, options.port),
        Wanted("le DNS", "--dns-port", options.host, options.dns_port, "UDP"),
        Wanted("le DNS", "--dns-port", options.host, options.dns_port),
        Wanted("la page de blocage", "--page-port", options.host, options.page_port),
        Wanted("les mesures du filtre", "--metrics-port", "127.0.0.1", options.metrics_port),
    ]


def prepare(
    options: UpOptions, layout: Layout, environ: Mapping[str, str], postgres: Postgres | None, started: float
) -> Installation:
    """Certificates, clusters, settings: all that is made before the first process starts."""
    console = Console(sys.stdout, layout.log, colour=wants_colour(sys.stdout, environ))
    names = [public_host(options.host), options.address]
    if own := urlsplit(environ.get("PREAU_PUBLIC_URL", "")).hostname:
        names.append(own)
    certificates = ensure(layout.tls, names, datetime.now(UTC))
    database_url, broker_url = environ.get("PREAU_DATABASE_URL", ""), environ.get("PREAU_BROKER_URL", "")
    if postgres is not None:
        postgres.port = ports.free_port()
        if postgres.create():
            console.event(f"base de données créée dans {postgres.directory}")
        database_url = postgres.url(DATABASE)
    valkey = None
    if not broker_url:
        valkey = Valkey(layout.valkey, ports.free_port())
        valkey.create()
        broker_url = valkey.url
    settings = make_settings(options, certificates, database_url, broker_url, environ)
    FleetConfig.from_environ(settings)  # what is wrong is said before anything starts
    write_environment(layout.environment, settings)
    supervisor = Supervisor(console, layout.children)
    return Installation(
        options, layout, environ, console, supervisor, certificates, postgres, valkey, settings, started
    )


def run(installation: Installation) -> None:
    """Start in order, say so when all is ready, then wait to be stopped; stop in order whatever happens."""
    console = installation.console
    try:
        start(installation)
        console.block(ready_block(installation).render(colour=console.colour))
        while True:
            signal.pause()
    except Stop:
        console.event("arrêt demandé")
    finally:
        stop(installation)


def start(installation: Installation) -> None:
    """Stores, tables, then what stands on them."""
    start_stores(installation)
    config = installation.config
    migrate(config.database_url)
    connect(config.database_url)
    names = start_fleet(installation)
    say = installation.console.event
    ensure_filtering(installation)
    if installation.options.demo:
        now = datetime.now(UTC)
        installation.accounts = load_demo(config, installation.layout.demo_accounts, now, say)
    installation.supervisor.wait_ready(*names)
    if installation.options.demo:
        start_machines(installation)
    start_filter(installation)


def start_stores(installation: Installation) -> None:
    """PostgreSQL and Valkey, side by side, unless they are the caller's own."""
    environment = child_environment(installation.layout, installation.environ)
    stores = []
    if installation.postgres is not None:
        stores.append(programs.postgres_program(installation.postgres, environment))
    if installation.valkey is not None:
        stores.append(programs.valkey_program(installation.valkey, environment))
    installation.supervisor.start_and_wait(*stores)
    if installation.postgres is not None:
        installation.postgres.ensure_database(DATABASE)


def start_fleet(installation: Installation) -> list[str]:
    """Controller, worker and beat, side by side; their names. They get ready while we load data."""
    options, config, environment = installation.options, installation.config, installation.environment
    health = f"{installation.local_url}/health/ready"
    started = [
        programs.controller_program(environment, options.host, options.port, health, config.ca_file),
        programs.worker_program(environment, make_celery(config).control),
        programs.beat_program(environment, installation.layout.beat),
    ]
    installation.supervisor.start(*started)
    return [program.name for program in started]


def ensure_filtering(installation: Installation) -> None:
    """A default profile, and a first bundle asked for: the worker compiles it."""
    with SessionFactory.begin() as session:
        filtering.ensure_default_profile(session)
        if filtering.find_latest(session) is None:
            filtering.request_publication(session, None, datetime.now(UTC))


def start_filter(installation: Installation) -> None:
    """The filter, with a credential of its own, kept from one start to the next; with lists when these are soon there.

    Whole lists take longer to compile than people wait: they come in when they are ready.
    """
    layout, config, supervisor = installation.layout, installation.config, installation.supervisor
    with SessionFactory.begin() as session:
        ensure_credential(session, layout.filter / "credential", datetime.now(UTC))
    installation.lists_are_ready = wait_until(is_published, LISTS_SECONDS)
    program = programs.filter_program(
        installation.options, installation.local_url, config.ca_file, layout, installation.environ
    )
    supervisor.start(program)
    if installation.lists_are_ready:
        supervisor.wait_ready(program.name)


def is_published() -> bool:
    """Whether there is a bundle to fetch."""
    with SessionFactory() as session:
        return filtering.find_latest(session) is not None


def ensure_credential(session: Session, path: Path, now: datetime) -> None:
    """Keep the filter's credential while it opens something, else register the filter anew."""
    try:
        filtering.authenticate(session, f"Bearer {path.read_text(encoding='ascii').strip()}")
    except (OSError, Unauthenticated):
        _node, credential = filtering.register_filter(session, FILTER_NAME, None, now, replace=True)
        write_private(path, f"{credential}\n")


def start_machines(installation: Installation) -> None:
    """The demonstration's agents, enrolled through the real endpoint with real tokens."""
    layout, config, now = installation.layout, installation.config, datetime.now(UTC)
    environment = child_environment(layout, installation.environ)
    with SessionFactory.begin() as session:
        roots = {machine.name: prepare_root(session, machine, layout.agents, config, now) for machine in MACHINES}
    installation.supervisor.start_and_wait(
        *(programs.agent_program(name, root, environment) for name, root in roots.items())
    )


def ready_block(installation: Installation) -> ReadyBlock:
    """What to tell once everything answers."""
    options, layout = installation.options, installation.layout
    own = [f"{what} : serveur donné par {name}" for name, what, there in (
        ("PREAU_DATABASE_URL", "base de données", installation.postgres is None),
        ("PREAU_BROKER_URL", "file des tâches", installation.valkey is None),
    ) if there]  # fmt: skip
    return ReadyBlock(
        seconds=time.monotonic() - installation.started,
        url=installation.config.public_url,
        accounts=installation.accounts,
        dns_address=options.address,
        dns_port=options.dns_port,
        page_port=options.page_port,
        blocked_name=BLOCKED_EXAMPLE if installation.lists_are_ready else None,
        ca_file=installation.config.ca_file,
        fingerprint=installation.certificates.fingerprint,
        var=layout.var,
        postgres=installation.postgres.directory if installation.postgres else None,
        environment=layout.environment,
        own_servers=own,
    )


def stop(installation: Installation) -> None:
    """Stop all in order; a second Ctrl-C changes nothing, a stop takes five seconds at most."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    agents = tuple(name for name in installation.supervisor.pids() if name.startswith("agent-"))
    installation.supervisor.stop([agents, *programs.STOP_ORDER], seconds=STOP_SECONDS)
    # A signal may have come between the birth of a process and our note of it.
    leftovers.end(leftovers.find_leftovers(installation.layout.var), patience=0.2)
    installation.console.event("tout est arrêté")
    installation.console.close()


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """Turn the three ways of being asked to stop into Stop, in the main thread."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        raise Stop

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield
    except Stop:
        sys.stdout.write("Arrêté.\n")  # before anything had started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
