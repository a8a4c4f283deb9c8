"""A real `preau up`, started by tests: on free ports, in a folder of its own, its log at hand, cleaned up after."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fleet.embedded.layout import Layout
from fleet.embedded.leftovers import end, find_leftovers
from fleet.embedded.ports import free_port
from fleet.embedded.postgres import Postgres

PATIENCE = 150.0
"""Far longer than a start takes: it only ends a test that would hang."""
READY = "Préau est prêt"
COMMAND = (sys.executable, "-P", "-m", "fleet")


def free_dns_port() -> int:
    """A port that is free for UDP and for TCP."""
    while True:
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def plain_environment(**more: str) -> dict[str, str]:
    """Ours without any PREAU_* variable: the machine of whoever runs the tests may have some."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PREAU_")} | more


class UpProcess:
    """One `preau up` and what it says."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] | None = None,
        ports: Sequence[int] | None = None,
    ) -> None:
        self.layout = Layout(folder / "var")
        self.port, self.page_port, self.metrics_port, self.dns_port = ports or (
            free_port(), free_port(), free_port(), free_dns_port(),
        )  # fmt: skip
        self.command = [
            *command, "up", "--var", str(self.layout.var), "--port", str(self.port), "--dns-port", str(self.dns_port),
            "--page-port", str(self.page_port), "--metrics-port", str(self.metrics_port), *options,
        ]  # fmt: skip
        self.environment = dict(plain_environment() if environment is None else environment)
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._said_before = 0

    @property
    def ports(self) -> tuple[int, int, int, int]:
        return (self.port, self.page_port, self.metrics_port, self.dns_port)

    @property
    def output(self) -> str:
        """What the present process said so far."""
        return self.log.read_bytes()[self._said_before :].decode(errors="replace") if self.log.exists() else ""

    def start(self, **popen: object) -> "UpProcess":
        """Start it and return at once."""
        self._said_before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen
            )
        return self

    def wait_for(self, text: str, patience: float = PATIENCE) -> None:
        """Wait until it says this; fail with the end of its log when it never does."""
        assert self.process is not None
        deadline = time.monotonic() + patience
        while text not in self.output:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"never said {text!r}; its last lines:\n{self.output[-6000:]}")
            time.sleep(0.05)

    def wait_ready(self) -> "UpProcess":
        self.wait_for(READY)
        return self

    def pids(self) -> dict[str, int]:
        """Name and pid of its children."""
        found: dict[str, int] = json.loads(self.layout.children.read_text())
        return found

    def kill(self, name: str) -> None:
        """Kill -9 one child, and wait until it answers again."""
        count = self.output.count(f"{name} est de retour")
        os.kill(self.pids()[name], signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while self.output.count(f"{name} est de retour") == count:
            if time.monotonic() > deadline:
                raise AssertionError(f"{name} never came back:\n{self.output[-6000:]}")
            time.sleep(0.05)

    def settings(self) -> dict[str, str]:
        """The PREAU_* settings that it wrote."""
        lines = self.layout.environment.read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def preau(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        """Another `preau` command on the same installation."""
        environment = self.environment | {"PREAU_ENV_FILE": str(self.layout.environment)}
        return subprocess.run(
            [*COMMAND, *arguments], env=environment, input=stdin, capture_output=True, text=True, timeout=PATIENCE
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def clean(self) -> None:
        """End whatever still runs and forget the state, also where PostgreSQL keeps its own."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        end(find_leftovers(self.layout.var), patience=1)
        if self.layout.postgres.exists():
            Postgres(self.layout.postgres, 0).end_leftover()
            shutil.rmtree(self.layout.postgres)
