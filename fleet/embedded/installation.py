"""One installation of everything: what was asked, where it lives, what it is told; made before anything starts."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sqlalchemy import Engine

from fleet.config import FleetConfig
from fleet.embedded import ports
from fleet.embedded.banner import Account
from fleet.embedded.certificates import Certificates, ensure
from fleet.embedded.console import Console, wants_colour
from fleet.embedded.layout import Layout
from fleet.embedded.ports import Wanted
from fleet.embedded.postgres import Postgres
from fleet.embedded.settings import (
    UpOptions,
    bracketed,
    child_environment,
    ensure_secret_key,
    make_settings,
    public_host,
    write_environment,
)
from fleet.embedded.supervisor import Supervisor
from fleet.embedded.valkey import Valkey

DATABASE = "preau"


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
    engine: Engine | None = None
    """Our own connections to the database, once there is one."""
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
    settings = {"PREAU_SECRET_KEY": ensure_secret_key(layout.secret_key)}
    settings |= make_settings(options, certificates, database_url, broker_url, environ)
    FleetConfig.from_environ(settings)  # what is wrong is said before anything starts
    write_environment(layout.environment, settings)
    supervisor = Supervisor(console, layout.children)
    return Installation(
        options, layout, environ, console, supervisor, certificates, postgres, valkey, settings, started
    )
