"""`preau up`: everything at once, kept running under one supervisor, stopped in order."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from fleet.embedded import leftovers, ports, programs
from fleet.embedded.banner import ReadyBlock
from fleet.embedded.installation import Installation, prepare, wanted_ports
from fleet.embedded.layout import Layout
from fleet.embedded.lock import hold
from fleet.embedded.postgres import Postgres
from fleet.embedded.reset import reset
from fleet.embedded.settings import UpOptions
from fleet.embedded.starting import start

STOP_SECONDS = 4.8
BLOCKED_EXAMPLE = "0-casino.info"
"""In the category gambling of the lists that ship here, and of UT1's own."""


class Stop(BaseException):
    """Somebody asked to stop: Ctrl-C, kill, or the terminal that closed. Not an error, so not an Exception."""


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
        program=find_program(),
        environment=layout.environment,
        sends_mail=bool(installation.config.smtp_url),
        asks_second_factor=installation.config.second_factor_required,
        own_servers=own,
    )


def find_program() -> Path:
    """The `preau` command of this Python, else the command that was typed."""
    beside = Path(sys.executable).with_name("preau")
    return beside if beside.exists() else Path(sys.argv[0]).resolve()


def stop(installation: Installation) -> None:
    """Stop all in order; a second Ctrl-C changes nothing, a stop takes five seconds at most."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    stores = {name for group in programs.STORES for name in group}
    others = tuple(name for name in installation.supervisor.pids() if name not in stores)
    if installation.engine is not None:
        installation.engine.dispose()
    installation.supervisor.stop([others, *programs.STORES], seconds=STOP_SECONDS)
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
