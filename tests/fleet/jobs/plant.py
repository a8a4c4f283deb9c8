"""An installation of a test's own, each part a process that is started again when it dies: what faults are tried on."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from random import Random

import httpx2
import redis
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine

from fleet.config import FleetConfig
from fleet.db import SessionFactory, transaction
from fleet.doors import Door
from fleet.embedded.console import Console
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres
from fleet.embedded.programs import PYTHON, postgres_program, valkey_program, worker_program
from fleet.embedded.ready import http_answers
from fleet.embedded.supervisor import Program, Supervisor
from fleet.embedded.valkey import Valkey
from fleet.jobs import tasks
from fleet.migrate import migrate
from fleet.worker import make_celery
from tests.factories import PASSWORD, make_user

VICTIMS = ("worker", "valkey", "postgres", "controller")
LEASE = 3
"""Seconds: what a killed worker held is another's soon."""


class Plant:
    """PostgreSQL, Valkey, a controller and a worker. Beat is the test itself: see `sweep`."""

    def __init__(self, directory: Path, state: Path) -> None:
        self.postgres, self.valkey = (
            Postgres(state / "postgres", free_port()),
            Valkey(directory / "valkey", free_port()),
        )
        self.port, self.directory = free_port(), directory
        self.output = StringIO()
        console = Console(self.output, directory, colour=False)
        self.supervisor = Supervisor(console, directory / "pids.json")
        self.email = ""
        self.engine: Engine

    @property
    def config(self) -> FleetConfig:
        return FleetConfig(
            database_url=self.postgres.url(), broker_url=self.valkey.url, public_url="https://preau.example.test",
            job_lease_seconds=LEASE, second_factor_required=False,
        )  # fmt: skip

    def start(self) -> None:
        self.postgres.create()
        self.valkey.create()
        self.supervisor.start(*self.stores())
        self.supervisor.wait_ready("postgres", "valkey")
        migrate(self.config.database_url)
        make_celery(self.config)
        self.engine = create_engine(self.config.database_url, pool_pre_ping=True)
        SessionFactory.configure(bind=self.engine, join_transaction_mode="conditional_savepoint")
        with transaction(Door.OPERATOR) as session:
            self.email = make_user(session).email
        self.supervisor.start(*self.servers())
        self.supervisor.wait_ready("controller")

    def stores(self) -> tuple[Program, Program]:
        environment = dict(os.environ)
        postgres = postgres_program(self.postgres, environment)
        # Not synced to disk: a killed process loses none of what the kernel has.
        unsynced = replace(postgres, command=[*postgres.command, "-c", "fsync=off"])
        return unsynced, valkey_program(self.valkey, environment)

    def servers(self) -> tuple[Program, Program]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREAU_")} | {
            "PREAU_DATABASE_URL": self.config.database_url,
            "PREAU_BROKER_URL": self.config.broker_url,
            "PREAU_PUBLIC_URL": self.config.public_url,
            "PREAU_JOB_LEASE_SECONDS": str(LEASE),
            "PREAU_SECOND_FACTOR": "optional",
            "PREAU_ENV_FILE": str(self.directory / "none.env"),
        }
        serve = [*PYTHON, "fleet", "serve", "--port", str(self.port)]
        answers = partial(http_answers, "127.0.0.1", self.port, "/health/live")
        worker = worker_program(environment, make_celery(self.config).control)
        return Program("controller", serve, environment, answers), worker

    def stop(self) -> None:
        self.supervisor.stop([["worker", "controller"], ["valkey"], ["postgres"]], 20)
        self.engine.dispose()

    def strike(self, name: str) -> None:
        """Kill -9 it, if it runs at this moment; whoever watches starts it again."""
        pid = self.supervisor.pids().get(name)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def empty_broker(self) -> bool:
        """FLUSHALL; False while the broker is away."""
        try:
            redis.Redis.from_url(self.valkey.url).flushall()
        except (RedisError, OSError):
            return False
        return True

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """As beat does, only more often: hand over what is due, again and again."""
        stop = threading.Event()

        def sweep() -> None:
            while not stop.wait(0.5):
                try:
                    tasks.sweep_jobs.delay()
                except (OperationalError, OSError):
                    continue  # the broker is away; the next one comes

        thread = threading.Thread(target=sweep, daemon=True)
        thread.start()
        yield
        stop.set()
        thread.join()

    @contextmanager
    def striking(self, random: Random, rounds: int) -> Iterator[None]:
        """Kill each victim, and empty the broker, at random moments, so many times."""
        stop = threading.Event()

        def strike() -> None:
            for _ in range(rounds):
                for victim in random.sample((*VICTIMS, "flushall"), len(VICTIMS) + 1):
                    if stop.wait(random.uniform(0.1, 0.8)):
                        return
                    if victim == "flushall":
                        self.empty_broker()
                    else:
                        self.strike(victim)

        thread = threading.Thread(target=strike, daemon=True)
        thread.start()
        yield
        thread.join()
        stop.set()

    def client(self) -> httpx2.Client:
        """Signed in over plain HTTP: the session's cookie, made for TLS, is put on by hand."""
        client = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)
        answer = client.post("/api/v1/accounts/sign-in", json={"email": self.email, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        client.cookies.clear()
        client.headers |= {"Cookie": cookie, "X-CSRF-Token": answer.json()["csrf_token"]}
        return client
