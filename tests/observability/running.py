"""A real Prometheus that scrapes a real controller and a real filter, on loopback, in a folder that goes away."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet.embedded.ports import free_port
from tests.certificates import Authority

FILES = Path(__file__).parent.parent.parent / "dashboards" / "prometheus"
TOKEN = "jeton-des-mesures"


@contextlib.contextmanager
def started(*command: str | Path, log: Path, environ: dict[str, str] | None = None) -> Iterator[None]:
    """A program that runs while the block does."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(c) for c in command], stdout=output, stderr=subprocess.STDOUT, env=os.environ | (environ or {})
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(is_true: Callable[[], bool], log: Path, seconds: float = 60.0) -> None:
    """Ask until it is so; fail with the program's log."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-3000:]
        time.sleep(0.1)


@contextlib.contextmanager
def running_controller(database_url: str, authority: Authority, directory: Path) -> Iterator[int]:
    """`preau serve` over TLS on a database that is already migrated; its port."""
    port = free_port()
    server = authority.issue("127.0.0.1")
    environ = {
        "PREAU_DATABASE_URL": database_url,
        "PREAU_BROKER_URL": "memory://",
        "PREAU_PUBLIC_URL": f"https://127.0.0.1:{port}",
        "PREAU_CA_FILE": str(authority.certificate),
        "PREAU_TLS_CERT_FILE": str(server.certificate),
        "PREAU_TLS_KEY_FILE": str(server.key),
        "PREAU_METRICS_TOKEN": TOKEN,
        "PREAU_SECOND_FACTOR": "optional",
        "PREAU_ENV_FILE": str(directory / "none.env"),
    }
    log = directory / "controller.log"
    preau = Path(sys.executable).parent / "preau"
    with started(preau, "serve", "--port", str(port), log=log, environ=environ):
        wait_until(lambda: "Uvicorn running" in log.read_text(), log)
        yield port


@dataclass(frozen=True, slots=True)
class Prometheus:
    """One that runs."""

    port: int
    log: Path

    def get(self, path: str, **parameters: str) -> list[dict[str, object]]:
        """``data.result`` (or its other list) of the HTTP API."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}?{query}", timeout=10) as answer:
            data = json.load(answer)["data"]
        rows: list[dict[str, object]] = data.get("result") or data.get("activeTargets") or data.get("groups") or []
        return rows

    def query(self, expression: str) -> list[dict[str, object]]:
        """An instant query's series."""
        return self.get("query", query=expression)


@contextlib.contextmanager
def running_prometheus(directory: Path, authority: Authority, controller: int, filter_: int) -> Iterator[Prometheus]:
    """Debian's Prometheus on our own configuration; only the interval is shorter, and the targets are here."""
    folder, log, port = directory / "prometheus", directory / "prometheus.log", free_port()
    shutil.copytree(FILES, folder)
    settings = folder / "prometheus.yml"
    settings.write_text(settings.read_text().replace("interval: 15s", "interval: 1s"))
    (folder / "targets/controllers.yml").write_text(f"- targets: ['127.0.0.1:{controller}']\n")
    (folder / "targets/filters.yml").write_text(f"- targets: ['127.0.0.1:{filter_}']\n")
    (folder / "metrics-token").write_text(TOKEN)
    shutil.copy(authority.certificate, folder / "ca.pem")
    places = [f"--config.file={settings}", f"--storage.tsdb.path={directory / 'tsdb'}"]
    with started("prometheus", *places, f"--web.listen-address=127.0.0.1:{port}", log=log):
        wait_until(lambda: "Server is ready to receive web requests" in log.read_text(), log)
        yield Prometheus(port, log)
