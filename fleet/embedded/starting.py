"""The start, step by step: stores, tables, the fleet's processes, data, the demonstration's agents, the filter."""

import socket
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from fleet.db import connect, transaction
from fleet.demo.load import load_demo
from fleet.demo.machines import MACHINES, prepare_root
from fleet.doors import Door
from fleet.embedded import programs
from fleet.embedded.installation import DATABASE, Installation
from fleet.embedded.settings import child_environment
from fleet.embedded.supervisor import wait_until
from fleet.errors import Unauthenticated
from fleet.files import write_private
from fleet.filtering import service as filtering
from fleet.filtering.publishing.signing import credential_text, public_keys
from fleet.migrate import migrate_as_owner
from fleet.worker import make_celery

LISTS_SECONDS = 30.0
"""How long people wait for the first compile: the lists that ship take two seconds, whole ones come in later."""


def start(installation: Installation) -> None:
    """Stores, tables, then what stands on them."""
    start_stores(installation)
    config = installation.config
    migrate_as_owner(config)
    installation.engine = connect(config.database_url)
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
    with transaction(Door.OPERATOR) as session:
        filtering.ensure_default_profile(session)
        if filtering.find_latest(session) is None:
            filtering.request_publication(session, None, datetime.now(UTC))


def start_filter(installation: Installation) -> None:
    """The filter, with a credential of its own, kept from one start to the next; with lists when these are soon there.

    Whole lists take longer to compile than people wait: they come in when they are ready.
    """
    layout, config, supervisor = installation.layout, installation.config, installation.supervisor
    with transaction(Door.OPERATOR) as session:
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
    with transaction(Door.OPERATOR) as session:
        return filtering.find_latest(session) is not None


def ensure_credential(session: Session, path: Path, now: datetime) -> None:
    """Keep the filter's credential while it opens something, else register the filter anew."""
    text = ""
    try:
        text = path.read_text(encoding="ascii")
        credential = text.partition("\n")[0]
        filtering.authenticate(session, f"Bearer {credential}")
    except (OSError, UnicodeDecodeError, Unauthenticated):
        _node, credential = filtering.register_filter(
            session, f"filtre de {socket.gethostname()}", None, now, replace=True
        )
    wanted = credential_text(credential, public_keys(session))
    if text != wanted:  # new, or of a version that named no key
        write_private(path, wanted)


def start_machines(installation: Installation) -> None:
    """The demonstration's agents, enrolled through the real endpoint with real tokens."""
    layout, config, now = installation.layout, installation.config, datetime.now(UTC)
    environment = child_environment(layout, installation.environ)
    with transaction(Door.OPERATOR) as session:
        roots = {machine.name: prepare_root(session, machine, layout.agents, config, now) for machine in MACHINES}
    installation.supervisor.start_and_wait(
        *(programs.agent_program(name, root, environment) for name, root in roots.items())
    )
