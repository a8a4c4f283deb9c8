"""The programs of an installation: what is run, how each shows that it is ready, how it is stopped."""

import http.client
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from celery.app.control import Control
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fleet.demo.machines import answered_since
from fleet.embedded import ready
from fleet.embedded.layout import Layout
from fleet.embedded.postgres import Postgres
from fleet.embedded.settings import UpOptions, bracketed, child_environment
from fleet.embedded.supervisor import Program
from fleet.embedded.valkey import Valkey

STORES = (("valkey",), ("postgres",))
"""Stopped last: all the others need them until they have ended, and nothing else of each other."""
PYTHON = (sys.executable, "-P", "-m")  # -P: a folder named fleet where we were started is not ours


def postgres_program(postgres: Postgres, environment: Mapping[str, str]) -> Program:
    """PostgreSQL. SIGINT is its fast shutdown; SIGTERM would wait for every client."""
    return Program(
        "postgres",
        postgres.command(),
        environment,
        postgres.is_ready,
        before_start=postgres.clear_stale_lock,
        stop_signal=signal.SIGINT,
        stop_seconds=0.9,
        runs_as=postgres.runs_as(),
    )


def valkey_program(valkey: Valkey, environment: Mapping[str, str]) -> Program:
    """Valkey; its append-only file is synced when it stops."""
    return Program("valkey", valkey.command(), environment, valkey.is_ready, stop_seconds=0.3)


def controller_program(environment: Mapping[str, str], host: str, port: int, health: str, ca: Path | None) -> Program:
    """The controller, ready when it reaches its database."""
    command = [*PYTHON, "fleet", "serve", "--host", host, "--port", str(port)]
    is_ready = partial(ready.https_answers, health, ca)
    return Program("controller", command, environment, is_ready, stop_seconds=0.6)


def worker_program(environment: Mapping[str, str], control: Control) -> Program:
    """The worker. SIGQUIT: it puts back what it had begun instead of finishing it first.

    Without its broker it would wait for it for ever, so as an orphan it is killed; what it had begun is not lost.
    """
    is_ready = partial(worker_answers, control)
    command = [*PYTHON, "fleet", "worker"]
    return Program(
        "worker", command, environment, is_ready,
        stop_signal=signal.SIGQUIT, orphan_signal=signal.SIGKILL, stop_seconds=2.0,
    )  # fmt: skip


def worker_answers(control: Control) -> bool:
    """Whether a worker answers on the broker."""
    try:
        return bool(control.ping(timeout=1.0, limit=1))
    except (OperationalError, RedisError, OSError):  # kombu translates only what happens as it connects
        return False


def beat_program(environment: Mapping[str, str], folder: Path) -> Program:
    """The clock of the regular tasks, ready when it has noted its first tick."""
    schedule = folder / "schedule"

    def forget_ticks() -> None:
        for path in folder.glob("schedule*"):  # a kill may leave it half-written; every entry is due again soon
            path.unlink()

    return Program(
        "beat",
        [*PYTHON, "fleet", "beat", "--schedule", str(schedule)],
        environment,
        lambda: any(folder.glob("schedule*")),
        before_start=forget_ticks,
        stop_seconds=0.3,
    )


def filter_program(
    options: UpOptions, url: str, ca: Path | None, layout: Layout, environ: Mapping[str, str]
) -> Program:
    """The filter, ready once a bundle is in force. Its settings travel as variables; the credential as a file."""
    settings = {
        "LISTEN": f"{bracketed(options.host)}:{options.dns_port}",
        "UPSTREAM": ",".join(options.upstreams),
        "BLOCK_PAGE": f"{bracketed(options.host)}:{options.page_port}",
        "METRICS": f"127.0.0.1:{options.metrics_port}",
        "CONTROLLER": url,
        "CREDENTIAL_FILE": str(layout.filter / "credential"),
        "DATA_DIR": str(layout.filter / "bundles"),
        "CA_FILE": str(ca) if ca else "",
        "INTERVAL": "5",  # on one machine, a change is seen while one watches
        "LOG_FORMAT": "console",
        # A blocked name leads to the page where a browser looks for it; on another port it would lead nowhere.
        "BLOCK_ADDRESS": options.address if options.page_port == http.client.HTTP_PORT else "",
    }
    variables = {f"PREAU_FILTER_{name}": value for name, value in settings.items() if value}
    return Program(
        "filter",
        [*PYTHON, "filter", "serve"],
        child_environment(layout, environ, **variables),
        lambda: (
            ready.http_answers("127.0.0.1", options.metrics_port, "/health/ready")
            and ready.dns_answers(options.address, options.dns_port)
        ),
        stop_seconds=0.3,
    )


def agent_program(name: str, root: Path, environment: Mapping[str, str]) -> Program:
    """An agent of the demonstration, ready once its controller has answered it since this start."""
    started: list[float] = []

    def note_start() -> None:
        started[:] = [time.time()]

    return Program(
        name,
        [*PYTHON, "agent", "run", "--root", str(root)],
        environment,
        lambda: answered_since(root, started[0]),
        before_start=note_start,
        stop_seconds=0.4,
    )
